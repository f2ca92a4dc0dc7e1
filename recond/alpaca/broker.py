"""The broker port over one Alpaca account.

Owns the threads that wait for answers, the deadline around them, paging, the pause after a rate limit.
May not let anything but the port's errors through, or take an answer that came too late for another one's.

Each request runs in a daemon thread of its own. The default executor's threads, and any that are not daemons, are
joined when the interpreter ends, so that one hanging request would hold up SIGTERM.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import structlog

from recond.alpaca import wire
from recond.alpaca.clock import BrokerClock
from recond.alpaca.rest import Answer, Rest
from recond.core.model import AccountState, Activities, Activity, Holdings, Order
from recond.core.symbols import asset_class_of, canonical_symbol, coins_of
from recond.ports import BrokerRefused, BrokerUnavailable, Usage

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 5.0
_PAGES_MAX = 50
_ACTIVITIES_A_PAGE = 100
_ORDERS_A_PAGE = 500
_SYMBOLS_IN_URL_MAX = 50
_PAUSE_MIN_S, _PAUSE_S, _PAUSE_MAX_S = 1.0, 10.0, 60.0


def utc_now() -> datetime:
    """The local wall clock."""
    return datetime.now(UTC)


class AlpacaBroker:
    """One Alpaca account to be looked at; implements `recond.ports.Broker`.

    `overall_timeout_s` ends a request whatever the server does, a server that drips bytes included; lists of many
    pages are given up after that long too. `on_request` is told endpoint, code (status, `timeout`, `error`) and
    duration in seconds of every request that ended. Raises as `Rest` does when it is made.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        base_url: str,
        read_timeout_s: float = 20.0,
        overall_timeout_s: float = 30.0,
        on_request: Callable[[str, str, float], None] = lambda endpoint, code, duration_s: None,
        wall_clock: Callable[[], datetime] = utc_now,
    ) -> None:
        def connect() -> Rest:
            return Rest(key, secret, base_url=base_url, timeout_s=(_CONNECT_TIMEOUT_S, read_timeout_s))

        self._connect = connect
        self._rest = connect()
        self._overall_timeout_s = overall_timeout_s
        self._on_request = on_request
        self._wall_clock = wall_clock
        self._lock = asyncio.Lock()
        self._clock = BrokerClock()
        self._usage = Usage()
        self._log = structlog.get_logger()

    async def __aenter__(self) -> AlpacaBroker:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rest.abandon()

    async def positions(self) -> Holdings:
        """All positions, in one request."""
        return await self._get("positions", "/positions", {}, wire.holdings)

    async def account(self) -> AccountState:
        """The account itself."""
        return await self._get("account", "/account", {}, wire.account)

    async def orders(self, symbols: Sequence[str], after: datetime, requests_max: int) -> tuple[Order, ...]:
        """Orders submitted after the moment, oldest first; all or nothing: a list cut short is `BrokerUnavailable`.

        `symbols` are position symbols. A pair of coins belongs to both; the parent of several legs, which has no
        symbol of its own, to all.
        """
        wanted = frozenset(map(canonical_symbol, symbols))
        params = {"status": "all", "limit": str(_ORDERS_A_PAGE), "direction": "asc"}
        if 0 < len(wanted) <= _SYMBOLS_IN_URL_MAX and not any(asset_class_of(each) == "crypto" for each in wanted):
            params["symbols"] = ",".join(sorted(wanted))  # orders of coins go by pairs, of which there may be many
        found: dict[str, Order] = {}
        started_s, pages = self._now_s(), min(max(1, requests_max), _PAGES_MAX)
        for _ in range(pages):
            page = await self._get("orders", "/orders", {**params, "after": _text(after)}, wire.orders)
            fresh = any(order.id not in found for order in page.orders)
            found.update((order.id, order) for order in page.orders)
            if page.rows < _ORDERS_A_PAGE:
                ordered = sorted(found.values(), key=lambda order: order.submitted_at or after)
                return tuple(order for order in ordered if not wanted or _concerns(order, wanted))
            times = [order.submitted_at for order in page.orders if order.submitted_at is not None]
            if not fresh or not times or self._now_s() > started_s + self._overall_timeout_s:
                break
            # `after` excludes its own moment, of which more orders may be on the next page.
            after = max(after, *times) - timedelta(microseconds=1)
        raise BrokerUnavailable(
            f"GET /v2/orders: the list did not end within {pages} pages or {self._overall_timeout_s:g} s",
            hint="there are very many orders in the period looked at; the next pass looks again",
        )

    async def order(self, order_id: str) -> Order:
        """One order."""
        return await self._get("orders", f"/orders/{quote(order_id, safe='')}", {}, wire.order)

    async def activities(self, after: datetime, requests_max: int, *, bookings_only: bool = False) -> Activities:
        """Activities created after the moment, each once; one that is unreadable may be counted on two pages."""
        params = {"after": _text(after), "direction": "asc", "page_size": str(_ACTIVITIES_A_PAGE)}
        if bookings_only:
            params["category"] = "non_trade_activity"
        found: dict[str, Activity] = {}
        unreadable = 0
        started_s = self._now_s()
        for _ in range(min(max(1, requests_max), _PAGES_MAX)):
            page = await self._get("activities", "/account/activities", params, wire.activities)
            fresh = any(entry.id not in found for entry in page.entries)
            found.update((entry.id, entry) for entry in page.entries)
            unreadable += page.rows - len(page.entries)
            if page.rows < _ACTIVITIES_A_PAGE:
                return self._told(found, unreadable, complete=True)
            if not fresh or self._now_s() > started_s + self._overall_timeout_s:
                break
            params["page_token"] = page.entries[-1].id
        return self._told(found, unreadable, complete=False)

    def _told(self, found: Mapping[str, Activity], unreadable: int, *, complete: bool) -> Activities:
        if unreadable:
            self._log.warning("activities unreadable", rows=unreadable)
        return Activities(tuple(found.values()), complete, unreadable)

    def usage(self) -> Usage:
        """Requests sent and limits told so far."""
        return self._usage

    def broker_time(self) -> datetime | None:
        """Now on the broker's clock; None before any answer. Callable from the event loop only."""
        return self._clock.at(self._now_s())

    async def _get(self, endpoint: str, path: str, params: Mapping[str, str], read: Callable[[object], T]) -> T:
        async with self._lock:
            self._refuse_while_paused(path)
            sent_s = self._now_s()
            self._usage = replace(self._usage, sent=self._usage.sent + 1)
            answer = await self._ask(path, params, read)
            self._heed(answer, sent_s, self._now_s())
        self._on_request(endpoint, answer.code, self._now_s() - sent_s)
        log = self._log.bind(endpoint=endpoint, code=answer.code, request_id=answer.request_id)
        if answer.value is not None:
            log.debug("broker answered")
            return answer.value
        log.warning("broker request failed", problem=answer.problem)
        code = f"HTTP {answer.code}" if answer.code.isdigit() else answer.code
        request_id = f" (request id {answer.request_id})" if answer.request_id else ""
        error = BrokerRefused if answer.refused else BrokerUnavailable
        raise error(f"GET /v2{path}: {code}{request_id}: {answer.problem}", hint=answer.hint)

    async def _ask(self, path: str, params: Mapping[str, str], read: Callable[[object], T]) -> Answer[T]:
        loop, rest = asyncio.get_running_loop(), self._rest
        coming: asyncio.Future[Answer[T]] = loop.create_future()

        def deliver(answer: Answer[T]) -> None:
            if not coming.done():
                coming.set_result(answer)

        def work() -> None:
            answer: Answer[T] = Answer("error", problem="the request ended with a fault of recond's own")
            try:
                answer = rest.get(path, params, read)
            finally:
                with suppress(RuntimeError):  # the loop may have ended meanwhile, and nobody waits any more
                    loop.call_soon_threadsafe(deliver, answer)

        try:
            threading.Thread(target=work, name=f"alpaca{path}", daemon=True).start()
        except RuntimeError as error:
            return Answer("error", problem=f"no thread for the request ({error})")
        try:
            async with asyncio.timeout(self._overall_timeout_s):
                return await coming
        except TimeoutError:
            self._start_anew()
            return Answer("timeout", problem=f"no whole answer within {self._overall_timeout_s:g} s")
        except asyncio.CancelledError:
            self._start_anew()
            raise

    def _start_anew(self) -> None:
        self._rest.abandon()
        self._rest = self._connect()

    def _refuse_while_paused(self, path: str) -> None:
        until_s = self._usage.paused_until_s
        if until_s is None:
            return
        left_s = until_s - self._now_s()
        if left_s > 0:
            raise BrokerUnavailable(
                f"GET /v2{path}: not sent: Alpaca's rate limit is used up, requests go on in {left_s:.0f} s",
                hint="something else uses up this account's requests; recond goes on by itself after the pause",
            )
        self._usage = replace(self._usage, paused_until_s=None)

    def _heed(self, answer: Answer[T], sent_s: float, now_s: float) -> None:
        """Take in what the head of an answer says about time and limits."""
        if answer.date is not None and answer.value is not None:  # an error's may be from a gateway's clock
            self._clock.heard(answer.date, sent_s, now_s)
            offset = (self._clock.at(now_s) or answer.date) - self._wall_clock()
            self._usage = replace(self._usage, clock_offset_s=offset.total_seconds())
        broker_now = self._clock.at(now_s) or answer.date
        remaining, reset_s = answer.limit_remaining, None
        if answer.limit_reset is not None and broker_now is not None:
            reset_s = now_s + answer.limit_reset - broker_now.timestamp()
        if remaining is not None:
            self._usage = replace(self._usage, limit_remaining=remaining, limit_reset_s=reset_s)
        if answer.code == "429" or remaining == 0:
            pause_s = _PAUSE_S if reset_s is None else min(max(reset_s - now_s, _PAUSE_MIN_S), _PAUSE_MAX_S)
            self._usage = replace(self._usage, paused_until_s=now_s + pause_s)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def _concerns(order: Order, wanted: frozenset[str]) -> bool:
    return not order.symbol or not wanted.isdisjoint(coins_of(order.symbol))


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
