"""The passes of one account: wait for a reason, read both sides, judge, explain, decide, record, publish.

Owns the loop, and a pass at a time; everything it decides is in `core/`.
May not know an adapter, a metric or a page: it gets two ports, and its frozen `Run` goes out to observers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import inf
from typing import NoReturn

from recond.core.conclude import emptied, failed
from recond.core.diff import Comparison, diff, settled_quantities
from recond.core.explain import Patience
from recond.core.identity import identity_problem
from recond.core.judge import Judgement, Moment, judge
from recond.core.memory import Memory
from recond.core.model import AccountState, Drift, Execution, Kind, LedgerReading
from recond.core.rules import Rules
from recond.core.run import Preview, Problem, Reason, Record, Run, RunStatus
from recond.core.schedule import FORCED, Agenda, Budget, quiet_until
from recond.core.weigh import Both, explained_at_last, news, undrifting, weigh
from recond.evidence import Evidence
from recond.investigation import Findings, Found, Investigator
from recond.offloop import let_go, off_loop
from recond.ports import Broker, BrokerRefused, BrokerUnavailable, Ledger, LedgerUnavailable, RunObserver
from recond.triggers import Triggers

UNRECORDED_MAX = 100
REASON_ORDER = tuple(Reason)


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
        aside: Sequence[RunObserver] = (),
        now: Callable[[], datetime],
        jitter: Callable[[], float],
        came_round: Callable[[], None],
        round_s: float,
    ) -> None:
        self._rules = rules
        self._broker = broker
        self._ledger = ledger
        self._evidence = evidence
        self._investigator = Investigator(
            rules.account,
            broker,
            ledger,
            evidence,
            strategies=rules.strategies,
            patience=Patience(
                late=timedelta(seconds=rules.timing.settle_s + rules.timing.broker_lag_s),
                corporate=timedelta(seconds=rules.settle_corporate_s),
            ),
            tolerance=rules.tolerance,
        )
        self._triggers = triggers
        self._observers, self._aside = tuple(observers), tuple(aside)
        self._now = now
        self._jitter = jitter
        self._came_round = came_round
        self._round_s = round_s
        self._memory = Memory()
        self._spent: list[object] = []
        self._turn = asyncio.Lock()
        self._budget, self._sent = Budget(rules.requests_per_minute), 0

    async def passes(self) -> NoReturn:
        """Make passes for ever. Raises what no pass may survive (`LedgerCorrupt`, bugs)."""
        self._triggers.nudge(Reason.START)
        agenda = Agenda(_clock_s() + self._rules.interval_s, self._rules.timing.confirm_after_s, self._budget)
        while True:
            due = await self._wait(agenda)
            async with self._turn:
                sequence, waiting = self._triggers.take()
                began_s = _clock_s()
                reasons = sorted({*waiting, *due}, key=REASON_ORDER.index)
                run = await self.run_pass(sequence, tuple(reasons), self._budget)
                self._count()
            usage = self._broker.usage()
            agenda = replace(
                agenda,
                timer_s=began_s + self._rules.interval_s * self._jitter(),
                recheck_s=self._memory.recheck_s(began_s, self._rules),
                began_s=began_s,
                saving=self._memory.saving,
                quiet_s=quiet_until(usage.limit_remaining, usage.limit_reset_s),
            )
            for observe in self._aside:
                await off_loop(len(run.outcomes) + len(run.pending), observe, run)
            for observe in self._observers:
                observe(run)
                await asyncio.sleep(0)  # each may take a while for ten thousand drifts
            await let_go(self._spent)

    async def run_pass(self, sequence: int, reasons: tuple[Reason, ...], budget: Budget) -> Run:
        """Make one pass; what goes wrong at a port is a failed run, not an error."""
        began_s, before = _clock_s(), self._memory
        header = self._header(self._ledger.next_run_id(), sequence, reasons)
        try:
            check_budget(budget, began_s)
            judgement, conclude = await self._look(header, began_s, budget, preview=False)
            record = await conclude(judgement)
        except (BrokerUnavailable, BrokerRefused, LedgerUnavailable) as error:
            record = Record(self._failed(header, began_s, error))
        run = await self._record(record, began_s)
        self._spend(record.refreshes, record.baselines, record.run.outcomes)
        self._spend(before.sightings.values(), self._memory.sightings.values())
        if before.last is not None:
            self._spend(before.last.outcomes, before.last.pending)
        self._memory = await off_loop(len(self._memory.sightings), self._memory.after, run)
        return run

    async def preview(self) -> Preview:
        """What a pass would do now, and would do if what is pending stays as it is. Nothing is changed or remembered.

        It takes its turn with the passes, and its requests are spent from their budget, of which it leaves them a part.
        """
        async with self._turn:
            memory, began_s, header = self._memory, _clock_s(), self._header(0, 0, (Reason.HTTP,))
            try:
                check_budget(self._budget, began_s, reserve=self._budget.limit // 4)
                judgement, conclude = await self._look(header, began_s, self._budget, preview=True)
                record = await conclude(judgement)
                certain = await conclude(judgement.as_if_it_stays())
                return Preview(record.run, certain.run.outcomes)
            except (BrokerUnavailable, BrokerRefused, LedgerUnavailable) as error:
                return Preview(self._failed(header, began_s, error))
            finally:
                self._memory = memory
                self._count()
                await let_go(self._spent)

    def _header(self, run_id: int, sequence: int, reasons: tuple[Reason, ...]) -> Run:
        """The run as far as it is known at its beginning."""
        memory = self._memory
        return Run(
            id=run_id,
            account=self._rules.account,
            user_id=self._rules.user_id,
            sequence=sequence,
            reasons=reasons,
            started_at=self._now(),
            finished_at=self._now(),
            duration_s=0.0,
            status=RunStatus.FAILED,
            account_state=memory.account_state,
            accepted=() if memory.last is None else memory.last.accepted,
            evidence_gap=self._evidence.gap_since is not None,
        )

    def _spend(self, *lots: Iterable[object]) -> None:
        """Let go of these after the pass; whoever calls this drops them now."""
        for lot in lots:
            self._spent.extend(lot)

    def _count(self) -> None:
        """Count what has been sent since the last time."""
        sent = self._broker.usage().sent
        self._budget, self._sent = self._budget.spend(sent - self._sent, _clock_s()), sent

    async def _wait(self, agenda: Agenda) -> tuple[Reason, ...]:
        """Wait until the next pass may begin; returns the reasons that time itself gives for it."""
        while True:
            self._came_round()
            now_s = _clock_s()
            waiting = self._triggers.waiting
            if agenda.asked_s is None and any(reason in FORCED for reason in waiting):
                agenda = replace(agenda, asked_s=now_s)
            begins_s = replace(agenda, budget=self._budget).begins(waiting, now_s)
            if begins_s <= now_s:
                return agenda.due(now_s)
            await self._triggers.wait(min(begins_s - now_s, self._round_s))

    async def _look(
        self, header: Run, began_s: float, budget: Budget, *, preview: bool
    ) -> tuple[Judgement, Callable[[Judgement], Awaitable[Record]]]:
        """Read both sides and judge; returns what a judgement comes to as well, by what is known now.

        Spends one request when the account is clean and was looked at lately.
        """
        rules, memory, sent = self._rules, self._memory, self._broker.usage().sent
        anew = began_s >= memory.explain_s
        if began_s >= memory.account_s or not {Reason.RECONNECT, Reason.OPERATOR}.isdisjoint(header.reasons):
            await self._read_account(preview=preview)
        reading_began_s = _clock_s()
        holdings = await self._broker.positions()
        reading = await self._ledger.read(rules.account, memory.seq)
        moment = Moment(reading_began_s, _clock_s())
        size = len(holdings.positions) + len(reading.rows)
        comparison = await off_loop(
            size, diff, holdings, reading.rows, reading.unreadable, rules.tolerance, rules.ignore, reading.accepted
        )
        drifts = comparison.drifts
        if await off_loop(len(drifts), self._memory.doubts_account, drifts, began_s, rules.timing.settle_s):
            await self._account_now((), preview=preview)

        def pages() -> int:
            return budget.pages(self._broker.usage().sent - sent, _clock_s())

        judgement, found = await self._verdicts(
            comparison, reading, moment, budget.worth, pages, anew=anew, preview=preview
        )
        certain = judgement.as_if_it_stays() if preview else judgement
        findings = await self._findings(comparison, certain, reading, moment, found, pages, anew=anew)
        shown, others = await off_loop(size, settled_quantities, holdings, comparison, rules.ignore)
        now, now_s = self._broker_now(), _clock_s()
        stale, again_s = self._evidence.not_shown(shown, others, moment, rules.timing, now, now_s)
        self._memory = replace(
            self._memory,
            seq=reading.seq,
            sightings=judgement.sightings,
            again_s=again_s,
            saving=found.saving,
            explained_s=memory.explained_at(began_s, rules.timing.settle_s) if anew else memory.explained_s,
        )
        calm, gone = await off_loop(size, undrifting, reading, comparison, rules.ignore)
        ending = calm, gone, judgement, moment, rules
        self._memory, brief, long = await off_loop(len(calm | gone), self._memory.without_drift, *ending)
        proof = await self._account_now(certain.confirmed, preview=preview) if certain.confirmed or gone else None
        header = replace(
            header,
            finished_at=self._now(),
            duration_s=_clock_s() - began_s,
            account_state=self._memory.account_state,
            late_links=findings.late_links,
            missed_events=found.missed,
            evidence_gap=self._evidence.gap_since is not None,
        )
        read_at = self._broker_now() - timedelta(seconds=_clock_s() - moment.ended_s)

        async def conclude(judged: Judgement) -> Record:
            both, why = Both(holdings, reading, comparison, judged, gone, brief | stale, long), findings.explanations
            record = await off_loop(size, weigh, header, both, why, proof, moment.ended_s, read_at, rules)
            self._spend(holdings.positions, reading.rows, reading.baselines.values())
            self._spend(comparison.agreements, comparison.drifts)
            return replace(record, activities=findings.activities, executions=findings.executions)

        return judgement, conclude

    async def _verdicts(
        self,
        comparison: Comparison,
        reading: LedgerReading,
        moment: Moment,
        worth: int,
        pages: Callable[[], int],
        *,
        anew: bool,
        preview: bool,
    ) -> tuple[Judgement, Found]:
        """The verdicts now; REST is asked what moved when one is about to be given, or something is lost."""
        judgement = await self._judge(comparison, reading, moment, inf)
        told = await self._news(judgement.as_if_it_stays() if preview else judgement, reading, anew=anew)
        wanted = self._wanted(judgement, bool(told), worth)
        if not wanted and not (preview and comparison.drifts):
            return judgement, Found()
        saving = pages() < wanted
        found = Found(saving=True)
        if not saving:
            found = await self._investigator.ask(self._broker_now(), pages(), remember=not preview)
        until_s = self._evidence.known_until_s(self._broker_now(), _clock_s(), asked=not saving)
        self._spend(judgement.pending, judgement.sightings.values())
        executions = found.executions if preview else ()
        return await self._judge(comparison, reading, moment, until_s, executions), found

    async def _findings(
        self,
        comparison: Comparison,
        judgement: Judgement,
        reading: LedgerReading,
        moment: Moment,
        found: Found,
        pages: Callable[[], int],
        *,
        anew: bool,
    ) -> Findings:
        """Why the confirmed drifts are there: as was found before, or by what is known and can be asked now."""
        confirmed, now, findings = judgement.confirmed, self._broker_now(), Findings()
        if told := await self._news(judgement, reading, anew=anew):
            since = {i: timedelta(seconds=moment.ended_s - seen.since_s) for i, seen in judgement.sightings.items()}
            sure = {drift.instrument for drift in confirmed}
            others = tuple(drift for drift in comparison.drifts if drift.instrument not in sure)
            findings = await self._investigator.explain(told, reading, since, now, found, others, pages)
        elif anew:
            findings = await self._investigator.explain_late(reading, now, pages)
        why = await off_loop(len(confirmed), explained_at_last, confirmed, reading, findings.explanations)
        return replace(findings, explanations=why)

    async def _news(self, judgement: Judgement, reading: LedgerReading, *, anew: bool) -> tuple[Drift, ...]:
        return await off_loop(len(judgement.confirmed), news, judgement.confirmed, reading, anew=anew)

    async def _judge(
        self,
        comparison: Comparison,
        reading: LedgerReading,
        moment: Moment,
        until_s: float,
        told: Sequence[Execution] = (),
    ) -> Judgement:
        """The verdicts of this reading, by what is known to have moved up to that moment."""
        symbols = [drift.instrument.symbol for drift in comparison.drifts]
        now_s = _clock_s()
        moved = self._evidence.motions(symbols, self._broker_now(), now_s, told)
        since_s = now_s - self._evidence.horizon.total_seconds()
        sightings, timing = self._memory.sightings, self._rules.timing
        return await off_loop(
            len(symbols), judge, comparison.drifts, sightings, moment, reading.changed, moved, timing, since_s, until_s
        )

    def _wanted(self, judgement: Judgement, told: bool, worth: int) -> int:
        """How many pages a look-up at what moved must have before these verdicts are given; 0 when they need none.

        In a flood of fills a verdict at rest trusts a stream without a gap: there a page is a few seconds, and what the
        stream lost could mislead it only if another fill made up for it exactly within `settle`.
        """
        if self._evidence.gap_since is not None:
            return worth
        if told and not (self._evidence.listening and self._evidence.flooded):
            return 1
        return worth if any(pending.in_motion for pending in judgement.pending) else 0

    def _broker_now(self) -> datetime:
        """Now on the broker's clock; on the local one while the broker has not told the time."""
        return self._broker.broker_time() or self._now()

    async def _read_account(self, *, preview: bool) -> AccountState:
        """Read the account and see that it is the one this book belongs to; `BrokerRefused` when it is not."""
        state = await self._broker.account()
        pins = await self._ledger.pin(self._rules.account, None if preview else state.id)
        if preview and state.id not in pins.values():
            pins = {self._rules.account: state.id, **pins}
        problem = identity_problem(self._rules.account, self._rules.environment, state, pins)
        if problem is not None:
            raise BrokerRefused(problem.message, hint=problem.hint)
        self._memory = replace(self._memory, account_state=state, account_read_s=_clock_s())
        return state

    async def _account_now(self, confirmed: Sequence[Drift], *, preview: bool) -> AccountState | None:
        """The account, once more before anything is acted on: keys may open another one since it was last read.

        None when it cannot be read, which proves no absence; a pass that would act on anything else fails then.
        """
        try:
            return await self._read_account(preview=preview)
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
        ended = replace(header, finished_at=self._now(), duration_s=_clock_s() - began_s)
        blank = emptied(ended, Problem(error.message, error.hint))
        last = self._memory.last
        return failed(blank, () if last is None else last.open_conflicts, () if last is None else last.open_holds)


def check_budget(budget: Budget, now_s: float, *, reserve: int = 0) -> None:
    """Raise `BrokerUnavailable` when no request may be sent now that leaves so many others free."""
    free_s = budget.free_at(reserve, now_s)
    if free_s > now_s:
        raise BrokerUnavailable(
            f"the budget of {budget.limit} requests a minute is spent; the next is free in {free_s - now_s:.0f} s",
            hint="wait, or raise guards.requests_per_minute if the account's own limit has room",
        )


def _clock_s() -> float:
    """The event loop's monotonic clock."""
    return asyncio.get_running_loop().time()
