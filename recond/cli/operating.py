"""What an operator decides on the command line, and looks up before and after.

Owns who is said to have decided, and that what is acted on is what was on the screen.
May not decide for the operator, or import at the top what is slow to import.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import quote

import click

from recond.cli import words
from recond.cli.asking import Daemon, Failure
from recond.cli.commands import FAILED, FIRST_PASS_S, LIMIT, UNSETTLED, WAIT, asks, lists, main

_NOTE = click.option("--note", metavar="TEXT", help="Kept with the decision.")
_NUMBER = click.IntRange(min=1)


def operator(environ: Mapping[str, str]) -> str:
    """Who decides: the person behind sudo, else the user."""
    return environ.get("SUDO_USER") or environ.get("USER") or "unknown"


@main.command()
@lists("/api/holds", words.HOLD, ended="Ended ones too.", limit=100)
def holds() -> None:
    """List what is held until it is proven, newest first."""


@main.command()
@click.argument("number", metavar="ID", type=_NUMBER)
@click.option("--use-broker", "resolution", flag_value="use_broker", help="The ledger is corrected.")
@click.option("--use-db", "resolution", flag_value="use_db", help="The ledger stands; this difference is accepted.")
@click.option("--strategy", metavar="ID", help="Whose row is corrected, when several hold the symbol.")
@click.option("--unattributed", is_flag=True, help="It is the row that no strategy owns.")
@click.option("--broker", metavar="QTY", help="The broker's quantity that you saw.")
@click.option("--ledger", metavar="QTY", help="The ledger's quantity that you saw.")
@_NOTE
@WAIT
@asks
def resolve(
    daemon: Daemon,
    number: int,
    resolution: str | None,
    strategy: str | None,
    unattributed: bool,
    broker: str | None,
    ledger: str | None,
    note: str | None,
    wait: int,
) -> NoReturn:
    """Decide about conflict ID, and wait until that has been done.

    It is only done if the quantities are still those given, or else those that this command shows. Exit code 0: done.
    1: refused, with the conflict as it is now. 3: still pending; the decision stands.
    """
    if resolution is None:
        raise click.UsageError("How? --use-broker or --use-db")
    if strategy is not None and unattributed:
        raise click.UsageError("Either --strategy or --unattributed")
    says: dict[str, object] = {"resolution": resolution}
    if strategy is not None or unattributed:
        says["strategy"] = strategy
    if broker is None or ledger is None:
        seen = _look(daemon, f"/api/conflicts/{number}")
        broker = seen["brokerQuantity"] if broker is None else broker
        ledger = seen["ledgerQuantity"] if ledger is None else ledger
    says |= {"brokerQuantity": broker, "ledgerQuantity": ledger}
    sys.exit(_decide(daemon, f"/api/conflicts/{number}/resolve", says, note, wait))


@main.command()
@click.argument("numbers", metavar="HOLD...", type=_NUMBER, nargs=-1, required=True)
@_NOTE
@WAIT
@asks
def accept(daemon: Daemon, numbers: tuple[int, ...], note: str | None, wait: int) -> NoReturn:
    """Accept what is held without proof, each HOLD just as it is and once.

    Exit code 0: all done. 1: one was refused, with the hold as it is now. 3: one is still pending; the decision stands.
    """
    codes = []
    for number in dict.fromkeys(numbers):
        try:
            seen = _look(daemon, f"/api/holds/{number}")
            says = {"brokerQuantity": seen["brokerQuantity"], "ledgerQuantity": seen["ledgerQuantity"]}
            codes.append(_decide(daemon, f"/api/holds/{number}/accept", says, note, wait))
        except Failure as failure:
            failure.show()
            codes.append(failure.exit_code)
    sys.exit(FAILED if FAILED in codes else max(codes))


def _look(daemon: Daemon, path: str) -> Any:
    """What is decided about, shown to the operator."""
    seen = daemon.ask(path, aside=True)
    daemon.said(words.state(seen))
    return seen


def _decide(daemon: Daemon, path: str, says: Mapping[str, object], note: str | None, wait: int) -> int:
    """Send the decision; returns the exit code."""
    answer = daemon.ask(
        path,
        method="POST",
        timeout_s=wait + FIRST_PASS_S,
        answers=(200, 202),
        says={**says, "by": operator(os.environ), "note": note or None},
        wait=wait,
    )
    done = answer["decision"]["endedAt"] is not None
    daemon.said(f"done: {words.state(answer)}" if done else "still pending; the decision stands, and a later pass acts")
    return 0 if done else UNSETTLED


@main.command()
@click.argument("repin", type=click.Choice(["repin"]), required=False)
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--to", metavar="ID", help="The broker account to keep the new book for; else the other one that its keys open."
)
@_NOTE
@asks
def accounts(daemon: Daemon, repin: str | None, name: str | None, to: str | None, note: str | None) -> None:
    """List the accounts and which broker account each book is kept for; `accounts repin NAME`: begin a new book.

    repin is for a paper account that was reset. Every open row is closed with a correction, open conflicts and holds
    end, and what the account holds now is adopted. Without --to it is refused while the keys open the old account.
    """
    if repin is None:
        daemon.said(words.accounts(daemon.ask("/api/accounts")))
    elif name is None:
        raise click.UsageError("Which one? `recond accounts repin NAME`")
    else:
        says = {"by": operator(os.environ), "note": note or None, "brokerAccountId": to}
        path = f"/api/accounts/{quote(name, safe='')}/repin"
        daemon.said(words.repinned(daemon.ask(path, method="POST", says=says)))


@main.command()
@click.argument("symbol", metavar="SYMBOL")
@click.option("--account", metavar="NAME")
@click.option("--limit", type=LIMIT, default=20, show_default=True)
@asks
def history(daemon: Daemon, symbol: str, account: str | None, limit: int) -> None:
    """Tell how SYMBOL's quantities came about: each change, newest first, with what made it and the evidence."""
    daemon.said(words.history(daemon.ask("/api/history", account=account, symbol=symbol, limit=limit)))
