"""One account in operation: its books, its past, its request budget, and when its orders are filled.

Owns matching (when and in how many parts an order fills), delayed bookings and the rate limit's window.
May not know HTTP or websockets: whoever listens is handed each trade update.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from functools import partial
from random import Random

from recond.simulator.account import Account
from recond.simulator.books import GRAIN
from recond.simulator.history import History
from recond.simulator.records import Booking, Order, OrderRequest, Position, RefusedError, TradeUpdate
from recond.simulator.scenarios import Scenario

WINDOW_SECONDS = 60.0


class Timers:
    """Things to do later on the loop's time, all dropped at `cancel`."""

    def __init__(self) -> None:
        self._handles: set[asyncio.TimerHandle] = set()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do it now when `seconds` is 0, else then."""
        if seconds <= 0:
            action()
            return

        def run() -> None:
            self._handles.discard(handle)
            action()

        handle = asyncio.get_running_loop().call_later(seconds, run)
        self._handles.add(handle)

    def cancel(self) -> None:
        """Do none of what is left."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()


@dataclass(frozen=True, slots=True)
class FillRule:
    """How a marketable order is filled: after `delay` seconds, in `parts`, `gap` seconds apart.

    The next `reject` orders are accepted and then rejected instead.
    """

    delay: float = 0.0
    parts: int = 1
    gap: float = 0.0
    reject: int = 0


class Exchange:
    """Runs one account. `key` and `secret` open it; `listen` is called with each trade update."""

    def __init__(
        self,
        name: str,
        scenario: Scenario,
        *,
        key: str,
        secret: str,
        now: Callable[[], datetime],
        rng: Random,
        timers: Timers,
        rate_limit: int,
        listen: Callable[[TradeUpdate], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.key = key
        self.secret = secret
        self.rate_limit = rate_limit
        self.rule = FillRule()
        self.history = History(loop.time)
        self._timers = timers
        self._listen = listen
        self._now = now
        self._working: set[str] = set()
        self._window = (loop.time(), 0)
        self.account = Account(scenario.cash, now=now, rng=rng)
        self._stock(scenario)
        self.account.watcher = self

    def _stock(self, scenario: Scenario) -> None:
        for symbol, price in scenario.prices.items():
            self.account.set_price(symbol, price)
        for symbol, (qty, entry) in scenario.positions.items():
            self.account.move(symbol, qty, entry)
        self.account.last_equity = self.account.equity()

    # What the account tells

    def changed(self, kind: str, key: str, before: object) -> None:
        """Part of `Watcher`: keep the past."""
        self.history.changed(kind, key, before)

    def traded(self, update: TradeUpdate) -> None:
        """Part of `Watcher`: hand the update to the stream."""
        self._listen(update)

    # Orders

    def submit(self, request: OrderRequest) -> Order:
        """Accept an order and have it filled by the rule; returned as first seen. Raises RefusedError."""
        account = self.account
        if account.trading_blocked or account.account_blocked:
            raise RefusedError(40310000, "account is restricted from trading")
        order = account.submit(request)
        if self.rule.reject:
            self.rule = replace(self.rule, reject=self.rule.reject - 1)
            self._timers.after(self.rule.delay, partial(self._reject, order.id))
        elif account.marketable(order):
            self._work(order)
        elif request.time_in_force in ("ioc", "fok"):
            account.cancel(order.id)
        return order

    def replace_order(self, order_id: str, changes: dict[str, object]) -> Order:
        """Replace an open order; the new one is filled if it can be. Raises RefusedError."""
        order = self.account.replace_order(order_id, changes)
        if self.account.marketable(order):
            self._work(order)
        return order

    def external_trade(
        self, symbol: str, side: str, qty: Decimal, price: Decimal | None, client_order_id: str | None
    ) -> Order:
        """An order from elsewhere (the dashboard), filled whole at once; its client_order_id is a uuid."""
        order = self.account.submit(OrderRequest(symbol, side, qty, client_order_id=client_order_id))
        self.account.fill(order.id, price=price)
        return self.account.orders[order.id]

    def liquidate(self, symbol: str, qty: Decimal | None, price: Decimal | None) -> Order:
        """Close a position, or `qty` of it, with an order from elsewhere, as Alpaca does itself."""
        held = self.account.holding(symbol)
        side = "sell" if held.qty > 0 else "buy"
        return self.external_trade(symbol, side, min(qty or abs(held.qty), abs(held.qty)), price, None)

    def set_price(self, symbol: str, price: Decimal | None) -> None:
        """Set a price and fill what rests and has become marketable."""
        self.account.set_price(symbol, price)
        for order_id in list(self.account.open_orders):
            order = self.account.orders[order_id]
            if order_id not in self._working and self.account.marketable(order):
                self._work(order)

    def _reject(self, order_id: str) -> None:
        if order_id in self.account.open_orders:
            self.account.reject(order_id)

    def _work(self, order: Order) -> None:
        """Fill an order in equal parts, whole ones for a whole quantity; the last part takes the rest."""
        rule = self.rule
        grain = Decimal(1) if order.qty == order.qty.to_integral_value() else GRAIN
        part = (order.leaves / rule.parts).quantize(grain, ROUND_DOWN) or order.leaves
        self._working.add(order.id)
        for number in range(1, rule.parts + 1):
            qty = None if number == rule.parts else part
            self._timers.after(rule.delay + rule.gap * (number - 1), partial(self._fill, order.id, qty))

    def _fill(self, order_id: str, qty: Decimal | None) -> None:
        account = self.account
        if order_id in account.open_orders and account.marketable(account.orders[order_id]):
            account.fill(order_id, qty)
        if qty is None:
            self._working.discard(order_id)

    # Other moves

    def carry_out(
        self, legs: Sequence[Booking], activity: float | str, *, gap: float = 0.0, apart: bool = False
    ) -> None:
        """Move what the legs say, and book them `now`, `never` or so many seconds from now, `gap` seconds apart.

        With `apart` the account moves leg by leg as well, otherwise all at once.
        """
        books = self.account
        account_id = books.id

        def later(seconds: float, action: Callable[[Sequence[Booking]], object], some: Sequence[Booking]) -> None:
            def unless_reset() -> None:
                if books.id == account_id:
                    action(some)

            self._timers.after(seconds, unless_reset)

        def move(some: Sequence[Booking]) -> None:
            for leg in some:
                books.apply(leg)

        for number, some in enumerate([(leg,) for leg in legs] if gap else [legs]):
            later(gap * number if apart else 0.0, move, some)
            if activity != "never":
                later(gap * number + (0.0 if activity == "now" else float(activity)), books.book, some)

    def reset(self, cash: Decimal, *, keep_keys: bool) -> None:
        """A new account behind the same keys, or behind new ones, as at Alpaca, where the old are refused."""
        self._working.clear()
        self.account.reset(cash)
        self.account.last_equity = cash
        if not keep_keys:
            self.key = new_key(self.account.rng)
            self.secret = self.account.new_id()

    def seen(self, seconds_ago: float) -> tuple[Mapping[str, Position], Decimal]:
        """The positions and the cash as they were."""
        cash = self.history.as_of("cash", {"cash": self.account.cash}, seconds_ago)["cash"]
        return self.history.as_of("positions", self.account.positions, seconds_ago), cash

    # Request budget

    def spend(self) -> tuple[bool, dict[str, str]]:
        """Count one request of this minute's; whether it was within the limit, and the headers that say so."""
        now = asyncio.get_running_loop().time()
        start, used = self._window
        if now >= start + WINDOW_SECONDS:
            start, used = now, 0
        allowed = used < self.rate_limit
        used += allowed
        self._window = (start, used)
        reset = self._now().timestamp() + start + WINDOW_SECONDS - now
        return allowed, {
            "X-RateLimit-Limit": str(self.rate_limit),
            "X-RateLimit-Remaining": str(self.rate_limit - used),
            "X-RateLimit-Reset": str(int(reset) + 1),
        }


def new_key(rng: Random) -> str:
    """An API key id that looks like a paper one."""
    return "PK" + "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(18))
