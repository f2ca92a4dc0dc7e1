"""An operator at a terminal, the real daemon, a ledger that a bot writes: what is decided is done, and only that."""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from recond.simulator import Simulator
from tests.end_to_end.conftest import Start
from tests.end_to_end.process import Daemon, Setting, book, bot

D = Decimal


async def recond(daemon: Daemon, setting: Setting, *arguments: str) -> tuple[int, str]:
    """What `recond` says to an operator called ann, and its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "recond",
        *arguments,
        cwd=setting.folder,
        env={**setting.variables(), "RECOND_URL": daemon.url, "USER": "ann"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


def set_row(daemon: Daemon, symbol: str, quantity: str) -> None:
    """A bot that books something that never happened."""
    with bot(daemon.ledger) as platform:
        platform.execute("UPDATE positions SET quantity = ? WHERE symbol = ? AND status = 'open'", (quantity, symbol))


async def conflict_on(daemon: Daemon, symbol: str) -> dict[str, Any]:
    """The open conflict of a symbol, after a pass."""
    await daemon.reconcile()
    [found] = (await daemon.get("/api/conflicts", symbol=symbol, status="open"))["items"]
    return dict(found)


async def test_an_operator_decides(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """use_broker corrects, use_db is silent until the difference changes, a hold is accepted, a repin begins anew."""
    setting = Setting(tmp_path, simulator, policy={"ledger_edit": "manual"})
    daemon = await start(setting)
    assert (await daemon.reconcile())["status"] == "success"

    # use_broker: the bot's edit is undone, in the operator's name.
    set_row(daemon, "TSLA", "20")
    conflict = await conflict_on(daemon, "TSLA")
    assert (book(daemon.ledger)["TSLA"], (await daemon.get("/api/gate"))["state"]) == (20, "blocked")
    code, said = await recond(daemon, setting, "resolve", str(conflict["id"]), "--use-broker", "--note", "bot bug")
    assert (code, book(daemon.ledger)["TSLA"]) == (0, -20), said
    ended = await daemon.get(f"/api/conflicts/{conflict['id']}")
    assert (ended["resolvedBy"], ended["note"], ended["resolution"]) == ("ann", "bot bug", "use_broker")
    code, said = await recond(daemon, setting, "resolve", str(conflict["id"]), "--use-db")
    assert (code, "ended at" in said) == (1, True), said

    # use_db: the ledger stands, pass after pass, though nobody may sell what is not there.
    set_row(daemon, "NVDA", "130")
    conflict = await conflict_on(daemon, "NVDA")
    code, said = await recond(daemon, setting, "resolve", str(conflict["id"]), "--use-db")
    assert code == 0, said
    quiet = await daemon.reconcile()
    assert (quiet["status"], quiet["conflicts"], book(daemon.ledger)["NVDA"]) == ("success", [], 130)
    assert (await daemon.get("/api/gate"))["state"] == "clear"
    gate = await daemon.get("/api/gate", symbol="NVDA")
    assert (gate["state"], gate["reasons"][0]["code"]) == ("blocked", "accepted_difference")
    [accepted] = (await daemon.get("/api/accepted"))["items"]
    assert (accepted["difference"], accepted["by"]) == (-10, "ann")
    assert 'recond_accepted_differences{account="default"} 1.0' in await daemon.metrics()
    set_row(daemon, "NVDA", "131")
    conflict = await conflict_on(daemon, "NVDA")
    assert (conflict["brokerQuantity"], conflict["ledgerQuantity"]) == (120, 131)
    code, said = await recond(daemon, setting, "resolve", str(conflict["id"]), "--use-broker")
    assert (code, book(daemon.ledger)["NVDA"]) == (0, 120), said
    assert (await daemon.get("/api/accepted"))["items"] == []

    # A hold: the broker does not show it and nothing proves that it is gone, but the operator knows.
    simulator.fault("positions", "drop_rows", symbols=["MSFT"])
    held = await daemon.reconcile()
    [hold] = held["holds"]
    assert (hold["symbol"], book(daemon.ledger)["MSFT"]) == ("MSFT", 50)
    code, said = await recond(daemon, setting, "reconcile", "--dry-run")
    assert (code, "would hold MSFT" in said, "nothing was changed" in said) == (3, True, True), said
    code, said = await recond(daemon, setting, "accept", str(hold["id"]), "--note", "sold by hand")
    assert (code, "MSFT" in book(daemon.ledger)) == (0, False), said
    ended = await daemon.get(f"/api/holds/{hold['id']}")
    assert ended["endedBy"] == "accepted by ann"
    simulator.clear()

    # Where a quantity comes from.
    code, said = await recond(daemon, setting, "history", "TSLA")
    assert (code, "ledger_edit" in said, "by the platform" in said) == (0, True, True), said
    assert "20 -> -20" in said

    # What is not what it was: the book is closed and begun anew.
    before = book(daemon.ledger)
    code, said = await recond(daemon, setting, "accounts", "repin", "default")
    assert (code, "as before" in said, book(daemon.ledger)) == (1, True, before), said
    kept = (await daemon.get("/api/accounts"))["items"][0]["brokerAccountId"]
    code, said = await recond(daemon, setting, "accounts", "repin", "default", "--to", kept, "--json")
    assert (code, json.loads(said)["closed"], book(daemon.ledger)) == (0, len(before), {}), said
    await daemon.reconcile()
    assert book(daemon.ledger) == {**before, "MSFT": 50}
    causes = {row["cause"] for row in (await daemon.get("/api/corrections", action="open"))["items"][:6]}
    assert causes == {"adoption"}
    assert "Traceback" not in daemon.text


async def test_a_reset_paper_account_names_the_way_out(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """Its passes fail and say what it looks like and which command helps; after that the new account is adopted."""
    setting = Setting(tmp_path, simulator)
    daemon = await start(setting)
    assert (await daemon.reconcile())["status"] == "success"
    simulator.do("reset")
    set_row(daemon, "TSLA", "21")
    refused = await daemon.reconcile()
    assert refused["status"] == "failed"
    assert "a paper account that was reset looks like this: `recond accounts repin default`" in refused["error"]["hint"]
    code, said = await recond(daemon, setting, "accounts")
    assert (code, "`recond accounts repin default`" in said) == (0, True), said
    code, said = await recond(daemon, setting, "accounts", "repin", "default", "--note", "paper reset")
    assert code == 0, said
    again = await daemon.reconcile()
    assert (again["status"], book(daemon.ledger)) == ("success", {}), again
