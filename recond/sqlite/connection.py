"""One connection to the ledger, used in whole transactions only.

Owns what makes a transaction whole: one at a time per connection, and it runs on when its caller is cancelled,
since SQLite cannot call back a statement that it has begun. Owns the waiting for locks that others hold, too.
May not know a table.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import aiosqlite

from recond.ports import LedgerUnavailable
from recond.sqlite.errors import port_errors

BUSY_TIMEOUT_S = 5.0
SHORT_WAITS = "PRAGMA busy_timeout = 250"
"""For connections that are open: nothing can break off SQLite's own waiting, so that a `Connection` waits by itself."""
RETRY_S = 0.01
CLOSE_S = 0.5
"""How long a transaction may go on when the connection is to be closed, before it is undone."""
CHECK_OPERATIONS = 10_000
"""After so many of SQLite's operations, about a millisecond, it is asked whether that is over. `interrupt()` from
another thread would not do: it has no effect between two rows of a statement, which is when Python lets it come."""
_LENIENT = partial(str, encoding="utf-8", errors="replace")

T = TypeVar("T")
Value = str | int | float | None


class Connection:
    """An aiosqlite connection with one transaction at a time.

    Every method raises `LedgerUnavailable` or `LedgerCorrupt`. `on_commit` gets the seconds that a COMMIT took.
    """

    def __init__(self, path: Path, connection: aiosqlite.Connection, on_commit: Callable[[float], None]) -> None:
        self._path, self._connection, self._on_commit = path, connection, on_commit
        self._lock = asyncio.Lock()
        self._undone_at_s = math.inf

    async def reading(self, work: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
        """What `work` returns, all of it read at one moment; a locked ledger calls it again."""
        return await self._whole("BEGIN", lambda opened: self._patiently(lambda: work(opened)), lambda _seconds: None)

    async def writing(self, work: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
        """What `work` returns, after COMMIT; when `work` raises, nothing was written."""
        return await self._whole("BEGIN IMMEDIATE", work, self._on_commit)

    async def _whole(
        self, begin: str, work: Callable[[aiosqlite.Connection], Awaitable[T]], on_commit: Callable[[float], None]
    ) -> T:
        """Let the transaction run to its end even when the caller is cancelled."""
        transaction = asyncio.create_task(self._transaction(begin, work, on_commit), name="ledger transaction")
        try:
            return await asyncio.shield(transaction)
        except asyncio.CancelledError:
            # Nobody is left to hear how it ended; without this its error would be logged as forgotten.
            transaction.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            raise

    async def _transaction(
        self, begin: str, work: Callable[[aiosqlite.Connection], Awaitable[T]], on_commit: Callable[[float], None]
    ) -> T:
        async with self._lock:
            if self._closing:
                raise LedgerUnavailable(f"the ledger {self._path} is being closed", hint="recond was told to stop")
            with port_errors(self._path):
                await self._connection.set_progress_handler(self._is_over, CHECK_OPERATIONS)
                try:
                    await self._patiently(lambda: self._connection.execute(begin))
                    result = await work(self._connection)
                    started = time.perf_counter()
                    await self._patiently(self._connection.commit)
                except BaseException:
                    await self._connection.rollback()
                    raise
                on_commit(time.perf_counter() - started)
        return result

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """What the step returns, tried again for `BUSY_TIMEOUT_S` while another program holds the lock it needs."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + BUSY_TIMEOUT_S
        while True:
            try:
                return await step()
            except sqlite3.OperationalError as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code != sqlite3.SQLITE_BUSY or self._closing or loop.time() >= until_s:
                    raise
            await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Close after the transaction under way, if any: it waits for no lock any more, and is undone when it lasts."""
        self._undone_at_s = time.monotonic() + CLOSE_S
        async with self._lock:
            with port_errors(self._path):
                await self._connection.close()

    @property
    def _closing(self) -> bool:
        return self._undone_at_s < math.inf

    def _is_over(self) -> bool:
        """Whether what runs has to be broken off; on the connection's thread."""
        return time.monotonic() >= self._undone_at_s


async def connect(path: Path) -> aiosqlite.Connection:
    """A connection in autocommit mode that waits for locks."""
    return await aiosqlite.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)


async def fetch(
    connection: aiosqlite.Connection, sql: str, parameters: Sequence[Value], make: Callable[..., T]
) -> list[T]:
    """The rows as `make(*columns)`, which runs on the connection's own thread and not on the event loop's.

    Text that another program stored in another encoding than UTF-8 is read with U+FFFD in its place; since that
    takes twice as long, only from the first such text on.
    """
    async with connection.execute(sql, parameters) as cursor:
        cursor.row_factory = cast("type", lambda _cursor, row: make(*row))
        try:
            return cast("list[T]", await cursor.fetchall())
        except sqlite3.OperationalError as error:
            if hasattr(error, "sqlite_errorcode") or connection.text_factory is _LENIENT:
                raise
    connection.text_factory = _LENIENT
    return await fetch(connection, sql, parameters, make)


async def write(connection: aiosqlite.Connection, sql: str, rows: Iterable[Sequence[Value]]) -> None:
    """Run the statement for each row; `rows` is consumed on the connection's thread."""
    async with connection.executemany(sql, rows):
        pass


async def insert(
    connection: aiosqlite.Connection, table: str, columns: str, rows: Iterable[Sequence[Value]], tail: str = ""
) -> None:
    """As `write`, an INSERT of the named columns, with `tail` after its VALUES."""
    marks = ", ".join("?" for _ in columns.split(","))
    await write(connection, f"INSERT INTO {table} ({columns}) VALUES ({marks}) {tail}", rows)  # noqa: S608


async def last_id(connection: aiosqlite.Connection, table: str) -> int:
    """The highest id that the AUTOINCREMENT table has ever given; 0 for none."""
    given = await fetch(connection, "SELECT seq FROM sqlite_sequence WHERE name = ?", (table,), int)
    return max(given, default=0)
