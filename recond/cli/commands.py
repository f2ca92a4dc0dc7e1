"""What an operator types, and with which code it exits.

Owns the commands and their options.
May not import at the top what only some commands need: those that ask the daemon must start in a moment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

import recond
from recond.cli import words
from recond.cli.asking import Daemon, Failure, Misconfigured, Undecided, find_daemon

if TYPE_CHECKING:
    from recond.config import Config
    from recond.simulator import Simulator

FAILED, UNSETTLED = 1, 3
FIRST_PASS_S = 120
Command = Callable[..., Any]
_FILE = click.Path(path_type=Path)
LIMIT = click.IntRange(1, 1000)
WAIT = click.option(
    "--wait", type=click.IntRange(0, 300), default=60, show_default=True, help="Seconds, for what is pending."
)


def asks(command: Command) -> Command:
    """Give a command the options by which the daemon is found, and the daemon as its first argument."""

    @click.option("--config", type=_FILE, metavar="FILE", help="Read here where recond answers.")
    @click.option("--url", envvar="RECOND_URL", metavar="URL", help="Where recond answers [env: RECOND_URL].")
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
    @wraps(command)
    def found(*, config: Path | None, url: str | None, as_json: bool, **options: Any) -> Any:
        where, token = find_daemon(config, url, os.environ)
        try:
            return command(Daemon(where, token, as_json=as_json), **options)
        except KeyError as missing:
            raise Undecided(
                f"the answer of {where} has no {missing}", hint="Is that recond, of this version?"
            ) from missing

    return found


def configured(command: Command) -> Command:
    """Give a command --config and the checked configuration; every fault of it is printed, exit code 78."""

    @click.option("--config", type=_FILE, metavar="FILE", help="Instead of the usual places.")
    @wraps(command)
    def loaded(*, config: Path | None, **options: Any) -> Any:
        with _told(as_json=options.get("as_json", False)):
            return command(_load(config), **options)

    return loaded


def unconfigured(command: Command) -> Command:
    """Give a command that takes nothing from a configuration --config all the same: what is named is checked."""

    @click.option("--config", type=_FILE, metavar="FILE", help="Is checked; nothing in it is needed here.")
    @wraps(command)
    def checked(*, config: Path | None, **options: Any) -> Any:
        if config is not None:
            with _told(as_json=False):
                _load(config)
        return command(**options)

    return checked


@contextmanager
def _told(*, as_json: bool) -> Iterator[None]:
    """Tell what is wrong with a configuration, for a script too if it asked for that."""
    from recond.config import ConfigError

    try:
        yield
    except ConfigError as error:
        if as_json:
            from recond.check import tell_misconfigured

            tell_misconfigured(error)
        raise Misconfigured(str(error), hint=error.hint) from error


def _load(config: Path | None) -> Config:
    from recond.config import load

    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    return load(config, os.environ, Path(credentials) if credentials else None)


def lists(path: str, columns: str, *, ended: str, limit: int) -> Callable[[Command], Command]:
    """Make a command of a description: it lists what is open of a collection, or all of it; `ended` tells what else."""

    def listing(described: Command) -> Command:
        @click.option("--account", metavar="NAME")
        @click.option("--symbol", metavar="SYMBOL")
        @click.option("--all", "everything", is_flag=True, help=ended)
        @click.option("--limit", type=LIMIT, default=limit, show_default=True)
        @asks
        @wraps(described)
        def listed(daemon: Daemon, *, everything: bool, **asked: Any) -> None:
            page = daemon.ask(path, status=None if everything else "open", **asked)
            daemon.said(words.page(page, columns))

        return listed

    return listing


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(recond.__version__, message="recond %(version)s")
def main() -> None:
    """Keep a position ledger true to what its Alpaca account really holds.

    Configuration is read from --config FILE, else $RECOND_CONFIG, ./config.toml or /etc/recond/config.toml. A
    token, if one is needed, is taken from the systemd credential recond-token or from $RECOND_TOKEN. Exit code 78:
    the configuration is at fault.
    """


@main.command()
@configured
def run(config: Config) -> NoReturn:
    """Run the daemon until SIGTERM or Ctrl-C. SIGHUP forces a pass."""
    from recond import daemon

    sys.exit(daemon.main(config))


@main.command()
@click.option("--ledger", is_flag=True, help="Only the ledger, but all that is in it; needs no keys and no daemon.")
@click.option("--json", "as_json", is_flag=True, help="For a script.")
@configured
def check(config: Config, ledger: bool, as_json: bool) -> NoReturn:
    """Try the configuration, the ledger and the broker's keys, without changing anything.

    With --ledger: compare its positions with its journal and its corrections, and its schema with a fresh one, while
    recond runs or not. Exit code 0: no fault. 1: a fault. 78: the configuration is at fault, or keys are missing.
    """
    from recond.check import check as try_all
    from recond.check import check_ledger

    sys.exit(check_ledger(config, as_json) if ledger else try_all(config, as_json))


@main.command()
@click.option("--once", is_flag=True, help="End when the story has been told.")
@unconfigured
def demo(once: bool) -> NoReturn:
    """Watch recond at work against a simulated Alpaca. Needs no keys."""
    from recond import demo as story

    sys.exit(story.main(once=once))


@main.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Port 0: a free one.")
@click.option("--scenario", default="demo", show_default=True, metavar="NAME", help="What the account holds at first.")
@unconfigured
def simulate(listen: str, scenario: str) -> None:
    """Run a simulated Alpaca until Ctrl-C, to point bots, recond and alerts at."""
    import asyncio

    from recond.simulator import SCENARIOS, serve

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter("expected HOST:PORT, such as 127.0.0.1:5001", param_hint="--listen")
    if scenario not in SCENARIOS:
        raise click.BadParameter(f"expected one of {', '.join(SCENARIOS)}", param_hint="--scenario")
    try:
        asyncio.run(serve(host.strip("[]"), int(port), scenario, _tell_simulated))
    except OSError as error:
        raise Failure(f"cannot listen on {listen}: {error.strerror}", hint="Choose another --listen.") from error
    except KeyboardInterrupt:
        click.echo()


def _tell_simulated(simulator: Simulator) -> None:
    click.echo(words.simulated(simulator.rest_url, simulator.stream_url, simulator.key, simulator.secret))


@main.command()
@asks
def status(daemon: Daemon) -> None:
    """Show what the daemon knows now: each account's last pass, its gate, and what is open."""
    daemon.said(words.status(daemon.ask("/api/positions/reconciliation-status"), daemon.url))


@main.command()
@lists("/api/positions", words.POSITION, ended="Closed ones too.", limit=1000)
def positions() -> None:
    """List the positions in the ledger."""


@main.command()
@click.option("--account", metavar="NAME", help="Needed when there are several.")
@click.option("--no-force", is_flag=True, help="Make no pass when the last success is younger than the interval.")
@click.option("--dry-run", is_flag=True, help="Change nothing: show what a pass would do now.")
@WAIT
@asks
def reconcile(daemon: Daemon, account: str | None, no_force: bool, dry_run: bool, wait: int) -> NoReturn:
    """Force a pass and wait for its result.

    Exit code 0: success, everything agrees or was settled without a conflict. 1: the pass failed, or recond did not
    answer. 3: partial, something is or was in conflict, or is held, unreadable or pending.
    """
    answer = daemon.ask(
        "/api/positions/reconcile",
        method="POST",
        timeout_s=wait + FIRST_PASS_S,
        account=account,
        force=str(not no_force).lower(),
        wait=wait,
        dryRun="true" if dry_run else None,
    )
    told = [words.sentence(answer, answer, answer["conflicts"]), *words.matters(answer, answer["conflicts"])]
    daemon.said(words.dry_run(answer) if dry_run else "\n".join(told))
    sys.exit({"success": 0, "partial": UNSETTLED}.get(answer["status"], FAILED))


@main.command()
@click.argument("show", type=click.Choice(["show"]), required=False)
@click.argument("number", metavar="[ID]", type=click.IntRange(min=1), required=False)
@click.option("--account", metavar="NAME")
@click.option("--limit", type=LIMIT, default=20, show_default=True)
@asks
def runs(daemon: Daemon, show: str | None, number: int | None, account: str | None, limit: int) -> None:
    """List the recorded passes, newest first; `runs show ID`: what one of them found and changed."""
    if show is None:
        daemon.said(words.page(daemon.ask("/api/runs", account=account, limit=limit), words.RUN))
    elif number is None:
        raise click.UsageError("Which one? `recond runs show ID`")
    else:
        daemon.said(words.run(daemon.ask(f"/api/runs/{number}")))


@main.command()
@lists("/api/conflicts", words.CONFLICT, ended="Resolved ones too.", limit=100)
def conflicts() -> None:
    """List the conflicts, newest first."""


@main.command()
@click.option("--account", metavar="NAME", help="All, unless one is named.")
@click.option("--symbol", metavar="SYMBOL", help="Only what concerns this symbol.")
@click.option("--max-age", type=click.FloatRange(0), metavar="SECONDS", help="How old the last success may be.")
@asks
def gate(daemon: Daemon, account: str | None, symbol: str | None, max_age: float | None) -> NoReturn:
    """Ask whether bots may trade.

    Exit code 0: clear. 1: blocked. 3: unknown, also when recond does not answer.
    """
    try:
        answer = daemon.ask("/api/gate", answers=(200, 409, 503), account=account, symbol=symbol, maxAge=max_age)
    except Failure as failure:
        raise Undecided(failure.message) from failure
    daemon.said(words.gate(answer))
    sys.exit({"clear": 0, "blocked": FAILED}.get(answer["state"], UNSETTLED))
