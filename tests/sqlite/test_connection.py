"""Transactions that are whole whatever happens to their caller."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

import recond.sqlite.connection
from recond.ports import LedgerCorrupt, LedgerUnavailable
from recond.sqlite.connection import BUSY_TIMEOUT_S, SHORT_WAITS, Connection, connect, fetch, write
from tests.sqlite.passes import bot, get_file, put_file


async def open_numbers(path: Path) -> Connection:
    """A connection to a file with one table."""
    opened = await connect(path)
    await opened.execute("CREATE TABLE numbers (x INTEGER UNIQUE)")
    await opened.execute(SHORT_WAITS)
    return Connection(path, opened, lambda _seconds: None)


@pytest.fixture
async def numbers(path: Path) -> AsyncIterator[Connection]:
    """A connection to a file with one table."""
    connection = await open_numbers(path)
    yield connection
    await connection.close()


async def put(connection: aiosqlite.Connection, *values: int) -> None:
    """Insert values, a statement each."""
    for value in values:
        await write(connection, "INSERT INTO numbers VALUES (?)", [(value,)])


async def everything(connection: aiosqlite.Connection) -> list[int]:
    """All values."""
    return await fetch(connection, "SELECT x FROM numbers ORDER BY x", (), int)


async def test_work_that_fails_leaves_nothing(numbers: Connection) -> None:
    """An error in the middle rolls back, comes out as it is, and the next transaction is unaffected."""

    async def fails(connection: aiosqlite.Connection) -> None:
        await put(connection, 1)
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await numbers.writing(fails)
    await numbers.writing(lambda connection: put(connection, 2))
    assert await numbers.reading(everything) == [2]


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_caller_leaves_the_whole_or_nothing(numbers: Connection, turns: int) -> None:
    """Cancelled at any await, the transaction is whole, and one that follows at once sees it."""
    caller = asyncio.create_task(numbers.writing(lambda connection: put(connection, 1, 2, 3)))
    for _ in range(turns):
        await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await numbers.writing(lambda connection: put(connection, 4))
    assert await numbers.reading(everything) in ([4], [1, 2, 3, 4])


async def test_transactions_do_not_mix(numbers: Connection) -> None:
    """Of two at a time on one connection, the failure of one does not undo the other."""

    async def fails(connection: aiosqlite.Connection) -> None:
        await put(connection, 1, 1)

    results = await asyncio.gather(
        numbers.writing(fails), numbers.writing(lambda connection: put(connection, 5)), return_exceptions=True
    )
    assert isinstance(results[0], LedgerUnavailable)
    assert await numbers.reading(everything) == [5]


async def test_closing_waits_for_the_transaction_under_way(path: Path) -> None:
    """What a cancelled caller began is committed before the file is closed."""
    connection = await open_numbers(path)
    caller = asyncio.create_task(connection.writing(lambda opened: put(opened, 1, 2)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await connection.close()
    with bot(path) as book:
        assert book.execute("SELECT count(*) FROM numbers").fetchone() == (2,)


@pytest.mark.parametrize(
    "lasting",
    [
        lambda opened: write(opened, "INSERT INTO numbers VALUES (?)", ((x,) for x in itertools.count(2))),
        lambda opened: opened.execute(
            "INSERT INTO numbers WITH RECURSIVE c (x) AS (SELECT 2 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
        ),
    ],
    ids=["many rows", "one statement"],
)
async def test_closing_undoes_what_lasts(path: Path, lasting: Callable[[aiosqlite.Connection], Any]) -> None:
    """A transaction that goes on and on is broken off, as a whole, and its caller is told that nothing was written."""
    connection = await open_numbers(path)
    await connection.writing(lambda opened: put(opened, 1))
    caller = asyncio.create_task(connection.writing(lasting))
    while not connection._connection.in_transaction:
        await asyncio.sleep(0.001)
    async with asyncio.timeout(60):  # left alone it would go on for ever
        await connection.close()
    with pytest.raises(LedgerUnavailable, match="interrupted") as refused:
        await caller
    assert "nothing was written" in refused.value.hint
    with bot(path) as book:
        assert book.execute("SELECT x FROM numbers").fetchall() == [(1,)]


@pytest.mark.parametrize("way", ["writing", "reading"])
async def test_closing_does_not_wait_for_the_locks_of_others(path: Path, way: str) -> None:
    """Who waits for a lock gives up at once, and so do those behind; the file is closed."""
    connection = await open_numbers(path)
    with bot(path, "journal_mode = delete") as book:
        book.execute("BEGIN EXCLUSIVE")
        callers = [asyncio.create_task(getattr(connection, way)(everything)) for _ in range(3)]
        while not connection._lock.locked():
            await asyncio.sleep(0)
        began = time.monotonic()
        await connection.close()
        assert time.monotonic() - began < BUSY_TIMEOUT_S - 1
        results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [LedgerUnavailable] * 3


@pytest.mark.parametrize("way", ["writing", "reading"])
async def test_a_lock_that_is_let_go_of_in_time_is_waited_for(path: Path, way: str) -> None:
    """The waiting goes on when SQLite's own has ended."""
    connection = await open_numbers(path)
    with bot(path, "journal_mode = delete") as book:
        book.execute("BEGIN EXCLUSIVE")
        book.execute("INSERT INTO numbers VALUES (7)")
        caller = asyncio.create_task(getattr(connection, way)(everything))
        await asyncio.sleep(0.6)
        assert not caller.done()
        book.execute("COMMIT")
    assert await caller == [7]
    await connection.close()


async def test_a_commit_waits_for_readers(path: Path) -> None:
    """Without WAL a reader keeps out a COMMIT, which is waited for as well."""
    connection = await open_numbers(path)
    with bot(path, "journal_mode = delete") as book:
        book.execute("BEGIN")
        book.execute("SELECT * FROM numbers").fetchall()
        caller = asyncio.create_task(connection.writing(lambda opened: put(opened, 1)))
        await asyncio.sleep(0.6)
        assert not caller.done()
        book.execute("COMMIT")
        await caller
        assert book.execute("SELECT x FROM numbers").fetchall() == [(1,)]
    await connection.close()


async def test_a_lock_of_somebody_else_is_waited_for_and_then_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy ledger is unavailable, with the hint that another program holds it; afterwards it works again."""
    monkeypatch.setattr(recond.sqlite.connection, "BUSY_TIMEOUT_S", 0.05)
    connection = await open_numbers(path)
    with bot(path) as book:
        book.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerUnavailable, match="locked") as refused:
            await connection.writing(lambda opened: put(opened, 1))
        assert "another program" in refused.value.hint
        book.execute("ROLLBACK")
    await connection.writing(lambda opened: put(opened, 1))
    await connection.close()


async def test_a_full_disk_is_told(numbers: Connection) -> None:
    """SQLITE_FULL is unavailable with a hint, and what was there stays."""
    await numbers.writing(lambda connection: put(connection, 1))

    async def fill(connection: aiosqlite.Connection) -> None:
        await connection.execute("PRAGMA max_page_count = 1")
        await put(connection, *range(2, 2000))

    with pytest.raises(LedgerUnavailable, match="full") as refused:
        await numbers.writing(fill)
    assert "room" in refused.value.hint
    assert await numbers.reading(everything) == [1]


async def test_a_damaged_file_is_told(path: Path) -> None:
    """SQLITE_CORRUPT means that the daemon must not go on."""
    with bot(path) as book:
        book.execute("CREATE TABLE numbers (x INTEGER)")
        book.execute("BEGIN")
        book.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(20_000)])
        book.execute("COMMIT")
    content = bytearray(get_file(path))
    content[4096 : 4096 * 4] = b"\xa5" * (4096 * 3)
    put_file(path, content)
    connection = Connection(path, await connect(path), lambda _seconds: None)
    with pytest.raises(LedgerCorrupt, match="malformed") as refused:
        await connection.reading(everything)
    assert "backup" in refused.value.hint
    await connection.close()


async def test_a_missing_table_is_told(numbers: Connection) -> None:
    """A schema that is not recond's is corrupt, not a crash."""
    with pytest.raises(LedgerCorrupt, match="no such table"):
        await numbers.reading(lambda connection: fetch(connection, "SELECT * FROM nowhere", (), int))


async def test_text_in_another_encoding_is_read(numbers: Connection) -> None:
    """Bytes that are not UTF-8 become U+FFFD instead of an error, also for the rows after them."""
    sql = "SELECT CAST(x'4dfc' AS TEXT), 'ü' UNION ALL SELECT 'a', 'b'"
    rows = await numbers.reading(lambda connection: fetch(connection, sql, (), lambda *row: row))
    assert rows == [("M\ufffd", "ü"), ("a", "b")]


async def test_a_mistake_of_the_program_is_not_the_ledger_s(numbers: Connection) -> None:
    """The wrong number of parameters is a bug and comes out as one."""
    with pytest.raises(sqlite3.ProgrammingError):
        await numbers.reading(lambda connection: fetch(connection, "SELECT ?", (), int))


async def test_commits_are_timed(path: Path) -> None:
    """Each COMMIT of a write is told, reads are not."""
    seconds: list[float] = []
    opened = await connect(path)
    await opened.execute("CREATE TABLE numbers (x INTEGER UNIQUE)")
    connection = Connection(path, opened, seconds.append)
    await connection.writing(lambda opened: put(opened, 1))
    await connection.reading(everything)
    await connection.close()
    assert len(seconds) == 1
    assert 0 < seconds[0] < 5
