"""The answers from memory as types: every field of their JSON, from which the OpenAPI document is made.

Owns the names on the wire (camelCase of the names here) and what they mean.
May not decide anything, or turn a quantity or an amount into a float.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

from recond.core.gate import GateState
from recond.core.model import Cause, Kind, Resolution
from recond.core.run import RunStatus

Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]
Environment = Literal["paper", "live"]


class Shape(BaseModel):
    """What all answers have in common."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=False,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class Problem(Shape):
    """An error, as problem details (RFC 9457, `application/problem+json`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    """What was wrong, in a sentence."""
    hint: str = ""
    """What can be done about it."""
    errors: tuple[str, ...] = ()
    """Each fault of the request on its own, when there can be several."""
    current: dict[str, Any] | None = None
    """What an operator's decision was about, as it stands now, when that is why it was refused."""


class Fault(Shape):
    """Why a pass failed."""

    message: str
    hint: str


class ConflictView(Shape):
    """A confirmed difference of quantity, or any that stays unresolved."""

    id: int | None
    """The ledger's number of it; null while it could not be recorded."""
    symbol: str
    asset_class: str
    kind: Kind
    cause: Cause
    explanation: str
    broker_qty: Number
    """Signed: a short position is negative."""
    db_qty: Number
    """The ledger's quantity before the resolution, summed over strategies, signed."""
    broker_value: Number | None
    db_value: Number | None
    resolution: Resolution
    resolved: bool
    opened_at: datetime
    last_seen_at: datetime
    sightings: int
    resolved_at: datetime | None
    resolved_by: str | None
    note: str | None


class HoldView(Shape):
    """Something confirmed that is not acted on without more proof."""

    id: int | None
    symbol: str
    asset_class: str
    reason: str
    broker_qty: Number
    db_qty: Number
    opened_at: datetime


class PendingView(Shape):
    """A difference that cannot be judged yet."""

    symbol: str
    asset_class: str
    kind: Kind
    broker_qty: Number
    db_qty: Number
    why: str
    in_motion: bool
    """True when the difference is certain, though the position does not rest."""
    overdue: bool
    """True when it has been pending for longer than `pending_max`."""
    age_ms: int
    recheck_in_ms: int
    """0 when it is due."""


class UnreadableView(Shape):
    """A row of either side that could not be understood; symbol is null when not even that was readable."""

    symbol: str | None
    problem: str


class PassView(Shape):
    """The figures of a pass, or of the last of several."""

    timestamp: datetime
    """When it ended."""
    status: RunStatus
    """failed: a side could not be read or the result not be written; success: everything agrees or was judged,
    without conflict, pending, unreadable row or hold; partial: all else."""
    broker_positions: int | None
    db_positions: int | None
    synced: int
    added: int
    removed: int
    total_value: Number | None
    run_id: int
    account: str
    user_id: int
    trigger: str
    error: Fault | None
    duration_ms: int
    recorded: bool
    """False while the ledger could not take the run; it is recorded later."""


class Reconciliation(PassView):
    """The result of a forced pass, of all the passes that a request took, or of the last pass."""

    conflicts: tuple[ConflictView, ...]
    """Those seen by these passes, resolved or not, and those that were open before and still are."""
    pending: tuple[PendingView, ...]
    unreadable: tuple[UnreadableView, ...]
    holds: tuple[HoldView, ...]
    passes: int
    """How many it took; `added`, `removed` and `conflicts` are those of all."""
    skipped: bool
    """True when no pass was made, since the last success is younger than the interval."""


class WouldBe(Shape):
    """One difference of a dry run: when it would be decided about, and how."""

    symbol: str
    asset_class: str
    kind: Kind
    broker_qty: Number
    db_qty: Number
    cause: Cause
    explanation: str
    resolution: Resolution
    hold: str | None
    """Why it would be held, if it would."""
    would_be: Literal["now", "if_it_stays"]
    """if_it_stays: it cannot be judged yet, and this is what would be done if it is still the same then."""


class WouldBeCorrection(Shape):
    """One change that a pass would make."""

    symbol: str
    asset_class: str
    strategy: str | None
    before: Number
    after: Number
    cause: Cause
    explanation: str
    would_be: Literal["now", "if_it_stays"]


class DryRun(Reconciliation):
    """What a pass would do now. Nothing was changed: it has no run (`runId` is 0) and is not recorded."""

    dry_run: Literal[True]
    drifts: tuple[WouldBe, ...]
    corrections: tuple[WouldBeCorrection, ...]


class AcceptedView(Shape):
    """A difference that an operator has accepted; the quantities are null while they are not known."""

    symbol: str
    asset_class: str
    difference: Number
    """Broker minus ledger."""
    broker_qty: Number | None
    db_qty: Number | None
    at: datetime
    by: str
    note: str | None


class GateReasonView(Shape):
    """One reason against trading; symbol is null when it concerns the whole account."""

    account: str
    symbol: str | None
    state: GateState
    code: str
    text: str


class GateView(Shape):
    """May the bot trade. Only `clear` lets it."""

    state: GateState
    account: str | None
    """Null when all accounts were asked for: then the state is the worst of them."""
    symbol: str | None
    reasons: tuple[GateReasonView, ...]
    timestamp: datetime


class BrokerAccountView(Shape):
    """The account as the broker told it last."""

    id: str
    status: str
    number: str | None
    currency: str | None
    equity: Number | None
    cash: Number | None
    long_market_value: Number | None
    short_market_value: Number | None
    trading_blocked: bool | None
    account_blocked: bool | None


class AccountView(Shape):
    """One account as known now."""

    account: str
    user_id: int
    environment: Environment
    last_run: PassView | None
    last_success: datetime | None
    """When the last pass ended that did not fail; null before the first since recond started."""
    last_success_age_ms: int | None
    stream: str
    gate: GateView
    open_conflicts: tuple[ConflictView, ...]
    holds: tuple[HoldView, ...]
    pending: tuple[PendingView, ...]
    unreadable: tuple[UnreadableView, ...]
    accepted: tuple[AcceptedView, ...]
    broker_account: BrokerAccountView | None


class PinnedAccount(Shape):
    """One account: which broker account its book is kept for, and how that is doing."""

    account: str
    user_id: int
    environment: Environment
    configured: bool
    """False when it has left the configuration; its book is still there."""
    broker_account_id: str | None
    """Pinned at first contact; null before."""
    broker_account: BrokerAccountView | None
    """As last seen by this process."""
    adopted_at: datetime | None
    repins: int
    status: RunStatus | None
    """Of the last pass; null before the first."""
    error: Fault | None
    gate: GateState | None


class PinnedAccounts(Shape):
    """All accounts that have a book."""

    items: tuple[PinnedAccount, ...]


class RepinView(Shape):
    """The book is closed; the account is pinned to `now`, or to whatever its keys open next when that is null."""

    account: str
    run_id: int
    was: str | None
    now: str | None
    closed: int
    """Rows that were closed, each with a correction of the run."""
    conflicts: int
    holds: int


class StatusView(Shape):
    """All that is known now, from memory."""

    timestamp: datetime
    version: str
    interval: int
    """Milliseconds between timed passes."""
    last_run: Reconciliation | None
    """The most recent pass of the accounts shown; null before the first."""
    accounts: tuple[AccountView, ...]
    warnings: tuple[str, ...]


class Health(Shape):
    """The process is alive and its event loop turns."""

    status: Literal["ok"] = "ok"


class Readiness(Shape):
    """Whether every account is being reconciled, and for those that are not, why."""

    ready: bool
    reasons: tuple[str, ...]
