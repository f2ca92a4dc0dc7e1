"""Every control operation, in-process and over HTTP."""

from __future__ import annotations

from decimal import Decimal

import aiohttp
import pytest

from recond.simulator import ControlError, RefusedError, Simulator, wire
from tests.simulator.asking import get, post

D = Decimal
CALL, PUT = "AAPL271217C00250000", "AAPL271217P00250000"


def quantities(sim: Simulator) -> dict[str, Decimal]:
    """What the account holds."""
    return {symbol: position.qty for symbol, position in sim.account().positions.items()}


@pytest.mark.parametrize(
    ("operation", "arguments", "changed"),
    [
        ("trade", {"symbol": "AAPL", "side": "sell", "qty": "1.5"}, {"AAPL": "98.5"}),
        ("silent", {"symbol": "BTC/USD", "qty": -0.1}, {"BTCUSD": "0.3995"}),
        ("split", {"symbol": "AAPL", "new": 3, "old": 2}, {"AAPL": "150"}),
        ("rename", {"symbol": "NVDA", "to": "NVDB"}, {"NVDA": None, "NVDB": "120"}),
        ("new_cusip", {"symbol": "NVDA"}, {}),
        (
            "unit_split",
            {"symbol": "NVDA", "to": "NVDB", "other": "NVDB.WS", "other_rate": "0.5"},
            {"NVDA": None, "NVDB": "120", "NVDB.WS": "60"},
        ),
        ("merge", {"symbol": "NVDA", "to": "AAPL", "rate": "0.25"}, {"NVDA": None, "AAPL": "130"}),
        ("merge", {"symbol": "NVDA", "cash": 180}, {"NVDA": None}),
        ("spin_off", {"symbol": "AAPL", "to": "APPL", "rate": "0.1", "price": 20}, {"APPL": "10"}),
        ("stock_dividend", {"symbol": "AAPL", "rate": "0.05"}, {"AAPL": "105"}),
        ("cash_dividend", {"symbol": "AAPL", "per_share": "0.26", "sub_type": "SDIV"}, {}),
        ("substitute_payment", {"symbol": "TSLA", "per_share": "0.26"}, {}),
        ("worthless", {"symbol": "TSLA"}, {"TSLA": None}),
        ("liquidate", {"symbol": CALL}, {CALL: None}),
        ("adjust", {"symbol": CALL, "to": "AAPL271217C00125000", "new": 2}, {CALL: None, "AAPL271217C00125000": "4"}),
        ("expire", {"symbol": CALL}, {CALL: None}),
        ("exercise", {"symbol": CALL, "qty": 1}, {CALL: "1", "AAPL": "200"}),
        ("fee", {"symbol": "BTCUSD", "qty": "0.0005"}, {"BTCUSD": "0.499"}),
        ("transfer", {"symbol": "GOOGL", "qty": 7, "type": "JNLS"}, {"GOOGL": "7"}),
        ("acats", {"positions": {"GOOGL": 7, "AAPL": "0.5"}, "cash": 9, "gap": 60}, {"GOOGL": "7", "AAPL": "100.5"}),
        ("deposit", {"cash": -5}, {}),
        ("price", {"symbol": "AAPL", "price": None}, {}),
        ("block", {"status": "ACCOUNT_CLOSED"}, {}),
        ("fills", {"delay": 1, "reject": 2}, {}),
        ("book_fees", {}, {}),
    ],
)
async def test_an_operation_moves_what_it_says(
    sim: Simulator, http: aiohttp.ClientSession, operation: str, arguments: dict[str, object], changed: dict[str, str]
) -> None:
    """Over HTTP it is answered 200, and exactly the named positions are different."""
    before = quantities(sim)
    status, answer = await post(http, f"/control/{operation}", arguments)
    assert status == 200, answer
    expected = before | {symbol: D(qty) for symbol, qty in changed.items() if qty is not None}
    assert quantities(sim) == {symbol: qty for symbol, qty in expected.items() if changed.get(symbol, "") is not None}


async def test_the_same_in_process(sim: Simulator) -> None:
    """Assignment, bust, correction, revision and reset, called directly, with what they answer."""
    sim.do("trade", symbol=CALL, side="sell", qty=5)
    assert sim.do("assign", symbol=CALL) == {"activities": 2}
    assert quantities(sim)["AAPL"] == 100 - 300
    sim.do("trade", symbol="SPY", side="buy", qty=2)
    assert sim.do("bust")["symbol"] == "SPY"
    assert "SPY" not in quantities(sim)
    bought = sim.do("trade", symbol="SPY", side="buy", qty=2)["order"]
    assert sim.do("correct", qty=3)["order_id"] == bought["id"]
    assert quantities(sim)["SPY"] == 3
    sim.do("transfer", symbol="SPY", qty=4)
    assert sim.do("revise", symbol="SPY", status="correct", qty=5)["activity"]["qty"] == "5"
    assert quantities(sim)["SPY"] == 8
    old_id = sim.account().id
    answer = sim.do("reset", cash=7)
    assert (answer["id"] != old_id, answer["key"], quantities(sim)) == (True, sim.key, {})


async def test_an_external_trade_is_a_foreign_order(sim: Simulator) -> None:
    """Its client_order_id is a uuid unless one is given, and its price may be given too."""
    order = sim.do("trade", symbol="AAPL", side="buy", qty=1, price=D("99.5"))["order"]
    assert (order["status"], order["filled_avg_price"], len(order["client_order_id"])) == ("filled", "99.5", 36)
    named = sim.do("trade", symbol="AAPL", side="buy", qty=1, client_order_id="bot-7")["order"]
    assert named["client_order_id"] == "bot-7"


async def test_control_shows_accounts_faults_and_operations(sim: Simulator, http: aiohttp.ClientSession) -> None:
    """What is held and what is on; no secret."""
    assert (await post(http, "/control/fault", {"endpoint": "positions", "kind": "hang", "duration": 60}))[0] == 200
    async with http.get("/control") as response:
        text = await response.text()
    assert sim.secret not in text
    _, shown = await get(http, "/control")
    assert shown["accounts"][0]["positions"]["TSLA"] == "-20"
    assert (shown["faults"][0]["kind"], 0 < shown["faults"][0]["seconds_left"] <= 60) == ("hang", True)
    assert "trade" in shown["operations"]
    assert await post(http, "/control/clear", {"endpoint": "positions"}) == (200, {"cleared": 1})
    assert (await get(http, "/control"))[1]["faults"] == []


@pytest.mark.parametrize(
    ("operation", "body", "field", "message"),
    [
        ("teleport", {}, "operation", "expected one of trade"),
        ("trade", {"symbol": "AAPL", "side": "hold", "qty": 1}, "side", "'buy' or 'sell'"),
        ("trade", {"symbol": "AAPL", "side": "buy", "qty": "many"}, "qty", "decimal"),
        ("trade", {"symbol": "AAPL", "side": "buy", "qty": -1}, "qty", "greater than 0"),
        ("trade", {"symbol": "AAPL", "side": "buy"}, "qty", "required"),
        ("trade", {"symbol": "AAPL", "side": "buy", "qty": 1, "colour": "red"}, "colour", "expected one of account"),
        ("trade", {"symbol": "NOPE", "side": "buy", "qty": 1}, "operation", "not found"),
        ("expire", {"symbol": "AAPL"}, "operation", "is no us_option"),
        ("expire", {"symbol": CALL, "activity": "soon"}, "activity", "expected now, never, or seconds"),
        ("expire", {"symbol": CALL, "activity": -1}, "activity", "expected now, never, or seconds"),
        ("expire", {"symbol": CALL, "gap": 5}, "gap", "expected one of account, activity, symbol"),
        ("rename", {"symbol": "NVDA", "to": "NVDB", "gap": "1e999"}, "gap", "finite"),
        ("merge", {"symbol": "NVDA"}, "merge", "expected to, cash or both"),
        ("merge", {"symbol": "NVDA", "cash": 5, "rate": 2}, "merge", "expected to"),
        ("adjust", {"symbol": CALL, "to": PUT, "sub_type": "SMA"}, "sub_type", "'MA.SMA'"),
        ("acats", {"positions": {"AAPL": "many"}}, "positions.AAPL", "decimal"),
        ("acats", {"positions": {}}, "positions", "at least 1"),
        ("correct", {"price": 0}, "price", "greater than 0"),
        ("correct", {}, "correct", "expected qty, price or both"),
        ("revise", {"symbol": "AAPL", "status": "canceled", "qty": 1}, "revise", "use correct"),
        ("revise", {"symbol": "AAPL", "status": "canceled"}, "operation", "no non-trade activity of AAPL stands"),
        ("silent", {"symbol": "AAPL", "qty": 1, "account": "other"}, "account", "expected one of main"),
        ("fault", {"endpoint": "positions", "kind": "explode"}, "fault", "expected one of"),
        ("split", [], "body", "expected a JSON object"),
    ],
)
async def test_wrong_control_input_says_what_is_expected(
    sim: Simulator, http: aiohttp.ClientSession, operation: str, body: object, field: str, message: str
) -> None:
    """422, with the field and the expectation, and nothing has moved."""
    before = quantities(sim)
    status, answer = await post(http, f"/control/{operation}", body)
    assert status == 422
    assert answer["errors"][0]["field"] == field
    assert message in answer["errors"][0]["message"]
    assert quantities(sim) == before


async def test_every_wrong_field_is_named(sim: Simulator) -> None:
    """All of them at once."""
    with pytest.raises(ControlError) as wrong:
        sim.do("merge", symbol="NVDA", rate=0, cash=-1, activity="soon", colour="red")
    assert {error["field"] for error in wrong.value.errors} == {"rate", "cash", "activity", "colour"}


async def test_legs_come_in_the_asked_order(sim: Simulator) -> None:
    """Old before new, `reverse` the other way round; a new CUSIP has the new one first."""
    for order in ({}, {"reverse": True}, {"cusip": True}):
        sim.do("rename", symbol="NVDA", to="NVDB", **order)
        sim.do("rename", symbol="NVDB", to="NVDA", activity="never")
    rows = [wire.activity_json(activity) for activity in sim.account().activities.values()]
    assert [row["symbol"] for row in rows] == ["NVDA", "NVDB", "NVDB", "NVDA", "NVDB", "NVDA"]


async def test_control_that_is_no_json_is_refused(http: aiohttp.ClientSession) -> None:
    """With the parser's own words."""
    async with http.post("/control/trade", data="{") as response:
        assert (response.status, (await response.json())["errors"][0]["field"]) == (422, "body")


async def test_in_process_errors_are_exceptions(sim: Simulator) -> None:
    """A wrong argument and a refusal are told apart."""
    with pytest.raises(ControlError, match="qty"):
        sim.do("trade", symbol="AAPL", side="buy", qty=0)
    with pytest.raises(RefusedError):
        sim.do("split", symbol="GOOGL", new=2, old=1)
