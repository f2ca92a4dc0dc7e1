"""What one pass leaves for the next.

Owns what is remembered of an account between two passes, and when something of it is to be looked at again.
May not outlive the process: a fresh one starts with an empty memory, so nothing is believed early.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import inf

from recond.core.judge import Judgement, Moment, Sighting
from recond.core.model import AccountState, Drift, Instrument, Kind
from recond.core.rules import Rules
from recond.core.run import Run, RunStatus
from recond.core.schedule import retry_delay

ACCOUNT_EVERY_S = 900.0
EXPLAIN_EVERY_S = 900.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What one pass leaves for the next.

    `again_s` is when the broker is looked at again because it may not have shown yet what moved, `saving` that a
    look-up waits for the budget. `undrifting` is since when there has been no drift where something is open.
    `explained_s` is when all drifts were last explained anew, also those that are open and known.
    `unrecorded` are failed runs that the ledger could not take; `failures` counts passes in a row that failed or
    left something unproven.
    """

    seq: int | None = None
    sightings: Mapping[Instrument, Sighting] = field(default_factory=dict)
    again_s: float = inf
    saving: bool = False
    undrifting: Mapping[Instrument, float] = field(default_factory=dict)
    account_state: AccountState | None = None
    account_read_s: float | None = None
    explained_s: float | None = None
    last: Run | None = None
    failures: int = 0
    unrecorded: tuple[Run, ...] = ()

    def after(self, run: Run) -> Memory:
        """The memory once this run is over."""
        unproven_yet = run.status is RunStatus.FAILED or run.open_holds or run.unknown
        corrected = {correction.instrument for correction in run.corrections}
        return replace(
            self,
            # What was seen before a correction tells nothing of what differs after it.
            sightings={i: seen for i, seen in self.sightings.items() if i not in corrected},
            last=run,
            failures=self.failures + 1 if unproven_yet else 0,
        )

    def without_drift(
        self, calm: Set[Instrument], gone: Set[Instrument], judgement: Judgement, moment: Moment, rules: Rules
    ) -> tuple[Memory, frozenset[str], frozenset[Instrument]]:
        """The memory after no drift on the `calm` and the `gone`; which were calm too briefly, which gone for long.

        Within the worst lateness of either side a drift may be made up for by what has moved on one of them only. One
        that is pending meanwhile does not count against it: the instrument is traded.
        """
        calm_s = max(rules.timing.settle_s, rules.timing.broker_lag_s)
        pending = {each.instrument for each in judgement.pending if not each.in_motion}
        since = {each: self.undrifting.get(each, moment.ended_s) for each in calm | gone}
        since |= {each: since_s for each, since_s in self.undrifting.items() if each in pending}
        brief = {each: since[each] + calm_s for each in calm if since[each] + calm_s > moment.began_s}
        long = frozenset(each for each in gone if since[each] + rules.settle_corporate_s <= moment.began_s)
        memory = replace(self, undrifting=since, again_s=min((self.again_s, *brief.values())))
        return memory, frozenset(each.symbol for each in brief), long

    @property
    def account_s(self) -> float:
        """When the account is to be read again."""
        return -inf if self.account_read_s is None else self.account_read_s + ACCOUNT_EVERY_S

    @property
    def explain_s(self) -> float:
        """When all drifts are to be explained anew: what explains one that is open may come later."""
        return -inf if self.explained_s is None else self.explained_s + EXPLAIN_EVERY_S

    def explained_at(self, began_s: float, settle_s: float) -> float:
        """What to remember of a pass that explains anew: the first one confirms nothing yet, so it does not count."""
        return began_s if self.explained_s is not None else began_s + settle_s - EXPLAIN_EVERY_S

    def doubts_account(self, drifts: Sequence[Drift], now_s: float, settle_s: float) -> bool:
        """Whether a position is missed that was not missed before: by now the account may be another one, or blocked.

        It was not when it was read within `settle_s`: an account whose positions come and go has no request to spare.
        """
        recent = self.account_read_s is not None and now_s - self.account_read_s < settle_s
        missed = (d for d in drifts if d.kind is Kind.MISSING_AT_BROKER)
        return not recent and any(drift.instrument not in self.sightings for drift in missed)

    def recheck_s(self, began_s: float, rules: Rules) -> float:
        """When something that is pending, failed, unproven, not shown or not told yet is to be looked at again."""
        moments = [self.again_s, *(pending.due_s for pending in (self.last.pending if self.last else ()))]
        if self.last is not None and self.last.evidence_gap and self.last.error is None:
            moments.append(began_s + rules.timing.confirm_after_s)
        if self.failures:
            moments.append(began_s + retry_delay(self.failures, rules.interval_s))
        return min(moments)
