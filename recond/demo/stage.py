"""Where the story is played: who takes part, and how each chapter waits for and checks what it tells.

Owns the waiting for what recond has to show, and the failing when it does not.
May not tell what it has not seen: every figure comes from recond's HTTP API, the bot or the broker.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from recond.demo.bot import Bot
from recond.demo.daemon import Json, NotSeen, Recond, moment
from recond.demo.screen import Screen
from recond.simulator import Simulator

WITHIN_S = 30.0
"""Within which recond must show what is told: far above what it takes, only reached when something is broken."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Who takes part."""

    screen: Screen
    simulator: Simulator
    bot: Bot
    recond: Recond

    def say(self, label: str, text: str) -> None:
        """A paragraph on the screen."""
        self.screen.say(label, text)


async def corrected(stage: Stage, symbol: str, mark: tuple[int, datetime], pending: str) -> tuple[Json, float]:
    """Wait for a correction of the symbol that is newer than the one numbered in `mark`.

    Returns it with the seconds since the moment of `mark`; shows before when the difference was seen, and `pending`.
    """
    shown = False

    async def found() -> Json | None:
        nonlocal shown
        newest = await stage.recond.listed("corrections", symbol=symbol, limit=1)
        if newest and newest[0]["id"] > mark[0]:
            return newest[0]
        account = await stage.recond.account()
        for difference in account["pending"]:
            if difference["symbol"] == symbol and not shown:
                shown, run = True, account["lastRun"]
                gate = (await stage.recond.gate(symbol))["state"]
                stage.say(
                    "recond",
                    f"Sees it after {after(run, mark[1])} (trigger: {run['trigger']}): {symbol} is "
                    f"{difference['brokerQty']} at the broker, {difference['dbQty']} in the ledger. {pending}; "
                    f"a bot that asks whether it may trade {symbol} is told '{gate}'.",
                )
        return None

    correction = await stage.recond.until(found, f"a correction of {symbol}", WITHIN_S)
    return correction, (moment(correction["at"]) - mark[1]).total_seconds()


async def clear_again(stage: Stage) -> Json:
    """The pass after which the gate is clear."""

    async def cleared() -> Json | None:
        account = await stage.recond.account()
        run: Json = account["lastRun"]
        return run if account["gate"]["state"] == "clear" and run["status"] == "success" else None

    return await stage.recond.until(cleared, "a success and a clear gate", WITHIN_S)


async def checked(stage: Stage, after_s: float) -> None:
    """The end of every chapter: both sides hold the same, and bots may trade."""
    same("the ledger", await stage.bot.broker_positions(), await stage.recond.ledger())
    same("the gate", "clear", (await stage.recond.gate())["state"])
    stage.say("Checked", f"Ledger and broker agree after {after_s:.1f} s, and bots may trade.")


async def last_correction(stage: Stage) -> int:
    """The number of the newest correction, 0 when there is none."""
    newest = await stage.recond.listed("corrections", limit=1)
    return int(newest[0]["id"]) if newest else 0


def same(what: str, expected: object, seen: object) -> None:
    """Raise `NotSeen` unless they are equal."""
    if seen != expected:
        raise NotSeen(f"{what}: {_shown(expected)}", _shown(seen))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(part)}" for key, part in sorted(value.items())) or "nothing"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def after(run: Json, at: datetime) -> str:
    """How long after a moment a pass ended."""
    after_s = (moment(run["timestamp"]) - at).total_seconds()
    return f"{max(0.0, after_s):.1f} s"  # a pass may end while the mark is being taken


def done(correction: Json) -> str:
    """What a correction did, in words."""
    symbol, before, after = correction["symbol"], correction["before"], correction["after"]
    if not before:
        done = f"{symbol} is entered with {after}"
    elif not after:
        done = f"{symbol}, {before} until now, is closed"
    else:
        done = f"{symbol} is set from {before} to {after}"
    return f"{done} (run {correction['runId']}, cause: {correction['cause']})"


def now() -> datetime:
    """The wall clock, which all here share."""
    return datetime.now(UTC)
