"""The rows of the ledger as types, under the ledger's column names in camelCase; for the OpenAPI document.

Owns which columns can be relied on: some may be added, none is taken away.
May not filter or convert: what the ledger lists is what is sent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import ConfigDict

from recond.core.model import Cause, Kind, Resolution
from recond.core.run import Action, RunStatus
from recond.web.shapes import Number, Shape


class Row(Shape):
    """A row of the ledger."""

    model_config = ConfigDict(extra="allow")


class PositionRow(Row):
    """One row of the platform's book."""

    id: int
    account: str
    user_id: int
    strategy_id: str | None
    symbol: str
    asset_class: str | None
    asset_id: str | None
    side: Literal["long", "short"]
    quantity: Number
    entry_price: Number | None
    current_price: Number | None
    market_value: Number | None
    unrealized_pl: Number | None
    unrealized_plpc: Number | None
    status: Literal["open", "closed"]
    source: Literal["platform", "reconciliation"]
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    last_synced_at: datetime | None
    version: int
    moved_at: datetime


class RunRow(Row):
    """One recorded pass."""

    id: int
    account: str
    user_id: int
    sequence: int
    """Its number in the process that made it."""
    trigger: str
    started_at: datetime
    finished_at: datetime
    duration_s: Number
    status: RunStatus
    broker_positions: int | None
    db_positions: int | None
    synced: int
    added: int
    removed: int
    conflicts: int
    """Those seen, resolved by it or not."""
    holds: int
    pending: int
    unknown: int
    """Rows of either side that could not be read."""
    total_value: Number | None
    error: str | None
    hint: str | None


class ConflictRow(Row):
    """One recorded conflict."""

    id: int
    account: str
    symbol: str
    asset_class: str
    kind: Kind
    cause: Cause
    explanation: str
    broker_quantity: Number
    ledger_quantity: Number
    broker_value: Number | None
    ledger_value: Number | None
    resolution: Resolution
    opened_at: datetime
    last_seen_at: datetime
    sightings: int
    resolved_at: datetime | None
    resolved_by: str | None
    note: str | None


class CorrectionRow(Row):
    """One change that recond made to one row of the ledger."""

    id: int
    run_id: int
    position_id: int
    version: int
    account: str
    symbol: str
    asset_class: str
    strategy_id: str | None
    action: Action
    before: Number
    after: Number
    cause: Cause
    proven: bool
    """False while nothing proves the cause; `laterCause` is what evidence has shown since."""
    reverses: tuple[int, ...]
    """The corrections that it undoes."""
    at: datetime
    later_cause: Cause | None
    later_explanation: str | None


class HoldRow(Row):
    """One recorded hold."""

    id: int
    account: str
    symbol: str
    asset_class: str
    reason: str
    broker_quantity: Number
    ledger_quantity: Number
    opened_at: datetime
    ended_at: datetime | None
    ended_by: str | None


class DecisionRow(Row):
    """What an operator has decided about a conflict or a hold."""

    id: int
    account: str
    symbol: str
    asset_class: str
    conflict_id: int | None
    hold_id: int | None
    resolution: Resolution
    broker_quantity: Number
    """As the operator saw it."""
    ledger_quantity: Number
    names_row: bool
    """Whether `strategyId` says which row to change."""
    strategy_id: str | None
    by: str
    note: str | None
    at: datetime
    ended_at: datetime | None
    """Null while nothing has come of it."""
    outcome: str | None
    """`done`, or why it was refused."""


class DecidedConflict(ConflictRow):
    """A conflict, and the decision about it."""

    decision: DecisionRow


class DecidedHold(HoldRow):
    """A hold, and the decision about it."""

    decision: DecisionRow


class AcceptedRow(Row):
    """A difference that an operator has accepted: silent while it is just that."""

    account: str
    symbol: str
    asset_class: str
    difference: Number
    """Broker minus ledger."""
    at: datetime
    by: str
    note: str | None


class ExecutionRow(Row):
    """A fill that a correction has covered."""

    at: datetime
    quantity: Number
    price: Number | None
    order_id: str
    client_order_id: str | None
    execution_id: str | None


class ActivityRow(Row):
    """An activity of the broker that explains a correction."""

    id: str
    type: str
    sub_type: str | None
    symbol: str | None
    quantity: Number | None
    price: Number | None
    at: datetime | None
    group_id: str | None
    status: str | None


class HistoryRow(Row):
    """One change of a row of the ledger, with what made it and the evidence behind that."""

    seq: int
    at: datetime
    account: str
    symbol: str
    position_id: int
    strategy_id: str | None
    before: Number
    after: Number
    version: int
    who: Literal["platform", "recond"]
    correction_id: int | None
    """All from here on is null when it was the platform."""
    run_id: int | None
    trigger: str | None
    cause: Cause | None
    proven: bool | None
    reverses: tuple[int, ...]
    explanation: str | None
    later_cause: Cause | None
    later_explanation: str | None
    executions: tuple[ExecutionRow, ...]
    activities: tuple[ActivityRow, ...]


class DriftRow(Row):
    """One confirmed difference of one pass."""

    id: int
    run_id: int
    account: str
    symbol: str
    asset_class: str
    kind: Kind
    cause: Cause
    broker_quantity: Number
    ledger_quantity: Number
    resolution: Resolution
    explanation: str


class RunDetail(RunRow):
    """One recorded pass with what it found and changed, the first thousand of each."""

    drifts: tuple[DriftRow, ...]
    corrections: tuple[CorrectionRow, ...]


R = TypeVar("R", bound=Row)


class Listing(Shape, Generic[R]):
    """A page of rows, newest first (positions: by symbol)."""

    items: tuple[R, ...]
    total: int
    """How many rows match, on all pages."""
    limit: int
    offset: int
    next: str | None
    """The path of the next page; null on the last."""
