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
from recond.core.history import Change, History, Wanted
from recond.core.judge import Timing
from recond.core.model import (
    Accepted,
    AccountState,
    Activities,
    Activity,
    Baseline,
    BrokerPosition,
    Conflict,
    Decision,
    Execution,
    Hold,
    Holdings,
    Instrument,
    LedgerReading,
    LedgerRow,
    Order,
    Resolution,
)
from recond.core.repin import Repin, Repinned
from recond.core.rules import Rules
from recond.core.run import Action, Record, Run
from recond.core.wish import Matter, Refusal, State, Wish, judge_wish
from recond.ports import BrokerUnavailable, LedgerUnavailable, PortError, Usage

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
    booked: tuple[Activity, ...] = ()
    pages: int = 1
    unreadable: int = 0
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

    async def orders(self, symbols: Sequence[str], after: datetime, requests_max: int) -> tuple[Order, ...]:
        await self._request()
        return ()

    async def order(self, order_id: str) -> Order:
        await self._request()
        raise BrokerUnavailable("orders: HTTP 404", hint="there is no such order")

    async def activities(self, after: datetime, requests_max: int, *, bookings_only: bool = False) -> Activities:
        for _ in range(min(self.pages, requests_max)):
            await self._request()
        return Activities(self.booked, complete=self.pages <= requests_max, unreadable=self.unreadable)

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
    changes: list[Change] = field(default_factory=list)
    settled_at: datetime | None = None
    settled_seq: int = 0
    accepted: dict[Instrument, Accepted] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    repins: int = 0
    forgotten: list[tuple[datetime, int]] = field(default_factory=list)
    old: int = 0
    ids: int = 0

    def book(self, symbol: str, quantity: str | int, strategy_id: str | None = None) -> None:
        """What a platform does: set the open row of the symbol and strategy to this quantity."""
        key = (symbol, strategy_id)
        row = next((r for r in self.rows.values() if (r.symbol, r.strategy_id) == key), None)
        if row is None:
            row = LedgerRow(self._id(), symbol, None, strategy_id, Decimal(0), version=0)
        self._put(replace(row, quantity=Decimal(quantity), version=row.version + 1))
        change = Change(len(self.journal), row.id, symbol, strategy_id, row.quantity, Decimal(quantity), now())
        self.changes.append(change)

    def sums(self) -> dict[str, Decimal]:
        """Symbol → sum of the open rows."""
        sums: dict[str, Decimal] = {}
        for row in self.rows.values():
            sums[row.symbol] = sums.get(row.symbol, Decimal(0)) + row.quantity
        return sums

    def next_run_id(self) -> int:
        return self._id()

    async def pin(self, account: str, broker_account_id: str | None) -> Mapping[str, str]:
        if broker_account_id is not None and broker_account_id not in self.pins.values():
            self.pins.setdefault(account, broker_account_id)
        return dict(self.pins)

    async def repin(self, repin: Repin) -> Repinned | Refusal:
        run_id, was = self._id(), self.pins.pop(repin.account, None)
        closed = list(self.rows.values())
        for row in closed:
            self._put(replace(row, quantity=Decimal(0), version=row.version + 1))
        counts = len(self.conflicts), len(self.holds)
        for forgotten in (self.conflicts, self.holds, self.baselines, self.accepted):
            forgotten.clear()
        for number, decision in self.decisions.items():
            self.decisions[number] = replace(decision, outcome=decision.outcome or "refused: repin")
        self.adopted, self.equity, self.settled_at, self.settled_seq = False, None, None, 0
        self.repins += 1
        if repin.broker_account_id is not None:
            self.pins[repin.account] = repin.broker_account_id
        return Repinned(run_id, was, repin.broker_account_id, len(closed), *counts)

    async def decide(self, wish: Wish) -> Decision | Refusal:
        matter = (self.conflicts if wish.matter is Matter.CONFLICT else self.holds).get(wish.id)
        state = None
        if matter is not None:
            others = [d for d in self.decisions.values() if d.outcome is None and d.instrument == matter.instrument]
            quantities = matter.broker_quantity, matter.ledger_quantity
            state = State(matter.instrument, *quantities, decision=next(iter(others), None))
        decided = judge_wish(wish, state, self._id(), now())
        if isinstance(decided, Decision):
            self.decisions[decided.id] = decided
        return decided

    async def forget(self, before: datetime, at_most: int) -> int:
        self._fail()
        self.forgotten.append((before, at_most))
        count = min(at_most, self.old)
        self.old -= count
        return count

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
            settled_at=self.settled_at,
            settled_seq=self.settled_seq,
            accepted=dict(self.accepted),
            decisions=tuple(d for d in self.decisions.values() if d.outcome is None),
            repins=self.repins,
        )

    async def record(self, record: Record) -> Run:
        self.before_record()
        self._fail()
        if record.repins not in (None, self.repins):
            raise LedgerUnavailable("the account was pinned anew", hint="nothing was written")
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
        self.accepted.update({o.accepted.instrument: o.accepted for o in run.outcomes if o.accepted is not None})
        for ended in record.ended_accepted:
            self.accepted.pop(ended.instrument, None)
        acted_on = (o.decision for o in run.outcomes if o.decision is not None)
        self.decisions.update({d.id: d for d in (*acted_on, *record.ended_decisions)})
        self.adopted = self.adopted or record.settled
        if record.quiet:
            self.settled_at, self.settled_seq = record.read_at, record.seq
        self.equity = record.equity if record.equity is not None else self.equity
        self.runs.update({late.id: late for late in record.late})
        self.runs[run.id] = run
        return run

    async def keep(self, account: str, executions: Sequence[Execution]) -> None:
        self._fail()
        self.kept.extend(executions)

    async def executions(self, account: str, since: datetime) -> tuple[Execution, ...]:
        return tuple(execution for execution in self.kept if execution.at >= since)

    async def history(self, account: str, wanted: Wanted) -> History:
        never = datetime.max.replace(tzinfo=UTC)
        changes = [
            c
            for c in self.changes
            if c.symbol in wanted.since
            and (c.seq > wanted.since[c.symbol] or c.at >= wanted.earlier.get(c.symbol, never))
        ]
        mine = [e for e in self.kept if e.symbol in wanted.since]
        executions = [e for e in mine if e.at >= wanted.executed]
        if wanted.amended or any(e.previous_id for e in executions):
            named = {*wanted.amended, *(e.previous_id for e in mine if e.previous_id is not None)}
            executions += [e for e in mine if e.at < wanted.executed and (e.previous_id or e.execution_id in named)]
        return History(changes=tuple(changes), executions=tuple(executions))

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
