"""Brings a ledger to this program's schema: numbered SQL files, each in one transaction, each recorded.

Owns the order of `migrations/`, the table `migrations` in the ledger, `user_version` and `application_id`.
May not touch a database that is not recond's, one that a newer recond has written, or one with another history.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import aiosqlite

from recond.ports import LedgerCorrupt, LedgerUnavailable
from recond.sqlite.text import time_text

APPLICATION_ID = 0x7265636F  # "reco"
OLDEST_SQLITE = (3, 38, 0)
FACTS = (
    "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
    " FROM pragma_application_id, pragma_user_version"
)
HISTORY = "SELECT number, name, sha256 FROM migrations ORDER BY number"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; `number` counts from 1 without gaps."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The digest by which an altered step is known."""
        return sha256(self.sql.encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """The steps that this program knows, in order."""
    folder = files("recond.sqlite") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if re.fullmatch(r"[0-9]{4}_\w+\.sql", entry.name))
    return tuple(
        Migration(number=int(name[:4]), name=name.removesuffix(".sql"), sql=(folder / name).read_text("utf-8"))
        for name in names
    )


async def migrate(
    connection: aiosqlite.Connection, path: Path, now: datetime, steps: Sequence[Migration] | None = None
) -> None:
    """Apply the steps that the ledger lacks. `connection` is in autocommit mode, `path` is for messages.

    Raises `LedgerCorrupt` when the file is not a ledger that this program may touch, `LedgerUnavailable` when SQLite
    is too old, and SQLite's errors.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise LedgerUnavailable(
            f"SQLite {sqlite3.sqlite_version} is too old for the ledger: it has no STRICT tables",
            hint="use a Python that is linked with SQLite 3.38 or newer; bots need it as well",
        )
    steps = migrations() if steps is None else steps
    [facts] = await connection.execute_fetchall(FACTS)
    version = ledger_version(path, steps, *facts)
    if version:
        check_history(path, await connection.execute_fetchall(HISTORY), steps[:version])
    for step in steps[version:]:
        await connection.executescript(script(step, now))


def ledger_version(path: Path, steps: Sequence[Migration], application_id: int, version: int, objects: int) -> int:
    """How many steps a ledger with these `FACTS` has behind it; 0 for an empty file.

    Raises `LedgerCorrupt` when it is not a ledger of recond, or one of a program that knows more than these steps.
    """
    if application_id != APPLICATION_ID and (application_id or version or objects):
        raise LedgerCorrupt(
            f"{path} is a SQLite database, but not a ledger of recond",
            hint="name another file in [ledger] path; recond creates it",
        )
    if version > len(steps):
        raise LedgerCorrupt(
            f"the ledger {path} was written by a newer recond (schema {version}, this one knows {len(steps)})",
            hint="install that version again, or restore a backup from before",
        )
    return version


def check_history(path: Path, applied: Iterable[Sequence[object]], steps: Sequence[Migration]) -> None:
    """Raise `LedgerCorrupt` unless the `HISTORY` of a ledger consists of these steps."""
    if [tuple(row) for row in applied] != [(step.number, step.name, step.sha256) for step in steps]:
        raise LedgerCorrupt(
            f"the ledger {path} has another history than this recond (schema {len(steps)})",
            hint="install the recond that wrote it, or restore a backup",
        )


def script(step: Migration, now: datetime) -> str:
    """The step as one transaction, in one script: sqlite3 would commit before each of several."""
    return "\n".join(
        (
            "BEGIN IMMEDIATE;",
            "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL,",
            "    sha256 TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT;",
            step.sql,
            # A number, a file's name of word characters, a digest and a time need no quoting.
            f"INSERT INTO migrations VALUES ({step.number}, '{step.name}', '{step.sha256}', '{time_text(now)}');",  # noqa: S608
            f"PRAGMA application_id = {APPLICATION_ID};",
            f"PRAGMA user_version = {step.number};",
            "COMMIT;",
        )
    )
