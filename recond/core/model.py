"""The words of recond as values: what the broker showed, what the ledger says, and where they differ.

Owns every value that a pass reads and keeps; all are frozen. What it concludes is in `recond.core.run`.
May not hold behaviour beyond what follows from a value's own fields.

Quantities and money are `Decimal`; quantities are signed (short < 0). `None` means unknown, never zero.
`datetime`s are zone-aware UTC; fields ending in `_s` are seconds on the monotonic clock of the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from recond.core.exact import exactly


class Kind(StrEnum):
    """How the two sides differ."""

    MISSING_IN_LEDGER = "missing_in_ledger"
    MISSING_AT_BROKER = "missing_at_broker"
    QUANTITY = "quantity"


class Cause(StrEnum):
    """Why the two sides differ."""

    ADOPTION = "adoption"
    MISSED_FILL = "missed_fill"
    EXTERNAL_TRADE = "external_trade"
    FILL = "fill"
    LEDGER_EDIT = "ledger_edit"
    DOUBLE_BOOKING = "double_booking"
    SPLIT = "split"
    SYMBOL_CHANGE = "symbol_change"
    MERGER = "merger"
    SPIN_OFF = "spin_off"
    STOCK_DIVIDEND = "stock_dividend"
    REORGANISATION = "reorganisation"
    OPTION_EXPIRY = "option_expiry"
    OPTION_EXERCISE = "option_exercise"
    OPTION_ASSIGNMENT = "option_assignment"
    OPTION_ADJUSTMENT = "option_adjustment"
    TRANSFER = "transfer"
    CRYPTO_FEE = "crypto_fee"
    BUST_OR_CORRECT = "bust_or_correct"
    AMBIGUOUS = "ambiguous"
    UNEXPLAINED = "unexplained"


class Resolution(StrEnum):
    """What is done about a confirmed drift."""

    USE_BROKER = "use_broker"
    MANUAL = "manual"
    USE_DB = "use_db"


class Instrument(NamedTuple):
    """What a quantity is of: Alpaca's asset class and the canonical symbol (crypto per coin: `BTCUSD`)."""

    asset_class: str
    symbol: str


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """One readable row of the broker's positions; `quantity` is never zero."""

    instrument: Instrument
    asset_id: str
    quantity: Decimal
    entry_price: Decimal | None = None
    cost_basis: Decimal | None = None
    price: Decimal | None = None
    market_value: Decimal | None = None
    unrealized_pl: Decimal | None = None
    unrealized_plpc: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row of either side that could not be understood; `symbol` is None when not even that was readable."""

    symbol: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class Holdings:
    """The broker's whole answer to "what do I hold": nothing is missing from it but what is unreadable."""

    positions: tuple[BrokerPosition, ...]
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountState:
    """The broker's account as `/v2/account` tells it; what was absent or unreadable is None."""

    id: str
    status: str
    number: str | None = None
    currency: str | None = None
    equity: Decimal | None = None
    cash: Decimal | None = None
    long_market_value: Decimal | None = None
    short_market_value: Decimal | None = None
    trading_blocked: bool | None = None
    account_blocked: bool | None = None


Key = tuple[str, str, Decimal | str | None]
"""What makes an execution the same one, whoever tells of it: see `recond.core.evidence.key`."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill known from the stream or the activities; `at` is the broker's time, `quantity` signed.

    `client_order_id` is None while it is not known whose order it was. `previous_id` names the execution that a bust
    or correction is about: then `quantity` is what is true instead of it (0 for a bust). `covered_by` is the
    correction whose quantity has it already, `accepted_in` the run in which an operator let the ledger stand without
    it.
    """

    symbol: str
    at: datetime
    quantity: Decimal
    order_id: str
    cum_quantity: Decimal | None = None
    price: Decimal | None = None
    execution_id: str | None = None
    position_quantity: Decimal | None = None
    strategy_id: str | None = None
    client_order_id: str | None = None
    previous_id: str | None = None
    covered_by: int | None = None
    accepted_in: int | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """One entry of the account's activities; quantities and amounts as booked, None where absent."""

    id: str
    type: str
    sub_type: str | None
    symbol: str | None
    quantity: Decimal | None
    price: Decimal | None
    at: datetime | None
    order_id: str | None = None
    side: str | None = None
    cum_quantity: Decimal | None = None
    group_id: str | None = None
    net_amount: Decimal | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Activities:
    """Activities in no promised order; `complete` is False when the list was cut before its end.

    `unreadable` counts entries of the list that could not be read: what they tell is not known and never will be.
    """

    entries: tuple[Activity, ...]
    complete: bool = True
    unreadable: int = 0

    @property
    def whole(self) -> bool:
        """Whether all that there is has been told and read."""
        return self.complete and not self.unreadable


@dataclass(frozen=True, slots=True)
class Order:
    """One order as far as recond needs it; `filled_quantity` is unsigned as Alpaca reports it."""

    id: str
    client_order_id: str
    symbol: str
    side: str
    status: str
    filled_quantity: Decimal | None
    filled_price: Decimal | None = None
    submitted_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One open row of the ledger; `asset_class` None means whatever the broker says."""

    id: int
    symbol: str
    asset_class: str | None
    strategy_id: str | None
    quantity: Decimal
    version: int
    entry_price: Decimal | None = None
    market_value: Decimal | None = None
    asset_id: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A difference (broker minus ledger, signed) that an operator has accepted: silent until it changes."""

    instrument: Instrument
    difference: Decimal
    at: datetime
    by: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operator has decided about a conflict or a hold, and the quantities that the operator saw.

    It is acted on by the next pass that judges the instrument, if the quantities are still those; else it is refused.
    `strategy_id` is only meant when `names_row`. `outcome` is None while nothing has come of it.
    """

    id: int
    instrument: Instrument
    resolution: Resolution
    broker_quantity: Decimal
    ledger_quantity: Decimal
    by: str
    at: datetime
    conflict_id: int | None = None
    hold_id: int | None = None
    names_row: bool = False
    strategy_id: str | None = None
    note: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A confirmed drift of kind `quantity`, or any that stays unresolved. `id` is None until recorded."""

    id: int | None
    instrument: Instrument
    kind: Kind
    cause: Cause
    broker_quantity: Decimal
    ledger_quantity: Decimal
    resolution: Resolution
    opened_at: datetime
    last_seen_at: datetime
    sightings: int = 1
    explanation: str = ""
    broker_value: Decimal | None = None
    ledger_value: Decimal | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    note: str | None = None

    @property
    def resolved(self) -> bool:
        """Whether the conflict has ended."""
        return self.resolved_at is not None


@dataclass(frozen=True, slots=True)
class Hold:
    """Something confirmed that must not be acted on without more proof. `id` is None until recorded."""

    id: int | None
    instrument: Instrument
    reason: str
    broker_quantity: Decimal
    ledger_quantity: Decimal
    opened_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """Both quantities and the broker's cost basis of an instrument at its last settled verdict.

    `seq` is the position in the change journal up to which `ledger_quantity` has everything.
    """

    instrument: Instrument
    broker_quantity: Decimal
    ledger_quantity: Decimal
    cost_basis: Decimal | None
    at: datetime
    seq: int = 0


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """One account's side of the ledger, read in one transaction.

    `seq` is the position in the change journal; `changed` names the symbols that somebody changed after the
    position the reader asked for. `adopted` is False until the account had its first wholly settled run.
    `settled_at` and `settled_seq` are time and journal position of the last run in which nothing was left unjudged:
    what neither side had then was flat. `lost` are rows that were open and are there no more, though nobody closed
    them. `decisions` are those that nothing has come of yet. `unproven` are the symbols of the oldest corrections of
    the last days that no evidence has explained, with when they were made. `repins` is how often the account was pinned
    anew before.
    """

    rows: tuple[LedgerRow, ...]
    seq: int
    changed: frozenset[str] = frozenset()
    unreadable: tuple[Unreadable, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    holds: tuple[Hold, ...] = ()
    baselines: Mapping[Instrument, Baseline] = field(default_factory=dict)
    adopted: bool = False
    equity: Decimal | None = None
    settled_at: datetime | None = None
    settled_seq: int = 0
    lost: tuple[LedgerRow, ...] = ()
    accepted: Mapping[Instrument, Accepted] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    unproven: Mapping[str, datetime] = field(default_factory=dict)
    repins: int = 0

    @property
    def unproven_since(self) -> datetime | None:
        """When the oldest of the unproven was made."""
        return min(self.unproven.values(), default=None)


@dataclass(frozen=True, slots=True)
class Drift:
    """One instrument on which the two sides differ beyond tolerance, with all that was read about it.

    `moved_ago_s` is given with the verdict: the seconds from the instrument's newest known execution, else from the
    first sighting, to the reading that judged it. `accepted` is the difference that an operator has accepted.
    """

    instrument: Instrument
    kind: Kind
    broker: Decimal
    ledger: Decimal
    position: BrokerPosition | None
    rows: tuple[LedgerRow, ...]
    accepted: Decimal = Decimal(0)
    moved_ago_s: float | None = field(default=None, compare=False)

    @property
    def difference(self) -> Decimal:
        """Broker minus ledger, signed."""
        return self.broker - self.ledger

    @property
    @exactly
    def target(self) -> Decimal:
        """What the ledger's rows should sum up to: the broker's quantity, less the difference that was accepted.

        An acceptance that would leave nothing of the rows, or turn their sign, has no meaning any more.
        """
        rest = self.broker - self.accepted
        return rest if rest * self.broker > 0 or rest * self.ledger > 0 or rest == self.ledger else self.broker
