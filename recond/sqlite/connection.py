"""One connection to the ledger, used in whole transactions only.

Owns what makes a transaction whole: one at a time per connection, and it runs on when its caller is cancelled,
since a statement that SQLite has begun cannot be called back.
May not know a table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import aiosqlite

from recond.sqlite.errors import port_errors

BUSY_TIMEOUT_S = 5.0

T = TypeVar("T")
Value = str | int | float | None


class Connection:
    """An aiosqlite connection with one transaction at a time.

    Every method raises `LedgerUnavailable` or `LedgerCorrupt`. `on_commit` gets the seconds that a COMMIT took.
    """

    def __init__(self, path: Path, connection: aiosqlite.Connection, on_commit: Callable[[float], None]) -> None:
        self._path, self._connection, self._on_commit = path, connection, on_commit
        self._lock = asyncio.Lock()

    async def transaction(self, begin: str, work: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
        """What `work` returns, after COMMIT. When the caller is cancelled, the transaction still runs to its end."""
        return await asyncio.shield(asyncio.create_task(self._transaction(begin, work), name="ledger transaction"))

    async def _transaction(self, begin: str, work: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
        async with self._lock:
            with port_errors(self._path):
                try:
                    await self._connection.execute(begin)
                    result = await work(self._connection)
                    started = time.perf_counter()
                    await self._connection.commit()
                except BaseException:
                    await self._connection.rollback()
                    raise
                self._on_commit(time.perf_counter() - started)
        return result

    async def close(self) -> None:
        """Close after the transaction that is under way, if any."""
        async with self._lock:
            with port_errors(self._path):
                await self._connection.close()


async def connect(path: Path) -> aiosqlite.Connection:
    """A connection in autocommit mode that waits for locks and reads bytes that are not UTF-8 as U+FFFD."""
    connection = await aiosqlite.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    return connection


async def fetch(
    connection: aiosqlite.Connection, sql: str, parameters: Sequence[Value], make: Callable[..., T]
) -> list[T]:
    """The rows as `make(*columns)`, which runs on the connection's own thread and not on the event loop's."""
    async with connection.execute(sql, parameters) as cursor:
        cursor.row_factory = cast("type", lambda _cursor, row: make(*row))
        return cast("list[T]", await cursor.fetchall())


async def write(connection: aiosqlite.Connection, sql: str, rows: Iterable[Sequence[Value]]) -> int:
    """Run the statement for each row, on the connection's thread `rows` included; returns how many rows it changed."""
    async with await connection.executemany(sql, rows) as cursor:
        return cursor.rowcount


async def last_id(connection: aiosqlite.Connection, table: str) -> int:
    """The highest id that the table has ever given; 0 for none."""
    sql = f"SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0), coalesce((SELECT max(rowid) FROM {table}), 0))"  # noqa: S608, E501
    [highest] = await fetch(connection, sql, (), int)
    return highest
