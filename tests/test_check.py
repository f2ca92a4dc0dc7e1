"""`recond check` against a simulated Alpaca, real files and this Python's SQLite."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from recond.check import check, ledger_finding, sqlite_finding
from recond.config import load
from recond.simulator import Simulator

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


def test_the_ledger_is_looked_at_and_never_made(tmp_path: Path) -> None:
    """Absent is fine, a missing folder, another database and no database are faults; nothing is created."""
    assert ledger_finding(tmp_path / "new.db").level == "ok"
    assert ledger_finding(tmp_path / "nowhere" / "new.db").level == "fault"
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    assert "something else" in ledger_finding(tmp_path / "other.db").text
    (tmp_path / "text.db").write_text("no database at all, just text " * 100, encoding="utf-8")
    assert ledger_finding(tmp_path / "text.db").level == "fault"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.db", "text.db"]


async def _report(
    tmp_path: Path, sim: Simulator, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, str]]:
    """The exit code, and the level of what was found about each matter."""
    path = tmp_path / "config.toml"
    text = f'[ledger]\npath = "{tmp_path}/recond.db"\n[[accounts]]\nname = "default"\nuser_id = 1\n'
    path.write_text(f'{text}rest_url = "{sim.rest_url}"\nstream_url = "{sim.stream_url}"\n', encoding="utf-8")
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
