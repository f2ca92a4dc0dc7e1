"""The ledger over SQLite: a file that bots read and write beside recond.

Owns the file, its lock, the one connection that writes and the one that only reads.
May not decide anything about positions; whoever else writes is kept in order by the schema, not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import aiosqlite

from recond.core.model import LedgerReading, Record, Run
from recond.ports import LedgerUnavailable, Page, PortError, Query
from recond.sqlite import listing, lock, reading, recording
from recond.sqlite.connection import Connection, connect, fetch, last_id, write
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

    async def __aenter__(self) -> Self:
        """Lock, open and migrate; raises `LedgerUnavailable` or `LedgerCorrupt` and then holds nothing."""
        opening = asyncio.create_task(self._open(), name="open the ledger")
        try:
            await asyncio.shield(opening)
        except BaseException:
            with suppress(PortError):
                await opening
            await self._parts.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the transaction under way, close, and let go of the lock."""
        await self._parts.aclose()
