"""One Alpaca account: its books, and the orders, executions and trade updates that move them.

Owns what an order, a fill, a cancel, a replace, a reject and a bust do. Everything else that moves a position
is in `corporate`. May not know the network, timers or when an order is filled: whoever drives it calls `fill`.
Orders and executions are kept for the account's life.
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
        self.busted: set[str] = set()
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

    def bust(self, execution_id: str | None = None) -> Execution:
        """Take back one execution (the latest by default); the stream tells `trade_bust`, no activity is booked.

        Alpaca documents neither the order's state nor an activity after a bust, so both stay as they were.
        """
        chosen = execution_id or next((x for x in reversed(self.executions) if x not in self.busted), None)
        execution = self.executions.get(chosen or "")
        if execution is None or execution.id in self.busted:
            raise RefusedError(40410000, "no such execution, or busted already")
        asset = self.asset(execution.symbol)
        if asset.quote != "USD":
            raise RefusedError(42210000, "busting a trade between two coins is not simulated")
        self.busted.add(execution.id)
        self.move(asset.held_as, -execution.moved, execution.price)
        self.move_cash(-execution.cash)
        undone = replace(execution, id=self.new_id(), qty=-execution.qty)
        self._tell("trade_bust", self.orders[execution.order_id], execution=undone, previous=execution.id)
        return undone

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
            symbol = held_as(order.symbol)
            held = self.positions[symbol].qty if symbol in self.positions else ZERO
            if self.gross_position_qty and execution.side == "buy":
                held += execution.qty - execution.moved
            update = replace(
                update,
                at=execution.at,
                execution_id=execution.id,
                price=execution.price,
                qty=execution.qty,
                position_qty=held,
                previous_execution_id=previous,
            )
        self.watcher.traded(update)


def held_as(symbol: str) -> str:
    """The position spelling of an order's symbol."""
    asset = asset_of(symbol)
    return asset.held_as if asset else symbol


def _fee(symbol: str, qty: Decimal, price: Decimal | None) -> Booking:
    return Booking("CFEE", symbol=symbol, qty=qty, price=price, description="Coin Pair Transaction Fee (Non USD)")
