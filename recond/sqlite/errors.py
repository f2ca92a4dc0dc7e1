"""SQLite's errors as the port's two, with what an operator can do about each.

Owns the table from SQLite's result codes to `LedgerUnavailable` and `LedgerCorrupt`.
May not swallow an error, or take a mistake of this program for the ledger's: that one goes through as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from recond.ports import LedgerCorrupt, LedgerUnavailable

_UNAVAILABLE = MappingProxyType(
    {
        sqlite3.SQLITE_BUSY: "another program holds its lock: end that program's transaction",
        sqlite3.SQLITE_LOCKED: "another program holds its lock: end that program's transaction",
        sqlite3.SQLITE_PROTOCOL: "another program holds its lock: end that program's transaction",
        sqlite3.SQLITE_INTERRUPT: "recond was told to stop; nothing was written",
        sqlite3.SQLITE_FULL: "make room on its disk",
        sqlite3.SQLITE_READONLY: "let recond's user write the file and its folder",
        sqlite3.SQLITE_PERM: "let recond's user write the file and its folder",
        sqlite3.SQLITE_CANTOPEN: "create its folder and let recond's user write there",
        sqlite3.SQLITE_IOERR: "look at the disk and its file system (`dmesg`)",
        sqlite3.SQLITE_NOMEM: "give the machine more memory",
        sqlite3.SQLITE_CONSTRAINT: "another program may have written what only recond writes; see what it did",
    }
)
_CORRUPT = MappingProxyType(
    {
        sqlite3.SQLITE_CORRUPT: "restore it from a backup",
        sqlite3.SQLITE_NOTADB: "this is not a SQLite database: name another file in [ledger] path, or restore a backup",
        sqlite3.SQLITE_FORMAT: "restore it from a backup",
        sqlite3.SQLITE_ERROR: "its tables are not those that recond made: restore it from a backup",
    }
)


@contextmanager
def port_errors(path: Path) -> Iterator[None]:
    """Raise what SQLite reports about the ledger at `path` as `LedgerUnavailable` or `LedgerCorrupt`."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the primary code (https://sqlite.org/rescode.html); Python's own errors have none.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        message = f"the ledger {path}: {error}"
        if code in _UNAVAILABLE:
            raise LedgerUnavailable(message, hint=_UNAVAILABLE[code]) from error
        if code in _CORRUPT:
            raise LedgerCorrupt(message, hint=_CORRUPT[code]) from error
        raise


@contextmanager
def own_tables() -> Iterator[None]:
    """Raise as `LedgerCorrupt` that a table which only recond writes holds what recond cannot have written."""
    try:
        yield
    except (ValueError, ArithmeticError) as error:
        raise LedgerCorrupt(
            f"another program wrote into the ledger's own tables: {error}",
            hint="programs beside recond may write `positions` only: stop that one, and restore the ledger",
        ) from error
