"""The ports, the observer, and the errors they may raise.

Owns the contracts between the pass and the outside world; every adapter is tested against them.
May not contain behaviour, know an adapter, or let a library's error through: adapters chain those.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from recond.core.history import History, Wanted
from recond.core.model import AccountState, Activities, Decision, Execution, Holdings, LedgerReading, Order
from recond.core.repin import Repin, Repinned
from recond.core.run import Record, Run
from recond.core.wish import Refusal, Wish


class PortError(Exception):
    """An error that an operator can see: what went wrong, and a hint what to do about it."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BrokerUnavailable(PortError):
    """The broker did not give a usable answer this time (timeout, 5xx, 429, garbage); trying later may help."""


class BrokerBusy(BrokerUnavailable):
    """The account's only stream connection is taken by somebody else (upgrade refused with HTTP 429)."""


class BrokerRefused(PortError):
    """The broker refuses these keys or this account; trying again without an operator will not help."""


class LedgerUnavailable(PortError):
    """The ledger cannot be read or written now (locked, disk full); trying later may help."""


class LedgerCorrupt(PortError):
    """The ledger is damaged, newer than this program, or not recond's; the daemon must not go on."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the broker's answers said about limits and time.

    `sent` counts requests since start. `limit_remaining` and `limit_reset_s` (monotonic) are None when unknown.
    `paused_until_s` is the monotonic moment before which no request may be sent, None when there is none.
    `clock_offset_s` is broker time minus local wall time as last measured from a Date header (one second grain).
    """

    sent: int = 0
    limit_remaining: int | None = None
    limit_reset_s: float | None = None
    paused_until_s: float | None = None
    clock_offset_s: float | None = None


class Broker(Protocol):
    """One Alpaca account, to be looked at only: there is no method that trades.

    Every method raises `BrokerUnavailable` or `BrokerRefused` and nothing else, returns within a bounded time,
    and may be cancelled at any moment. One request at a time per instance.
    """

    async def positions(self) -> Holdings:
        """All positions. An answer that is not a list of rows is `BrokerUnavailable`, never empty holdings."""
        ...

    async def account(self) -> AccountState:
        """The account itself; one without id or status is `BrokerUnavailable`."""
        ...

    async def orders(self, symbols: Sequence[str], after: datetime, requests_max: int) -> tuple[Order, ...]:
        """Orders of any status submitted after the given moment, oldest first, of all symbols when none is named.

        `BrokerUnavailable` as well when the list does not end within `requests_max`, at least 1.
        """
        ...

    async def order(self, order_id: str) -> Order:
        """One order; `BrokerUnavailable` as well when the broker does not know it."""
        ...

    async def activities(self, after: datetime, requests_max: int, *, bookings_only: bool = False) -> Activities:
        """Activities created after the given moment, each once; paged to the end within `requests_max`, at least 1.

        With `bookings_only` those that are no trades. An unreadable one is counted and does not cut the list.
        """
        ...

    def usage(self) -> Usage:
        """Requests sent and limits told so far; costs nothing."""
        ...

    def broker_time(self) -> datetime | None:
        """Now on the broker's clock, from its last Date header and the monotonic clock; None before any answer."""
        ...


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One message of the account's stream: a nudge plus evidence, never a delta to be added to a quantity.

    `name` is the broker's word for it, or `null`, `garbage`, `unknown` for what could not be understood. `executions`
    are the fills it tells of, one per leg. `movement` is True for a fill, a bust, a correction, and for whatever was
    not understood.
    """

    name: str
    executions: tuple[Execution, ...] = ()
    movement: bool = False


class Stream(Protocol):
    """The account's stream, one connection at a time; whoever connects decides when to try again."""

    def connect(self) -> AbstractAsyncContextManager[AsyncIterator[StreamEvent]]:
        """Connect, authenticate, subscribe; entered only when the server confirmed all three.

        The iterator ends by raising: it never just stops. Entering and iterating raise `BrokerBusy`,
        `BrokerUnavailable` (a lost, dead, silent or broken connection) or `BrokerRefused` (keys), nothing else.
        """
        ...


class Collection(StrEnum):
    """What of the ledger can be listed."""

    POSITIONS = "positions"
    RUNS = "runs"
    CONFLICTS = "conflicts"
    CORRECTIONS = "corrections"
    HOLDS = "holds"
    DRIFTS = "drifts"
    DECISIONS = "decisions"
    ACCEPTED = "accepted"
    ACCOUNTS = "accounts"
    HISTORY = "history"
    """Each change of a position, with what made it and the evidence behind that."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows to list: newest first (positions: by symbol, strategy, id), below `before`, at most `limit`.

    `filters` maps a column to the value it must have; the adapter refuses columns that it does not know with
    `ValueError`. `id` picks one row.
    """

    collection: Collection
    account: str | None = None
    id: int | None = None
    filters: Mapping[str, str | int] = field(default_factory=dict)
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as column → value (`Decimal`, int, str, None) under the ledger's column names, and how many match."""

    rows: tuple[Mapping[str, object], ...]
    total: int


class Ledger(Protocol):
    """The platform's book, shared with bots. Every method raises `LedgerUnavailable` or `LedgerCorrupt` only.

    A method that was cancelled has either committed wholly or not at all.
    """

    def next_run_id(self) -> int:
        """A run id that no run has; ids grow and are never given twice. Costs nothing."""
        ...

    async def pin(self, account: str, broker_account_id: str | None) -> Mapping[str, str]:
        """Pin the account to a broker account at first contact; returns account → pinned id, all accounts.

        Changes nothing when the account has a pin, when another account is pinned to that id, or without an id.
        """
        ...

    async def repin(self, repin: Repin) -> Repinned | Refusal:
        """Close the account's book and forget its pin, in one transaction.

        A run is recorded, every open row is closed with a correction, open conflicts, holds and decisions end, and what
        was known of the account (baselines, accepted differences, equity) is forgotten. A record of what was read
        before is `LedgerUnavailable` from then on.
        """
        ...

    async def decide(self, wish: Wish) -> Decision | Refusal:
        """Write down what an operator has decided, if `recond.core.wish` lets it stand."""
        ...

    async def read(self, account: str, since: int | None) -> LedgerReading:
        """The account's open rows and open matters, and the symbols changed after journal position `since`."""
        ...

    async def record(self, record: Record) -> Run:
        """Write a pass in one transaction; returns the run as it was recorded.

        Instruments changed since the reading are withheld (`recond.core.conclude.withhold`). Conflicts and holds
        get their ids. Recording a run that is there already changes nothing and returns the run given.
        """
        ...

    async def keep(self, account: str, executions: Sequence[Execution]) -> None:
        """Store executions, each once by `recond.core.evidence.key`; what a source left out is filled in later."""
        ...

    async def executions(self, account: str, since: datetime) -> tuple[Execution, ...]:
        """The account's executions dated at or after that moment, in no promised order."""
        ...

    async def history(self, account: str, wanted: Wanted) -> History:
        """What is remembered of the symbols that are wanted.

        `consumed` names the activities of the account that have explained something already. When one of the executions
        amends another, or `wanted.amended` names some, all that amend or are amended come too, however old: a bust
        tells nothing without what it takes back.
        """
        ...

    async def forget(self, before: datetime, at_most: int) -> int:
        """Delete runs and evidence from before that moment, that many rows in a short transaction; returns how many.

        Kept are corrections, changes, and what is open; runs that have corrected or explained something, and the
        evidence behind it.
        """
        ...

    async def changed_accounts(self) -> frozenset[str]:
        """The accounts whose rows somebody else changed since the last call; cheap enough for four times a second."""
        ...

    async def list(self, query: Query) -> Page:
        """Rows for people and bots to look at."""
        ...


RunObserver = Callable[[Run], None]
