"""REST, as alpaca-py's own client and a bare one see it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest, MarketOrderRequest, ReplaceOrderRequest

from recond.simulator import OrderRequest, Simulator
from tests.simulator.asking import get, post

BUY_AAPL = {"symbol": "AAPL", "side": "buy", "qty": "1", "type": "market", "time_in_force": "day"}


async def test_alpaca_py_reads_account_positions_clock_and_assets(sim: Simulator, client: TradingClient) -> None:
    """Its parsed models accept every answer, with the values of the books."""
    account = await asyncio.to_thread(client.get_account)
    assert (str(account.id), account.account_number) == (sim.account().id, sim.account().number)
    assert Decimal(account.equity) == sim.account().equity()
    positions = await asyncio.to_thread(client.get_all_positions)
    assert {p.symbol: Decimal(p.qty) for p in positions} == {s: p.qty for s, p in sim.account().positions.items()}
    coin = await asyncio.to_thread(client.get_open_position, "BTCUSD")
    assert coin.asset_class == "crypto"
    by_id = await asyncio.to_thread(client.get_open_position, coin.asset_id)
    assert by_id.symbol == "BTCUSD"
    assert (await asyncio.to_thread(client.get_clock)).timestamp.utcoffset() is not None
    assert (await asyncio.to_thread(client.get_asset, "AAPL")).tradable
    assert "BTC/USD" in {asset.symbol for asset in await asyncio.to_thread(client.get_all_assets)}


async def test_alpaca_py_submits_lists_gets_replaces_and_cancels(sim: Simulator, client: TradingClient) -> None:
    """An order goes its whole way through the client's own requests and models."""
    buy = MarketOrderRequest(symbol="AAPL", qty=2.5, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    placed = await asyncio.to_thread(client.submit_order, buy)
    assert placed.status == OrderStatus.PENDING_NEW
    assert (await asyncio.to_thread(client.get_order_by_id, placed.id)).status == OrderStatus.FILLED
    assert sim.account().positions["AAPL"].qty == Decimal("102.5")
    limit = LimitOrderRequest(
        symbol="MSFT", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=10, client_order_id="bot-1"
    )
    resting = await asyncio.to_thread(client.submit_order, limit)
    assert (await asyncio.to_thread(client.get_order_by_client_id, "bot-1")).id == resting.id
    new = await asyncio.to_thread(client.replace_order_by_id, resting.id, ReplaceOrderRequest(limit_price=11))
    assert [order.id for order in await asyncio.to_thread(client.get_orders)] == [new.id]
    await asyncio.to_thread(client.cancel_order_by_id, new.id)
    done = await asyncio.to_thread(client.get_orders, GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert [order.status for order in done] == [OrderStatus.CANCELED, OrderStatus.REPLACED, OrderStatus.FILLED]
    with pytest.raises(APIError, match="already in"):
        await asyncio.to_thread(client.cancel_order_by_id, new.id)
    closed = await asyncio.to_thread(client.close_position, "NVDA")
    assert closed.side == OrderSide.SELL
    assert "NVDA" not in sim.account().positions


async def test_alpaca_py_reads_raw_activities(sim: Simulator, client: TradingClient) -> None:
    """It has no method for them, but its `get` works."""
    sim.do("trade", symbol="AAPL", side="buy", qty=3)
    rows = await asyncio.to_thread(client.get, "/account/activities", {"activity_types": "FILL"})
    assert [(row["symbol"], row["qty"], row["side"]) for row in rows] == [("AAPL", "3", "buy")]


async def test_missing_and_wrong_keys_are_refused(sim: Simulator) -> None:
    """401 without keys, 403 with ones that do not fit, and nothing is spent of anybody's budget."""
    async with aiohttp.ClientSession(sim.rest_url) as nobody:
        assert await get(nobody, "/v2/positions") == (401, {"code": 40110000, "message": "unauthorized"})
    for key, secret in ((sim.key, "wrong"), ("wrong", sim.secret)):
        headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
        async with aiohttp.ClientSession(sim.rest_url, headers=headers) as stranger:
            assert await get(stranger, "/v2/positions") == (403, {"message": "forbidden."})


async def test_every_answer_carries_the_usual_headers() -> None:
    """Request id, budget and the simulator's own date, on errors too."""
    at = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)
    async with Simulator(now=lambda: at) as sim, aiohttp.ClientSession(sim.rest_url) as session:
        headers = {"APCA-API-KEY-ID": sim.key, "APCA-API-SECRET-KEY": sim.secret}
        async with session.get("/v2/positions/NOPE", headers=headers) as response:
            assert response.status == 404
            assert await response.json() == {"code": 40410000, "message": "position does not exist"}
            assert parsedate_to_datetime(response.headers["Date"]) == at
            assert response.headers["X-RateLimit-Limit"] == "200"
            assert response.headers["X-RateLimit-Remaining"] == "199"
            assert at.timestamp() < int(response.headers["X-RateLimit-Reset"]) <= at.timestamp() + 61
            assert response.headers["X-Request-ID"]


async def test_the_rate_limit_is_real() -> None:
    """Request number limit + 1 of a minute is answered 429."""
    async with Simulator(rate_limit=3) as sim:
        headers = {"APCA-API-KEY-ID": sim.key, "APCA-API-SECRET-KEY": sim.secret}
        async with aiohttp.ClientSession(sim.rest_url, headers=headers) as session:
            answers = [await get(session, "/v2/clock") for _ in range(4)]
    assert [status for status, _ in answers] == [200, 200, 200, 429]
    assert answers[-1][1] == {"message": "rate limit exceeded"}


async def test_a_coin_has_no_position_by_its_pair(http: aiohttp.ClientSession) -> None:
    """GET /v2/positions/BTC/USD is a 404, as at Alpaca."""
    assert (await get(http, "/v2/positions/BTC/USD"))[0] == 404
    assert (await get(http, "/v2/positions/BTCUSD"))[0] == 200


async def test_activities_are_paged_and_filtered(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """Pages joined are the whole, newest first or oldest first; type, category and times choose; bad values are 422."""
    for _ in range(5):
        sim.do("trade", symbol="AAPL", side="buy", qty=1)
    sim.do("deposit", cash=5)
    path = "/v2/account/activities"
    _, everything = await get(http, path)
    assert everything[0]["activity_type"] == "CSD"
    paged: list[dict[str, str]] = []
    while page := (await get(http, path, page_size="4", **({"page_token": paged[-1]["id"]} if paged else {})))[1]:
        paged += page
    assert paged == everything
    assert (await get(http, path, direction="asc"))[1] == everything[::-1]
    assert len((await get(http, path + "/FILL"))[1]) == 5
    assert len((await get(http, path, category="non_trade_activity"))[1]) == 1
    booked = everything[2]["transaction_time"]
    assert (await get(http, path, after=booked))[1] == everything[:2]
    assert (await get(http, path, until=booked))[1] == everything[3:]
    for wrong in ({"page_size": "101"}, {"after": "yesterday"}, {"page_token": "nope"}):
        assert (await get(http, path, **wrong))[0] == 422


async def test_orders_are_filtered(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """Open is the default; symbol, side, limit and direction choose."""
    for symbol in ("AAPL", "MSFT", "BTC/USD"):
        sim.do("trade", symbol=symbol, side="buy", qty=1)
    assert (await get(http, "/v2/orders"))[1] == []
    _, everything = await get(http, "/v2/orders", status="all")
    assert [order["symbol"] for order in everything] == ["BTC/USD", "MSFT", "AAPL"]
    assert len((await get(http, "/v2/orders", status="closed", symbols="AAPL,BTC/USD"))[1]) == 2
    assert (await get(http, "/v2/orders", status="all", side="sell"))[1] == []
    assert (await get(http, "/v2/orders", status="all", limit="1", direction="asc"))[1] == everything[2:]
    assert (await get(http, "/v2/orders", limit="501"))[0] == 422


async def test_wrong_orders_are_answered_like_alpaca(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """Each refusal has Alpaca's status and code, and no order exists after it."""
    assert (await post(http, "/v2/orders", BUY_AAPL | {"qty": "lots"}))[0] == 422
    assert (await post(http, "/v2/orders", BUY_AAPL | {"qty": "NaN"}))[0] == 422
    assert (await post(http, "/v2/orders", BUY_AAPL | {"order_class": "bracket"}))[0] == 422
    assert (await post(http, "/v2/orders", [BUY_AAPL]))[0] == 400
    assert (await post(http, "/v2/orders", BUY_AAPL | {"symbol": "BTC/USD", "side": "sell", "qty": 99}))[0] == 403
    sim.do("block", trading_blocked=True)
    assert (await post(http, "/v2/orders", BUY_AAPL))[0] == 403
    assert sim.account().orders == {}
    assert (await get(http, "/v2/watchlists"))[0] == 404


async def test_cancel_all_tells_which(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """DELETE /v2/orders ends what is open, with a 207 list."""
    order = sim.exchange().submit(OrderRequest("AAPL", "buy", Decimal(1), type="limit", limit_price=Decimal(1)))
    async with http.delete("/v2/orders") as response:
        assert (response.status, await response.json()) == (207, [{"id": order.id, "status": 200}])
    assert sim.account().open_orders == {}
