"""Books of both sides for hypothesis, and short makers of core values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from recond.core.model import BrokerPosition, Drift, Holdings, Instrument, Kind, LedgerRow, Unreadable
from recond.core.run import Action, Correction

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ZERO = Decimal(0)
TOLERANCE = {"us_equity": Decimal("0.0001"), "us_option": ZERO, "crypto": Decimal("0.000000001")}
CLASSES = {
    "AAPL": "us_equity",
    "MSFT": "us_equity",
    "BRK.B": "us_equity",
    "BTCUSD": "crypto",
    "PTON240126C00000500": "us_option",
}
OWNERS = (None, "alpha", "beta", "gamma")


def position(
    symbol: str, quantity: str | int | Decimal, *, price: str | int | None = 10, asset_class: str | None = None
) -> BrokerPosition:
    """A position worth `quantity` times `price`, bought at 8."""
    held = Decimal(quantity)
    return BrokerPosition(
        instrument=Instrument(asset_class or CLASSES[symbol], symbol),
        asset_id=f"id-{symbol}",
        quantity=held,
        entry_price=Decimal(8),
        cost_basis=held * 8,
        price=None if price is None else Decimal(price),
        market_value=None if price is None else held * Decimal(price),
    )


def row(
    symbol: str,
    quantity: str | int | Decimal,
    strategy_id: str | None = None,
    *,
    row_id: int = 1,
    asset_class: str | None = None,
    entry_price: str | int | None = 7,
    market_value: str | int | Decimal | None = None,
) -> LedgerRow:
    """An open row of the ledger."""
    return LedgerRow(
        id=row_id,
        symbol=symbol,
        asset_class=asset_class,
        strategy_id=strategy_id,
        quantity=Decimal(quantity),
        version=3,
        entry_price=None if entry_price is None else Decimal(entry_price),
        market_value=None if market_value is None else Decimal(market_value),
    )


def drift_of(symbol: str, broker: str | int | Decimal, *rows: LedgerRow) -> Drift:
    """The drift between that quantity at the broker and those rows."""
    held = Decimal(broker)
    shown = position(symbol, held) if held else None
    kind = Kind.MISSING_IN_LEDGER if not rows else Kind.QUANTITY if held else Kind.MISSING_AT_BROKER
    ledger = sum((r.quantity for r in rows), ZERO)
    return Drift(Instrument(CLASSES[symbol], symbol), kind, held, ledger, shown, rows)


@dataclass(frozen=True)
class Books:
    """Both sides of one reading."""

    holdings: Holdings
    rows: tuple[LedgerRow, ...]
    unreadable_rows: tuple[Unreadable, ...]
    ignore: frozenset[str]


def _decimal(negative: bool, digits: int, places: int) -> Decimal:
    return Decimal((int(negative), tuple(int(digit) for digit in str(digits)), -places))


quantities = st.one_of(
    st.integers(1, 20).flatmap(lambda n: st.sampled_from((Decimal(n), Decimal(-n)))),
    st.builds(_decimal, st.booleans(), st.integers(1, 10**12), st.integers(0, 9)),
    st.builds(_decimal, st.booleans(), st.integers(10**28, 10**39), st.integers(0, 30)),
)
"""Signed, never zero: small ones that often add up, and ones with more digits than Python's default precision."""


@st.composite
def owned_rows(draw: st.DrawFn, symbol: str, first_id: int) -> tuple[LedgerRow, ...]:
    """The open rows of one symbol: at most one per strategy, any signs, with the right class, a wrong one or none."""
    owners = draw(st.lists(st.sampled_from(OWNERS), unique=True, max_size=len(OWNERS)))
    stated = st.sampled_from((None, CLASSES[symbol], "us_equity"))
    return tuple(
        row(symbol, draw(quantities), owner, row_id=first_id + n, asset_class=draw(stated))
        for n, owner in enumerate(owners)
    )


@st.composite
def broker_quantities(draw: st.DrawFn, rows: tuple[LedgerRow, ...]) -> Decimal:
    """Nothing, anything, just what the rows sum up to, or a little beside it."""
    total = exact_sum(rows)
    near = st.sampled_from((ZERO, Decimal("0.00005"), Decimal("-0.0001"), Decimal("0.00011"))).map(
        lambda more: exact_sum((*rows, row("AAPL", more)))
    )
    return draw(st.one_of(st.just(ZERO), quantities, st.just(total), near))


@st.composite
def books(draw: st.DrawFn, *, readable: bool = False) -> Books:
    """Any two sides; with `readable`, all rows could be understood and nothing is ignored."""
    positions: list[BrokerPosition] = []
    rows: list[LedgerRow] = []
    bad_positions: list[Unreadable] = []
    bad_rows: list[Unreadable] = []
    rarely = st.sampled_from((False,) if readable else (False,) * 7 + (True,))
    for n, symbol in enumerate(draw(st.lists(st.sampled_from(sorted(CLASSES)), unique=True))):
        own = draw(owned_rows(symbol, 10 * n))
        held = draw(broker_quantities(own))
        if draw(rarely):
            bad_positions.append(Unreadable(symbol, "qty is None"))
        elif held:
            positions.append(position(symbol, held))
        for each in own:
            if draw(rarely):
                bad_rows.append(Unreadable(symbol, "quantity is 1_000"))
            else:
                rows.append(each)
    if draw(rarely):
        bad_positions.append(Unreadable(None, "symbol is None"))
    if draw(rarely):
        bad_rows.append(Unreadable(None, "symbol is None"))
    ignore = frozenset() if readable else draw(st.frozensets(st.sampled_from(sorted(CLASSES)), max_size=2))
    return Books(
        Holdings(tuple(draw(st.permutations(positions))), tuple(bad_positions)),
        tuple(draw(st.permutations(rows))),
        tuple(bad_rows),
        ignore,
    )


def exact_sum(rows: tuple[LedgerRow, ...]) -> Decimal:
    """The sum of the rows without rounding, counted in whole numbers of the smallest place."""
    parts = [each.quantity.as_tuple() for each in rows]
    places = max((-int(exponent) for _, _, exponent in parts), default=0)
    total = 0
    for sign, digits, exponent in parts:
        number = int("".join(map(str, digits))) * 10 ** (places + int(exponent))
        total += -number if sign else number
    return _decimal(total < 0, abs(total), places)


def applied(rows: tuple[LedgerRow, ...], corrections: tuple[Correction, ...]) -> tuple[LedgerRow, ...]:
    """The open rows after the corrections, by the ledger's own rules: one open row per symbol and strategy."""
    book = {(r.symbol, r.strategy_id): r for r in rows}
    for number, correction in enumerate(corrections, start=1000):
        key = (correction.instrument.symbol, correction.strategy_id)
        assert book.get(key) == correction.row
        assert correction.before == (Decimal(0) if correction.row is None else correction.row.quantity)
        assert correction.before != correction.after
        assert (correction.action is Action.OPEN) == (correction.row is None)
        assert (correction.action is Action.CLOSE) == (correction.after == 0)
        opened = row(key[0], correction.after, key[1], row_id=number, asset_class=correction.instrument.asset_class)
        book[key] = replace(correction.row or opened, quantity=correction.after)
    return tuple(r for r in book.values() if r.quantity != 0)
