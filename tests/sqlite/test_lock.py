"""One recond per ledger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recond.ports import LedgerCorrupt, LedgerUnavailable
from recond.sqlite.lock import held
from tests.sqlite.passes import get_file, open_ledger, put_file

HOLDER = """
import asyncio, sys
from pathlib import Path
from tests.sqlite.passes import open_ledger

async def main():
    async with open_ledger(Path(sys.argv[1])):
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def another_recond(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A real process that has the ledger open."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


async def test_a_second_recond_is_refused_and_told_of_the_first(path: Path) -> None:
    """The message names the first one's pid and the path; after its death, SIGKILL included, the ledger opens."""
    with another_recond(path) as first:
        with pytest.raises(LedgerUnavailable) as refused:
            await open_ledger(path).__aenter__()
        assert f"pid {first.pid}" in refused.value.message
        assert str(path) in refused.value.message
        assert "stop" in refused.value.hint
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        async with open_ledger(path):
            assert get_file(path.with_name("recond.db.lock")) == f"{os.getpid()}\n".encode()


@pytest.fixture
def link(path: Path, tmp_path: Path) -> Path:
    """Another name of the ledger, in another folder."""
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "link.db"
    other.symlink_to(path)
    return other


async def test_another_name_of_the_same_file_is_the_same_ledger(path: Path, link: Path) -> None:
    """A symbolic link to the file does not let a second one in."""
    async with open_ledger(path):
        with pytest.raises(LedgerUnavailable, match="in use"):
            await open_ledger(link).__aenter__()


async def test_a_closed_ledger_can_be_opened_again(path: Path) -> None:
    """Leaving lets go of the lock, also when opening failed half-way."""
    put_file(path, b"no database, but long enough to be read as one" * 10)
    with pytest.raises(LedgerCorrupt):
        await open_ledger(path).__aenter__()
    put_file(path, b"")
    for _ in range(2):
        async with open_ledger(path):
            pass


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error says which file could not be written, and what to do."""
    with pytest.raises(LedgerUnavailable, match="nowhere") as refused, held(tmp_path / "nowhere" / "recond.db"):
        pass
    assert "folder" in refused.value.hint
