"""Chapters about why the two sides differ: a booking made twice, a split, a sale that nobody can place.

Owns what happens in them, and what recond has to say about its cause.
May not tell what it has not seen.
"""

from __future__ import annotations

from decimal import Decimal

from recond.demo.bot import OTHER_STRATEGY, STRATEGY, Fill
from recond.demo.daemon import Json
from recond.demo.stage import WITHIN_S, Stage, checked, corrected, done, last_correction, now, same

D = Decimal


async def booked_after_all(stage: Stage) -> None:
    """The bot books the fill that recond has entered already: recognised, and undone."""
    mark = (await last_correction(stage), now())
    await stage.bot.book(Fill("NVDA", D(10), D("176.24")))
    stage.say(
        "Bot",
        "Is restarted, finds the fill of before in its own log, and books 10 NVDA. They are in its row already, since "
        "recond has put them there: now the ledger has them twice.",
    )
    found, after_s = await corrected(stage, "NVDA", mark, "The broker has not moved, only the ledger has; pending")
    same("the cause", "double_booking", found["cause"])
    same("before and after", [D(140), D(130)], [D(found["before"]), D(found["after"])])
    stage.say(
        "recond",
        f"Knows its own correction again: {done(found)}. A bot that asks the table executions first, as the README "
        "shows, sees that the fill is covered and does not book it.",
    )
    await checked(stage, after_s)


async def split_overnight(stage: Stage) -> None:
    """Ten for one: the row is scaled, no trade is invented, and the activity proves it."""
    [before] = await stage.recond.listed("positions", status="open", symbol="NVDA")
    mark = (await last_correction(stage), now())
    stage.simulator.do("split", symbol="NVDA", new=10, old=1)
    stage.say("World", "NVDA is split ten for one: each share has become ten, each worth a tenth. No order, no event.")
    found, after_s = await corrected(stage, "NVDA", mark, "Pending")
    [row] = await stage.recond.listed("positions", status="open", symbol="NVDA")
    same("the cause", "split", found["cause"])
    same("the quantity", D(before["quantity"]) * 10, D(row["quantity"]))
    same("the entry price", round(D(before["entryPrice"]) / 10, 6), round(D(row["entryPrice"]), 6))
    stage.say(
        "recond",
        f"{done(found)}. The cost is what it was, and the broker's list of activities proves the split: the row is "
        f"scaled, its entry price is {row['entryPrice']:.4f} now instead of {before['entryPrice']:.2f}, and there is "
        "no profit where none was made.",
    )
    await checked(stage, after_s)


async def sale_of_nobodys(stage: Stage) -> None:
    """Two strategies hold it, and somebody sells by hand: recond asks instead of guessing, an operator says whose."""
    mark = (await last_correction(stage), now())
    for strategy, quantity in ((STRATEGY, D(60)), (OTHER_STRATEGY, D(40))):
        await stage.bot.book(await stage.bot.trade("SPY", quantity, strategy), strategy)
    stage.simulator.do("trade", symbol="SPY", side="sell", qty=30)
    stage.say(
        "World",
        f"The strategies {STRATEGY} and {OTHER_STRATEGY} buy 60 and 40 SPY. Then somebody sells 30 of them in the "
        "dashboard. Whose?",
    )

    async def opened() -> Json | None:
        found = await stage.recond.listed("conflicts", symbol="SPY", status="open")
        return found[0] if found else None

    conflict = await stage.recond.until(opened, "a conflict about SPY", WITHIN_S)
    same("corrections since", mark[0], await last_correction(stage))
    same("the gate of SPY", "blocked", (await stage.recond.gate("SPY"))["state"])
    stage.say(
        "recond",
        f"Knows what happened ({conflict['cause']}), but not whose row it is, and guesses nothing: conflict "
        f"{conflict['id']} is open, both rows stay as they are, and a bot that asks about SPY is told 'blocked'.",
    )
    stage.say("Operator", f"$ recond resolve {conflict['id']} --use-broker --strategy {OTHER_STRATEGY}")
    seen = {"brokerQuantity": float(conflict["brokerQuantity"]), "ledgerQuantity": float(conflict["ledgerQuantity"])}
    body = {"resolution": "use_broker", "strategy": OTHER_STRATEGY, "by": "ann", "note": "sold for the quarter", **seen}
    await stage.recond.decide(f"/api/conflicts/{conflict['id']}/resolve", body)
    rows = await stage.recond.listed("positions", status="open", symbol="SPY")
    same(
        "the rows",
        {STRATEGY: D(60), OTHER_STRATEGY: D(10)},
        {row["strategyId"]: D(row["quantity"]) for row in rows},
    )
    [ended] = await stage.recond.listed("conflicts", symbol="SPY", status="resolved")
    same("who ended it", "ann", ended["resolvedBy"])
    stage.say(
        "recond",
        f"Takes the 30 from {OTHER_STRATEGY}, which has 10 left, keeps who decided it, when and why, and lets SPY be "
        "traded again. Had the quantities been others by then, it would have refused.",
    )
    await checked(stage, (now() - mark[1]).total_seconds())
