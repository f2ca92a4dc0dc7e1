"""What a pass concludes, as values: outcomes, corrections, the `Run` that observers get, the `Record` that is written.

Owns everything that leaves a pass; all are frozen. Units are those of `recond.core.model`.
May not hold behaviour beyond what follows from a value's own fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from recond.core.model import (
    Accepted,
    AccountState,
    Activity,
    Baseline,
    Cause,
    Conflict,
    Decision,
    Drift,
    Execution,
    Hold,
    Instrument,
    Key,
    Kind,
    LedgerRow,
    Resolution,
    Unreadable,
)


class RunStatus(StrEnum):
    """How a pass ended; `failed` means that a side could not be read or the result not be recorded."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"


class Reason(StrEnum):
    """Why a pass was made. Carries no data."""

    START = "start"
    TIMER = "timer"
    STREAM = "stream"
    RECONNECT = "reconnect"
    LEDGER = "ledger"
    RECHECK = "recheck"
    SIGHUP = "sighup"
    HTTP = "http"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Pending:
    """A drift that cannot be judged yet; `due_s` is the monotonic moment at which it can be looked at again.

    `in_motion`: it is certain that there is a drift, but the instrument never rests, so nobody knows of how much.
    `overdue`: it has been pending for longer than `pending_max`.
    """

    instrument: Instrument
    kind: Kind
    broker: Decimal
    ledger: Decimal
    since_s: float
    due_s: float
    why: str
    in_motion: bool = False
    overdue: bool = False


class Action(StrEnum):
    """What a correction does to a row."""

    OPEN = "open"
    SET = "set"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Correction:
    """One change that recond makes to one row; `row` is None when it opens one."""

    action: Action
    instrument: Instrument
    row: LedgerRow | None
    strategy_id: str | None
    before: Decimal
    after: Decimal
    cause: Cause
    asset_id: str | None = None
    entry_price: Decimal | None = None
    proven: bool = True
    reverses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ratio:
    """So many new shares for so many old ones."""

    new: Decimal
    old: Decimal

    def __str__(self) -> str:
        return f"{self.new:f}:{self.old:f}"


@dataclass(frozen=True, slots=True)
class Part:
    """One reason of a drift, and `quantity`, signed: what the ledger lacks (or, negative, has too much) because of it.

    `strategy_id` is whose it is when `owned`; `row_id` the row it concerns when that is known. `executions` (by
    `recond.core.evidence.key`) and `activities` (by id, all of `group`) are its evidence, consumed by the correction;
    `price` is what was paid on average. `legs` are what a split added and took away, `ratio` scales every row, but for
    what is `spared`: by row id, what was booked in new shares. Parts are meant one after the other. `reverses` is the
    correction that it undoes. `goes_to` is the instrument that the rows move to under their new name, `comes_from` the
    one whose rows move here. `delivered_by` is the contract that shares are taken to have come from.
    """

    cause: Cause
    quantity: Decimal
    owned: bool = False
    strategy_id: str | None = None
    row_id: int | None = None
    price: Decimal | None = None
    executions: tuple[Key, ...] = ()
    activities: tuple[str, ...] = ()
    reverses: int | None = None
    legs: tuple[Decimal, Decimal] | None = None
    ratio: Ratio | None = None
    spared: tuple[tuple[int, Decimal], ...] = ()
    goes_to: Instrument | None = None
    comes_from: Instrument | None = None
    delivered_by: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a drift happened, in a word and in a sentence, and what it is made of.

    `cause` is that of the largest part; `parts` is empty when nothing explains the drift, else their quantities add up
    to what the ledger lacks. `proven` is False while only the looks of it say so. `wait` says what is still waited for
    before anything is done.
    """

    cause: Cause
    text: str = ""
    parts: tuple[Part, ...] = ()
    proven: bool = False
    wait: str | None = None

    @property
    def causes(self) -> tuple[Cause, ...]:
        """All causes, each once, that of the largest part first."""
        return tuple(dict.fromkeys((self.cause, *(part.cause for part in self.parts))))

    @property
    def evident(self) -> bool:
        """Whether executions or activities of the broker prove it, all of it."""
        return bool(self.parts) and self.proven and all(part.executions or part.activities for part in self.parts)


@dataclass(frozen=True, slots=True)
class LateLink:
    """Evidence that came after a correction and explains it; it explains nothing else and executes nothing."""

    correction_id: int
    cause: Cause
    text: str
    executions: tuple[Key, ...] = ()
    activities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass decided about one confirmed drift. `hold` and `corrections` exclude each other.

    `accepted` is a difference that an operator has just accepted. `decision` is the operator's decision that was acted
    on or refused, with what came of it.
    """

    drift: Drift
    explanation: Explanation
    resolution: Resolution
    corrections: tuple[Correction, ...] = ()
    conflict: Conflict | None = None
    hold: Hold | None = None
    accepted: Accepted | None = None
    decision: Decision | None = None

    @property
    def settled(self) -> bool:
        """Whether the two sides agree, or differ by what is accepted, after this."""
        return self.hold is None and self.resolution is not Resolution.MANUAL


@dataclass(frozen=True, slots=True)
class AcceptedNow:
    """An accepted difference as it stands after a run; the quantities are None while they are not known."""

    accepted: Accepted
    broker: Decimal | None = None
    ledger: Decimal | None = None

    @property
    def claims_more(self) -> bool:
        """Whether the ledger claims more than the broker holds: accepted or not, there is nothing there to sell."""
        if self.broker is None or self.ledger is None:
            return False
        return self.ledger != 0 and (self.broker * self.ledger <= 0 or abs(self.ledger) > abs(self.broker))


@dataclass(frozen=True, slots=True)
class Refresh:
    """Prices of one agreeing row from the broker; None leaves what the row has."""

    row_id: int
    version: int
    asset_class: str
    asset_id: str
    entry_price: Decimal | None
    price: Decimal | None
    market_value: Decimal | None
    unrealized_pl: Decimal | None
    unrealized_plpc: Decimal | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a pass failed, and what the operator can do."""

    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """The frozen record of one pass of one account; the only thing observers get.

    `sequence` numbers the passes of this process (see `recond.triggers`), `id` is the ledger's.
    `broker_positions` and `db_positions` are None when that side could not be read. `synced` counts the
    instruments that agreed, `added` and `removed` those opened and closed in the ledger. `carried_*` were open
    before and were not judged this time (pending, unreadable, failed); `ended_*` ended by this run.
    `missed_events` counts fills that the connected stream did not tell; `evidence_gap` is True while what it may have
    lost has not been asked for. `accepted` are the accepted differences after this run, `late_links` what later
    evidence says of earlier corrections.
    `recorded` is False while the run is only in memory because the ledger could not take it.
    """

    id: int
    account: str
    user_id: int
    sequence: int
    reasons: tuple[Reason, ...]
    started_at: datetime
    finished_at: datetime
    duration_s: float
    status: RunStatus
    broker_positions: int | None = None
    db_positions: int | None = None
    synced: int = 0
    added: int = 0
    removed: int = 0
    total_value: Decimal | None = None
    outcomes: tuple[Outcome, ...] = ()
    pending: tuple[Pending, ...] = ()
    unknown: tuple[Unreadable, ...] = ()
    carried_conflicts: tuple[Conflict, ...] = ()
    carried_holds: tuple[Hold, ...] = ()
    ended_conflicts: tuple[Conflict, ...] = ()
    ended_holds: tuple[Hold, ...] = ()
    account_state: AccountState | None = None
    accepted: tuple[AcceptedNow, ...] = ()
    late_links: tuple[LateLink, ...] = ()
    missed_events: int = 0
    evidence_gap: bool = False
    error: Problem | None = None
    recorded: bool = True

    @property
    def trigger(self) -> str:
        """The reasons of the run as one word each, joined by `+`, the most telling first."""
        return "+".join(self.reasons)

    @property
    def corrections(self) -> tuple[Correction, ...]:
        """All changes this run made to the ledger."""
        return tuple(correction for outcome in self.outcomes for correction in outcome.corrections)

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """The conflicts seen in this run, resolved by it or not."""
        return tuple(outcome.conflict for outcome in self.outcomes if outcome.conflict is not None)

    @property
    def found(self) -> tuple[Outcome, ...]:
        """The outcomes that no earlier run has told of."""
        return tuple(
            outcome
            for outcome in self.outcomes
            if (outcome.conflict is None or outcome.conflict.sightings == 1)
            and (outcome.hold is None or outcome.hold.opened_at == self.finished_at)
        )

    @property
    def opened_conflicts(self) -> tuple[Conflict, ...]:
        """The conflicts that this run saw first."""
        return tuple(conflict for conflict in self.conflicts if conflict.sightings == 1)

    @property
    def open_conflicts(self) -> tuple[Conflict, ...]:
        """The conflicts that are open after this run."""
        return (*(c for c in self.conflicts if not c.resolved), *self.carried_conflicts)

    @property
    def open_holds(self) -> tuple[Hold, ...]:
        """The holds that are open after this run."""
        return (*(o.hold for o in self.outcomes if o.hold is not None), *self.carried_holds)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a pass would come to now, and all that it would decide if what is pending stays as it is."""

    run: Run
    certain: tuple[Outcome, ...] = ()

    @property
    def now(self) -> frozenset[Instrument]:
        """The instruments that it would decide about now."""
        return frozenset(outcome.drift.instrument for outcome in self.run.outcomes)


@dataclass(frozen=True, slots=True)
class Record:
    """All that one pass writes, to be written in one transaction or not at all.

    `seq` is the journal position of the ledger reading: instruments whose symbol changed after it are withheld
    (see `recond.core.conclude.withhold`) and can be looked at again at the monotonic moment `again_s`.
    `settled` is True when every instrument was judged. `equity` is the broker's at an agreement, else None.
    `late` are failed runs that could not be recorded when they happened. `read_at` is the broker's time of the
    reading; when `quiet`, nothing was left unjudged or open then, so that what neither side had was flat.
    `repins` is the reading's, None without one: a record from before the account was pinned anew is refused whole.
    `activities` and `executions` are evidence that the ledger may lack. `ended_decisions` are operators' decisions
    that came to nothing, `ended_accepted` acceptances that have no meaning any more. `given_up` are symbols on which
    both sides agree without rows that somebody took away.
    """

    run: Run
    seq: int = 0
    repins: int | None = None
    again_s: float = 0.0
    refreshes: tuple[Refresh, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    settled: bool = False
    equity: Decimal | None = None
    late: tuple[Run, ...] = ()
    read_at: datetime | None = None
    quiet: bool = False
    activities: tuple[Activity, ...] = ()
    executions: tuple[Execution, ...] = ()
    ended_decisions: tuple[Decision, ...] = ()
    ended_accepted: tuple[Accepted, ...] = ()
    given_up: frozenset[str] = frozenset()
