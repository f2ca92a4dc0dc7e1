"""`recond check` against a simulated Alpaca, real files and this Python's SQLite."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from recond.check import check, check_ledger, ledger_findings, sqlite_finding
from recond.config import load
from recond.simulator import Simulator
from tests.sqlite.passes import UPSERT, bot, open_ledger

KEYS = {"ALPACA_API_KEY": "PKTEST", "ALPACA_SECRET_KEY": "hush"}


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ((3, 40, 1), "warning"),
        ((3, 44, 5), "warning"),
        ((3, 44, 6), "ok"),
        ((3, 50, 6), "warning"),
        ((3, 50, 7), "ok"),
        ((3, 51, 2), "warning"),
        ((3, 51, 3), "ok"),
        ((3, 52, 0), "ok"),
    ],
)
def test_the_sqlite_that_can_corrupt_a_wal_is_named(version: tuple[int, int, int], level: str) -> None:
    """Releases without the fix are warned of, those with it are not."""
    assert sqlite_finding(version).level == level


def level(path: Path) -> str:
    """The worst of what is found about a ledger."""
    levels = {finding.level for finding in ledger_findings(path)[0]}
    return next(worst for worst in ("fault", "warning", "ok") if worst in levels)


def test_the_ledger_is_looked_at_and_never_made(tmp_path: Path) -> None:
    """Absent is fine, a missing folder, another database and no database are faults; nothing is created."""
    assert level(tmp_path / "new.db") == "ok"
    assert level(tmp_path / "nowhere" / "new.db") == "fault"
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    assert "not a ledger of recond" in ledger_findings(tmp_path / "other.db")[0][0].text
    assert level(tmp_path / "other.db") == "fault"
    (tmp_path / "text.db").write_text("no database at all, just text " * 100, encoding="utf-8")
    assert level(tmp_path / "text.db") == "fault"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.db", "text.db"]


async def test_the_ledger_alone_is_checked_thoroughly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without keys: 0 for a sound ledger, 1 and the difference by name for one that was written past the triggers."""
    file, path = tmp_path / "config.toml", tmp_path / "recond.db"
    file.write_text(f'[ledger]\npath = "{path}"\n', encoding="utf-8")
    async with open_ledger(path):
        pass
    with bot(path) as book:
        book.execute(UPSERT, ("AAPL", "5"))
    config = load(file, {}, None)
    assert check_ledger(config, as_json=False) == 0
    assert "1 open positions, 1 changes, 0 corrections: all agree" in capsys.readouterr().out

    with bot(path) as book:
        book.executescript("DROP TRIGGER positions_updated; UPDATE positions SET quantity = '6'")
    assert check_ledger(config, as_json=True) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    told = [finding["text"] for finding in findings if finding["level"] == "fault"]
    assert f"{path}: the trigger positions_updated is missing" in told
    assert "account main, AAPL, no strategy: the journal says 5, the row says 6" in told
    assert {finding["about"] for finding in findings} == {"ledger"}


async def _report(
    tmp_path: Path, sim: Simulator, environ: dict[str, str], capsys: pytest.CaptureFixture[str], *names: str
) -> tuple[int, dict[str, str]]:
    """The exit code, and the level of what was found about each matter."""
    path = tmp_path / "config.toml"
    shared = f'rest_url = "{sim.rest_url}"\nstream_url = "{sim.stream_url}"\n'
    shared += 'key_env = "ALPACA_API_KEY"\nsecret_env = "ALPACA_SECRET_KEY"\n'
    accounts = enumerate(names or ("default",), start=1)
    text = "".join(f'[[accounts]]\nname = "{name}"\nuser_id = {number}\n{shared}' for number, name in accounts)
    path.write_text(f'[ledger]\npath = "{tmp_path}/recond.db"\n{text}', encoding="utf-8")
    code = await asyncio.to_thread(check, load(path, environ, None), as_json=True)
    out = capsys.readouterr().out
    assert not [secret for secret in environ.values() if secret in out]
    return code, {finding["about"]: finding["level"] for finding in json.loads(out)["findings"]}


async def test_good_keys_wrong_keys_and_no_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 when the account opens, 1 when the broker refuses the keys, 78 when there are none."""
    async with Simulator(scenario="demo") as sim:
        good = {"ALPACA_API_KEY": sim.key, "ALPACA_SECRET_KEY": sim.secret}
        code, levels = await _report(tmp_path, sim, good, capsys)
        assert (code, levels["account default"]) == (0, "ok")
        code, levels = await _report(tmp_path, sim, KEYS, capsys)
        assert (code, levels["account default"]) == (1, "fault")
        code, levels = await _report(tmp_path, sim, {}, capsys)
        assert (code, levels["keys"]) == (78, "fault")
    assert not (tmp_path / "recond.db").exists()


async def test_keys_of_one_account_for_two_books_and_of_another_account_than_the_books_are_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither would start to reconcile: the same account under two names, and not the one that the ledger knows."""
    async with Simulator(scenario="demo") as sim:
        keys = {"ALPACA_API_KEY": sim.key, "ALPACA_SECRET_KEY": sim.secret}
        code, levels = await _report(tmp_path, sim, keys, capsys, "main", "twin")
        assert (code, levels["account main"], levels["account twin"]) == (1, "fault", "fault")
        async with open_ledger(tmp_path / "recond.db") as ledger:
            await ledger.pin("main", "another account")
        code, levels = await _report(tmp_path, sim, keys, capsys, "main")
        assert (code, levels["account main"], levels["ledger"]) == (1, "fault", "ok")
        code, levels = await _report(tmp_path, sim, keys, capsys, "other")
        assert (code, levels["account other"]) == (0, "ok")
