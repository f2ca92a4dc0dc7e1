"""`recond demo`: a simulated Alpaca, a small platform bot and the real daemon, over real sockets, and a story.

Owns the parts' lifetime, the demo's folder and configuration, and how it ends: 0 when the story went as told (and
however long was watched after it), 1 when it did not or the daemon died, 130 when stopped before its end.
May not be imported by anything but the command line.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import click

from recond.demo.bot import ACCOUNT, OTHER_STRATEGY, STRATEGY, Bot, BotError
from recond.demo.daemon import DaemonDied, NotSeen, moment, recond_running
from recond.demo.screen import Screen
from recond.demo.stage import Stage
from recond.demo.story import CHAPTERS, INTERVAL_S, SCENARIO, SETTLE_S, tell
from recond.demo.watch import watch
from recond.simulator import Simulator

DONE, FAILED, STOPPED = 0, 1, 130
_START_WITHIN_S = 30.0
_ANSWER_WITHIN_S = 5.0
_SHOWN_OF_CORRECTIONS = ("runId", "symbol", "before", "after", "cause")
_PATHS = (
    "/api/positions/reconciliation-status",
    "/api/positions",
    "/api/runs",
    "/api/corrections",
    "/api/gate?symbol=NVDA",
    "/metrics",
    "/api/openapi.json",
)
_TROUBLE = (
    ("trade", '{"symbol":"TSLA","side":"sell","qty":3}'),
    ("fault", '{"endpoint":"all","kind":"status","duration":10}'),
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(once: bool, directory: Path | None = None) -> int:
    """Play the demo and return the exit code. `directory` (new or empty) is used instead of a fresh temporary one."""
    screen = Screen(sys.stdout, os.environ)
    try:
        return asyncio.run(_play(screen, once, _folder(directory)))
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes
        return FAILED
    except OSError as error:
        click.echo(f"recond demo: {error}", err=True)
        return FAILED


def _folder(wanted: Path | None) -> Path:
    """An empty folder. Raises `OSError`."""
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix="recond-demo-"))
    wanted.mkdir(parents=True, exist_ok=True)
    if any(wanted.iterdir()):
        raise FileExistsError(f"{wanted} is not empty: the demo begins with a fresh ledger, give it a new folder")
    return wanted.resolve()


async def _play(screen: Screen, once: bool, folder: Path) -> int:
    _on_signals()
    told = False
    screen.line("recond demo: a broker, a bot, a ledger, and what keeps the ledger true", "bold")
    try:
        async with setting(screen, folder) as stage:
            try:
                await stage.recond.started(_START_WITHIN_S)
                _introduce(stage, folder)
                await tell(stage)
                told = True
                await _sum_up(stage)
                if not once:
                    _invite(stage)
                    await watch(stage)
            except (DaemonDied, NotSeen, BotError) as error:
                _complain(stage, error, folder)
                return FAILED
    except asyncio.CancelledError:
        screen.line()
        screen.line("  Stopped. Everything has ended." if told else "  Stopped before the end of the story.")
        return DONE if told else STOPPED
    screen.line()
    screen.line(f"  {len(CHAPTERS)} of {len(CHAPTERS)} chapters went as told.", "green")
    screen.line(f"  Configuration, ledger and log stay in {folder}")
    return DONE


def _complain(stage: Stage, error: DaemonDied | NotSeen | BotError, folder: Path) -> None:
    """What went wrong, for somebody who can do something about it."""
    screen = stage.screen
    screen.line()
    screen.line("This went otherwise than it must", "red")
    match error:
        case DaemonDied():
            screen.say("recond", f"{error}. The end of its log:")
        case NotSeen():
            screen.say("Expected", error.expected)
            screen.say("Seen", f"{error.seen}. The end of recond's log:")
        case BotError():
            screen.say("Bot", f"{error}. The end of recond's log:")
    for line in stage.recond.tail():
        screen.line(line)
    screen.line()
    screen.line(f"  Configuration, ledger and log stay in {folder}")


def _on_signals() -> None:
    """The first Ctrl-C (or SIGTERM, or hang-up) ends the demo; further ones cannot disturb its end."""
    loop, playing = asyncio.get_running_loop(), asyncio.current_task()
    assert playing is not None

    def stop() -> None:
        for number in _SIGNALS:
            loop.add_signal_handler(number, lambda: None)
        playing.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)


@asynccontextmanager
async def setting(screen: Screen, folder: Path) -> AsyncIterator[Stage]:
    """All parts, started; the daemon may not answer yet. On leaving, all have ended. Raises `OSError`."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
    config, log, ledger = (folder / name for name in ("config.toml", "recond.log", "recond.db"))
    async with Simulator(scenario=SCENARIO) as simulator, aiohttp.ClientSession(timeout=timeout) as session:
        keys = (simulator.key, simulator.secret)
        config.write_text(_config(simulator, ledger), encoding="utf-8")
        async with recond_running(config, log, keys, session) as recond:
            yield Stage(screen, simulator, Bot(session, simulator.rest_url, keys, ledger), recond)


def _config(simulator: Simulator, ledger: Path) -> str:
    return f"""\
# Written by `recond demo`. The times are short so that nobody has to wait: see config.toml for the real ones.
[daemon]
interval = "{INTERVAL_S}s"
settle = "{SETTLE_S}s"
broker_lag = "1s"
confirm_after = "500ms"
log_format = "json"

[ledger]
path = {json.dumps(str(ledger))}

[http]
listen = "127.0.0.1:0"

[guards]
requests_per_minute = 180

[[accounts]]
name = "{ACCOUNT}"
user_id = 1
rest_url = "{simulator.rest_url}"
stream_url = "{simulator.stream_url}"
strategies = {{ {STRATEGY} = "{STRATEGY}-", {OTHER_STRATEGY} = "{OTHER_STRATEGY}-" }}
"""


def _introduce(stage: Stage, folder: Path) -> None:
    """What runs where, and what is different from real life."""
    screen = stage.screen
    screen.line()
    screen.say("Broker", f"{stage.simulator.rest_url}, a simulated Alpaca; no real money")
    screen.say("recond", f"{stage.recond.url}, the real daemon, process {stage.recond.pid}")
    screen.say("Files", f"{folder}, with configuration, ledger and log")
    screen.say("Ledger", "the platform's list of what it holds: a SQLite file that bots and recond share")
    screen.say(
        "Times",
        f"short, so that this takes a minute: a pass at least every {INTERVAL_S} s, and a difference is judged when "
        f"it has stood for {SETTLE_S} s. The defaults are 5 minutes, since Alpaca allows 200 requests a minute and "
        "bots need them, and 15 s, since bots book late and brokers list late, and false alarms cost trust.",
    )


async def _sum_up(stage: Stage) -> None:
    """Both sides and all corrections, as they are now. Raises what asking them raises."""
    screen, recond = stage.screen, stage.recond
    broker, ledger = await stage.bot.broker_positions(), await recond.ledger()
    screen.heading("Both sides in the end")
    screen.table(
        ("symbol", ">broker", ">ledger"),
        [(symbol, *(f"{side.get(symbol, 0):f}" for side in (broker, ledger))) for symbol in sorted({*broker, *ledger})],
    )
    screen.heading("What recond changed in the ledger")
    corrections = list(reversed(await recond.listed("corrections")))
    screen.table(
        ("at", "run", "symbol", ">before", ">after", "cause"),
        [
            (f"{moment(c['at']).astimezone():%H:%M:%S}", *(str(c[key]) for key in _SHOWN_OF_CORRECTIONS))
            for c in corrections
        ],
    )
    if any(correction["cause"] == "unexplained" for correction in corrections):
        screen.line("  (unexplained: nothing that the broker has told recond says why)", "dim")


def _invite(stage: Stage) -> None:
    """Where to look, and how to make trouble."""
    screen, recond, control = stage.screen, stage.recond.url, f"{stage.simulator.rest_url}/control"
    screen.heading("Now it is yours. The bot trades on; look around")
    for path in _PATHS:
        screen.line(f"  {recond}{path}")
    screen.line(f"  {_command()} status --url {recond}")
    screen.heading("Make trouble from another terminal, and watch this one")
    for name, body in _TROUBLE:
        screen.line(f"  curl -d '{body}' \\")
        screen.line(f"       {control}/{name}")
    screen.line(f"  curl {control}   shows what else there is", "dim")
    screen.heading("Ctrl-C ends everything")
    screen.line()


def _command() -> str:
    """How this user calls recond."""
    return "recond" if shutil.which("recond") else f"{os.path.relpath(sys.executable)} -m recond"
