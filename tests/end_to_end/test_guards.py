"""Nothing destructive on one look: what the broker or a careless hand takes away, and the table of the peers' outcomes.

Each row is an account of its own in one daemon, against the simulated Alpaca.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from recond.simulator import Scenario, wide
from tests.end_to_end.process import bot
from tests.end_to_end.scenarios import Play, Stage, play

D = Decimal
TABLE: dict[str, Play] = {}
STARTS: dict[str, Scenario] = {}
EXPIRED = tuple(f"AAPL251128C00{strike}000" for strike in (150, 160, 170, 180))


def guard(play: Play) -> Play:
    """A row of the table, under the function's name."""
    TABLE[play.__name__] = play
    return play


def holding(name: str, positions: int) -> None:
    """The account starts with so many positions."""
    STARTS[name] = wide(positions)


async def untouched(stage: Stage, before: Mapping[tuple[str, str | None], Decimal]) -> None:
    """The book is as it was, and the gate is clear again."""
    await stage.settled("clear again by itself")
    assert stage.rows() == before
    assert await stage.gate() == "clear"


def empty(positions: int) -> None:
    """One answer without any position, and then answers without any for longer than `settle`."""

    async def play(stage: Stage) -> None:
        before = stage.rows()
        assert len(before) == positions
        symbol = next(iter(before))[0]
        stage.simulator.fault("positions", "empty_list", account=stage.name, count=1)
        await stage.daemon.reconcile(account=stage.name, wait=0)
        answer = await stage.daemon.get("/api/gate", account=stage.name, symbol=symbol)
        assert answer["state"] == "unknown"
        assert [reason["code"] for reason in answer["reasons"]] == ["pending"]
        await untouched(stage, before)

        stage.simulator.fault("positions", "empty_list", account=stage.name)
        await held(stage, positions)
        assert stage.rows() == before
        assert await stage.gate() == "blocked"
        stage.simulator.do("clear", endpoint="positions", account=stage.name)
        await untouched(stage, before)

    play.__name__ = f"empty_answer_{positions}"
    guard(play)
    holding(play.__name__, positions)


async def held(stage: Stage, count: int) -> None:
    """So many instruments are on hold."""

    async def good() -> bool:
        return len((await stage.daemon.reconcile(account=stage.name, wait=2))["holds"]) == count

    await stage.until(good, f"{count} holds")


for number in (1, 2, 50):
    empty(number)


@guard
async def half_an_answer_then_more(stage: Stage) -> None:
    """50 → 0 → 30 → 50: what is not shown is held until it is shown, never closed because the count fell."""
    before = stage.rows()
    stage.simulator.fault("positions", "empty_list", account=stage.name)
    await held(stage, 50)
    stage.simulator.do("clear", endpoint="positions", account=stage.name)
    stage.simulator.fault("positions", "partial", account=stage.name, rows=20)
    await held(stage, 20)
    assert stage.rows() == before
    assert await stage.gate() == "blocked"
    stage.simulator.do("clear", endpoint="positions", account=stage.name)
    await untouched(stage, before)


holding("half_an_answer_then_more", 50)


def unusable(name: str, endpoint: str, kind: str, **arguments: object) -> None:
    """An answer that is none: passes fail, the gate is unknown, nothing is written."""

    async def play(stage: Stage) -> None:
        before = stage.rows()
        stage.simulator.fault(endpoint, kind, account=stage.name, **arguments)
        answer = await stage.daemon.reconcile(account=stage.name, wait=0)
        assert answer["status"] == "failed"
        assert answer["error"]["hint"]
        assert await stage.gate() == "unknown"
        assert stage.rows() == before
        stage.simulator.do("clear", account=stage.name)
        await untouched(stage, before)

    play.__name__ = name
    guard(play)
    holding(name, 5)


unusable("html_with_status_200", "positions", "html", status=200)
unusable("an_object_instead_of_a_list", "positions", "object")
unusable("nothing_at_all", "positions", "empty_body")
unusable("gateway_timeout", "positions", "html", status=504)


@guard
async def keys_of_another_account(stage: Stage) -> None:
    """The keys open another account: refused, whatever that one holds; nothing is written."""
    before = stage.rows()
    stage.simulator.fault("all", "other_account", account=stage.name, of="empty_answer_1")

    async def refused() -> bool:
        answer = await stage.daemon.reconcile(account=stage.name, wait=0)
        return answer["status"] == "failed" and "open the same broker account as" in answer["error"]["message"]

    await stage.until(refused, "a refusal")
    assert stage.rows() == before
    assert await stage.gate() == "unknown"
    stage.simulator.do("clear", account=stage.name)
    await untouched(stage, before)


holding("keys_of_another_account", 5)


@guard
async def paper_account_reset(stage: Stage) -> None:
    """A reset account is another account: refused, with what to do about it; the old book stays as it is."""
    before = stage.rows()
    stage.do("reset")

    async def refused() -> bool:
        answer = await stage.daemon.reconcile(account=stage.name, wait=0)
        return answer["status"] == "failed" and "reset" in answer["error"]["hint"]

    await stage.until(refused, "a refusal that says why")
    assert stage.rows() == before
    assert await stage.gate() == "unknown"


holding("paper_account_reset", 5)


@guard
async def expired_on_friday_told_on_monday(stage: Stage) -> None:
    """Four contracts are gone and nothing tells why: proven by the account's value, closed as expired, on suspicion.

    The activities that come later explain these corrections.
    """
    for contract in EXPIRED:
        stage.do("price", symbol=contract, price=D("0.01"))
        stage.bought(contract, 1)
    stage.bought("AAPL", 10)
    await stage.settled()
    for contract in EXPIRED:
        stage.do("expire", symbol=contract, activity=8.0)
    await stage.found("option_expiry")
    await stage.settled()
    assert stage.rows() == {("AAPL", "mean"): D(10)}
    assert {drift["cause"] for drift in await stage.drifts()} == {"option_expiry"}
    await asyncio.sleep(8)
    stage.trade("AAPL", 1, None)
    await stage.found("external_trade")
    assert stage.explained_later() == ["option_expiry"] * 4


@guard
async def a_bot_that_deletes(stage: Stage) -> None:
    """DELETE is refused; with the trigger dropped the rows are gone, and are held instead of entered anew.

    Accepted, each is entered for the strategy that had it.
    """
    with bot(stage.daemon.ledger) as ledger:
        first = "(SELECT min(id) FROM positions WHERE account = ?)"
        ledger.execute(f"UPDATE positions SET strategy_id = 'mean' WHERE id = {first}", (stage.name,))
    await stage.settled()
    before = stage.rows()
    assert {strategy for _, strategy in before} == {"mean", None}
    with bot(stage.daemon.ledger) as ledger:
        with pytest.raises(Exception, match="positions are not deleted"):
            ledger.execute("DELETE FROM positions WHERE account = ?", (stage.name,))
        (sql,) = ledger.execute("SELECT sql FROM sqlite_schema WHERE name = 'positions_deleted'").fetchone()
        ledger.execute("BEGIN IMMEDIATE")
        ledger.execute("DROP TRIGGER positions_deleted")
        ledger.execute("DELETE FROM positions WHERE account = ?", (stage.name,))
        ledger.execute(sql)
        ledger.execute("COMMIT")
    await held(stage, len(before))
    assert stage.rows() == {}
    assert await stage.gate() == "blocked"
    assert "nobody closed it" in str(await stage.daemon.get("/api/gate", account=stage.name))
    for hold in (await stage.daemon.get("/api/holds", account=stage.name, status="open"))["items"]:
        async with stage.daemon.session.post(f"/api/holds/{hold['id']}/accept", json={"by": "ann"}) as answer:
            assert answer.status == 200, await answer.text()
    await stage.settled()
    assert stage.rows() == before
    assert {drift["cause"] for drift in await stage.drifts()} == {"adoption", "ledger_edit"}


holding("a_bot_that_deletes", 3)


@guard
async def a_row_taken_over(stage: Stage) -> None:
    """It is entered under another strategy at once, so nothing differs: what comes later is not held for it."""
    stage.bought("AAPL", 10)
    await stage.settled()
    with bot(stage.daemon.ledger) as ledger:
        (sql,) = ledger.execute("SELECT sql FROM sqlite_schema WHERE name = 'positions_deleted'").fetchone()
        ledger.execute("BEGIN IMMEDIATE")
        ledger.execute("DROP TRIGGER positions_deleted")
        ledger.execute("DELETE FROM positions WHERE account = ?", (stage.name,))
        row = "(account, symbol, strategy_id, quantity) VALUES (?, 'AAPL', 'trend', '10')"
        ledger.execute(f"INSERT INTO positions {row}", (stage.name,))
        ledger.execute(sql)
        ledger.execute("COMMIT")
    await stage.settled()
    stage.trade("AAPL", 5, None)
    await stage.found("external_trade")
    await stage.settled()
    assert stage.rows() == {("AAPL", "trend"): D(15)}


# What NautilusTrader 1.231 made of the same (recorded in the README): each row is right here


@guard
async def bench_added_at_another_price(stage: Stage) -> None:
    """100 at 100, then 150 at 102."""
    stage.bought("AAPL", 100)
    await stage.settled()
    stage.trade("AAPL", 50, None, 106)
    await stage.found("external_trade")
    await stage.settled()
    assert stage.rows() == {("AAPL", "mean"): D(150)}
    assert stage.entries() == {("AAPL", "mean"): D(102)}


@guard
async def bench_flip(stage: Stage) -> None:
    """100 long, then 50 short at 110."""
    stage.bought("AAPL", 100)
    await stage.settled()
    stage.trade("AAPL", -150, None, 110)
    await stage.found("external_trade")
    await stage.settled()
    assert stage.rows() == {("AAPL", "mean"): D(-50)}
    assert stage.entries() == {("AAPL", "mean"): D(110)}


@guard
async def bench_only_the_average_differs(stage: Stage) -> None:
    """The same quantity at another average: the row's entry price follows the broker."""
    stage.bought("AAPL", 100)
    await stage.settled()
    stage.trade("AAPL", -100, "mean", 100)
    stage.trade("AAPL", 100, "mean", 105)
    await stage.settled()
    assert stage.rows() == {("AAPL", "mean"): D(100)}
    assert stage.entries() == {("AAPL", "mean"): D(105)}


@guard
async def bench_split_ten_for_one(stage: Stage) -> None:
    """100 at 1000, then 1000 at 100: no trade, no profit."""
    stage.do("price", symbol="AAPL", price=1000)
    stage.bought("AAPL", 100)
    await stage.settled()
    stage.do("split", symbol="AAPL", new=10, old=1, activity="never")
    await stage.found("split")
    await stage.settled()
    assert stage.rows() == {("AAPL", "mean"): D(1000)}
    assert stage.entries() == {("AAPL", "mean"): D(100)}


@guard
async def bench_stale_flat_answer(stage: Stage) -> None:
    """A flat answer long after the fill: held, and gone when the broker has caught up."""
    stage.bought("AAPL", 100)
    await stage.settled()
    before = stage.rows()
    stage.simulator.fault("positions", "empty_list", account=stage.name)
    await held(stage, 1)
    assert stage.rows() == before
    stage.simulator.do("clear", account=stage.name)
    await untouched(stage, before)


@guard
async def bench_added_with_no_history(stage: Stage) -> None:
    """It is there and no fill tells of it: entered, and said to be unexplained."""
    await stage.settled()
    stage.do("silent", symbol="AAPL", qty=100, price=100)
    await stage.found("unexplained")
    await stage.settled()
    assert stage.rows() == {("AAPL", None): D(100)}


@guard
async def bench_added_by_an_unknown_order(stage: Stage) -> None:
    """It is there with a fill of nobody's order."""
    await stage.settled()
    stage.trade("AAPL", 100, None)
    await stage.found("external_trade")
    await stage.settled()
    assert stage.rows() == {("AAPL", None): D(100)}


@guard
async def bench_unknown_asset_class(stage: Stage) -> None:
    """A kind of instrument that nobody knows: entered as the broker calls it, not ignored."""
    await stage.settled()
    stage.simulator.fault("positions", "break_rows", account=stage.name, how="enum", field="asset_class")
    stage.do("silent", symbol="AAPL", qty=100, price=100)
    await stage.found("unexplained")
    await stage.settled()
    assert stage.rows() == {("AAPL", None): D(100)}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseException | None]:
    """All rows, played at once."""
    folder: Path = tmp_path_factory.mktemp("guards")
    return asyncio.run(play(folder, TABLE, {}, STARTS))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", TABLE)
def test_guard(ended: dict[str, BaseException | None], name: str) -> None:
    """The whole daemon against the simulated Alpaca: nothing is closed, blocked or cleared that should not be."""
    error = ended[name]
    if error is not None:
        raise error


def test_the_contracts_have_expired() -> None:
    """The symbols of this file are those of a day that is over."""
    assert all(re.fullmatch(r"AAPL2511\d\dC\d{8}", contract) for contract in EXPIRED)
