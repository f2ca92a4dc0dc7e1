"""Each REST fault, as it shows on the wire."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from recond.simulator import ControlError, Simulator
from tests.simulator.asking import get

POSITIONS = "/v2/positions"


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ({"kind": "status", "status": 401}, 401, {"code": 40110000, "message": "unauthorized"}),
        ({"kind": "status", "status": 403}, 403, {"message": "forbidden."}),
        ({"kind": "status", "status": 429}, 429, {"message": "rate limit exceeded"}),
        ({"kind": "status"}, 500, {"code": 50010000, "message": "internal server error occurred"}),
        ({"kind": "null"}, 200, None),
        ({"kind": "object"}, 200, {"message": "temporarily unavailable"}),
        ({"kind": "empty_list"}, 200, []),
        ({"kind": "drop_rows"}, 200, []),
    ],
)
async def test_a_foreign_answer_then_a_right_one(
    sim: Simulator, http: aiohttp.ClientSession, fault: dict[str, object], status: int, body: object
) -> None:
    """For its count the fault answers; after that, and elsewhere, all is well."""
    sim.fault("positions", count=1, **fault)  # type: ignore[arg-type]
    assert (await get(http, "/v2/account"))[0] == 200
    assert await get(http, POSITIONS) == (status, body)
    assert len((await get(http, POSITIONS))[1]) == 6


@pytest.mark.parametrize("status", [200, 502, 504])
async def test_a_gateway_page_is_html(sim: Simulator, http: aiohttp.ClientSession, status: int) -> None:
    """HTML with its content type, whatever the status."""
    sim.fault("all", "html", status=status)
    async with http.get(POSITIONS) as response:
        assert (response.status, response.content_type) == (status, "text/html")
        assert (await response.text()).startswith("<html>")


async def test_an_empty_body_and_a_redirect(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """200 with nothing in it; 302 to somewhere else."""
    sim.fault("positions", "empty_body", count=1)
    async with http.get(POSITIONS) as response:
        assert (response.status, await response.read()) == (200, b"")
    sim.fault("positions", "redirect", count=1)
    async with http.get(POSITIONS, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/maintenance")


async def test_a_hang_never_answers(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """The connection is accepted, and only the client's patience ends it; others are served meanwhile."""
    sim.fault("positions", "hang", count=1)
    with pytest.raises(TimeoutError):
        async with http.get(POSITIONS, timeout=aiohttp.ClientTimeout(total=0.2)):
            pass
    assert (await get(http, POSITIONS))[0] == 200


async def test_a_server_stops_while_it_hangs() -> None:
    """A hanging request does not hold up the end of the simulator."""
    async with asyncio.timeout(3), Simulator() as sim:
        sim.fault("all", "hang")
        headers = {"APCA-API-KEY-ID": sim.key, "APCA-API-SECRET-KEY": sim.secret}
        session = aiohttp.ClientSession(sim.rest_url, headers=headers)
        hanging = asyncio.create_task(get(session, POSITIONS))
        while not sim.faults.active() or sim.exchange().spend()[1]["X-RateLimit-Remaining"] == "199":
            await asyncio.sleep(0.01)
    with pytest.raises(aiohttp.ClientError):
        await hanging
    await session.close()


async def test_a_connection_is_cut_in_the_body(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """The headers promise more than comes."""
    sim.fault("positions", "cut", count=1)
    async with http.get(POSITIONS) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_drips_and_delays_take_their_time(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """A dripping body starts at once and ends late; a delayed one starts late; both are whole."""
    loop = asyncio.get_running_loop()
    for kind, first_byte in (("drip", 0.0), ("delay", 0.3)):
        sim.fault("positions", kind, seconds=0.3, count=1)
        start = loop.time()
        async with http.get(POSITIONS) as response:
            assert loop.time() - start >= first_byte
            assert len(await response.json()) == 6
        assert loop.time() - start >= 0.28


async def test_rows_are_dropped_by_symbol_or_by_count(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """A partial list looks whole."""
    sim.fault("positions", "drop_rows", symbols=["AAPL", "BTCUSD"], count=1)
    assert [row["symbol"] for row in (await get(http, POSITIONS))[1]][:2] == ["MSFT", "NVDA"]
    sim.fault("positions", "drop_rows", every=2, count=1)
    assert len((await get(http, POSITIONS))[1]) == 3


@pytest.mark.parametrize(
    ("arguments", "left"), [({}, 3), ({"share": "0.7"}, 1), ({"share": 1}, 0), ({"rows": 1}, 5), ({"rows": 8}, 0)]
)
async def test_a_list_can_end_early(
    sim: Simulator, http: aiohttp.ClientSession, arguments: dict[str, object], left: int
) -> None:
    """A share of the rows, rounded up, or a count is missing at its end; what is no list is whole."""
    _, right = await get(http, POSITIONS)
    sim.fault("all", "partial", **arguments)
    assert await get(http, POSITIONS) == (200, right[:left])
    assert (await get(http, "/v2/account"))[1]["id"] == sim.account().id


async def test_another_accounts_answer() -> None:
    """What is read is the other's, status and headers as ever; what is ordered still goes to one's own."""
    async with Simulator(accounts={"mine": "empty", "theirs": "demo"}) as both:
        key, secret = both.keys("mine")
        both.fault("all", "other_account", account="mine", of="theirs")
        headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
        async with aiohttp.ClientSession(both.rest_url, headers=headers) as http:
            assert (await get(http, "/v2/account"))[1]["id"] == both.account("theirs").id
            assert len((await get(http, POSITIONS))[1]) == 6
            async with http.post("/v2/orders", json={"symbol": "AAPL", "side": "buy", "qty": "1"}) as response:
                assert response.status == 200
        assert (len(both.account("mine").orders), len(both.account("theirs").orders)) == (1, 0)
        with pytest.raises(ControlError, match=r"of: 'nobody': expected one of mine, theirs"):
            both.fault("positions", "other_account", of="nobody")


@pytest.mark.parametrize(
    ("how", "field", "check"),
    [
        ("missing", "qty", lambda row: "qty" not in row),
        ("null", "avg_entry_price", lambda row: row["avg_entry_price"] is None),
        ("number", "qty", lambda row: row["qty"] == 100.0),
        ("number", "side", lambda row: row["side"] == 7),
        ("enum", "asset_class", lambda row: row["asset_class"] == "carbon_credit"),
        ("garbage_symbol", "qty", lambda row: row["symbol"] not in ("AAPL", None)),
    ],
)
async def test_a_row_is_broken_in_the_named_way(
    sim: Simulator, http: aiohttp.ClientSession, how: str, field: str, check: object
) -> None:
    """Only the named row, only in that way."""
    _, right = await get(http, POSITIONS)
    sim.fault("positions", "break_rows", how=how, field=field, symbols=["AAPL"])
    _, rows = await get(http, POSITIONS)
    assert check(rows[0])
    assert rows[1:] == right[1:]


async def test_the_account_can_lack_a_field(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """A lone object is one row."""
    sim.fault("account", "break_rows", field="long_market_value")
    assert "long_market_value" not in (await get(http, "/v2/account"))[1]


async def test_positions_lag_while_orders_are_fresh(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """The positions show the past, the orders the present; and the other way round."""
    sim.fault("positions", "lag", seconds=60, count=1)
    sim.do("trade", symbol="AAPL", side="buy", qty=5)
    assert (await get(http, POSITIONS))[1][0]["qty"] == "100"
    assert len((await get(http, "/v2/orders", status="all"))[1]) == 1
    assert (await get(http, POSITIONS))[1][0]["qty"] == "105"
    for endpoint in ("orders", "activities", "account"):
        sim.fault(endpoint, "lag", seconds=60)
    assert (await get(http, "/v2/orders", status="all"))[1] == []
    assert (await get(http, "/v2/account/activities"))[1] == []
    assert (await get(http, "/v2/account"))[1]["cash"] == "100000"


async def test_an_order_whose_answer_is_lost_was_placed(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """An empty body comes after the deed, an error status instead of it."""
    order = {"symbol": "AAPL", "side": "buy", "qty": "1", "type": "market", "time_in_force": "day"}
    sim.fault("orders", "status", status=500, count=1)
    async with http.post("/v2/orders", json=order) as response:
        assert response.status == 500
    assert sim.account().orders == {}
    sim.fault("orders", "empty_body", count=1)
    async with http.post("/v2/orders", json=order) as response:
        assert await response.read() == b""
    assert len(sim.account().orders) == 1
