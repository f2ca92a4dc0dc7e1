"""The SQLite ledger as a whole: opening, cancellation, death, other programs at the same time, and size."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

import recond.sqlite.connection
from recond.core.model import Baseline
from recond.core.run import Refresh
from recond.ports import Collection, LedgerUnavailable, Query
from recond.sqlite.ledger import SqliteLedger
from tests.sqlite.passes import (
    NOW,
    UPSERT,
    a_record,
    an_outcome,
    assert_sound,
    bot,
    closing_of,
    instrument,
    open_ledger,
    opening,
    setting,
)

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.sqlite.passes import a_record, an_outcome, closing_of, open_ledger, opening

async def main():
    async with open_ledger(Path(sys.argv[1])) as ledger:
        while True:
            reading = await ledger.read("main", None)
            outcomes = [an_outcome(row.symbol, "0", closing_of(row)) for row in reading.rows] or [
                an_outcome(f"S{n}", "5", opening(f"S{n}", "5")) for n in range(40)
            ]
            await ledger.record(a_record(ledger.next_run_id(), reading, *outcomes))
            print("recorded", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_a_cancelled_record_is_whole_or_nothing(path: Path, turns: int) -> None:
    """Cancelled at any await, the run is there with all its corrections or not at all, and the next one works."""
    async with open_ledger(path) as ledger:
        with bot(path) as book:
            book.execute(UPSERT, ("AAPL", "5"))
        reading = await ledger.read("main", None)
        outcomes = (
            an_outcome("NVDA", "2", opening("NVDA", "2")),
            an_outcome("AAPL", "9", setting(reading.rows[0], "9")),
        )
        caller = asyncio.create_task(ledger.record(a_record(1, reading, *outcomes)))
        for _ in range(turns):
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait({caller})
        await ledger.record(a_record(2, await ledger.read("main", None)))
        runs = (await ledger.list(Query(Collection.RUNS))).rows
        after = {row.symbol: row.quantity for row in (await ledger.read("main", None)).rows}
    assert ([run["id"] for run in runs], after) in (([2], {"AAPL": 5}), ([2, 1], {"AAPL": 9, "NVDA": 2}))
    with bot(path) as book:
        assert_sound(book)


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 10, 20, 40])
async def test_a_cancelled_open_lets_go_of_everything(path: Path, turns: int) -> None:
    """No thread and no lock is left, so that the interpreter can end and the ledger be opened again."""
    threads = set(threading.enumerate())  # of earlier tests one may still be ending
    opening_ = asyncio.create_task(open_ledger(path).__aenter__())
    for _ in range(turns):
        await asyncio.sleep(0)
    opening_.cancel()
    await asyncio.wait({opening_})
    if not opening_.cancelled():
        await opening_.result().__aexit__(None, None, None)
    async with open_ledger(path):
        pass
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - threads and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert set(threading.enumerate()) - threads == set()


def test_a_killed_process_leaves_no_half_run(path: Path) -> None:
    """After SIGKILL at random moments, each run has all its drifts and corrections, and the book is sound."""
    moments = random.Random(1)
    for _ in range(6):
        command = [sys.executable, "-c", WRITER, str(path)]
        root = Path(__file__).parents[2]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(moments.uniform(0, 0.05))
            process.kill()
        with bot(path) as book:
            assert_sound(book)
            assert book.execute("SELECT count(*) FROM runs").fetchone()[0] > 0
            for table in ("drifts", "corrections"):
                counts = f"SELECT DISTINCT (SELECT count(*) FROM {table} WHERE run_id = runs.id) FROM runs"
                assert book.execute(counts).fetchall() == [(40,)]


async def test_a_long_reader_disturbs_nothing(ledger: SqliteLedger, path: Path) -> None:
    """While a bot keeps a read transaction open, recond reads and writes, and the bot's view stays."""
    with bot(path) as book, bot(path) as reader:
        book.execute(UPSERT, ("AAPL", "5"))
        reader.execute("BEGIN")
        assert reader.execute("SELECT quantity FROM positions").fetchall() == [("5",)]
        for run_id in range(1, 4):
            reading = await ledger.read("main", None)
            correction = setting(reading.rows[0], str(run_id))
            await ledger.record(a_record(run_id, reading, an_outcome("AAPL", str(run_id), correction)))
        assert reader.execute("SELECT quantity FROM positions").fetchall() == [("5",)]
        assert (await ledger.read("main", None)).rows[0].quantity == 3


async def test_bots_and_recond_write_at_the_same_time(ledger: SqliteLedger, path: Path) -> None:
    """Threads of bots that increment lose nothing while recond records; every booking and correction is journalled."""

    def trade(symbol: str) -> None:
        with bot(path, "busy_timeout = 5000", "wal_autocheckpoint = 0") as book:
            for _ in range(40):
                book.execute(
                    "UPDATE positions SET quantity = quantity + 1 WHERE symbol = ? AND status = 'open'", (symbol,)
                )

    symbols = ("AAPL", "MSFT")
    with bot(path) as book:
        for symbol in (*symbols, "TSLA"):
            book.execute(UPSERT, (symbol, "1"))
    bots = [asyncio.create_task(asyncio.to_thread(trade, symbol)) for symbol in symbols]
    run_id = 0
    while not all(task.done() for task in bots):
        run_id += 1
        reading = await ledger.read("main", None)
        rows = {row.symbol: row for row in reading.rows}
        await ledger.record(
            a_record(run_id, reading, an_outcome("TSLA", str(run_id + 1), setting(rows["TSLA"], str(run_id + 1))))
        )
    await asyncio.gather(*bots)
    held = {row.symbol: row.quantity for row in (await ledger.read("main", None)).rows}
    assert held == {"AAPL": 41, "MSFT": 41, "TSLA": run_id + 1}
    with bot(path) as book:
        assert_sound(book)


async def test_delete_mode(path: Path) -> None:
    """`journal = "delete"` works on a new ledger, and switches one that was in WAL mode, and back."""
    journals: tuple[Literal["wal", "delete"], ...] = ("delete", "wal", "delete")
    for journal in journals:
        async with open_ledger(path, journal=journal) as ledger:
            reading = await ledger.read("main", None)
            run_id = ledger.next_run_id()
            await ledger.record(a_record(run_id, reading, an_outcome(f"S{run_id}", "1", opening(f"S{run_id}", "1"))))
            with bot(path) as book:
                assert book.execute("PRAGMA journal_mode").fetchone() == (journal,)
                assert_sound(book)
    async with open_ledger(path) as ledger:
        assert len((await ledger.read("main", None)).rows) == 3
        assert ledger.next_run_id() == 4


async def test_the_reading_connection_cannot_write(ledger: SqliteLedger) -> None:
    """What lists rows for the web cannot change them."""

    async def attempt(connection: object) -> None:
        await connection.execute("UPDATE accounts SET user_id = 1")  # type: ignore[attr-defined]

    with pytest.raises(LedgerUnavailable, match="readonly"):
        await ledger._reader.reading(attempt)


async def test_ten_thousand_rows(ledger: SqliteLedger, path: Path) -> None:
    """They are read, refreshed, corrected and closed in one transaction each, and the event loop hardly waits."""
    count = 10_000
    with bot(path) as book:
        book.execute("BEGIN")
        book.executemany(UPSERT, [(f"S{n}", "5") for n in range(count)])
        book.execute("COMMIT")
    reading = await ledger.read("main", None)
    assert len(reading.rows) == count
    price = (Decimal(9), Decimal(10), Decimal(50), Decimal(5), Decimal("0.1"))
    refreshes = tuple(Refresh(row.id, row.version, "us_equity", "id", *price) for row in reading.rows)
    bases = tuple(Baseline(instrument(row.symbol), Decimal(5), Decimal(5), None, NOW) for row in reading.rows)
    await ledger.record(replace(a_record(1, reading), refreshes=refreshes, baselines=bases, settled=True))
    reading = await ledger.read("main", reading.seq)
    assert (len(reading.baselines), reading.adopted, reading.changed) == (count, True, frozenset())
    await ledger.record(a_record(2, reading, *(an_outcome(r.symbol, "0", closing_of(r)) for r in reading.rows)))
    reading = await ledger.read("main", reading.seq)
    assert (reading.rows, len(reading.changed)) == ((), count)
    with bot(path) as book:
        assert_sound(book)


def test_the_file_is_closed_when_python_ends(path: Path) -> None:
    """A program that opens the ledger and fails inside still ends: no thread keeps it alive."""
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.sqlite.passes import open_ledger\n"
        "async def main():\n    async with open_ledger(Path(sys.argv[1])):\n        raise SystemExit(7)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", script, str(path)], cwd=root, timeout=30, check=False)
    assert ended.returncode == 7
    with bot(path) as book:
        assert_sound(book)


async def test_a_locked_ledger_is_unavailable_and_works_again(
    ledger: SqliteLedger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bot that keeps the write lock makes the record fail after the busy timeout, and nothing is half written."""
    reading = await ledger.read("main", None)
    record = a_record(1, reading, an_outcome("AAPL", "5", opening("AAPL", "5")))
    monkeypatch.setattr(recond.sqlite.connection, "BUSY_TIMEOUT_S", 0.1)
    with bot(path) as book:
        book.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            await ledger.record(record)
        book.execute("ROLLBACK")
    assert (await ledger.record(record)).recorded


@pytest.mark.parametrize("suffix", ["", ".lock", "-wal", "-shm"])
async def test_a_ledger_that_is_not_at_its_path_any_more_is_unavailable(path: Path, suffix: str) -> None:
    """Bots would write to another file, a second recond start: no pass succeeds, each account is told, both ways."""
    async with open_ledger(path) as ledger:
        reading = await ledger.read("main", None)
        file, aside = f"{path}{suffix}", f"{path}.aside"
        shutil.move(file, aside)
        for replacement in (None, aside):
            if replacement is not None:
                shutil.copy(replacement, file)
            with pytest.raises(LedgerUnavailable, match="moved or replaced"):
                await ledger.read("main", None)
            with pytest.raises(LedgerUnavailable, match="moved or replaced"):
                await ledger.record(a_record(1, reading))
        assert "main" in await ledger.changed_accounts()
        assert await ledger.changed_accounts() == frozenset()
        shutil.move(aside, file)
        assert "main" in await ledger.changed_accounts()
        assert (await ledger.record(a_record(1, reading))).recorded
