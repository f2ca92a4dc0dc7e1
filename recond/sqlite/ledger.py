"""The ledger over SQLite: a file that bots read and write beside recond.

Owns the file, its lock, the one connection that writes and the one that only reads.
May not decide anything about positions; whoever else writes is kept in order by the schema, not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import aiosqlite

from recond.core.history import History, Wanted
from recond.core.model import Decision, Execution, LedgerReading
from recond.core.repin import Repin, Repinned
from recond.core.run import Record, Run
from recond.core.wish import Refusal, Wish
from recond.ports import LedgerUnavailable, Page, Query
from recond.sqlite import deciding, forgetting, keeping, listing, lock, reading, recording, remembering
from recond.sqlite.connection import SHORT_WAITS, Connection, connect, fetch, last_id, write
from recond.sqlite.errors import port_errors
from recond.sqlite.migrate import migrate
from recond.sqlite.text import time_text


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """An account as the configuration has it."""

    name: str
    user_id: int
    environment: str


class SqliteLedger:
    """The `Ledger` port on one SQLite file, for use in `async with` on one event loop."""

    def __init__(
        self,
        path: Path,
        accounts: Sequence[AccountEntry],
        *,
        journal: Literal["wal", "delete"] = "wal",
        now: Callable[[], datetime],
        on_commit: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`now` tells the time in UTC; `on_commit` gets the seconds that each COMMIT of a write took."""
        self._path = path.resolve()
        self._accounts, self._journal, self._now, self._on_commit = tuple(accounts), journal, now, on_commit
        self._parts = AsyncExitStack()
        self._writer: Connection
        self._reader: Connection
        self._next_run_id = 1
        self._data_version = 0
        self._seen_seq = 0
        self._files: tuple[object, ...] = ()
        self._in_place = True

    async def __aenter__(self) -> Self:
        """Lock, open and migrate; raises `LedgerUnavailable` or `LedgerCorrupt` and then holds nothing."""
        opening = asyncio.create_task(self._open(), name="open the ledger")
        try:
            await asyncio.shield(opening)
        except BaseException:
            await asyncio.wait({opening})
            await self._parts.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the transaction under way, close, and let go of the lock."""
        await self._parts.aclose()

    async def _open(self) -> None:
        self._parts.enter_context(lock.held(self._path))
        lock.make(self._path)
        with port_errors(self._path):
            connection = await connect(self._path)
            self._writer = Connection(self._path, connection, self._on_commit)
            self._parts.push_async_callback(self._writer.close)
            await connection.execute("PRAGMA synchronous = FULL")
            await migrate(connection, self._path, self._now())
            await self._set_journal(connection)
            await connection.execute(SHORT_WAITS)
            await self._writer.writing(self._register)
            [self._data_version] = await fetch(connection, "PRAGMA data_version", (), int)
            self._seen_seq = await last_id(connection, "changes")
            self._next_run_id = await last_id(connection, "runs") + 1
            connection = await connect(self._path)
            self._reader = Connection(self._path, connection, lambda _seconds: None)
            self._parts.push_async_callback(self._reader.close)
            await connection.execute("PRAGMA query_only = ON")
            await connection.execute(SHORT_WAITS)
            self._files = self._found()

    def _found(self) -> tuple[object, ...]:
        """Which files are at the ledger's path now, its lock too; None for one that is not there."""
        files: list[object] = []
        for suffix in ("", ".lock", "-wal", "-shm") if self._journal == "wal" else ("", ".lock"):
            try:
                found = self._path.with_name(f"{self._path.name}{suffix}").stat()
            except OSError:
                files.append(None)
            else:
                files.append((found.st_dev, found.st_ino))
        return tuple(files)

    def _check_place(self) -> None:
        """Raise `LedgerUnavailable` unless they are those that were opened: others open what is at the path now."""
        if self._found() != self._files:
            raise LedgerUnavailable(
                f"the ledger {self._path} is not the open one: it, its -wal, -shm or .lock was moved or replaced",
                hint="put all of them back, or stop the bots, put the right ledger there and restart recond",
            )

    async def _set_journal(self, connection: aiosqlite.Connection) -> None:
        """Switch the journal's mode; it stays with the file."""
        [mode] = await fetch(connection, f"PRAGMA journal_mode = {self._journal}", (), str)
        if mode != self._journal:
            raise LedgerUnavailable(
                f"the ledger {self._path}: its file system does not allow journal {self._journal!r} (it is {mode!r})",
                hint='put it on a local disk, or set [ledger] journal = "delete"',
            )

    async def _register(self, connection: aiosqlite.Connection) -> None:
        """Bring `accounts` in line with the configuration; accounts that left it keep their books."""
        entries = [(account.user_id, account.environment, account.name) for account in self._accounts]
        await write(connection, "UPDATE accounts SET user_id = ?, environment = ? WHERE name = ?", entries)
        await write(
            connection,
            "INSERT INTO accounts (user_id, environment, name) SELECT ?1, ?2, ?3"
            " WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE name = ?3)",
            entries,
        )

    def next_run_id(self) -> int:
        """A run id that no recorded run and no run of this process has."""
        run_id = self._next_run_id
        self._next_run_id += 1
        return run_id

    async def pin(self, account: str, broker_account_id: str | None) -> Mapping[str, str]:
        """See `Ledger.pin`."""

        async def pins(connection: aiosqlite.Connection) -> Mapping[str, str]:
            sql = "SELECT name, broker_account_id FROM accounts WHERE broker_account_id IS NOT NULL"
            return dict(await fetch(connection, sql, (), lambda name, pin: (name, pin)))

        async def work(connection: aiosqlite.Connection) -> Mapping[str, str]:
            await connection.execute(
                "UPDATE accounts SET broker_account_id = ?1 WHERE name = ?2 AND broker_account_id IS NULL"
                " AND NOT EXISTS (SELECT 1 FROM accounts WHERE broker_account_id = ?1)",
                (broker_account_id, account),
            )
            return await pins(connection)

        return await (self._reader.reading(pins) if broker_account_id is None else self._writer.writing(work))

    async def repin(self, repin: Repin) -> Repinned | Refusal:
        """See `Ledger.repin`."""
        self._check_place()
        run_id, now = self.next_run_id(), self._now()
        return await self._writer.writing(lambda connection: deciding.repin(connection, repin, run_id, now))

    async def decide(self, wish: Wish) -> Decision | Refusal:
        """See `Ledger.decide`."""
        self._check_place()
        now = self._now()
        return await self._writer.writing(lambda connection: deciding.decide(connection, wish, now))

    async def read(self, account: str, since: int | None) -> LedgerReading:
        """See `Ledger.read`."""
        self._check_place()
        return await self._reader.reading(lambda connection: reading.read(connection, account, since))

    async def record(self, record: Record) -> Run:
        """See `Ledger.record`."""
        self._check_place()
        at = time_text(self._now())
        return await self._writer.writing(lambda connection: recording.record(connection, record, at))

    async def keep(self, account: str, executions: Sequence[Execution]) -> None:
        """See `Ledger.keep`."""
        await self._writer.writing(lambda connection: keeping.keep(connection, account, executions))

    async def executions(self, account: str, since: datetime) -> tuple[Execution, ...]:
        """See `Ledger.executions`."""
        return await self._reader.reading(lambda connection: keeping.executions(connection, account, since))

    async def history(self, account: str, wanted: Wanted) -> History:
        """See `Ledger.history`."""
        return await self._reader.reading(lambda connection: remembering.history(connection, account, wanted))

    async def forget(self, before: datetime, at_most: int) -> int:
        """See `Ledger.forget`. What is old is looked for without the write lock, which bots wait for."""
        moment = time_text(before)
        old = await self._reader.reading(lambda connection: forgetting.find(connection, moment, at_most))
        if not old:
            return 0
        return await self._writer.writing(lambda connection: forgetting.delete(connection, old, moment))

    async def changed_accounts(self) -> frozenset[str]:
        """See `Ledger.changed_accounts`. `data_version` moves when, and only when, another connection commits.

        A ledger that was moved or replaced, or put back, is a change of every account.
        """
        in_place = self._found() == self._files
        if in_place != self._in_place:
            self._in_place = in_place
            return frozenset(account.name for account in self._accounts)

        async def work(connection: aiosqlite.Connection) -> frozenset[str]:
            [version] = await fetch(connection, "PRAGMA data_version", (), int)
            if version == self._data_version:
                return frozenset()
            changes = await fetch(
                connection,
                "SELECT account, max(seq), count(*) - count(correction_id) FROM changes WHERE seq > ? GROUP BY account",
                (self._seen_seq,),
                lambda *row: row,
            )
            self._data_version = version
            self._seen_seq = max((last for _account, last, _others in changes), default=self._seen_seq)
            return frozenset(account for account, _last, others in changes if others)

        return await self._writer.reading(work)

    async def list(self, query: Query) -> Page:
        """See `Ledger.list`. Raises `ValueError` for a filter that the collection does not have."""
        return await self._reader.reading(lambda connection: listing.list_page(connection, query))
