"""The story: what happens to a platform's ledger, chapter by chapter, and what recond makes of it.

Owns what happens, the words, and what must be true at the end of each chapter.
May not tell what it has not seen: every figure comes from recond's HTTP API, the bot or the broker.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from recond.demo.bot import Fill
from recond.demo.causes import booked_after_all, sale_of_nobodys, split_overnight
from recond.demo.daemon import Json, began, moment
from recond.demo.stage import (
    WITHIN_S,
    Stage,
    after,
    checked,
    clear_again,
    corrected,
    done,
    last_correction,
    now,
    same,
)
from recond.simulator import Scenario
from recond.simulator.scenarios import PRICES

D = Decimal
INTERVAL_S, SETTLE_S = 3, 3

_OF_THE_BOT: Mapping[str, tuple[Decimal, Decimal]] = MappingProxyType(
    {"AAPL": (D(100), D("221.50")), "BTCUSD": (D("0.4995"), D(61800)), "NVDA": (D(120), D("168.05"))}
)
SCENARIO = Scenario(D(100_000), PRICES, {**_OF_THE_BOT, "MSFT": (D(50), D("498.20"))})


async def clean_start(stage: Stage) -> None:
    """The bot's three positions agree; the one that was there before is adopted."""
    stage.say(
        "World",
        "The broker holds four positions. AAPL, BTCUSD and NVDA are the bot's, and it has them in the ledger. "
        "MSFT was bought by hand, long before there was a bot: no ledger knows of it.",
    )
    began_at = now()
    for symbol, (quantity, price) in _OF_THE_BOT.items():
        await stage.bot.book(Fill(symbol, quantity, price))
    found, after_s = await corrected(
        stage,
        "MSFT",
        (0, began_at),
        f"A difference may be mere delay, so it is pending: recond believes it when it has stood for {SETTLE_S} s",
    )
    same("symbols that recond corrected", ["MSFT"], [c["symbol"] for c in await stage.recond.listed("corrections")])
    same("the cause", "adoption", found["cause"])
    stage.say(
        "recond",
        f"{done(found)}. This is its first look at the account, so what it finds is adopted, without alarm. "
        "The bot's three rows agree and are left alone.",
    )
    await checked(stage, after_s)


async def booked_well(stage: Stage) -> None:
    """A trade that is booked as it should be makes no noise."""
    before = await last_correction(stage)
    fill = await stage.bot.trade("AAPL", D(10))
    await stage.bot.book(fill)
    booked_at = now()
    stage.say("Bot", f"Buys 10 AAPL at {fill.price:.2f} and books them. Broker and ledger moved one after the other.")

    async def looked() -> Json | None:
        run: Json = (await stage.recond.account())["lastRun"]
        return run if began(run) > booked_at and run["status"] == "success" else None

    run = await stage.recond.until(looked, "a clean pass after the booking", WITHIN_S)
    same("corrections since", before, await last_correction(stage))
    same("conflicts", [], await stage.recond.listed("conflicts"))
    [row] = await stage.recond.listed("positions", status="open", symbol="AAPL")
    stage.say(
        "recond",
        f"Run {run['runId']} (trigger: {run['trigger']}) finds {row['quantity']} AAPL on both sides and refreshes "
        f"their price: worth {D(row['marketValue']):,.2f} dollars now. No alarm, nothing to correct.",
    )
    await checked(stage, (moment(run["timestamp"]) - booked_at).total_seconds())


async def booking_forgotten(stage: Stage) -> None:
    """A fill that the bot never books: the quantities differ, the ledger is set."""
    before = await last_correction(stage)
    fill = await stage.bot.trade("NVDA", D(10))
    mark = (before, now())
    stage.say("Bot", f"Buys 10 NVDA at {fill.price:.2f}, crashes, and never books them.")
    found, after_s = await corrected(stage, "NVDA", mark, "Pending, the bot may just be late")
    conflicts = await stage.recond.listed("conflicts", symbol="NVDA")
    same("before and after", [D(120), D(130)], [D(found["before"]), D(found["after"])])
    same("conflicts, by resolution", ["use_broker"], [c["resolution"] for c in conflicts])
    stage.say(
        "recond",
        f"Nothing came, so the two are in conflict. The broker is the truth: {done(found)}, in the bot's own row.",
    )
    await checked(stage, after_s)


async def dashboard_trade(stage: Stage) -> None:
    """Somebody buys by hand: the ledger gets a row for it."""
    mark = (await last_correction(stage), now())
    stage.simulator.do("trade", symbol="TSLA", side="buy", qty=5)
    stage.say("World", "Somebody logs in to the broker's dashboard and buys 5 TSLA. The platform is not told.")
    found, after_s = await corrected(stage, "TSLA", mark, "Pending")
    [row] = await stage.recond.listed("positions", status="open", symbol="TSLA")
    same("the row's source and strategy", ["reconciliation", None], [row["source"], row["strategyId"]])
    stage.say("recond", f"{done(found)}, in a row of its own, source {row['source']}: no bot takes it for its own.")
    await checked(stage, after_s)


async def closed_outside(stage: Stage) -> None:
    """Somebody closes the bot's position: proven by a foreign order, then closed in the ledger."""
    mark = (await last_correction(stage), now())
    stage.simulator.do("trade", symbol="AAPL", side="sell", qty=110)
    stage.say("World", "Somebody presses 'close position' on AAPL: all 110 are sold behind the bot's back.")
    found, after_s = await corrected(stage, "AAPL", mark, "Pending")
    [row] = await stage.recond.listed("positions", status="closed", symbol="AAPL")
    same("the reason", "reconciliation_external_close", row["closeReason"])
    stage.say(
        "recond",
        "That a position is not listed proves nothing, an answer may be cut short. But the broker's list of fills has "
        f"an order that is none of the bot's and sold all 110. {done(found)}, reason {row['closeReason']}.",
    )
    await checked(stage, after_s)


async def outage(stage: Stage) -> None:
    """The broker fails: nothing is changed, no bot may trade, and it ends by itself."""
    before, book, at = await last_correction(stage), await stage.recond.ledger(), now()
    stage.simulator.fault("all", "html", status=502)
    stage.say("World", "The broker breaks down and answers every request with '502 Bad Gateway'.")

    async def failed() -> Json | None:
        account = await stage.recond.account()
        return account if account["lastRun"]["status"] == "failed" else None

    account = await stage.recond.until(failed, "a pass that fails", WITHIN_S)
    run, gate = account["lastRun"], account["gate"]["state"]
    same("the gate", "unknown", gate)
    same("the ledger during the outage", book, await stage.recond.ledger())
    stage.say("recond", f"After {after(run, at)} a pass fails: {run['error']['message']}")
    stage.say(
        "recond",
        "What cannot be read is unknown, not zero: the ledger stays as it is. A bot that asks whether it may trade "
        f"is told '{gate}'.",
    )
    stage.simulator.clear()
    back_at = now()
    stage.say("World", "The broker is back.")
    run = await clear_again(stage)
    same("corrections since", before, await last_correction(stage))
    stage.say("recond", f"Has tried again by itself: run {run['runId']} succeeds.")
    await checked(stage, (moment(run["timestamp"]) - back_at).total_seconds())


async def empty_answer(stage: Stage) -> None:
    """The broker says that nothing is held: not believed, held, and over when it is shown again."""
    before, book, at = await last_correction(stage), await stage.recond.ledger(), now()
    stage.simulator.fault("positions", "empty_list")
    stage.say(
        "World",
        "The worst kind of fault: '200 OK' and an empty list of positions, again and again. Who believes that closes "
        "the whole ledger.",
    )

    async def all_held() -> Json | None:
        account = await stage.recond.account()
        return account if len(account["holds"]) == len(book) else None

    account = await stage.recond.until(all_held, f"{len(book)} positions on hold", WITHIN_S)
    same("the gate", "blocked", account["gate"]["state"])
    same("the ledger meanwhile", book, await stage.recond.ledger())
    stage.say("recond", f"After {after(account['lastRun'], at)} it is judged: {account['holds'][0]['reason']}.")
    stage.say(
        "recond",
        f"So all {len(book)} rows stay as they are, on hold. A bot that asks whether it may trade is told "
        f"'{account['gate']['state']}'.",
    )
    stage.simulator.clear()
    back_at = now()
    stage.say("World", "The broker shows the positions again.")
    run = await clear_again(stage)
    same("corrections since", before, await last_correction(stage))
    stage.say("recond", "The holds end by themselves. Nothing was closed, so nothing has to be repaired.")
    await checked(stage, (moment(run["timestamp"]) - back_at).total_seconds())


CHAPTERS: tuple[tuple[str, Callable[[Stage], Awaitable[None]]], ...] = (
    ("A clean start", clean_start),
    ("A trade that is booked well", booked_well),
    ("A booking that the bot forgets", booking_forgotten),
    ("The bot remembers, too late", booked_after_all),
    ("A manual trade in the dashboard", dashboard_trade),
    ("A position closed from outside", closed_outside),
    ("A split overnight", split_overnight),
    ("A sale that is nobody's", sale_of_nobodys),
    ("The broker is down", outage),
    ("The broker forgets everything", empty_answer),
)


async def tell(stage: Stage) -> None:
    """All chapters. Raises `NotSeen` when recond did not do what is told, `DaemonDied`, `BotError`."""
    for number, (title, chapter) in enumerate(CHAPTERS, 1):
        stage.screen.heading(f"{number}  {title}")
        await chapter(stage)
