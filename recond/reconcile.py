"""The passes of one account: wait for a reason, read both sides, judge, explain, decide, record, publish.

Owns the loop and what must be remembered between two passes (`Memory`); everything it decides is in `core/`.
May not know an adapter, a metric or a page: it gets two ports, and its frozen `Run` goes out to observers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from math import inf
from typing import NoReturn, ParamSpec, TypeVar

from recond.core.absence import Guards, unproven
from recond.core.conclude import conclude, failed
from recond.core.decide import Policy, decide
from recond.core.diff import Comparison, diff
from recond.core.explain import explain
from recond.core.judge import Judgement, Moment, Sighting, Timing, judge
from recond.core.model import AccountState, Conflict, Drift, Hold, Holdings, Instrument, Kind, LedgerReading
from recond.core.run import Problem, Reason, Record, Run, RunStatus
from recond.core.schedule import FORCED, Agenda, Budget, retry_delay
from recond.evidence import Evidence
from recond.ports import Broker, BrokerRefused, BrokerUnavailable, Ledger, LedgerUnavailable, RunObserver, Usage
from recond.triggers import Triggers

ACCOUNT_EVERY_S = 900.0
UNRECORDED_MAX = 100
LIMIT_RESERVE = 20
"""Requests of the broker's own limit that are left to the platform."""
REASON_ORDER = tuple(Reason)
SMALL = 200
"""Rows that are judged in well under a millisecond, less than going to a thread and back takes."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rules:
    """What one account is reconciled by. `tolerance` maps asset classes to quantities."""

    account: str
    user_id: int
    environment: str
    interval_s: float
    timing: Timing
    tolerance: Mapping[str, Decimal]
    ignore: frozenset[str]
    policy: Policy
    guards: Guards
    requests_per_minute: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What one pass leaves for the next; a fresh process starts with an empty one, so nothing is believed early.

    `again_s` is when the broker is looked at again because it may not have shown yet what moved, `saving` that a
    look-up waits for the budget.
    `unrecorded` are failed runs that the ledger could not take; `failures` counts passes in a row that failed or
    left something unproven.
    """

    seq: int | None = None
    sightings: Mapping[Instrument, Sighting] = field(default_factory=dict)
    again_s: float = inf
    saving: bool = False
    account_state: AccountState | None = None
    account_read_s: float | None = None
    last: Run | None = None
    failures: int = 0
    unrecorded: tuple[Run, ...] = ()


class Reconciler:
    """One account's loop. `now` is the wall clock, `jitter` a factor near 1 for each interval.

    `came_round` is called whenever the loop turns, at least every `round_s` seconds between passes.
    """

    def __init__(
        self,
        rules: Rules,
        broker: Broker,
        ledger: Ledger,
        evidence: Evidence,
        triggers: Triggers,
        observers: Sequence[RunObserver],
        *,
        now: Callable[[], datetime],
        jitter: Callable[[], float],
        came_round: Callable[[], None],
        round_s: float,
    ) -> None:
        self._rules = rules
        self._broker = broker
        self._ledger = ledger
        self._evidence = evidence
        self._triggers = triggers
        self._observers = tuple(observers)
        self._now = now
        self._jitter = jitter
        self._came_round = came_round
        self._round_s = round_s
        self._memory = Memory()

    async def passes(self) -> NoReturn:
        """Make passes for ever. Raises what no pass may survive (`LedgerCorrupt`, bugs)."""
        self._triggers.nudge(Reason.START)
        budget = Budget(self._rules.requests_per_minute)
        agenda = Agenda(_clock_s() + self._rules.interval_s, self._rules.timing.confirm_after_s, budget)
        while True:
            due = await self._wait(agenda)
            sequence, waiting = self._triggers.take()
            began_s, sent = _clock_s(), self._broker.usage().sent
            reasons = sorted({*waiting, *due}, key=REASON_ORDER.index)
            run = await self.run_pass(sequence, tuple(reasons), agenda.budget)
            usage = self._broker.usage()
            agenda = replace(
                agenda,
                timer_s=began_s + self._rules.interval_s * self._jitter(),
                recheck_s=self._recheck_s(began_s),
                began_s=began_s,
                budget=agenda.budget.spend(usage.sent - sent, _clock_s()),
                quiet_s=_quiet_until(usage),
                saving=self._memory.saving,
            )
            for observe in self._observers:
                observe(run)
                await asyncio.sleep(0)  # each may take a while for ten thousand drifts

    async def run_pass(self, sequence: int, reasons: tuple[Reason, ...], budget: Budget) -> Run:
        """Make one pass; what goes wrong at a port is a failed run, not an error."""
        began_s = _clock_s()
        header = Run(
            id=self._ledger.next_run_id(),
            account=self._rules.account,
            user_id=self._rules.user_id,
            sequence=sequence,
            reasons=reasons,
            started_at=self._now(),
            finished_at=self._now(),
            duration_s=0.0,
            status=RunStatus.FAILED,
            account_state=self._memory.account_state,
            evidence_gap=self._evidence.gap_since is not None,
        )
        try:
            check_budget(budget, began_s)
            record = await self._read_and_judge(header, began_s, budget)
        except (BrokerUnavailable, BrokerRefused, LedgerUnavailable) as error:
            record = Record(self._failed(header, began_s, error))
        run = await self._record(record, began_s)
        unproven_yet = run.status is RunStatus.FAILED or run.open_holds or run.unknown
        corrected = {correction.instrument for correction in run.corrections}
        self._memory = replace(
            self._memory,
            # What was seen before a correction tells nothing of what differs after it.
            sightings={i: seen for i, seen in self._memory.sightings.items() if i not in corrected},
            last=run,
            failures=self._memory.failures + 1 if unproven_yet else 0,
        )
        return run

    async def _wait(self, agenda: Agenda) -> tuple[Reason, ...]:
        """Wait until the next pass may begin; returns the reasons that time itself gives for it."""
        while True:
            self._came_round()
            now_s = _clock_s()
            waiting = self._triggers.waiting
            if agenda.asked_s is None and any(reason in FORCED for reason in waiting):
                agenda = replace(agenda, asked_s=now_s)
            begins_s = agenda.begins(waiting, now_s)
            if begins_s <= now_s:
                return agenda.due(now_s)
            await self._triggers.wait(min(begins_s - now_s, self._round_s))

    async def _read_and_judge(self, header: Run, began_s: float, budget: Budget) -> Record:
        """Read both sides and decide; spends one request when the account is clean and was looked at lately."""
        rules, memory, sent = self._rules, self._memory, self._broker.usage().sent
        stale = memory.account_read_s is None or began_s - memory.account_read_s >= ACCOUNT_EVERY_S
        if stale or Reason.RECONNECT in header.reasons:
            await self._read_account()
        reading_began_s = _clock_s()
        holdings = await self._broker.positions()
        reading = await self._ledger.read(rules.account, memory.seq)
        moment = Moment(reading_began_s, _clock_s())
        size = len(holdings.positions) + len(reading.rows)
        comparison = await _off_loop(
            size, diff, holdings, reading.rows, reading.unreadable, rules.tolerance, rules.ignore
        )
        judgement = await self._judge(comparison, reading, moment, inf)
        missed, saving, wanted = 0, False, self._wanted(judgement, reading, budget.worth)
        if wanted:
            pages = budget.pages(self._broker.usage().sent - sent, _clock_s())
            saving = pages < wanted
            if not saving:
                found = await self._broker.activities(self._evidence.look_back(self._broker_now()), pages)
                missed = self._evidence.looked_up(found)
            until_s = self._evidence.known_until_s(self._broker_now(), _clock_s(), asked=not saving)
            judgement = await self._judge(comparison, reading, moment, until_s)
        shown = {position.instrument.symbol: position.quantity for position in holdings.positions}
        others = rules.ignore.union(drift.instrument.symbol for drift in comparison.drifts)
        again_s = self._evidence.look_again_s(shown, others, moment, rules.timing, self._broker_now(), _clock_s())
        seen, seq = judgement.sightings, reading.seq
        self._memory = replace(self._memory, seq=seq, sightings=seen, again_s=again_s, saving=saving)
        vanished = [drift for drift in judgement.confirmed if drift.kind is Kind.MISSING_AT_BROKER]
        proof = await self._account_now(judgement.confirmed) if judgement.confirmed else None
        header = replace(
            header,
            finished_at=self._now(),
            duration_s=_clock_s() - began_s,
            account_state=self._memory.account_state,
            missed_events=missed,
            evidence_gap=self._evidence.gap_since is not None,
        )
        return await _off_loop(
            size, _decide, header, holdings, reading, comparison, judgement, vanished, proof, moment, rules
        )

    async def _judge(self, comparison: Comparison, reading: LedgerReading, moment: Moment, until_s: float) -> Judgement:
        """The verdicts of this reading, by what is known to have moved up to that moment."""
        symbols = [drift.instrument.symbol for drift in comparison.drifts]
        now_s = _clock_s()
        moved = self._evidence.motions(symbols, self._broker_now(), now_s)
        since_s = now_s - self._evidence.horizon.total_seconds()
        sightings, timing = self._memory.sightings, self._rules.timing
        return await _off_loop(
            len(symbols), judge, comparison.drifts, sightings, moment, reading.changed, moved, timing, since_s, until_s
        )

    def _wanted(self, judgement: Judgement, reading: LedgerReading, worth: int) -> int:
        """How many pages a look-up at what moved must have before these verdicts are given; 0 when they need none.

        In a flood of fills a verdict at rest trusts a stream without a gap: there a page is a few seconds, and what the
        stream lost could mislead it only if another fill made up for it exactly within `settle`.
        """
        if self._evidence.gap_since is not None:
            return worth
        if _is_news(judgement, reading) and not (self._evidence.listening and self._evidence.flooded):
            return 1
        return worth if any(pending.in_motion for pending in judgement.pending) else 0

    def _broker_now(self) -> datetime:
        """Now on the broker's clock; on the local one while the broker has not told the time."""
        return self._broker.broker_time() or self._now()

    async def _read_account(self) -> AccountState:
        """Read the account and see that it is the one this book belongs to; `BrokerRefused` when it is not."""
        state = await self._broker.account()
        pins = await self._ledger.pin(self._rules.account, state.id)
        check_identity(self._rules, state, pins)
        self._memory = replace(self._memory, account_state=state, account_read_s=_clock_s())
        return state

    async def _account_now(self, confirmed: Sequence[Drift]) -> AccountState | None:
        """The account, once more before anything is acted on: keys may open another one since it was last read.

        None when it cannot be read, which proves no absence; a pass that would act on anything else fails then.
        """
        try:
            return await self._read_account()
        except BrokerUnavailable:
            if any(drift.kind is not Kind.MISSING_AT_BROKER for drift in confirmed):
                raise
            return None

    async def _record(self, record: Record, began_s: float) -> Run:
        """Write the pass; when the ledger cannot take it the run is failed, and recorded by a later pass."""
        memory = self._memory
        try:
            run = await self._ledger.record(replace(record, late=memory.unrecorded))
        except LedgerUnavailable as error:
            run = replace(self._failed(record.run, began_s, error), recorded=False)
            self._memory = replace(memory, unrecorded=(*memory.unrecorded, run)[-UNRECORDED_MAX:])
            return run
        self._memory = replace(memory, unrecorded=())
        return run

    def _failed(self, header: Run, began_s: float, error: BrokerUnavailable | BrokerRefused | LedgerUnavailable) -> Run:
        """The run of a pass that came to nothing: no decision of it holds, what was open stays open."""
        blank = replace(
            header,
            finished_at=self._now(),
            duration_s=_clock_s() - began_s,
            outcomes=(),
            pending=(),
            unknown=(),
            ended_conflicts=(),
            ended_holds=(),
            synced=0,
            error=Problem(error.message, error.hint),
        )
        last = self._memory.last
        return failed(blank, () if last is None else last.open_conflicts, () if last is None else last.open_holds)

    def _recheck_s(self, began_s: float) -> float:
        """When something that is pending, failed, unproven, not shown or not told yet is to be looked at again."""
        last = self._memory.last
        moments = [self._memory.again_s, *(pending.due_s for pending in (last.pending if last else ()))]
        if self._evidence.gap_since is not None and last is not None and last.error is None:
            moments.append(began_s + self._rules.timing.confirm_after_s)
        if self._memory.failures:
            moments.append(began_s + retry_delay(self._memory.failures, self._rules.interval_s))
        return min(moments)


def check_budget(budget: Budget, now_s: float) -> None:
    """Raise `BrokerUnavailable` when no request may be sent now."""
    free_s = budget.free_at(0, now_s)
    if free_s > now_s:
        raise BrokerUnavailable(
            f"the budget of {budget.limit} requests a minute is spent; the next is free in {free_s - now_s:.0f} s",
            hint="wait, or raise guards.requests_per_minute if the account's own limit has room",
        )


def check_identity(rules: Rules, state: AccountState, pins: Mapping[str, str]) -> None:
    """Raise `BrokerRefused` unless these keys open the account that this book was kept for.

    `pins` maps each configured account to the broker's account id that it met first.
    """
    pinned = pins.get(rules.account)
    twins = [name for name, id_ in pins.items() if id_ == state.id and name != rules.account]
    if pinned is None and twins:
        raise BrokerRefused(
            f"the keys of account {rules.account!r} open the same broker account as those of {twins[0]!r}",
            hint="configure each broker account once; two books of one account would each undo the other",
        )
    if pinned != state.id:
        raise BrokerRefused(
            f"account {rules.account!r} was kept for broker account {pinned}, but its keys open {state.id}",
            hint="give the keys of the first account; after a paper reset start a new ledger or a new account name",
        )
    if rules.environment == "live" and (state.number or "").startswith("PA"):
        raise BrokerRefused(
            f"account {rules.account!r} is configured as live, but its keys open paper account {state.number}",
            hint='set environment = "paper", or give the live keys',
        )


def _is_news(judgement: Judgement, reading: LedgerReading) -> bool:
    """Whether a verdict is about to be given that is not the same as the last one, so that evidence is worth asking."""
    matters: tuple[Conflict | Hold, ...] = (*reading.conflicts, *reading.holds)
    known = {(matter.instrument.symbol, matter.broker_quantity, matter.ledger_quantity) for matter in matters}
    told = [(drift.instrument.symbol, drift.broker, drift.ledger) for drift in judgement.confirmed]
    return any(verdict not in known for verdict in told)


def _decide(
    header: Run,
    holdings: Holdings,
    reading: LedgerReading,
    comparison: Comparison,
    judgement: Judgement,
    vanished: Sequence[Drift],
    proof: AccountState | None,
    moment: Moment,
    rules: Rules,
) -> Record:
    """The pure second half: explain, decide, and add it up."""
    open_positions = sum(bool(a.rows) for a in comparison.agreements) + sum(bool(d.rows) for d in comparison.drifts)
    doubts = unproven(vanished, holdings, proof, open_positions, reading.baselines, reading.equity, rules.guards)
    conflicts = {conflict.instrument.symbol: conflict for conflict in reading.conflicts}
    holds = {hold.instrument.symbol: hold for hold in reading.holds}
    outcomes = [
        decide(
            drift,
            explain(drift, reading.baselines.get(drift.instrument), reading.adopted),
            rules.policy,
            doubts.get(drift.instrument),
            conflicts.get(drift.instrument.symbol),
            holds.get(drift.instrument.symbol),
            header.finished_at,
        )
        for drift in judgement.confirmed
    ]
    again_s = moment.ended_s + rules.timing.confirm_after_s
    return conclude(header, holdings, reading, comparison, outcomes, judgement.pending, again_s, rules.ignore)


def _quiet_until(usage: Usage) -> float:
    """The moment before which the broker's own limit is too near for passes that nobody waits for."""
    if usage.limit_remaining is None or usage.limit_reset_s is None or usage.limit_remaining > LIMIT_RESERVE:
        return -inf
    return usage.limit_reset_s


async def _off_loop(size: int, rule: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the rule returns for that many rows: in a thread when they are so many that the event loop would notice."""
    return rule(*args, **kwargs) if size < SMALL else await asyncio.to_thread(rule, *args, **kwargs)


def _clock_s() -> float:
    """The event loop's monotonic clock."""
    return asyncio.get_running_loop().time()
