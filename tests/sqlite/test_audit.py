"""A ledger that is as recond and its triggers left it, and what a careless person makes of it with SQL."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

import recond.sqlite.audit
from recond.sqlite.audit import Audit, audit
from recond.sqlite.ledger import SqliteLedger
from recond.sqlite.migrate import Migration, migrations
from tests.sqlite.passes import (
    a_record,
    an_outcome,
    bot,
    closing_of,
    get_file,
    open_ledger,
    opening,
    put_file,
    setting,
)

LIFE = """
INSERT INTO positions (account, symbol, quantity) VALUES ('main', 'AAPL', '10.50'), ('main', 'eth/usd', '0.000000001');
INSERT INTO positions (account, symbol, strategy_id, quantity) VALUES ('main', 'AAPL', 'mean', '007.5');
INSERT INTO positions (account, symbol, quantity) VALUES ('other', 'AAPL', '-3'), ('main', 'FLAT', '0');
INSERT INTO positions (account, symbol, quantity) VALUES ('main', 'NVDA', 4);
UPDATE positions SET quantity = '11' WHERE symbol = 'AAPL' AND strategy_id IS NULL AND account = 'main';
UPDATE positions SET quantity = quantity * 1.5 WHERE symbol = 'NVDA';
UPDATE positions SET strategy_id = 'trend' WHERE symbol = 'ETHUSD';
UPDATE positions SET quantity = '0' WHERE symbol = 'NVDA';
INSERT INTO positions (account, symbol, quantity) VALUES ('main', 'NVDA', '-1'), ('main', 'FB', '2.0');
INSERT INTO positions (account, symbol, quantity) VALUES ('main', 'GONE', '1');
"""


async def live(ledger: SqliteLedger, path: Path) -> None:
    """Let a platform and recond do all that they may, and a few things that are refused."""
    with bot(path) as book:
        book.executescript(LIFE)
        for refused in ("DELETE FROM positions", "UPDATE positions SET quantity = 'x'", "DELETE FROM changes"):
            with pytest.raises(sqlite3.IntegrityError):
                book.execute(refused)
    reading = await ledger.read("main", None)
    rows = {(row.symbol, row.strategy_id): row for row in reading.rows}
    outcomes = (
        an_outcome("TSLA", "5", opening("TSLA", "5")),
        an_outcome("AAPL", "9", setting(rows["AAPL", "mean"], "9")),
        an_outcome("META", "2", setting(rows["FB", None], "2.5", "META")),
        an_outcome("GONE", "0", closing_of(rows["GONE", None])),
    )
    await ledger.record(a_record(1, reading, *outcomes))


@pytest.fixture
def lived(path: Path) -> Path:
    """A ledger that has been used and is closed."""

    async def use() -> None:
        async with open_ledger(path) as ledger:
            await live(ledger, path)

    asyncio.run(use())
    return path


def faults(found: Audit) -> list[str]:
    """The texts of the faults; each has a hint."""
    assert all(remark.hint for remark in found.remarks)
    return [remark.text for remark in found.remarks if remark.level == "fault"]


def careless(path: Path, script: str, *without: str) -> None:
    """What a person does who drops the triggers that are in the way, and puts them back."""
    with bot(path) as book:
        triggers = [
            book.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0] for name in without
        ]
        for name in without:
            book.execute(f"DROP TRIGGER {name}")
        book.executescript(script)
        for trigger in triggers:
            book.execute(trigger)


@pytest.mark.parametrize("journal", ["wal", "delete"])
async def test_a_ledger_in_use_is_sound(path: Path, journal: Literal["wal", "delete"]) -> None:
    """Whatever the triggers accept fits together, while recond has the file open, and while somebody writes."""
    async with open_ledger(path, journal=journal) as ledger:
        await live(ledger, path)
        with bot(path) as book:
            book.execute("BEGIN IMMEDIATE")
            book.execute("UPDATE positions SET quantity = '12' WHERE symbol = 'NVDA' AND status = 'open'")
            found = audit(path, thorough=True)
            book.execute("COMMIT")
    assert found.remarks == ()
    assert "7 open positions, 18 changes, 4 corrections" in found.summary
    assert audit(path, thorough=True).remarks == ()


def test_looking_leaves_no_trace(lived: Path) -> None:
    """A ledger that nobody has open is not touched, and nothing is left beside it."""
    before, files = get_file(lived), sorted(lived.parent.iterdir())
    assert audit(lived, thorough=True).remarks == ()
    assert (get_file(lived), sorted(lived.parent.iterdir())) == (before, files)


MEAN = "WHERE strategy_id = 'mean' AND status = 'open'"


@pytest.mark.parametrize(
    ("script", "without", "expected"),
    [
        (
            f"UPDATE positions SET quantity = '9.000000001' {MEAN}",
            ["positions_updated"],
            [
                "account main, AAPL, strategy mean: the journal says 9, the row says 9.000000001",
                "ledger row 3: open_rows, from which the triggers know what it was, has it otherwise",
            ],
        ),
        (
            "DELETE FROM positions WHERE account = 'other'",
            ["positions_deleted"],
            [
                "account other, AAPL, no strategy: the journal says -3, there is no open row",
                "ledger row 4: open_rows, from which the triggers know what it was, has it otherwise",
            ],
        ),
        (
            "INSERT INTO positions (account, symbol, quantity, version, side) VALUES ('main', 'IBM', '1', 1, 'long')",
            ["positions_offered", "positions_inserted"],
            [
                "account main, IBM, no strategy: the journal says 0, the row says 1",
                "ledger row 11: open_rows, from which the triggers know what it was, has it otherwise",
            ],
        ),
        (
            f"UPDATE positions SET symbol = 'aapl/x' {MEAN}",
            ["positions_updated"],
            [
                "ledger row 3: 'aapl/x' was not written through the ledger's triggers",
                "account main, AAPL, strategy mean: the journal says 9, there is no open row",
                "account main, aapl/x, strategy mean: the journal says 0, the row says 9",
            ],
        ),
        (
            f"UPDATE positions SET quantity = '1_000' {MEAN}",
            ["positions_updated"],
            [
                "ledger row 3: not a quantity: '1_000'; it was written past the triggers",
                "account main, AAPL, strategy mean: the journal says 9, the row says 1_000",
            ],
        ),
        (
            f"UPDATE positions SET side = 'short' {MEAN}",
            ["positions_updated"],
            ["ledger row 3: status is 'open', side 'short' and quantity '9'; it was written past the triggers"],
        ),
        (
            f"UPDATE positions SET account = 'third' {MEAN}",
            ["positions_updated"],
            [
                "ledger row 3: account 'third' is unknown; it was written past the triggers",
                "account third, AAPL, strategy mean: the journal says 0, the row says 9",
            ],
        ),
        (
            f"UPDATE positions SET status = 'closed' {MEAN}",
            ["positions_updated"],
            [
                "ledger row 3: it is closed, its quantity '9', its end None; it was written past the triggers",
                "account main, AAPL, strategy mean: the journal says 9, there is no open row",
            ],
        ),
        (
            f"UPDATE positions SET quantity = '0' {MEAN}",
            ["positions_updated"],
            [
                "ledger row 3: status is 'open', side 'long' and quantity '0'; it was written past the triggers",
                "account main, AAPL, strategy mean: the journal says 9, the row says 0",
            ],
        ),
        (
            "DELETE FROM changes WHERE seq = 6",
            ["changes_deleted"],
            [
                "the journal has 17 entries and has had 18",
                "account main, AAPL, no strategy: the journal says 10.5, the row says 11",
            ],
        ),
        (
            "DELETE FROM changes WHERE seq = 18",
            ["changes_deleted"],
            [
                "the journal has 17 entries and has had 18",
                "account main, TSLA, no strategy: the journal says 0, the row says 5",
                "correction 1 of TSLA, account main: no entry of the journal belongs to it",
            ],
        ),
        (
            "UPDATE changes SET after = '10.51' WHERE seq = 1",
            ["changes_updated"],
            [
                "journal entry 6: it begins at 10.50, and the one before it ended at 10.51",
                "account main, AAPL, no strategy: the journal says 11.01, the row says 11",
            ],
        ),
        (
            "UPDATE changes SET after = 'ten' WHERE seq = 1",
            ["changes_updated"],
            ["journal entry 1: not a quantity: 'ten'"],
        ),
        (
            "UPDATE corrections SET after = '9.1' WHERE id = 2",
            ["corrections_updated"],
            ["correction 2 of AAPL, account main: it says from 7.5 to 9.1, the journal from 007.5 to 9"],
        ),
        (
            "UPDATE corrections SET before = '7' WHERE id = 2",
            ["corrections_updated"],
            ["correction 2 of AAPL, account main: it says from 7 to 9, the journal from 007.5 to 9"],
        ),
        (
            "UPDATE corrections SET position_id = 1 WHERE id = 2",
            ["corrections_updated"],
            ["correction 2 of AAPL, account main: it names row 1, the journal another"],
        ),
        (
            "UPDATE changes SET correction_id = NULL WHERE correction_id = 2",
            ["changes_updated"],
            ["correction 2 of AAPL, account main: no entry of the journal belongs to it"],
        ),
        (
            "DELETE FROM corrections WHERE id = 2",
            ["corrections_deleted"],
            ["there is no correction 2, to which it belongs"],
        ),
        (
            "INSERT INTO being_written (position_id, written_symbol, written, moved_at) VALUES (3, 'AAPL', '1', '')",
            [],
            ["being_written has an entry for row 3: the triggers would not see changes of that row"],
        ),
        (
            "DELETE FROM open_rows WHERE position_id = 3",
            ["open_rows_deleted"],
            ["ledger row 3: open_rows, from which the triggers know what it was, has it otherwise"],
        ),
    ],
)
def test_what_was_written_past_the_triggers_is_named(
    lived: Path, script: str, without: list[str], expected: list[str]
) -> None:
    """Each difference is told with its account, symbol and strategy, and what the two sides say."""
    careless(lived, script, *without)
    found = faults(audit(lived, thorough=True))
    for text in expected:
        assert any(text in each for each in found), found
    assert len(found) <= 4
    assert faults(audit(lived, thorough=False)) == [], "the schema is as it was"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("DROP TRIGGER positions_updated", "the trigger positions_updated is missing"),
        ("DROP INDEX positions_open", "the index positions_open is missing"),
        ("DROP TABLE holds", "the table holds is missing"),
        ("ALTER TABLE runs ADD COLUMN mood TEXT", "the table runs is not as recond made it"),
        (
            "DROP TRIGGER changes_deleted; CREATE TRIGGER changes_deleted BEFORE DELETE ON changes BEGIN SELECT 1; END",
            "the trigger changes_deleted is not as recond made it",
        ),
        (
            "CREATE TRIGGER helpful AFTER INSERT ON positions BEGIN DELETE FROM positions; END",
            "the trigger helpful is not recond's",
        ),
        ("DROP TABLE changes", "the table changes is missing"),
        ("DROP TABLE migrations", "no such table: migrations"),
        ("UPDATE migrations SET sha256 = 'x' WHERE number = 1", "has another history than this recond"),
        ("PRAGMA user_version = 99", "was written by a newer recond (schema 99"),
        ("PRAGMA application_id = 7", "is a SQLite database, but not a ledger of recond"),
    ],
)
@pytest.mark.parametrize("thorough", [False, True])
def test_a_schema_altered_by_hand_is_named(lived: Path, script: str, expected: str, thorough: bool) -> None:
    """What is missing, changed or added is told by name, and so is a ledger of another program or another recond."""
    with bot(lived) as book:
        book.executescript(script)
    assert any(expected in text for text in faults(audit(lived, thorough=thorough)))


def test_tables_of_others_are_left_to_them(lived: Path) -> None:
    """A table beside recond's is a warning, a replication tool's own and what ANALYZE keeps are nothing."""
    with bot(lived) as book:
        book.executescript("CREATE TABLE _litestream_seq (id); CREATE TABLE notes (x); ANALYZE")
    found = audit(lived, thorough=True)
    assert [(remark.level, "table notes" in remark.text) for remark in found.remarks] == [("warning", True)]


def test_a_ledger_of_an_older_recond_is_compared_with_its_own_schema(
    lived: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon will apply what it lacks; only what the steps behind it made is expected of it."""
    newer = (*migrations(), Migration(len(migrations()) + 1, "9999_next", "CREATE TABLE more (x TEXT) STRICT;"))
    monkeypatch.setattr(recond.sqlite.audit, "migrations", lambda: newer)
    assert audit(lived, thorough=True).remarks == ()
    with bot(lived) as book:
        book.execute("DROP TABLE baselines")
    assert any("table baselines is missing" in text for text in faults(audit(lived, thorough=True)))


def damage(path: Path) -> None:
    """Overwrite a page in the middle."""
    content = bytearray(get_file(path))
    content[4096 * 3 : 4096 * 4] = os.urandom(4096)
    put_file(path, content)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (damage, "damaged"),
        (lambda path: put_file(path, b"no database at all, just text " * 100), "not a database"),
        (lambda path: (path.unlink(), path.mkdir()), "directory"),
    ],
)
def test_a_damaged_file_is_told(lived: Path, harm: Callable[[Path], object], expected: str) -> None:
    """What is no database any more, wholly or in part, is a fault and no crash."""
    harm(lived)
    assert any(expected in text for text in faults(audit(lived, thorough=True)))


def test_what_keeps_the_daemon_from_reading_is_told(lived: Path) -> None:
    """A baseline that says no quantity ends every start; the quick look, which the daemon takes, leaves it alone."""
    with bot(lived) as book:
        book.execute("INSERT INTO baselines VALUES ('main', 'us_equity', 'MSFT', 'many', '0', NULL, '2026-01-02', 0)")
    assert any("many" in text for text in faults(audit(lived, thorough=True)))
    assert faults(audit(lived, thorough=False)) == []


def test_an_empty_file_is_nothing_yet(path: Path) -> None:
    """What `touch` made is no fault: the daemon makes it a ledger."""
    put_file(path, b"")
    found = audit(path, thorough=True)
    assert (found.remarks, "is empty" in found.summary) == ((), True)


def test_a_copy_without_its_journal_is_read(lived: Path, tmp_path: Path) -> None:
    """A backup that lies somewhere else can be looked at where it is."""
    copy = tmp_path / "copies" / "backup.db"
    copy.parent.mkdir()
    shutil.copy(lived, copy)
    assert audit(copy, thorough=True).remarks == ()
    assert list(copy.parent.iterdir()) == [copy]
