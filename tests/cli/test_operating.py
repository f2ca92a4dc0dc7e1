"""What an operator decides, as typed: real processes against a real server and ledger; the test makes the passes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from recond.cli.operating import operator
from recond.core.model import Accepted, AccountState, Decision
from recond.core.run import AcceptedNow, RunStatus
from tests.cli.test_commands import Said, recond
from tests.web.house import AAPL, NOW, House, house
from tests.web.test_deciding import Ending, a_pass, done
from tests.web.test_listings import book, recorded


async def decided(at: House, folder: Path, *arguments: str, ends: tuple[Ending | None, ...] = (done,)) -> Said:
    """The command, whose decisions these passes act on."""
    environ = {"USER": "ann", "SUDO_USER": "", "RECOND_URL": at.web.url}
    running = asyncio.create_task(recond(*arguments, folder=folder, environ=environ))
    for end in ends:
        await a_pass(at, end)
    return await running


async def test_a_conflict_is_resolved_as_it_was_shown(tmp_path: Path) -> None:
    """What is acted on was on the screen: the quantities shown are those sent, with who, how, whose row and why."""
    async with house(tmp_path) as at:
        await recorded(at)
        said = await decided(at, tmp_path, "resolve", "1", "--use-broker", "--strategy", "mean", "--note", "checked")
        assert (said.code, said.err) == (0, "")
        shown, outcome = said.out.splitlines()
        assert shown.startswith("conflict 1: AAPL broker 10, ledger 8, unexplained")
        assert outcome.startswith("done: conflict 1: ")
        [row] = (await at.ask("/api/decisions")).json["items"]
        assert [row[name] for name in ("by", "note", "strategyId", "namesRow", "brokerQuantity", "ledgerQuantity")] == [
            "ann",
            "checked",
            "mean",
            True,
            10,
            8,
        ]
        again = await decided(at, tmp_path, "resolve", "1", "--use-db", ends=())
        assert (again.code, "(409)" in again.err, "now: conflict 1: AAPL broker 10" in again.err) == (1, True, True)


async def test_the_unattributed_row_is_named_by_null(tmp_path: Path) -> None:
    """--unattributed names the row that nobody owns; with --json the answer alone is printed."""
    async with house(tmp_path) as at:
        await recorded(at)
        said = await decided(at, tmp_path, "resolve", "1", "--use-broker", "--unattributed", "--json")
        decision = json.loads(said.out)["decision"]
        assert (said.code, decision["namesRow"], decision["strategyId"]) == (0, True, None)


async def test_quantities_that_were_seen_elsewhere_are_sent(tmp_path: Path) -> None:
    """Given on the command line they are the ones that count, and are refused when they are not the present ones."""
    async with house(tmp_path) as at:
        await recorded(at)
        said = await decided(at, tmp_path, "resolve", "1", "--use-db", "--broker", "10", "--ledger", "7", ends=())
        assert (said.code, said.out) == (1, "")
        assert "seen was broker 10, ledger 7" in said.err
        for option in ("--broker", "--ledger"):
            empty = await decided(at, tmp_path, "resolve", "1", "--use-db", option, "", ends=())
            assert (empty.code, "uantity" in empty.err) == (1, True), "an empty quantity is none that was seen"
        pending = await decided(
            at, tmp_path, "resolve", "1", "--use-db", "--broker", "10", "--ledger", "8", "--wait", "0", ends=(None,)
        )
        assert (pending.code, "still pending" in pending.out) == (3, True)


async def test_holds_are_listed_and_accepted(tmp_path: Path) -> None:
    """Each on its own: one that is unknown is told and does not keep the others from being accepted."""
    async with house(tmp_path) as at:
        await recorded(at)
        listed = await recond("holds", "--url", at.web.url, folder=tmp_path)
        assert "not proven" in listed.out
        said = await decided(at, tmp_path, "accept", "9", "1", "--note", "sold by hand")
        assert (said.code, "there is no hold 9 (404)" in said.err) == (1, True)
        assert said.out.splitlines()[-1].startswith("done: hold 1: AAPL broker 0, ledger 5: not proven; open")
        assert [row["holdId"] for row in (await at.ask("/api/decisions")).json["items"]] == [1]


async def test_what_was_refused_by_the_pass_is_told(tmp_path: Path) -> None:
    """Exit code 1, with what the pass said and the state now."""
    async with house(tmp_path) as at:
        await recorded(at)

        def refuse(decision: Decision) -> Decision:
            return replace(decision, outcome="refused: it is on hold")

        said = await decided(at, tmp_path, "accept", "1", ends=(refuse,))
        assert (said.code, "refused: it is on hold" in said.err, "now: hold 1" in said.err) == (1, True, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("resolve", "1"),
        ("resolve", "1", "--use-broker", "--strategy", "a", "--unattributed"),
        ("accept",),
        ("accounts", "repin"),
    ],
)
async def test_half_a_command_asks_for_the_rest(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Exit code 2, and the daemon is not asked."""
    said = await recond(*arguments, "--url", "http://127.0.0.1:9", folder=tmp_path)
    assert (said.code, said.out) == (2, "")


async def test_accounts_are_listed_and_pinned_anew(tmp_path: Path) -> None:
    """What each book is kept for, and what pinning it anew came to."""
    async with house(tmp_path) as at:
        book(tmp_path, ("AAPL", "5", "mean"))
        await at.ledger.pin("swing", "b-1")
        at.make(account_state=AccountState("b-1", "ACTIVE", trading_blocked=False, account_blocked=False))
        listed = await recond("accounts", "--url", at.web.url, folder=tmp_path)
        assert listed.out.splitlines()[1].split() == ["swing", "paper", "b-1", "b-1", "ACTIVE", "clear", "0"]
        repin = ("accounts", "repin", "swing", "--note", "reset")
        slip = await decided(at, tmp_path, *repin, ends=())
        assert (slip.code, "open b-1 as before" in slip.err, "--to" in slip.err) == (1, True, True)
        said = await decided(at, tmp_path, *repin, "--to", "b-1", ends=())
        assert (said.code, "closed 1 rows" in said.out) == (0, True)
        gone = await decided(at, tmp_path, "accounts", "repin", "no/ne", ends=())
        assert (gone.code, "(404)" in gone.err) == (1, True)
        history = await recond("history", "aapl", "--url", at.web.url, folder=tmp_path)
        assert "AAPL mean: 5 -> 0" in history.out
        assert "pinned anew to b-1 by ann; the old book was closed: reset" in history.out
        assert history.out.rstrip().endswith("by the platform")


async def test_status_tells_what_is_accepted(tmp_path: Path) -> None:
    """A difference that is silent everywhere else is on the status page, with who accepted it and why."""
    async with house(tmp_path) as at:
        accepted = AcceptedNow(Accepted(AAPL, Decimal(10), NOW, "ann", "mine"))
        at.make(status=RunStatus.SUCCESS, accepted=(accepted,))
        said = await recond("status", "--url", at.web.url, folder=tmp_path)
        assert "accepted by ann: AAPL broker -, ledger -, a difference of 10 (mine)" in said.out


async def test_a_dry_run_is_told(tmp_path: Path) -> None:
    """What would be corrected and when, and that nothing was; the exit code is that of the state."""
    async with house(tmp_path) as at:
        said = await recond("reconcile", "--dry-run", "--url", at.web.url, folder=tmp_path)
        assert (said.code, said.err) == (3, "")
        assert "nothing was changed" in said.out
        assert said.out.splitlines()[-1].split() == [
            "AAPL",
            "mean",
            "8",
            "10",
            "missed_fill",
            "if_it_stays",
            "a",
            "fill",
        ]


def test_the_person_behind_sudo_decides() -> None:
    """Root decides nothing by itself."""
    assert operator({"SUDO_USER": "ann", "USER": "root"}) == "ann"
    assert operator({"SUDO_USER": "", "USER": "bob"}) == "bob"
    assert operator({}) == "unknown"
