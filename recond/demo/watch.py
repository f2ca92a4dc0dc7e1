"""After the story: the bot trades gently on, and whatever recond finds is shown, until somebody stops it.

Owns the pace, and which passes are worth a line.
May not end because a trade fails: what can be made to fail is there to be tried.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from itertools import cycle
from typing import NoReturn

from recond.demo.bot import BotError
from recond.demo.daemon import Json, NoAnswer, moment
from recond.demo.stage import Stage

_LOOK_EVERY_S = 0.5
_TRADE_EVERY_S = 6.0
_BEAT_EVERY_S = 60.0
_PATIENCE_S = 30.0
"""How long recond may fail to answer before the demo gives up."""


async def watch(stage: Stage) -> NoReturn:
    """Go on until cancelled. Raises `DaemonDied`, or `NotSeen` when recond answers no more."""
    loop = asyncio.get_running_loop()
    wanted = cycle((("NVDA", 1), ("AAPL", 2), ("NVDA", -1), ("AAPL", -2)))
    last = max((run["id"] for run in await stage.recond.listed("runs", limit=1)), default=0)
    trade_s, beat_s = loop.time() + _TRADE_EVERY_S, loop.time() + _BEAT_EVERY_S
    trades = passes = 0
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        runs = await stage.recond.until(lambda: stage.recond.listed("runs"), "recond to answer", _PATIENCE_S)
        for run in reversed(runs):
            if run["id"] > last:
                last, passes = run["id"], passes + 1
                await _tell(stage, run)
        if loop.time() >= trade_s:
            symbol, quantity = next(wanted)
            trades += await _traded(stage, symbol, Decimal(quantity))
            trade_s = loop.time() + _TRADE_EVERY_S
        if loop.time() >= beat_s:
            text = f"One minute: {trades} trades by the bot, {passes} passes by recond."
            stage.screen.event(datetime.now(UTC), text, "dim")
            beat_s, trades, passes = loop.time() + _BEAT_EVERY_S, 0, 0


async def _traded(stage: Stage, symbol: str, quantity: Decimal) -> bool:
    """One round of the bot: ask the gate, trade, book. False when it did not come to a trade."""
    try:
        if (await stage.recond.gate(symbol))["state"] != "clear":
            return False
        if quantity < 0 and (await stage.recond.ledger()).get(symbol, Decimal(0)) < -quantity:
            return False  # somebody sold them by hand
        await stage.bot.book(await stage.bot.trade(symbol, quantity))
    except NoAnswer:
        return False  # no answer is no permission
    except BotError as error:
        stage.screen.event(datetime.now(UTC), f"The bot could not trade: {error}", "yellow")
        return False
    return True


async def _tell(stage: Stage, run: Json) -> None:
    """One line for a pass that corrected, confirmed or failed something; silence for all others."""
    at = moment(run["finishedAt"])
    if run["status"] == "failed":
        stage.screen.event(at, f"Run {run['id']} failed: {run['error']}", "red")
        return
    detail = await stage.recond.run(run["id"])
    changed = {correction["symbol"] for correction in detail["corrections"]}
    found = [
        f"{correction['symbol']} {correction['before']} -> {correction['after']} ({correction['cause']})"
        for correction in detail["corrections"]
    ]
    found += [
        f"{drift['symbol']} left alone (broker {drift['brokerQuantity']}, ledger {drift['ledgerQuantity']})"
        for drift in detail["drifts"]
        if drift["symbol"] not in changed
    ]
    if found:
        stage.screen.event(at, f"Run {run['id']}: {'; '.join(found)}", "cyan")
