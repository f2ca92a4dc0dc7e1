"""Bringing a ledger to this program's schema, and refusing what must not be touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import aiosqlite
import pytest

from recond.ports import LedgerCorrupt
from recond.sqlite.connection import connect
from recond.sqlite.migrate import APPLICATION_ID, Migration, migrate, migrations
from tests.sqlite.passes import NOW, bot, get_file, open_ledger, put_file

STEPS = (
    Migration(1, "0001_first", "CREATE TABLE a (x TEXT) STRICT; INSERT INTO a VALUES ('kept');"),
    Migration(2, "0002_second", "CREATE TABLE b (x TEXT) STRICT;"),
)


def version(path: Path) -> tuple[int, int]:
    """How many steps are applied, by user_version and by the record of them."""
    with bot(path) as book:
        [user_version] = book.execute("PRAGMA user_version").fetchone()
        [recorded] = book.execute("SELECT count(*) FROM migrations").fetchone()
    return user_version, recorded


async def apply(path: Path, *steps: Migration) -> None:
    """Open the file and migrate it."""
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        await migrate(connection, path, NOW, steps)


def test_the_steps_are_numbered_without_gaps() -> None:
    """Files count from 1, and none opens or ends a transaction of its own."""
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))
    for step in migrations():
        assert "COMMIT" not in step.sql
        assert "BEGIN IMMEDIATE" not in step.sql


async def test_only_missing_steps_are_applied(path: Path) -> None:
    """A second start changes nothing; a newer program adds its step and records it."""
    await apply(path, *STEPS[:1])
    await apply(path, *STEPS[:1])
    assert version(path) == (1, 1)
    await apply(path, *STEPS)
    assert version(path) == (2, 2)
    with bot(path) as book:
        assert book.execute("SELECT x FROM a").fetchall() == [("kept",)]
        assert book.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert book.execute("SELECT number, name, sha256, applied_at FROM migrations WHERE number = 2").fetchall() == [
            (2, "0002_second", STEPS[1].sha256, "2026-01-02T03:04:05.678901Z")
        ]


async def test_a_step_that_fails_leaves_nothing(path: Path) -> None:
    """Each step is one transaction: what it did before it failed is gone, the steps before it stay."""
    broken = Migration(2, "0002_broken", "CREATE TABLE b (x TEXT) STRICT; INSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        await apply(path, STEPS[0], broken)
    assert version(path) == (1, 1)
    await apply(path, *STEPS)
    assert version(path) == (2, 2)


async def test_a_newer_ledger_is_refused(path: Path) -> None:
    """A ledger of a newer recond is left alone, with a hint."""
    await apply(path, *STEPS)
    with pytest.raises(LedgerCorrupt, match="newer recond") as refused:
        await apply(path, STEPS[0])
    assert refused.value.hint


@pytest.mark.parametrize("column", ["sha256", "name"])
async def test_another_history_is_refused(path: Path, column: str) -> None:
    """A ledger whose recorded steps are not this program's is left alone."""
    await apply(path, *STEPS)
    with bot(path) as book:
        book.execute(f"UPDATE migrations SET {column} = 'x' WHERE number = 1")
    with pytest.raises(LedgerCorrupt, match="another history"):
        await apply(path, *STEPS)


async def test_a_foreign_database_is_refused_untouched(path: Path) -> None:
    """Some other program's SQLite file is not written to, its journal mode included."""
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE notes (x)")
    before = get_file(path)
    with pytest.raises(LedgerCorrupt, match="not a ledger of recond"):
        await open_ledger(path).__aenter__()
    assert get_file(path) == before


@pytest.mark.parametrize("content", [b"hello, this is no database\n" * 50, b"SQLite format 3\x00" + b"\xff" * 4000])
async def test_what_is_no_database_is_refused_untouched(path: Path, content: bytes) -> None:
    """A file of anything else is not written to."""
    put_file(path, content)
    with pytest.raises(LedgerCorrupt):
        await open_ledger(path).__aenter__()
    assert get_file(path) == content


async def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    """An empty file, such as `touch` makes, is taken for a new ledger."""
    put_file(path, b"")
    async with open_ledger(path):
        assert version(path) == (len(migrations()), len(migrations()))


async def test_tables_are_strict(path: Path) -> None:
    """Every table says what types it holds."""
    async with open_ledger(path):
        connection = await connect(path)
        rows = await connection.execute_fetchall("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
        await connection.close()
    assert {name for name, strict in rows if not strict} <= {"sqlite_schema", "sqlite_sequence"}
