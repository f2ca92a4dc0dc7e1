"""Alpaca's trading REST under /v2, as far as a bot and a reconciler need it.

Owns routes, query parameters, paging and the order of checks: keys, rate limit, faults, then the request.
May not know how accounts work inside or how faults look on the wire.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import format_datetime
from random import Random
from typing import Any

from aiohttp import web

from recond.simulator import wire
from recond.simulator.answers import Answer, error, instead, lag_of, send, spoil, status_error
from recond.simulator.assets import asset_of
from recond.simulator.books import EASTERN
from recond.simulator.exchange import Exchange
from recond.simulator.faults import Faults
from recond.simulator.records import Activity, Fill, NonTrade, Order, OrderRequest, Position, RefusedError


@dataclass(frozen=True, slots=True)
class Call:
    """One request: whose, what it asks, and how many seconds old its answer is to be."""

    exchange: Exchange
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    lag: float


Handler = Callable[[Call], Answer]


class Rest:
    """Answers /v2. `by_key` finds the account of a key id, or None; `by_name` that of a name."""

    def __init__(
        self,
        by_key: Callable[[str], Exchange | None],
        by_name: Callable[[str], Exchange],
        faults: Faults,
        now: Callable[[], datetime],
        rng: Random,
    ) -> None:
        self._by_key = by_key
        self._by_name = by_name
        self._faults = faults
        self._now = now
        self._rng = rng

    def add_to(self, app: web.Application) -> None:
        """Register every route, each under the endpoint name that its faults go by."""
        routes: list[tuple[str, str, str, Handler]] = [
            ("GET", "/v2/account", "account", account),
            ("GET", "/v2/positions", "positions", positions),
            ("GET", "/v2/positions/{symbol:.+}", "positions", position),
            ("DELETE", "/v2/positions/{symbol:.+}", "orders", close_position),
            ("GET", "/v2/orders", "orders", orders),
            ("POST", "/v2/orders", "orders", submit),
            ("DELETE", "/v2/orders", "orders", cancel_all),
            ("GET", "/v2/orders:by_client_order_id", "orders", order_by_client_id),
            ("GET", "/v2/orders/{id}", "orders", order_by_id),
            ("PATCH", "/v2/orders/{id}", "orders", replace_order),
            ("DELETE", "/v2/orders/{id}", "orders", cancel),
            ("GET", "/v2/account/activities", "activities", activities),
            ("GET", "/v2/account/activities/{type}", "activities", activities),
            ("GET", "/v2/clock", "clock", clock),
            ("GET", "/v2/assets", "assets", assets),
            ("GET", "/v2/assets/{symbol:.+}", "assets", one_asset),
        ]
        for method, path, endpoint, handler in routes:
            app.router.add_route(method, path, self._served(endpoint, handler))
        app.router.add_route("*", "/v2/{rest:.*}", self._served("all", not_found))

    def _served(self, endpoint: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, endpoint, handler)

        return serve

    async def _serve(self, request: web.Request, endpoint: str, handler: Handler) -> web.StreamResponse:
        headers = {
            "X-Request-ID": f"{self._rng.getrandbits(128):032x}",
            "Date": format_datetime(self._now().astimezone(UTC), usegmt=True),
        }
        key = request.headers.get("APCA-API-KEY-ID")
        exchange = self._by_key(key or "")
        if exchange is None or request.headers.get("APCA-API-SECRET-KEY") != exchange.secret:
            return await send(request, status_error(403 if key else 401), (), headers, self._rng)
        allowed, limits = exchange.spend()
        headers |= limits
        if not allowed:
            return await send(request, status_error(429), (), headers, self._rng)
        text = await request.text()
        faults = self._faults.take(endpoint, exchange.name)
        answer = instead(faults)
        if answer is None and any(fault.kind == "hang" for fault in faults):
            answer = Answer()
        if answer is None:
            for fault in faults:
                if fault.of is not None and request.method == "GET":
                    exchange = self._by_name(fault.of)
            call = _call(exchange, request, text, lag_of(faults, self._rng))
            answer = spoil(_answered(handler, call), faults) if isinstance(call, Call) else call
        return await send(request, answer, faults, headers, self._rng)


def _call(exchange: Exchange, request: web.Request, text: str, lag: float) -> Call | Answer:
    try:
        body = json.loads(text, parse_float=Decimal) if text else {}
    except json.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        return error(40010000, "request body format is invalid")
    return Call(exchange, request.match_info, request.query, body, lag)


def _answered(handler: Handler, call: Call) -> Answer:
    try:
        return handler(call)
    except RefusedError as refused:
        return error(refused.code, refused.message)


# Handlers


def not_found(call: Call) -> Answer:
    """Anything that is not simulated."""
    return error(40410000, "endpoint not found")


def account(call: Call) -> Answer:
    """GET /v2/account"""
    held, cash = call.exchange.seen(call.lag)
    return Answer(data=wire.account_json(call.exchange.account, held, cash))


def positions(call: Call) -> Answer:
    """GET /v2/positions"""
    held, _ = call.exchange.seen(call.lag)
    return Answer(data=wire.positions_json(call.exchange.account, held.values()))


def position(call: Call) -> Answer:
    """GET /v2/positions/{symbol or asset id}; a coin only by its position spelling"""
    found = _position(call)
    return Answer(data=wire.positions_json(call.exchange.account, [found])[0])


def _position(call: Call) -> Position:
    held, _ = call.exchange.seen(call.lag)
    wanted = call.path["symbol"]
    for candidate in held.values():
        if wanted in (candidate.symbol, candidate.asset_id):
            return candidate
    raise RefusedError(40410000, "position does not exist")


def close_position(call: Call) -> Answer:
    """DELETE /v2/positions/{symbol}: a market order for all of it or `qty`, under a foreign client_order_id"""
    held = _position(call)
    if "percentage" in call.query:
        raise RefusedError(42210000, "closing a percentage is not simulated")
    side = "sell" if held.qty > 0 else "buy"
    qty = _decimal(call.query, "qty") or abs(held.qty)
    order = call.exchange.submit(OrderRequest(held.symbol, side, qty))
    return Answer(data=wire.order_json(order))


def _orders(call: Call) -> Mapping[str, Order]:
    return call.exchange.history.as_of("orders", call.exchange.account.orders, call.lag)


def orders(call: Call) -> Answer:
    """GET /v2/orders: status, limit, after, until, direction, symbols, side, asset_class; other filters do nothing"""
    query = call.query
    status = query.get("status", "open")
    limit = _integer(query, "limit", 50, 500)
    after, until = _moment(query, "after"), _moment(query, "until")
    symbols = set(filter(None, query.get("symbols", "").split(",")))
    found = []
    for order in _directed(_orders(call).values(), query):
        if (
            (status == "all" or order.is_open == (status == "open"))
            and (not symbols or order.symbol in symbols)
            and query.get("side", order.side) == order.side
            and query.get("asset_class", order.asset_class) in (order.asset_class, "all")
            and _between(order.created_at, after, until)
        ):
            found.append(wire.order_json(order))
            if len(found) == limit:
                break
    return Answer(data=found)


def submit(call: Call) -> Answer:
    """POST /v2/orders"""
    if call.body.get("order_class") not in (None, "", "simple"):
        raise RefusedError(42210000, f"order_class {call.body['order_class']} is not simulated")
    order = call.exchange.submit(
        OrderRequest(
            symbol=str(call.body.get("symbol", "")),
            side=str(call.body.get("side", "")),
            qty=_decimal(call.body, "qty"),
            notional=_decimal(call.body, "notional"),
            type=str(call.body.get("type", "market")),
            time_in_force=str(call.body.get("time_in_force", "day")),
            limit_price=_decimal(call.body, "limit_price"),
            stop_price=_decimal(call.body, "stop_price"),
            client_order_id=call.body.get("client_order_id"),
            extended_hours=bool(call.body.get("extended_hours")),
            position_intent=call.body.get("position_intent"),
        )
    )
    return Answer(data=wire.order_json(order))


def _order(call: Call) -> Order:
    order = _orders(call).get(call.path["id"])
    if order is None:
        raise RefusedError(40410000, f"order not found for {call.path['id']}")
    return order


def order_by_id(call: Call) -> Answer:
    """GET /v2/orders/{id}"""
    return Answer(data=wire.order_json(_order(call)))


def order_by_client_id(call: Call) -> Answer:
    """GET /v2/orders:by_client_order_id?client_order_id="""
    wanted = call.query.get("client_order_id")
    for order in _orders(call).values():
        if order.client_order_id == wanted:
            return Answer(data=wire.order_json(order))
    raise RefusedError(40410000, f"order not found for {wanted}")


def replace_order(call: Call) -> Answer:
    """PATCH /v2/orders/{id}: qty, limit_price, stop_price, time_in_force, client_order_id"""
    changes: dict[str, object] = {
        name: _decimal(call.body, name) for name in ("qty", "limit_price", "stop_price") if name in call.body
    }
    changes |= {name: call.body[name] for name in ("time_in_force", "client_order_id") if name in call.body}
    return Answer(data=wire.order_json(call.exchange.replace_order(call.path["id"], changes)))


def cancel(call: Call) -> Answer:
    """DELETE /v2/orders/{id}"""
    call.exchange.account.cancel(call.path["id"])
    return Answer(204)


def cancel_all(call: Call) -> Answer:
    """DELETE /v2/orders"""
    ids = list(call.exchange.account.open_orders)
    for order_id in ids:
        call.exchange.account.cancel(order_id)
    return Answer(207, [{"id": order_id, "status": 200} for order_id in ids])


def activities(call: Call) -> Answer:
    """GET /v2/account/activities[/{type}], in the order they were booked; `after` and `until` are exclusive"""
    query = call.query
    types = set(filter(None, (call.path.get("type") or query.get("activity_types", "")).split(",")))
    category = query.get("category")
    if types and category:
        raise RefusedError(42210000, "activity_types and category cannot be used together")
    size = _integer(query, "page_size", 100, 100)
    after, until = _moment(query, "after"), _moment(query, "until")
    day, order_id, token = query.get("date"), query.get("order_id"), query.get("page_token")
    known = call.exchange.history.as_of("activities", call.exchange.account.activities, call.lag)
    if token and token not in known:
        raise RefusedError(42210000, "page_token is invalid")
    rows: list[wire.Json] = []
    skipping = bool(token)
    for activity in _directed(known.values(), query):
        if skipping:
            skipping = activity.id != token
            continue
        if (
            (not types or activity.activity_type in types)
            and (not category or (category == "trade_activity") == isinstance(activity, Fill))
            and (not order_id or _order_id(activity) == order_id)
            and (not day or activity.created_at.astimezone(EASTERN).date().isoformat() == day)
            and _between(activity.created_at, after, until)
        ):
            rows.append(wire.activity_json(activity))
            if len(rows) == size:
                break
    return Answer(data=rows)


def clock(call: Call) -> Answer:
    """GET /v2/clock"""
    return Answer(data=wire.clock_json(call.exchange.account.now()))


def assets(call: Call) -> Answer:
    """GET /v2/assets: what has a price here; asset_class chooses"""
    books = call.exchange.account
    wanted = call.query.get("asset_class")
    known = [asset for asset in map(asset_of, books.prices) if asset is not None]
    return Answer(data=[wire.asset_json(books, asset) for asset in known if wanted in (None, asset.asset_class)])


def one_asset(call: Call) -> Answer:
    """GET /v2/assets/{symbol or asset id}"""
    books = call.exchange.account
    wanted = call.path["symbol"]
    for asset in filter(None, map(asset_of, books.prices)):
        if wanted in (asset.symbol, asset.held_as, books.asset_id(asset.symbol)):
            return Answer(data=wire.asset_json(books, asset))
    raise RefusedError(40410000, f"asset not found for {wanted}")


# Query parameters


def _directed(rows: Iterable[Any], query: Mapping[str, str]) -> Iterable[Any]:
    ordered = list(rows)
    return ordered if query.get("direction") == "asc" else reversed(ordered)


def _order_id(activity: Activity) -> str | None:
    return None if isinstance(activity, NonTrade) else activity.order_id


def _between(at: datetime, after: datetime | None, until: datetime | None) -> bool:
    return (after is None or at > after) and (until is None or at < until)


def _integer(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise RefusedError(42210000, f"{name} must be between 1 and {most}")
    return int(text)


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    """A time or a day; a day means its midnight in UTC. Digits below 1 us are cut."""
    text = query.get(name)
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise RefusedError(42210000, f"{name} is not a valid date or time: {text}") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _decimal(body: Mapping[str, Any], name: str) -> Decimal | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise RefusedError(42210000, f"{name} is not a number")
    return number
