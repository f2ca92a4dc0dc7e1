"""What happens to an account, told in the values that explanations are made from: fills, bookings, changes, drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from recond.core.explain import Known, Patience, explain
from recond.core.history import Change, PastCorrection
from recond.core.model import Activity, Baseline, Cause, Drift, Execution, Instrument, LedgerRow
from recond.core.run import Explanation
from tests.core.strategies import drift_of, row

BASE_AT = datetime(2026, 1, 2, 15, 0, tzinfo=UTC)
NOW = BASE_AT + timedelta(minutes=10)
PATIENCE = Patience(late=timedelta(seconds=25), corporate=timedelta(minutes=10))
STRATEGIES = {"mean": "mean-", "trend": "trend-"}
TOLERANCE = {"us_equity": Decimal("0.0001"), "us_option": Decimal(0), "crypto": Decimal("0.000000001")}
CALL, PUT = "AAPL260116C00150000", "AAPL260102P00150000"


def fill(
    quantity: str | int,
    minute: float = 5,
    *,
    order: str = "o1",
    client: str | None = None,
    symbol: str = "AAPL",
    price: int | None = 10,
    cum: str | int | None = None,
    **more: object,
) -> Execution:
    """An execution so many minutes after the baseline."""
    return Execution(
        symbol=symbol,
        at=BASE_AT + timedelta(minutes=minute),
        quantity=Decimal(quantity),
        order_id=order,
        cum_quantity=abs(Decimal(cum if cum is not None else quantity)),
        price=None if price is None else Decimal(price),
        client_order_id=client,
        **more,  # type: ignore[arg-type]
    )


def booking(
    kind: str,
    quantity: str | int | None,
    minute: float = 5,
    *,
    symbol: str | None = "AAPL",
    sub_type: str | None = None,
    group: str | None = None,
    number: int = 1,
    **more: object,
) -> Activity:
    """An activity that is no trade."""
    return Activity(
        id=f"{kind}-{symbol}-{number}",
        type=kind,
        sub_type=sub_type,
        symbol=symbol,
        quantity=None if quantity is None else Decimal(quantity),
        price=None,
        at=BASE_AT + timedelta(minutes=minute),
        group_id=group,
        **more,  # type: ignore[arg-type]
    )


def change(
    quantity: str | int, minute: float = 5.1, *, strategy: str | None = None, seq: int = 9, row_id: int = 1
) -> Change:
    """Somebody added so much to a row."""
    at = BASE_AT + timedelta(minutes=minute)
    return Change(seq, row_id, "AAPL", strategy, Decimal(0), Decimal(quantity), at)


def base(drift: Drift, broker: str | int, ledger: str | int | None = None, cost: str | int | None = None) -> Baseline:
    """What both held before, at a cost of 8 a share."""
    held = Decimal(broker)
    costs = held * 8 if cost is None else Decimal(cost)
    return Baseline(drift.instrument, held, Decimal(held if ledger is None else ledger), costs, BASE_AT, 5)


def why(
    drift: Drift,
    before: Baseline | None,
    *,
    executions: Sequence[Execution] = (),
    activities: Sequence[Activity] = (),
    changes: Sequence[Change] = (),
    corrections: Sequence[PastCorrection] = (),
    strategies: Mapping[str, str] = STRATEGIES,
    now: datetime = NOW,
    age_s: float = 20,
) -> Explanation:
    """The explanation of one drift."""
    known = Known(
        now,
        tuple(executions),
        tuple(activities),
        changes=tuple(changes),
        corrections=tuple(corrections),
        strategies=strategies,
    )
    ages = {drift.instrument: timedelta(seconds=age_s)}
    return explain([drift], {drift.instrument: before}, ages, known, PATIENCE, TOLERANCE)[drift.instrument]


def together(
    drifts: Sequence[Drift], before: Sequence[Baseline], *activities: Activity, now: datetime = NOW
) -> list[Explanation]:
    """The explanations of several drifts that were confirmed at once."""
    known = Known(now, activities=activities, strategies=STRATEGIES)
    made = explain(drifts, {b.instrument: b for b in before}, {}, known, PATIENCE, TOLERANCE)
    return [made[drift.instrument] for drift in drifts]


def causes(explanation: Explanation) -> list[tuple[Cause, Decimal, str | None]]:
    """Its parts in short."""
    return [(part.cause, part.quantity, part.strategy_id) for part in explanation.parts]


def corrected(quantity: int, *, strategy: str | None = None, row_id: int = 1, **more: object) -> PastCorrection:
    """What recond did to a row a minute before the platform did the same."""
    at = BASE_AT + timedelta(minutes=4)
    instrument = Instrument("us_equity", "AAPL")
    made = PastCorrection(7, 3, row_id, instrument, strategy, Decimal(0), Decimal(quantity), Cause.MISSED_FILL, at)
    return replace(made, **more)  # type: ignore[arg-type]


def split(old: str | int, new: str | int, *, lieu: bool = False) -> list[Activity]:
    """The legs of a split."""
    legs = [booking("SPLIT", f"-{old}", group="g", number=1), booking("SPLIT", new, group="g", number=2)]
    cash = booking("SPLIT", None, group="g", number=3, net_amount=Decimal(4))
    return [*legs, cash] if lieu else legs


def shown(symbol: str, quantity: int, cost: int, *rows: object) -> Drift:
    """A drift whose position has that cost basis."""
    drift = drift_of(symbol, quantity, *rows)  # type: ignore[arg-type]
    assert drift.position is not None
    return replace(drift, position=replace(drift.position, cost_basis=Decimal(cost)))


def equity(symbol: str, broker: int, *rows: object, asset: str = "id-1") -> Drift:
    """A drift of an equity that the asset id of its rows and of its position follows."""
    drift = drift_of(symbol, broker, *(replace(each, asset_id=asset) for each in rows))  # type: ignore[type-var]
    held = None if drift.position is None else replace(drift.position, asset_id=asset)
    return replace(drift, position=held)


def legs(group: str = "g") -> list[Activity]:
    """The old name goes, the new one comes."""
    return [
        booking("NC", -10, symbol="AAPL", sub_type="SNC", group=group),
        booking("NC", 10, symbol="MSFT", sub_type="SNC", group=group),
    ]


def option(symbol: str, broker: int, *rows: LedgerRow) -> Drift:
    """A drift of a contract."""
    return replace(drift_of("AAPL", broker, *rows), instrument=Instrument("us_option", symbol))


def coin(broker: str, ledger: str) -> Drift:
    """A drift of a coin."""
    return drift_of("BTCUSD", broker, row("BTCUSD", ledger, asset_class="crypto"))
