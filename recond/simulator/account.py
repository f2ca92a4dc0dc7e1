"""One Alpaca account: its books, and the orders, executions and trade updates that move them.

Owns what an order, a fill, a cancel, a replace, a reject, a bust and a correction do. What moves a position
without an order is in `corporate`, `mergers`, `options` and `transfers`. May not know the network, timers or when an
order is filled: whoever drives it calls `fill`. Orders and executions are kept for the account's life.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal

from recond.simulator.assets import Asset, asset_of
from recond.simulator.books import EASTERN, GRAIN, Books
from recond.simulator.records import ZERO, Booking, Execution, Fill, Order, OrderRequest, RefusedError, TradeUpdate

_TYPES = ("market", "limit", "stop", "stop_limit")
_TIMES = ("day", "gtc", "ioc", "fok")


class Account(Books):
    """The state of one account. Its stream is told through `watcher.traded`."""

    def _open(self, cash: Decimal) -> None:
        super()._open(cash)
        self.orders: dict[str, Order] = {}
        self.open_orders: dict[str, None] = {}  # ids, in the order of submission
        self.executions: dict[str, Execution] = {}
        self.undone: set[str] = set()  # ids of executions that were busted or corrected
        self._client_ids: set[str] = set()

    def submit(self, request: OrderRequest) -> Order:
        """Accept an order, which then rests as `new`; returned as first seen, `pending_new`. Raises RefusedError."""
        asset = self.asset(request.symbol)
        price = self.price_of(asset)
        if request.type not in _TYPES or request.time_in_force not in _TIMES or request.side not in ("buy", "sell"):
            raise RefusedError(42210000, "order type, side or time in force is not simulated")
        if (request.qty is None) == (request.notional is None):
            raise RefusedError(42210000, "exactly one of qty and notional is required")
        if "limit" in request.type and request.limit_price is None:
            raise RefusedError(42210000, "limit orders require a limit price")
        if "stop" in request.type and request.stop_price is None:
            raise RefusedError(42210000, "stop orders require a stop price")
        if request.client_order_id in self._client_ids:
            raise RefusedError(40010001, "client_order_id must be unique")
        if price is None:
            raise RefusedError(42210000, f"{request.symbol} has no price")
        qty = request.qty
        if qty is None:
            qty = (request.notional or ZERO) / (request.limit_price or price)
        qty = qty.quantize(GRAIN, ROUND_DOWN)
        if qty <= 0:
            raise RefusedError(42210000, "qty must be > 0")
        self._refuse_short(asset, request.side, qty)
        return self._place(asset, request, qty)

    def _refuse_short(self, asset: Asset, side: str, qty: Decimal) -> None:
        if side == "buy":
            return
        free = max(ZERO, self.available(asset.held_as))
        if qty <= free:
            return
        if asset.asset_class == "crypto":
            raise RefusedError(40310000, f"insufficient balance for {asset.held_as[:-3]}")
        if qty != qty.to_integral_value():
            raise RefusedError(40310000, "fractional orders cannot be sold short")

    def _place(self, asset: Asset, request: OrderRequest, qty: Decimal, replaces: str | None = None) -> Order:
        now = self.now()
        order = Order(
            id=self.new_id(),
            client_order_id=request.client_order_id or self.new_id(),
            symbol=asset.symbol,
            asset_id=self.asset_id(asset.symbol),
            asset_class=asset.asset_class,
            request=request,
            status="pending_new",
            qty=qty,
            created_at=now,
            updated_at=now,
            replaces=replaces,
        )
        self._client_ids.add(order.client_order_id)
        self._tell("new", self._store(replace(order, status="new")), execution_id=self.new_id())
        return order

    def available(self, symbol: str) -> Decimal:
        """The signed quantity that no open order has reserved."""
        position = self.positions.get(symbol)
        if position is None:
            return ZERO
        closing = "sell" if position.qty > 0 else "buy"
        reserved = sum(
            (
                order.leaves
                for order in map(self.orders.__getitem__, self.open_orders)
                if order.side == closing and held_as(order.symbol) == symbol
            ),
            ZERO,
        )
        return max(ZERO, position.qty - reserved) if position.qty > 0 else min(ZERO, position.qty + reserved)

    def marketable(self, order: Order) -> bool:
        """Whether the order could be filled at its asset's price now."""
        asset = asset_of(order.symbol)
        price = self.price_of(asset) if asset else None
        if price is None or not order.is_open:
            return False
        sign = 1 if order.side == "buy" else -1
        limit, stop = order.request.limit_price, order.request.stop_price
        if stop is not None and (price - stop) * sign < 0:
            return False
        return limit is None or (limit - price) * sign >= 0

    def fill(self, order_id: str, qty: Decimal | None = None, price: Decimal | None = None) -> Execution:
        """Fill an open order, wholly or by `qty`, at the current price or `price` in its quote currency."""
        order = self.open_order(order_id)
        asset = self.asset(order.symbol)
        at = self.price_of(asset) if price is None else price
        if at is None:
            raise RefusedError(42210000, f"{order.symbol} has no price")
        qty = order.leaves if qty is None else min(qty, order.leaves)
        before = self.positions.get(asset.held_as)
        execution = self._settle(order, asset, qty, at)
        now = execution.at
        done = qty == order.leaves
        filled = self._store(
            replace(
                order,
                status="filled" if done else "partially_filled",
                filled_qty=order.filled_qty + qty,
                filled_value=order.filled_value + qty * at,
                filled_at=now if done else None,
            )
        )
        shorting = order.side == "sell" and asset.asset_class == "us_equity" and (before is None or before.qty < 0)
        activity_id = f"{now.astimezone(EASTERN):%Y%m%d%H%M%S}{now.microsecond // 1000:03d}::{self.new_id()}"
        self.watcher.changed("activities", activity_id, None)
        self.activities[activity_id] = Fill(
            activity_id,
            now,
            order.id,
            order.symbol,
            "sell_short" if shorting else order.side,
            qty,
            at,
            filled.filled_qty,
            filled.leaves,
            filled.status,
        )
        self._tell("fill" if done else "partial_fill", filled, execution=execution)
        return execution

    def _settle(self, order: Order, asset: Asset, qty: Decimal, price: Decimal) -> Execution:
        """Move coin, shares and cash for one fill; a coin trade's fee comes out of what is credited."""
        buying = order.side == "buy"
        moved = qty if buying else -qty
        paid = -moved * price * asset.multiplier
        fee_rate = self.crypto_fee if asset.asset_class == "crypto" else ZERO
        if fee_rate and buying:
            fee = (qty * fee_rate).quantize(GRAIN)
            moved -= fee
            self.accrued_fees.append(_fee(asset.held_as, -fee, self.prices[asset.held_as]))
        elif fee_rate:
            paid -= paid * fee_rate
        base_price = self.prices[asset.held_as] if asset.quote != "USD" else price
        self.move(asset.held_as, moved, base_price or price)
        if asset.quote == "USD":
            self.move_cash(paid)
        else:
            coin = asset.quote + "USD"
            self.move(coin, paid.quantize(GRAIN), self.prices[coin] or ZERO)
        execution = Execution(self.new_id(), order.id, order.symbol, order.side, qty, price, moved, paid, self.now())
        self.executions[execution.id] = execution
        return execution

    def cancel(self, order_id: str) -> Order:
        """Cancel an open order. Raises RefusedError when it is over or unknown."""
        order = self.open_order(order_id)
        now = self.now()
        canceled = self._store(replace(order, status="canceled", canceled_at=now))
        self._tell("canceled", canceled, execution_id=self.new_id())
        return canceled

    def reject(self, order_id: str) -> Order:
        """Refuse an order after it was accepted, as an exchange does."""
        rejected = self._store(replace(self.open_order(order_id), status="rejected", failed_at=self.now()))
        self._tell("rejected", rejected, execution_id=self.new_id())
        return rejected

    def replace_order(self, order_id: str, changes: dict[str, object]) -> Order:
        """Replace an open order: the old one ends, a new id takes what it had left. Raises RefusedError."""
        old = self.open_order(order_id)
        changes = {"client_order_id": None, **changes}
        request: OrderRequest = replace(old.request, **changes)  # type: ignore[arg-type]
        if request.client_order_id in self._client_ids:
            raise RefusedError(40010001, "client_order_id must be unique")
        wanted = (request.qty if "qty" in changes and request.qty else old.qty) - old.filled_qty
        if wanted <= 0:
            raise RefusedError(42210000, "qty must be greater than filled_qty")
        new = self._place(self.asset(old.symbol), replace(request, qty=wanted, notional=None), wanted, old.id)
        ended = self._store(replace(old, status="replaced", replaced_at=self.now(), replaced_by=new.id))
        self._tell("replaced", ended, execution_id=self.new_id())
        return new

    def bust(self, execution_id: str | None = None, *, restate: bool = False) -> Execution:
        """Take back one execution (the latest by default); the stream tells `trade_bust`, no activity is booked.

        Alpaca documents neither the order's state nor an activity after a bust. The order stays as it was unless
        `restate` takes the execution out of it.
        """
        execution = self._standing(execution_id)
        undone = self._amend(execution, ZERO, execution.price, restate)
        told = replace(undone, qty=-execution.qty)
        self._tell("trade_bust", self.orders[execution.order_id], execution=told, previous=execution.id)
        return execution

    def correct(
        self,
        execution_id: str | None = None,
        *,
        qty: Decimal | None = None,
        price: Decimal | None = None,
        restate: bool = False,
    ) -> Execution:
        """Give one execution another quantity or price; the stream tells `trade_correct` with a new execution id.

        The order and the activities are left as after a bust.
        """
        execution = self._standing(execution_id)
        if self.asset(execution.symbol).asset_class == "crypto":
            raise RefusedError(42210000, "correcting the trade of a coin, with its fee, is not simulated")
        right = self._amend(execution, qty or execution.qty, price or execution.price, restate)
        self.executions[right.id] = right
        self._tell("trade_correct", self.orders[execution.order_id], execution=right, previous=execution.id)
        return right

    def _standing(self, execution_id: str | None) -> Execution:
        chosen = execution_id or next((x for x in reversed(self.executions) if x not in self.undone), None)
        execution = self.executions.get(chosen or "")
        if execution is None or execution.id in self.undone:
            raise RefusedError(40410000, "no such execution, or busted or corrected already")
        if self.asset(execution.symbol).quote != "USD":
            raise RefusedError(42210000, "taking back a trade between two coins is not simulated")
        return execution

    def _amend(self, was: Execution, qty: Decimal, price: Decimal, restate: bool) -> Execution:
        """The books as if an execution had been of that quantity and price; 0 takes it back."""
        asset = self.asset(was.symbol)
        moved = qty if was.side == "buy" else -qty
        right = replace(
            was,
            id=self.new_id(),
            qty=qty,
            price=price,
            moved=moved,
            cash=-moved * price * asset.multiplier,
            at=self.now(),
        )
        self.undone.add(was.id)
        held = self.positions.get(asset.held_as)
        if held and held.qty * was.moved > 0 and abs(held.qty) >= abs(was.moved):  # its cost is still in the books
            cost = held.cost + (moved * price - was.moved * was.price) * asset.multiplier
            self.put(asset.held_as, held.qty + moved - was.moved, cost)
        else:
            self.move(asset.held_as, moved - was.moved, price)
        self.move_cash(right.cash - was.cash)
        if restate:
            order = self.orders[was.order_id]
            value = order.filled_value + qty * price - was.qty * was.price
            self._store(replace(order, filled_qty=order.filled_qty + qty - was.qty, filled_value=value))
        return right

    def open_order(self, order_id: str) -> Order:
        """The order, which must be open. Raises RefusedError with Alpaca's 404 or 422."""
        order = self.orders.get(order_id)
        if order is None:
            raise RefusedError(40410000, f"order not found for {order_id}")
        if not order.is_open:
            raise RefusedError(42210000, f'order is already in "{order.status}" state')
        return order

    def _store(self, order: Order) -> Order:
        stored = replace(order, updated_at=self.now())
        self.watcher.changed("orders", order.id, self.orders.get(order.id))
        self.orders[order.id] = stored
        if stored.is_open:
            self.open_orders[order.id] = None
        else:
            self.open_orders.pop(order.id, None)
        return stored

    def _tell(
        self,
        event: str,
        order: Order,
        *,
        execution_id: str | None = None,
        execution: Execution | None = None,
        previous: str | None = None,
    ) -> None:
        update = TradeUpdate(event, self.now(), order, self.new_event_id(), execution_id)
        if execution is not None:
            update = replace(
                update,
                at=execution.at,
                execution_id=execution.id,
                qty=execution.qty,
                previous_execution_id=previous,
            )
        if execution is not None and previous is None:
            symbol = held_as(order.symbol)
            held = self.positions[symbol].qty if symbol in self.positions else ZERO
            if self.gross_position_qty and execution.side == "buy":
                held += execution.qty - execution.moved
            update = replace(update, price=execution.price, position_qty=held)
        self.watcher.traded(update)


def held_as(symbol: str) -> str:
    """The position spelling of an order's symbol."""
    asset = asset_of(symbol)
    return asset.held_as if asset else symbol


def _fee(symbol: str, qty: Decimal, price: Decimal | None) -> Booking:
    return Booking("CFEE", symbol=symbol, qty=qty, price=price, description="Coin Pair Transaction Fee (Non USD)")
