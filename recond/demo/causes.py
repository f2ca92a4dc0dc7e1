"""Chapters about why the two sides differ: a booking made twice, a split, a sale that nobody can place.

Owns what happens in them, and what recond has to say about its cause.
May not tell what it has not seen.
"""

from __future__ import annotations

from decimal import Decimal

from recond.demo.bot import Fill
from recond.demo.stage import Stage, checked, corrected, done, last_correction, now, same

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
