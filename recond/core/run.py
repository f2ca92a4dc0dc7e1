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
    AccountState,
    Baseline,
    Cause,
    Conflict,
    Drift,
    Hold,
    Instrument,
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


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a drift happened, in a word and in a sentence."""

    cause: Cause
    text: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass decided about one confirmed drift. `hold` and `corrections` exclude each other."""

    drift: Drift
    explanation: Explanation
    resolution: Resolution
    corrections: tuple[Correction, ...] = ()
    conflict: Conflict | None = None
    hold: Hold | None = None


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
    lost has not been asked for.
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
class Record:
    """All that one pass writes, to be written in one transaction or not at all.

    `seq` is the journal position of the ledger reading: instruments whose symbol changed after it are withheld
    (see `recond.core.conclude.withhold`) and can be looked at again at the monotonic moment `again_s`.
    `settled` is True when every instrument was judged. `equity` is the broker's at an agreement, else None.
    `late` are failed runs that could not be recorded when they happened.
    """

    run: Run
    seq: int = 0
    again_s: float = 0.0
    refreshes: tuple[Refresh, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    settled: bool = False
    equity: Decimal | None = None
    late: tuple[Run, ...] = ()
