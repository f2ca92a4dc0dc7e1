"""What can be made to go wrong, and what is going wrong now.

Owns the list of faults, which parameters each takes, and how long each lasts (a count, a duration, until
cleared). May not know how a fault looks on the wire: `answers` and `stream` do that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Endpoint = Literal["positions", "account", "orders", "activities", "clock", "assets", "stream", "all"]
BREAKS = Literal["missing", "null", "number", "enum", "garbage_symbol"]

# kind → the parameters it takes. A fault on `all` means every REST endpoint.
REST_KINDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "status": frozenset({"status"}),  # a JSON error as Alpaca writes it (500)
        "html": frozenset({"status"}),  # a gateway's page (502; 504 and 200 are usual too)
        "hang": frozenset(),  # accepts and never answers
        "delay": frozenset({"seconds", "random"}),  # answers late
        "drip": frozenset({"seconds"}),  # the body takes that long, byte group by byte group
        "cut": frozenset(),  # the connection ends in the middle of the body
        "empty_body": frozenset(),
        "redirect": frozenset(),  # 302
        "null": frozenset(),
        "object": frozenset(),  # a JSON object where a list belongs
        "empty_list": frozenset(),
        "partial": frozenset({"share", "rows"}),  # a list ends early
        "drop_rows": frozenset({"symbols", "every"}),
        "break_rows": frozenset({"how", "field", "symbols", "every"}),
        "other_account": frozenset({"of"}),  # what is read is that account's
        "lag": frozenset({"seconds", "random"}),  # the answer is as old as that (at most 300 s)
    }
)
STREAM_KINDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        # Counted in events
        "delay": frozenset({"seconds", "random"}),  # `random` also reorders
        "drop": frozenset({"chance"}),
        "duplicate": frozenset({"chance"}),
        "reorder": frozenset({"chance"}),  # swapped with the next event, or sent after a second without one
        # Counted in connections
        "replay": frozenset({"last"}),  # the last events again after each listen
        "half_open": frozenset(),  # nothing passes any more, pings stay unanswered; for that socket it is final
        "refuse": frozenset(),  # the upgrade is answered 429
        "unauthorized": frozenset(),
        "slow_auth": frozenset({"seconds"}),  # the answer to the authentication
        "no_auth": frozenset(),
        "slow_ack": frozenset({"seconds"}),  # the answer to listen
        "no_ack": frozenset(),
        "ack_without": frozenset(),  # the listening ack does not name the stream
        "linger": frozenset({"seconds"}),  # the slot stays taken after a client has gone
    }
)
# Done at once to every open connection, `count` times; nothing stays behind.
FRAME_KINDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "error": frozenset(),  # error frame, then close
        "unknown_event": frozenset(),
        "unknown_stream": frozenset(),
        "null_data": frozenset(),
        "garbage": frozenset(),  # bytes that are no JSON
        "huge": frozenset({"size"}),
        "flood": frozenset({"rate"}),  # `count` (10,000) `new` events of an order nobody placed
        "cut": frozenset(),  # the connection ends without a close frame
        "close": frozenset(),
    }
)
_COMMON = frozenset({"endpoint", "kind", "account", "count", "duration"})


class Fault(BaseModel):
    """One fault. Lasts for `count` requests, events or connections, or `duration` seconds, or until cleared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Endpoint
    kind: str
    account: str | None = None  # None: every account
    count: int | None = Field(None, ge=1)
    duration: float | None = Field(None, gt=0)
    status: int = Field(0, ge=200, le=599)  # 0: the kind's own
    seconds: float = Field(5.0, ge=0)
    random: bool = False  # anything from 0 to `seconds`, new each time
    chance: float = Field(1.0, ge=0, le=1)
    symbols: tuple[str, ...] = ()
    every: int = Field(0, ge=0)  # every k-th row; 0: by symbols, all rows when there are none
    share: Decimal = Field(Decimal("0.5"), gt=0, le=1)  # of the rows that are left out, rounded up
    rows: int = Field(0, ge=0)  # so many are left out; 0: by share
    of: str | None = None  # an account's name
    how: BREAKS = "missing"
    field: str = "qty"
    last: int = Field(10, ge=1)
    size: int = Field(2_000_000, ge=1)
    rate: float = Field(0.0, ge=0)  # frames a second; 0: as fast as it goes

    @model_validator(mode="after")
    def _fits(self) -> Fault:
        known = self.kinds(self.endpoint)
        if self.kind not in known:
            raise ValueError(f"kind {self.kind!r} of {self.endpoint}: expected one of {', '.join(sorted(known))}")
        extra = self.model_fields_set - _COMMON - known[self.kind]
        if extra:
            takes = ", ".join(sorted(known[self.kind])) or "none"
            raise ValueError(f"{self.kind} does not take {', '.join(sorted(extra))}: expected of {takes}")
        if self.kind == "other_account" and self.of is None:
            raise ValueError("other_account needs of: expected the name of another account")
        return self

    @staticmethod
    def kinds(endpoint: Endpoint) -> Mapping[str, frozenset[str]]:
        """The kinds an endpoint can have, with their parameters."""
        return {**STREAM_KINDS, **FRAME_KINDS} if endpoint == "stream" else REST_KINDS

    @property
    def at_once(self) -> bool:
        """Whether it is done to open connections now and then over."""
        return self.endpoint == "stream" and self.kind in FRAME_KINDS

    def wait(self, rng: Random) -> float:
        """How many seconds this time."""
        return rng.uniform(0, self.seconds) if self.random else self.seconds


@dataclass(slots=True)
class Active:
    """A fault that is on, with what is left of it; `until` is on the monotonic clock."""

    id: int
    fault: Fault
    left: int | None
    until: float | None


class Faults:
    """The faults that are on, oldest first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._active: list[Active] = []
        self._last_id = 0

    def add(self, fault: Fault) -> Active:
        """Switch a fault on."""
        self._last_id += 1
        until = None if fault.duration is None else self._clock() + fault.duration
        active = Active(self._last_id, fault, fault.count, until)
        self._active.append(active)
        return active

    def clear(self, endpoint: str | None = None, account: str | None = None) -> int:
        """Switch off those of an endpoint and account (None: whichever), and say how many that were."""
        kept = [
            active
            for active in self.active()
            if (endpoint or active.fault.endpoint) != active.fault.endpoint
            or (account or active.fault.account) != active.fault.account
        ]
        cleared = len(self._active) - len(kept)
        self._active = kept
        return cleared

    def active(self) -> list[Active]:
        """What is on now."""
        now = self._clock()
        self._active = [
            active for active in self._active if active.left != 0 and (active.until is None or now < active.until)
        ]
        return list(self._active)

    def take(self, endpoint: str, account: str | None, *kinds: str) -> list[Fault]:
        """The faults that apply to one request, event or connection; each one's count goes down by one."""
        taken = []
        for active in self.active():
            fault = active.fault
            wide = fault.endpoint == "all" and endpoint != "stream"
            if fault.endpoint != endpoint and not wide:
                continue
            if fault.account not in (None, account) or (kinds and fault.kind not in kinds):
                continue
            if active.left is not None:
                active.left -= 1
            taken.append(fault)
        return taken
