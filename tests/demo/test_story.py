"""The demo as a user starts it, and that its story is checked, not just told."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path
from typing import IO

import pytest

from recond.demo import setting
from recond.demo.bot import Fill
from recond.demo.daemon import NotSeen
from recond.demo.screen import Screen
from recond.demo.story import CHAPTERS, booked_well, clean_start

ROOT = Path(__file__).parents[2]


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`recond demo` with its own process group, as a terminal starts it, and gone at the end."""
    command = [sys.executable, "-m", "recond", "demo", *arguments]
    environ = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(text: str, out: IO[str] | None) -> str:
    """What the demo says up to a line with this text."""
    assert out is not None
    told = ""
    for line in out:
        told += line
        if text in line:
            return told
    pytest.fail(f"{text!r} was never said:\n{told}")


def daemon_of(told: str) -> int:
    """The process id of the daemon that the demo names."""
    found = re.search(r"the real daemon, process (\d+)", told)
    assert found
    return int(found[1])


def gone(pid: int) -> bool:
    """Whether a process has ended and been waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.timeout(120)
def test_the_whole_story_goes_as_told(tmp_path: Path) -> None:
    """`demo --once` ends with 0 and agreement, each chapter checked, on an 80-column screen, and leaves no child."""
    with demo(tmp_path, "--once") as process:
        began_s = time.monotonic()
        told, _ = process.communicate(timeout=90)
    assert process.returncode == 0, told
    assert time.monotonic() - began_s < 90
    for number, (title, _) in enumerate(CHAPTERS, 1):
        assert f"\n{number}  {title}\n" in told
    assert told.count("Ledger and broker agree") == len(CHAPTERS)
    assert told.isascii()
    assert "\033" not in told
    assert [line for line in told.splitlines() if len(line) >= 80 and str(tmp_path) not in line] == []
    assert gone(daemon_of(told))
    [ledger] = tmp_path.glob("recond-demo-*/recond.db")
    with closing(sqlite3.connect(ledger)) as book:
        rows = book.execute(
            "SELECT symbol, CASE count(*) WHEN 1 THEN quantity ELSE CAST(sum(quantity_value) AS INTEGER) || '' END"
            " FROM positions WHERE status = 'open' GROUP BY symbol ORDER BY symbol"
        ).fetchall()
    final = told.partition("Both sides in the end")[2].partition("What recond changed")[0]
    broker = re.findall(r"^  (\w+) +([0-9.]+) +([0-9.]+)$", final, re.MULTILINE)
    assert [(symbol, held) for symbol, held, _ in broker] == rows
    assert rows == [("BTCUSD", "0.4995"), ("MSFT", "50"), ("NVDA", "1300"), ("SPY", "70"), ("TSLA", "5")]


def test_ctrl_c_ends_everything_at_once(tmp_path: Path) -> None:
    """Ctrl-C in the middle, even twice, ends the demo and its child within 3 s with 130 and no traceback."""
    with demo(tmp_path) as process:
        told = read_until("Sees it", process.stdout)
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=3)
    assert process.returncode == 130
    assert "Stopped before the end of the story." in rest
    assert "Traceback" not in rest
    assert gone(daemon_of(told))


def test_a_daemon_that_dies_is_reported(tmp_path: Path) -> None:
    """A daemon killed in the middle ends the demo with 1 and the end of its log; its keys were in no argument."""
    with demo(tmp_path, "--once") as process:
        told = read_until("Sees it", process.stdout)
        pid = daemon_of(told)
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        os.kill(pid, signal.SIGKILL)
        rest, _ = process.communicate(timeout=10)
    assert arguments[1:5] == [b"-m", b"recond", b"run", b"--config"]
    assert not [argument for argument in arguments if argument.startswith(b"PK")]
    assert process.returncode == 1
    assert f"Process {pid} ended with -9" in rest
    assert '"trigger": "start"' in rest
    assert "Traceback" not in rest


async def test_a_chapter_that_goes_otherwise_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The story of the well booked trade fails, with what was expected, when the bot does not book it."""
    out = StringIO()

    async def forget(fill: Fill) -> None:
        pass

    async with setting(Screen(out, {}), tmp_path) as stage:
        await stage.recond.started(30)
        await clean_start(stage)
        monkeypatch.setattr(stage.bot, "book", forget)
        with pytest.raises(NotSeen, match="corrections since: 1"):
            await booked_well(stage)
    assert out.getvalue().count("Checked") == 1
