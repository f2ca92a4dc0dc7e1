"""The scenario table: what happens to an account, and the cause, rows, cost basis and gate that come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.end_to_end.scenarios import STRATEGIES, Play, Stage, play

D = Decimal
CALL, PUT = "AAPL300118C00090000", "AAPL300118P00090000"
TABLE: dict[str, Play] = {}
POLICIES: dict[str, str] = {}


def scenario(play: Play) -> Play:
    """A row of the table, under the function's name."""
    TABLE[play.__name__] = play
    return play


def on(policy: str) -> Callable[[Play], Play]:
    """The account's policy in a scenario."""

    def named(play: Play) -> Play:
        POLICIES[play.__name__] = policy
        return play

    return named


async def only(stage: Stage, *causes: str) -> None:
    """What is acted on has these causes and no others, and everything agrees in the end."""
    await stage.found(*causes)
    await stage.settled()
    acted_on = {drift["cause"] for drift in await stage.drifts() if drift["resolution"] == "use_broker"}
    assert acted_on == set(causes), await stage.drifts()
    assert await stage.gate("AAPL") == "clear"


# Fills


@scenario
async def missed_fill(stage: Stage) -> None:
    """A fill that the platform never booked goes to its strategy's row, at the broker's entry."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.trade("AAPL", 10, "mean", 110)
    await only(stage, "missed_fill")
    assert stage.rows() == {("AAPL", "mean"): D(20)}
    assert stage.entries() == {("AAPL", "mean"): D(105)}


@scenario
async def missed_fill_of_a_new_strategy(stage: Stage) -> None:
    """A strategy that had no row gets one, at what it paid."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.trade("AAPL", 10, "trend", 120)
    await only(stage, "missed_fill")
    assert stage.rows() == {("AAPL", "mean"): D(10), ("AAPL", "trend"): D(10)}
    assert stage.entries()["AAPL", "trend"] == D(120)


@scenario
async def missed_partial_fill(stage: Stage) -> None:
    """One of several partial fills was lost."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 10, "trend")
    await stage.settled()
    stage.trade("AAPL", 3, "mean")
    stage.trade("AAPL", 4, "trend")
    stage.trade("AAPL", 5, "mean")
    stage.book("AAPL", 3, "mean")
    stage.book("AAPL", 5, "mean")
    await only(stage, "missed_fill")
    assert stage.rows() == {("AAPL", "mean"): D(18), ("AAPL", "trend"): D(14)}


@scenario
async def manual_buy_one_strategy(stage: Stage) -> None:
    """Somebody buys by hand what one strategy holds: its row is set."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.trade("AAPL", 5, None)
    await only(stage, "external_trade")
    assert stage.rows() == {("AAPL", "mean"): D(15)}


@scenario
async def manual_buy_two_strategies(stage: Stage) -> None:
    """Bought by hand beside two strategies: it is nobody's."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 20, "trend")
    await stage.settled()
    stage.trade("AAPL", 5, None)
    await only(stage, "external_trade")
    assert stage.rows() == {("AAPL", "mean"): D(10), ("AAPL", "trend"): D(20), ("AAPL", None): D(5)}


@scenario
async def manual_buy_of_something_new(stage: Stage) -> None:
    """Bought by hand in a settled account."""
    await stage.settled()
    stage.trade("AAPL", 5, None)
    await only(stage, "external_trade")
    assert stage.rows() == {("AAPL", None): D(5)}


@scenario
async def manual_sell_one_strategy(stage: Stage) -> None:
    """Sold by hand what one strategy holds: taken from its row."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.trade("AAPL", -4, None)
    await only(stage, "external_trade")
    assert stage.rows() == {("AAPL", "mean"): D(6)}


@scenario
async def manual_sell_two_strategies(stage: Stage) -> None:
    """Sold by hand, and two strategies hold it: an operator decides, the symbol is blocked."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 20, "trend")
    await stage.settled()
    stage.trade("AAPL", -5, None)
    await stage.found("external_trade")
    assert stage.rows() == {("AAPL", "mean"): D(10), ("AAPL", "trend"): D(20)}
    assert (await stage.drifts())[0]["resolution"] == "manual"
    assert await stage.gate("AAPL") == "blocked"
    assert await stage.gate() == "blocked"
    assert await stage.gate("MSFT") == "clear"


@scenario
async def manual_short(stage: Stage) -> None:
    """Sold short by hand."""
    await stage.settled()
    stage.trade("AAPL", -7, None)
    await only(stage, "external_trade")
    assert stage.rows() == {("AAPL", None): D(-7)}


@scenario
async def flip_long_to_short(stage: Stage) -> None:
    """Sold by hand beyond what was held: the row flips, at the broker's new entry."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.trade("AAPL", -15, None, 110)
    await only(stage, "external_trade")
    assert stage.rows() == {("AAPL", "mean"): D(-5)}
    assert stage.entries() == {("AAPL", "mean"): D(110)}


@scenario
async def external_close(stage: Stage) -> None:
    """Closed by hand: every row is closed."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 20, "trend")
    await stage.settled()
    stage.trade("AAPL", -30, None)
    await only(stage, "external_trade")
    assert stage.rows() == {}


@scenario
async def rejected_order_booked(stage: Stage) -> None:
    """The platform booked an order that was rejected: undone on that row."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 20, "trend")
    await stage.settled()
    stage.book("AAPL", 8, "trend")
    await only(stage, "ledger_edit")
    assert stage.rows() == {("AAPL", "mean"): D(10), ("AAPL", "trend"): D(20)}


@scenario
async def correction_then_late_booking(stage: Stage) -> None:
    """A missed fill is corrected, and then the platform books it after all: undone on that row."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.trade("AAPL", 5, "mean")
    await stage.found("missed_fill")
    await stage.settled()
    stage.book("AAPL", 5, "mean")
    await only(stage, "missed_fill", "double_booking")
    assert stage.rows() == {("AAPL", "mean"): D(15)}


@scenario
async def booked_late_beside_another(stage: Stage) -> None:
    """What was corrected is booked late, just as another strategy books a fill of as much: its own row is undone."""
    stage.bought("AAPL", 100)
    await stage.settled()
    stage.trade("AAPL", 100, "mean")
    await stage.found("missed_fill")
    await stage.settled()
    stage.book("AAPL", 100, "mean")
    stage.bought("AAPL", 100, "trend")
    await only(stage, "missed_fill", "double_booking")
    assert stage.rows() == {("AAPL", "mean"): D(200), ("AAPL", "trend"): D(100)}


@scenario
async def two_causes_at_once(stage: Stage) -> None:
    """A missed fill and a trade by hand in one symbol: both told, each in its row."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 20, "trend")
    await stage.settled()
    stage.trade("AAPL", 3, "trend")
    stage.trade("AAPL", 4, None)
    await stage.found("external_trade")
    await stage.settled()
    (drift,) = await stage.drifts()
    assert "missed_fill" in drift["explanation"]
    assert stage.rows() == {("AAPL", "mean"): D(10), ("AAPL", "trend"): D(23), ("AAPL", None): D(4)}


@scenario
async def no_explanation(stage: Stage) -> None:
    """The position moves and nothing tells why."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("silent", symbol="AAPL", qty=5, price=100)
    await only(stage, "unexplained")
    assert stage.rows() == {("AAPL", "mean"): D(15)}


@scenario
@on('unexplained = "manual"')
async def no_explanation_by_hand(stage: Stage) -> None:
    """The policy says that an operator decides about what nothing explains."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("silent", symbol="AAPL", qty=5, price=100)
    await stage.found("unexplained")
    assert stage.rows() == {("AAPL", "mean"): D(10)}
    assert await stage.gate("AAPL") == "blocked"


@scenario
async def trade_bust(stage: Stage) -> None:
    """The exchange takes a fill back that the platform has booked: taken from that strategy's row."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 20, "trend")
    await stage.settled()
    stage.do("bust")
    await only(stage, "bust_or_correct")
    assert stage.rows() == {("AAPL", "mean"): D(10)}


@scenario
async def trade_correct(stage: Stage) -> None:
    """The exchange gives a fill another quantity."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 20, "trend")
    await stage.settled()
    stage.do("correct", qty=15)
    await only(stage, "bust_or_correct")
    assert stage.rows() == {("AAPL", "mean"): D(10), ("AAPL", "trend"): D(15)}


@scenario
async def accepted_difference(stage: Stage) -> None:
    """An operator lets a difference stand; it is silent while it changes kind, and what is new is a drift again."""
    await stage.settled()
    stage.trade("AAPL", 5, None)
    await stage.found("external_trade")
    await stage.accept_differences(1)
    await stage.settled()
    assert stage.rows() == {}
    assert await stage.gate("AAPL") == "clear"
    before = len(await stage.drifts())
    stage.bought("AAPL", 3)
    await stage.settled()
    assert stage.rows() == {("AAPL", "mean"): D(3)}, "missing in the ledger has become a difference of quantity"
    assert len(await stage.drifts()) == before
    stage.trade("AAPL", 4, "mean")
    await stage.found("missed_fill")
    assert stage.rows() == {("AAPL", "mean"): D(3)}, "the policy says that an operator decides"
    (conflict,) = (await stage.daemon.get("/api/conflicts", account=stage.name, status="open"))["items"]
    assert (conflict["brokerQuantity"], conflict["ledgerQuantity"]) == (12, 3)


POLICIES["accepted_difference"] = 'default = "manual"'


# Splits


def splits(new: int, old: int, strategies: tuple[str, ...], told: str) -> None:
    """A split with the rows of these strategies, its activity booked at once, hours later or never."""

    async def play(stage: Stage) -> None:
        held = {strategy: 100 * number for number, strategy in enumerate(strategies, 1)}
        for strategy, quantity in held.items():
            stage.bought("AAPL", quantity, strategy)
        await stage.settled()
        activity: str | float = 8.0 if told == "later" else told
        stage.do("split", symbol="AAPL", new=new, old=old, activity=activity)
        await only(stage, "split")
        assert stage.rows() == {("AAPL", strategy): D(q) * new / old for strategy, q in held.items()}
        assert {key: round(price, 6) for key, price in stage.entries().items()} == {
            ("AAPL", strategy): round(D(100) * old / new, 6) for strategy in held
        }
        (drift,) = await stage.drifts()
        assert ("suspected" in drift["explanation"]) is (told != "now")
        if told == "later":
            await asyncio.sleep(8)
            stage.trade("AAPL", 3, None)
            await only(stage, "split", "external_trade")
            assert stage.explained_later() == ["split"], "the late activity explains the correction and nothing else"

    play.__name__ = f"split_{new}_{old}_{len(strategies)}_told_{told}"
    scenario(play)


for ratio in ((2, 1), (4, 1), (3, 2), (1, 10)):
    for owners in (STRATEGIES[:1], STRATEGIES):
        for told in ("now", "later", "never"):
            splits(*ratio, owners, told)


@scenario
async def split_with_cash_in_lieu(stage: Stage) -> None:
    """33 for 20: one share and cash for the rest; told at once."""
    stage.bought("AAPL", 33)
    await stage.settled()
    stage.do("split", symbol="AAPL", new=1, old=20, whole=True)
    await only(stage, "split")
    assert stage.rows() == {("AAPL", "mean"): D(1)}


@scenario
async def cash_in_lieu_never_told(stage: Stage) -> None:
    """Held for `settle_corporate`, then done on suspicion."""
    stage.bought("AAPL", 33)
    await stage.settled()
    stage.do("split", symbol="AAPL", new=1, old=20, whole=True, activity="never")
    await waits(stage, "AAPL")
    assert stage.rows() == {("AAPL", "mean"): D(33)}
    await only(stage, "split")
    assert stage.rows() == {("AAPL", "mean"): D(1)}


# Names, mergers, transfers


@scenario
async def symbol_change(stage: Stage) -> None:
    """The row goes on under the new name, with its strategy."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 20, "trend")
    await stage.settled()
    stage.do("rename", symbol="AAPL", to="FRESH")
    await only(stage, "symbol_change")
    assert stage.rows() == {("FRESH", "mean"): D(10), ("FRESH", "trend"): D(20)}


@scenario
async def symbol_change_never_told(stage: Stage) -> None:
    """Found by the asset id, on suspicion."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("rename", symbol="AAPL", to="FRESH", activity="never")
    await only(stage, "symbol_change")
    assert stage.rows() == {("FRESH", "mean"): D(10)}


@scenario
async def acats_in(stage: Stage) -> None:
    """Shares come from another broker."""
    await stage.settled()
    stage.do("transfer", symbol="AAPL", qty=40, price=90, type="ACATS")
    await only(stage, "transfer")
    assert stage.rows() == {("AAPL", None): D(40)}


@scenario
async def share_journal(stage: Stage) -> None:
    """Shares are journalled away."""
    stage.bought("AAPL", 40)
    await stage.settled()
    stage.do("transfer", symbol="AAPL", qty=-15, type="JNLS")
    await only(stage, "transfer")
    assert stage.rows() == {("AAPL", "mean"): D(25)}


async def waits(stage: Stage, symbol: str) -> None:
    """Something of the symbol is held."""

    async def held() -> bool:
        answer = await stage.daemon.reconcile(account=stage.name, wait=3)
        return any(hold["symbol"] == symbol for hold in answer["holds"])

    await stage.until(held, f"a hold on {symbol}")
    assert await stage.gate(symbol) == "blocked"


@scenario
async def cusip_change(stage: Stage) -> None:
    """Another CUSIP, and with it another asset id: nothing has moved, nothing is done."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("new_cusip", symbol="AAPL")
    await stage.settled()
    assert await stage.drifts() == []
    assert stage.rows() == {("AAPL", "mean"): D(10)}


@scenario
async def symbol_change_leg_by_leg(stage: Stage) -> None:
    """The new name is shown four seconds before the old one goes: what is there twice is waited for."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("rename", symbol="AAPL", to="FRESH", gap=4.0, apart=True)
    await only(stage, "symbol_change")
    assert stage.rows() == {("FRESH", "mean"): D(10)}


@scenario
async def merger_for_stock(stage: Stage) -> None:
    """Ten shares become five of the acquirer."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("merge", symbol="AAPL", to="NEWCO", rate=D("0.5"))
    await only(stage, "merger")
    assert stage.rows() == {("NEWCO", None): D(5)}


@scenario
async def merger_for_cash(stage: Stage) -> None:
    """Ten shares become cash."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("merge", symbol="AAPL", cash=55)
    await only(stage, "merger")
    assert stage.rows() == {}


@scenario
async def merger_mixed_leg_by_leg(stage: Stage) -> None:
    """Shares and cash, the legs booked four seconds apart: held until it is whole."""
    stage.bought("AAPL", 10)
    stage.bought("NEWCO", 4, "trend")
    await stage.settled()
    stage.do("merge", symbol="AAPL", to="NEWCO", rate=D("0.5"), cash=20, gap=4.0)
    await only(stage, "merger")
    assert stage.rows() == {("NEWCO", "trend"): D(9)}


@scenario
async def spin_off(stage: Stage) -> None:
    """A tenth of a new share for each."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("spin_off", symbol="AAPL", to="NEWCO", rate=D("0.1"), price=20)
    await only(stage, "spin_off")
    assert stage.rows() == {("AAPL", "mean"): D(10), ("NEWCO", None): D(1)}


@scenario
async def stock_dividend(stage: Stage) -> None:
    """Paid in shares; the cash dividend beside it moves nothing."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("cash_dividend", symbol="AAPL", per_share=D("0.5"))
    stage.do("stock_dividend", symbol="AAPL", rate=D("0.05"))
    await only(stage, "stock_dividend")
    assert stage.rows() == {("AAPL", "mean"): D("10.5")}


@scenario
async def worthless(stage: Stage) -> None:
    """Removed for nothing."""
    stage.bought("NEWCO", 10)
    await stage.settled()
    stage.do("worthless", symbol="NEWCO")
    await only(stage, "reorganisation")
    assert stage.rows() == {}


@scenario
async def liquidation(stage: Stage) -> None:
    """Sold by Alpaca itself, under an order that is nobody's."""
    stage.bought("AAPL", 10)
    stage.bought("AAPL", 20, "trend")
    await stage.settled()
    stage.do("liquidate", symbol="AAPL")
    await only(stage, "external_trade")
    assert stage.rows() == {}


@scenario
async def fits_twice(stage: Stage) -> None:
    """A transfer and a dividend of the same size are booked, and only one of them has moved the position."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("transfer", symbol="AAPL", qty=5, price=100, type="ACATS")
    stage.do("silent", symbol="AAPL", qty=-5)
    stage.do("stock_dividend", symbol="AAPL", rate=D("0.5"))
    await stage.found("ambiguous")
    await stage.settled()
    assert stage.rows() == {("AAPL", "mean"): D(15)}


# Options


@scenario
async def option_expiry(stage: Stage) -> None:
    """Worthless at its end, told at once."""
    stage.bought(PUT, 2)
    await stage.settled()
    stage.do("price", symbol=PUT, price=D("0.01"))
    stage.do("expire", symbol=PUT)
    await only(stage, "option_expiry")
    assert stage.rows() == {}


@scenario
async def option_exercise(stage: Stage) -> None:
    """A long call becomes shares."""
    stage.bought(CALL, 1)
    await stage.settled()
    stage.do("exercise", symbol=CALL)
    await only(stage, "option_exercise")
    assert stage.rows() == {("AAPL", None): D(100)}
    assert stage.entries() == {("AAPL", None): D(90)}


@scenario
async def option_exercise_never_told(stage: Stage) -> None:
    """By its looks: the contract went as its shares came."""
    stage.bought(CALL, 1)
    await stage.settled()
    stage.do("exercise", symbol=CALL, activity="never")
    await only(stage, "option_exercise")
    assert stage.rows() == {("AAPL", None): D(100)}


@scenario
async def option_assignment(stage: Stage) -> None:
    """A short put is assigned: the shares come."""
    stage.bought("AAPL", 5)
    stage.bought(PUT, -2)
    await stage.settled()
    stage.do("assign", symbol=PUT)
    await only(stage, "option_assignment")
    assert stage.rows() == {("AAPL", "mean"): D(205)}


@scenario
async def option_assignment_short_call(stage: Stage) -> None:
    """A short call is assigned: the shares go, which leaves a short position."""
    stage.bought(CALL, -1)
    await stage.settled()
    stage.do("assign", symbol=CALL, nameless=True)
    await only(stage, "option_assignment")
    assert stage.rows() == {("AAPL", None): D(-100)}


@scenario
async def option_adjusted(stage: Stage) -> None:
    """One contract becomes two under another symbol."""
    stage.bought(CALL, 1)
    await stage.settled()
    stage.do("adjust", symbol=CALL, to="AAPL1300118C00045000", new=2, old=1)
    await only(stage, "option_adjustment")
    assert {symbol: quantity for (symbol, _), quantity in stage.rows().items()} == {"AAPL1300118C00045000": D(2)}


# Coins


@scenario
async def crypto_fee(stage: Stage) -> None:
    """Bought 0.1, booked 0.1, held 0.09975: the fee was taken in the coin, and its CFEE comes later."""
    await stage.settled()
    stage.trade("BTCUSD", "0.1", "mean")
    stage.book("BTCUSD", "0.1", "mean")
    await only(stage, "crypto_fee")
    assert stage.rows() == {("BTCUSD", "mean"): D("0.09975")}
    stage.do("book_fees")
    stage.trade("AAPL", 1, None)
    await only(stage, "crypto_fee", "external_trade")
    assert stage.explained_later() in ([], ["crypto_fee"])


@scenario
async def coin_deposit(stage: Stage) -> None:
    """Coins come over the chain."""
    await stage.settled()
    stage.do("transfer", symbol="BTCUSD", qty=D("0.5"), price=50000, type="OCT")
    await only(stage, "transfer")
    assert stage.rows() == {("BTCUSD", None): D("0.5")}


@scenario
async def the_drift_before_the_old_one(stage: Stage) -> None:
    """As much came from nowhere before: a transfer that both sides had agreed before is not that one's."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("silent", symbol="AAPL", qty=5)
    await only(stage, "unexplained")
    await asyncio.sleep(3)
    await stage.settled()
    stage.do("transfer", symbol="AAPL", qty=5, price=100, type="ACATS")
    await only(stage, "unexplained", "transfer")
    assert stage.explained_later() == []


@scenario
async def rounded_and_renamed(stage: Stage) -> None:
    """The platform rounds fractions, within the tolerance: its row goes on under the new name all the same."""
    stage.trade("AAPL", "1.234567891", "mean")
    stage.book("AAPL", "1.2346", "mean")
    await stage.settled()
    stage.do("rename", symbol="AAPL", to="FRESH")
    await stage.found("symbol_change")
    await stage.settled()
    assert stage.rows() == {("FRESH", "mean"): D("1.2346")}


@scenario
async def transfer_of_many_lots(stage: Stage) -> None:
    """Each lot is an entry of its own."""
    stage.bought("AAPL", 10)
    await stage.settled()
    for lot in range(5):
        stage.do("transfer", symbol="AAPL", qty=lot + 1, price=100 + lot, type="ACATS")
    await only(stage, "transfer")
    assert stage.rows() == {("AAPL", "mean"): D(25)}


@scenario
@on('default = "use_broker", transfer = "manual"')
async def more_than_was_explained(stage: Stage) -> None:
    """A transfer is an operator's; what comes on top from nowhere is not told as a part of it, nor acted on."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("transfer", symbol="AAPL", qty=5, price=100, type="ACATS")
    await stage.found("transfer")
    await asyncio.sleep(3)
    stage.do("silent", symbol="AAPL", qty=75)

    async def told() -> bool:
        await stage.daemon.reconcile(account=stage.name, wait=2)
        (conflict,) = (await stage.daemon.get("/api/conflicts", account=stage.name, status="open"))["items"]
        return bool(conflict["brokerQuantity"] == 90)

    await stage.until(told, "the conflict as it is now")
    (conflict,) = (await stage.daemon.get("/api/conflicts", account=stage.name, status="open"))["items"]
    assert stage.rows() == {("AAPL", "mean"): D(10)}
    assert "ACATS" in conflict["explanation"]


@scenario
@on('default = "manual"')
async def accepted_evidence_explains_once(stage: Stage) -> None:
    """A transfer or a fill that made a difference which an operator has accepted does not explain as much again."""
    await stage.settled()
    stage.do("transfer", symbol="AAPL", qty=5, price=100, type="ACATS")
    stage.trade("MSFT", 5, None)
    await stage.found("transfer", "external_trade")
    await stage.accept_differences(2)
    await stage.settled()
    before = len(await stage.drifts())
    for symbol in ("AAPL", "MSFT"):
        stage.do("silent", symbol=symbol, qty=5)

    async def both() -> bool:
        await stage.daemon.reconcile(account=stage.name, wait=2)
        return {drift["symbol"] for drift in (await stage.drifts())[before:]} == {"AAPL", "MSFT"}

    await stage.until(both, "two drifts")
    assert {drift["cause"] for drift in (await stage.drifts())[before:]} == {"unexplained"}


@scenario
async def booked_fill_explains_once(stage: Stage) -> None:
    """A fill that both sides have is no explanation, when as much again comes from nowhere a moment later."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("silent", symbol="AAPL", qty=10)
    await only(stage, "unexplained")
    assert stage.rows() == {("AAPL", "mean"): D(20)}


@scenario
async def booked_transfer_explains_once(stage: Stage) -> None:
    """Nor is a transfer that the platform has booked by itself."""
    await stage.settled()
    stage.do("transfer", symbol="AAPL", qty=5, price=100, type="ACATS")
    stage.book("AAPL", 5, "mean")
    await stage.settled()
    stage.do("silent", symbol="AAPL", qty=5)
    await only(stage, "unexplained")
    assert stage.rows() == {("AAPL", "mean"): D(10)}


@scenario
async def unknown_until_told(stage: Stage) -> None:
    """Unexplained at first; the transfer that is booked later explains that correction, and nothing else."""
    stage.bought("AAPL", 10)
    await stage.settled()
    stage.do("transfer", symbol="AAPL", qty=5, price=100, type="ACATS", activity=6.0)
    await only(stage, "unexplained")
    await asyncio.sleep(6)
    stage.trade("AAPL", 3, None)
    await only(stage, "unexplained", "external_trade")
    assert stage.explained_later() == ["transfer"]
    assert stage.rows() == {("AAPL", "mean"): D(18)}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseException | None]:
    """All scenarios, played at once."""
    folder: Path = tmp_path_factory.mktemp("scenarios")
    told_by_the_stream_alone = {"trade_bust", "trade_correct"}
    at_once = {"accepted_evidence_explains_once", "booked_transfer_explains_once"}
    streaming = {*list(TABLE)[::2], *told_by_the_stream_alone, *at_once}
    return asyncio.run(play(folder, TABLE, POLICIES, streaming=tuple(streaming)))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", TABLE)
def test_scenario(ended: dict[str, BaseException | None], name: str) -> None:
    """The whole daemon against the simulated Alpaca: cause, rows, cost basis and gate are those of the table."""
    error = ended[name]
    if error is not None:
        raise error
