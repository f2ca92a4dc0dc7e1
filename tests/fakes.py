"""Small fakes of the two ports: a broker that shows what it is told to, and a ledger in memory.

Owns the shortest honest implementation of each port, for tests of what stands on them.
May not share code with the adapters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from recond.core.absence import Guards
from recond.core.conclude import numbered, withhold
from recond.core.decide import Policy
from recond.core.judge import Timing
from recond.core.model import (
    AccountState,
    Activities,
    Baseline,
    BrokerPosition,
    Conflict,
    Execution,
    Hold,
    Holdings,
    Instrument,
    LedgerReading,
    LedgerRow,
    Order,
    Resolution,
)
from recond.core.run import Action, Record, Run
from recond.ports import BrokerUnavailable, PortError, Usage
from recond.reconcile import Rules

T = TypeVar("T")
PRICE = Decimal(10)


def position(symbol: str, quantity: str | int | Decimal, asset_class: str = "us_equity") -> BrokerPosition:
    """A position at a price of 10."""
    held = Decimal(quantity)
    return BrokerPosition(
        instrument=Instrument(asset_class, symbol),
        asset_id=f"id-{symbol}",
        quantity=held,
        entry_price=PRICE,
        cost_basis=PRICE * held,
        price=PRICE,
        market_value=PRICE * held,
        unrealized_pl=Decimal(0),
        unrealized_plpc=Decimal(0),
    )


@dataclass
class FakeBroker:
    """A broker whose positions are set by the test; `fails` are raised by the next requests, one each."""

    held: dict[str, Decimal] = field(default_factory=dict)
    answer: Holdings | None = None
    state: AccountState | None = None
    fails: list[PortError] = field(default_factory=list)
    hang: asyncio.Event | None = None
    account_down: bool = False
    pages: int = 1
    moments: list[float] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """How many requests came."""
        return len(self.moments)

    async def positions(self) -> Holdings:
        await self._request()
        if self.answer is not None:
            return self.answer
        return Holdings(tuple(position(symbol, held) for symbol, held in self.held.items()))

    async def account(self) -> AccountState:
        await self._request()
        if self.account_down:
            raise BrokerUnavailable("account: HTTP 502", hint="the broker is down")
        values = [quantity * PRICE for quantity in self.held.values()]
        return self.state or AccountState(
            id="broker-1",
            status="ACTIVE",
            number="PA1",
            equity=Decimal(1_000_000),
            long_market_value=sum((v for v in values if v > 0), Decimal(0)),
            short_market_value=sum((v for v in values if v < 0), Decimal(0)),
        )

    async def orders(self, symbols: Sequence[str], after: datetime) -> tuple[Order, ...]:
        await self._request()
        return ()

    async def activities(self, after: datetime, requests_max: int) -> Activities:
        for _ in range(min(self.pages, requests_max)):
            await self._request()
        return Activities((), complete=self.pages <= requests_max)

    def usage(self) -> Usage:
        return Usage(sent=self.sent)

    def broker_time(self) -> datetime | None:
        return None

    async def _request(self) -> None:
        self.moments.append(asyncio.get_running_loop().time())
        if self.hang is not None:
            await self.hang.wait()
        await asyncio.sleep(0.05)
        if self.fails:
            raise self.fails.pop(0)


@dataclass
class FakeLedger:
    """A ledger of one account in memory, with the journal, the pins and the recorded runs."""

    rows: dict[int, LedgerRow] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)
    runs: dict[int, Run] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    conflicts: dict[int, Conflict] = field(default_factory=dict)
    holds: dict[int, Hold] = field(default_factory=dict)
    baselines: dict[Instrument, Baseline] = field(default_factory=dict)
    adopted: bool = False
    equity: Decimal | None = None
    fails: list[PortError] = field(default_factory=list)
    before_record: Callable[[], None] = lambda: None
    kept: list[Execution] = field(default_factory=list)
    ids: int = 0

    def book(self, symbol: str, quantity: str | int, strategy_id: str | None = None) -> None:
        """What a platform does: set the open row of the symbol and strategy to this quantity."""
        key = (symbol, strategy_id)
        row = next((r for r in self.rows.values() if (r.symbol, r.strategy_id) == key), None)
        if row is None:
            row = LedgerRow(self._id(), symbol, None, strategy_id, Decimal(0), version=0)
        self._put(replace(row, quantity=Decimal(quantity), version=row.version + 1))

    def sums(self) -> dict[str, Decimal]:
        """Symbol → sum of the open rows."""
        sums: dict[str, Decimal] = {}
        for row in self.rows.values():
            sums[row.symbol] = sums.get(row.symbol, Decimal(0)) + row.quantity
        return sums

    def next_run_id(self) -> int:
        return self._id()

    async def pin(self, account: str, broker_account_id: str) -> Mapping[str, str]:
        if broker_account_id not in self.pins.values():
            self.pins.setdefault(account, broker_account_id)
        return dict(self.pins)

    async def read(self, account: str, since: int | None) -> LedgerReading:
        self._fail()
        return LedgerReading(
            rows=tuple(self.rows.values()),
            seq=len(self.journal),
            changed=frozenset() if since is None else frozenset(self.journal[since:]),
            conflicts=tuple(self.conflicts.values()),
            holds=tuple(self.holds.values()),
            baselines=dict(self.baselines),
            adopted=self.adopted,
            equity=self.equity,
        )

    async def record(self, record: Record) -> Run:
        self.before_record()
        self._fail()
        changed = frozenset(self.journal[record.seq :])
        if changed:
            record = withhold(record, changed)
        run = record.run
        for correction in run.corrections:
            row = correction.row or LedgerRow(
                self._id(), correction.instrument.symbol, None, correction.strategy_id, Decimal(0), version=0
            )
            assert row.id not in self.rows or self.rows[row.id] == row, "a row changed under the record"
            self._put(replace(row, quantity=correction.after, version=row.version + 1))
            assert (correction.after == 0) == (correction.action is Action.CLOSE)
        run = self._number(run)
        for conflict in (*run.conflicts, *run.ended_conflicts):
            self._keep(self.conflicts, conflict.id, conflict, conflict.resolved)
        for hold in (*run.open_holds, *run.ended_holds):
            self._keep(self.holds, hold.id, hold, hold.ended_at is not None)
        self.baselines.update({b.instrument: b for b in record.baselines})
        self.adopted = self.adopted or record.settled
        self.equity = record.equity if record.equity is not None else self.equity
        self.runs.update({late.id: late for late in record.late})
        self.runs[run.id] = run
        return run

    async def keep(self, account: str, executions: Sequence[Execution]) -> None:
        self._fail()
        self.kept.extend(executions)

    async def executions(self, account: str, since: datetime) -> tuple[Execution, ...]:
        return tuple(execution for execution in self.kept if execution.at >= since)

    async def changed_accounts(self) -> frozenset[str]:
        return frozenset()

    async def list(self, query: object) -> object:
        raise NotImplementedError

    def _number(self, run: Run) -> Run:
        conflicts = {(c.instrument, c.kind): self._id() for c in run.conflicts if c.id is None}
        holds = {h.instrument: self._id() for h in run.open_holds if h.id is None}
        return numbered(run, conflicts, holds)

    def _keep(self, kept: dict[int, T], id_: int | None, value: T, ended: bool) -> None:
        assert id_ is not None
        if ended:
            kept.pop(id_, None)
        else:
            kept[id_] = value

    def _put(self, row: LedgerRow) -> None:
        self.journal.append(row.symbol)
        if row.quantity == 0:
            self.rows.pop(row.id, None)
        else:
            self.rows[row.id] = row

    def _fail(self) -> None:
        if self.fails:
            raise self.fails.pop(0)

    def _id(self) -> int:
        self.ids += 1
        return self.ids


def rules(
    *,
    ignore: Iterable[str] = (),
    policy: Resolution = Resolution.USE_BROKER,
    interval_s: float = 300.0,
    requests_per_minute: int = 60,
    environment: str = "paper",
) -> Rules:
    """The defaults of the configuration, for the account `default`."""
    return Rules(
        account="default",
        user_id=1,
        environment=environment,
        interval_s=interval_s,
        timing=Timing(settle_s=15.0, broker_lag_s=10.0, confirm_after_s=2.0, pending_max_s=120.0),
        tolerance={"us_equity": Decimal("0.0001"), "crypto": Decimal("0.000000001")},
        ignore=frozenset(ignore),
        policy=Policy(policy, {}),
        guards=Guards(vanish_min=3, vanish_fraction=Decimal("0.5")),
        requests_per_minute=requests_per_minute,
    )


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
