"""The contract of the `positions` table: what other programs may write, whatever library or pragma they use."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recond.core.symbols import canonical_symbol
from recond.sqlite.migrate import migrations
from tests.sqlite.passes import UPSERT, assert_sound, bot, held, open_ledger

HABITS = {
    "plain": (),
    "recursive": ("recursive_triggers = ON",),
    "hostile": (
        "recursive_triggers = ON",
        "foreign_keys = ON",
        "ignore_check_constraints = ON",
        "case_sensitive_like = ON",
        "trusted_schema = OFF",
        "reverse_unordered_selects = ON",
    ),
    "careless": ("recursive_triggers = OFF", "foreign_keys = OFF", "ignore_check_constraints = ON"),
}
POLICIES = ("", "OR IGNORE", "OR REPLACE", "OR FAIL", "OR ABORT", "OR ROLLBACK")
WORDS = "NaN Infinity -inf 1_000 1,5 +1 .5 5. - --1 0x10 1e e5 1e5x 1e1.5 1.2.3 ٣ 1e99 1e+-5 1e999 -1e999 -e1 ½"
VALUES = ("", " 5", "5 ", "5\n", "1\x000", "10 shares", "9" * 41, None, float("inf"), float("nan"), b"10")
GARBAGE = (*WORDS.split(" "), *VALUES)
NO_SYMBOLS = ("", "  ", "AA PL", "BTC / USD", "A\x00", "A\x7f", "ÄÖ", "AAPL\u00a0", None, b"AAPL")


@pytest.fixture(scope="module")
def new_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger as recond leaves it after its first start."""

    async def start_and_stop() -> None:
        async with open_ledger(path):
            pass

    path = tmp_path_factory.mktemp("new") / "recond.db"
    asyncio.run(start_and_stop())
    return path


@pytest.fixture
def path(new_ledger: Path, tmp_path: Path) -> Path:
    """A copy for one test."""
    return Path(shutil.copy(new_ledger, tmp_path))


@pytest.fixture(params=HABITS, ids=str)
def book(request: pytest.FixtureRequest, path: Path) -> Iterator[sqlite3.Connection]:
    """A bot's connection, with each set of pragmas; whatever it does, the ledger must be sound afterwards."""
    with bot(path, *HABITS[request.param]) as connection:
        yield connection
        assert_sound(connection)


def add(book: sqlite3.Connection, symbol: str, quantity: object, strategy_id: str | None = None, how: str = "") -> int:
    """INSERT as a bot does; returns the id."""
    sql = f"INSERT {how} INTO positions (account, symbol, quantity, strategy_id) VALUES ('main', ?, ?, ?)"
    row_id = book.execute(sql, (symbol, quantity, strategy_id)).lastrowid
    assert row_id is not None
    return row_id


def look(book: sqlite3.Connection, row_id: int, columns: str) -> tuple[object, ...]:
    """Columns of a row."""
    row: tuple[object, ...] = book.execute(f"SELECT {columns} FROM positions WHERE id = ?", (row_id,)).fetchone()
    return row


def journal(book: sqlite3.Connection) -> list[tuple[object, ...]]:
    """What the journal says, without ids and times."""
    return book.execute("SELECT symbol, strategy_id, before, after, version FROM changes ORDER BY seq").fetchall()


def test_a_bot_gives_account_symbol_and_quantity(book: sqlite3.Connection) -> None:
    """Triggers fill in the rest: owner, side, status, source, times and version."""
    row = look(book, add(book, "AAPL", "10.50"), "user_id, side, quantity, status, source, version, asset_class")
    assert row == (7, "long", "10.50", "open", "platform", 1, None)
    times = look(book, 1, "opened_at, moved_at, closed_at, last_synced_at")
    assert times[2:] == (None, None)
    assert all(len(str(time)) == len("2026-01-02T03:04:05.678901Z") for time in times[:2])
    assert journal(book) == [("AAPL", None, "0", "10.50", 1)]


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("10", "10"),
        ("-2.5", "-2.5"),
        ("0010.0", "0010.0"),
        (10, "10"),
        (-3, "-3"),
        (0.1 + 0.2, "0.3"),
        (10.0, "10.0"),
        (1e-9, "0.000000001"),
        ("1E-9", "0.000000001"),
        ("-2.5e+3", "-2500.000000000"),
        (1e15, "1000000000000000.000000000"),
        ("9" * 40, "9" * 40),
    ],
)
def test_a_quantity_is_decimal_text(book: sqlite3.Connection, written: object, stored: str) -> None:
    """Numbers are taken as SQLite writes them, and the exponent form that it writes is written out."""
    assert look(book, add(book, "AAPL", written), "quantity, side") == (stored, "short" if "-" in stored else "long")


def test_anything_else_is_no_quantity(book: sqlite3.Connection) -> None:
    """What is not a number is refused by INSERT, UPDATE and upsert, whatever conflict policy the writer names."""
    row_id = add(book, "AAPL", "10")
    for how, garbage in itertools.product(POLICIES, GARBAGE):
        with pytest.raises(sqlite3.IntegrityError):
            add(book, "MSFT", garbage, how=how)
        with pytest.raises(sqlite3.IntegrityError):
            book.execute(f"UPDATE {how} positions SET quantity = ? WHERE id = ?", (garbage, row_id))
        with pytest.raises(sqlite3.IntegrityError):
            book.execute(UPSERT, ("AAPL", garbage))
    assert held(book) == {("main", "AAPL", None): 10}


def test_an_upsert_that_adds_is_checked_too(book: sqlite3.Connection) -> None:
    """What SQLite would take for a number as far as it can read it is refused before it is added."""
    row_id = add(book, "AAPL", "10")
    adding = UPSERT.replace("= excluded.quantity", "= positions.quantity + excluded.quantity")
    for garbage in GARBAGE:
        with pytest.raises(sqlite3.IntegrityError):
            book.execute(adding, ("AAPL", garbage))
    book.execute(adding, ("AAPL", "2.5"))
    assert look(book, row_id, "quantity, version") == ("12.5", 2)


def test_the_refusal_of_a_quantity_says_what_is_one(book: sqlite3.Connection) -> None:
    """The message shows the form that is expected."""
    with pytest.raises(sqlite3.IntegrityError, match="quantity is decimal text such as 10"):
        add(book, "AAPL", "1_000")


@pytest.mark.parametrize("zero", ["0", "-0", "0.000", "000", "-0.0", 0, 0.0, -0.0, "0e0", "1e-12"])
def test_zero_closes(book: sqlite3.Connection, zero: object) -> None:
    """Zero in any spelling is stored as 0 and closes the row; the side it had stays."""
    row_id = add(book, "AAPL", "-5")
    book.execute("UPDATE positions SET quantity = ? WHERE id = ?", (zero, row_id))
    closed = look(book, row_id, "quantity, status, side, close_reason, version, closed_at = moved_at")
    assert closed == ("0", "closed", "short", "platform", 2, 1)
    assert journal(book)[1:] == [("AAPL", None, "-5", "0", 2)]


def test_closing_by_status_is_zero(book: sqlite3.Connection) -> None:
    """A bot that sets only the status has closed the row, and its reason is kept."""
    row_id = add(book, "AAPL", "5")
    book.execute("UPDATE positions SET status = 'closed', close_reason = 'stop loss' WHERE id = ?", (row_id,))
    assert look(book, row_id, "quantity, status, close_reason") == ("0", "closed", "stop loss")


def test_an_upsert_of_zero_while_flat_is_no_movement(book: sqlite3.Connection) -> None:
    """It is accepted, since a bot may say so at any time, as a closed row that the journal does not mention."""
    book.execute(UPSERT, ("AAPL", "0.0"))
    assert look(book, 1, "quantity, status, version") == ("0", "closed", 0)
    assert journal(book) == []


@pytest.mark.parametrize("same", ["10.0", "010", "10", 10, 10.0, "1e1", "10.000000000"])
def test_the_same_value_is_no_change(book: sqlite3.Connection, same: object) -> None:
    """Another spelling of the same number makes no version, no journal entry and no movement."""
    row_id = add(book, "AAPL", "10")
    moved_at = look(book, row_id, "moved_at")
    book.execute("UPDATE positions SET quantity = ?, current_price = '3' WHERE id = ?", (same, row_id))
    assert look(book, row_id, "version") == (1,)
    assert look(book, row_id, "moved_at") == moved_at
    assert len(journal(book)) == 1


def test_a_difference_beyond_what_a_float_holds_is_a_change(book: sqlite3.Connection) -> None:
    """Values are compared as text, never as REAL."""
    row_id = add(book, "AAPL", "9007199254740993")
    book.execute("UPDATE positions SET quantity = '9007199254740992' WHERE id = ?", (row_id,))
    assert look(book, row_id, "version, quantity_value") == (2, 9007199254740992.0)


def test_what_triggers_keep_cannot_be_written(book: sqlite3.Connection) -> None:
    """Version, moved_at, side, owner and closed_at of an open row stay right whatever a bot writes there."""
    row_id = add(book, "AAPL", "10")
    before = look(book, row_id, "version, moved_at, side, user_id, closed_at")
    book.execute("UPDATE positions SET version = 99, moved_at = 'x', side = 'short', user_id = 1, closed_at = 'x'")
    assert look(book, row_id, "version, moved_at, side, user_id, closed_at") == before
    book.execute("UPDATE positions SET quantity = '-1', version = version + 1, side = 'long'")
    assert look(book, row_id, "version, side") == (2, "short")


def test_an_increment_guarded_by_version_is_not_lost(book: sqlite3.Connection) -> None:
    """The second of two increments that read the same version changes nothing and can tell by the count of rows."""
    row_id = add(book, "AAPL", "0.1")
    increment = "UPDATE positions SET quantity = quantity + 0.2 WHERE id = ? AND version = 1"
    assert [book.execute(increment, (row_id,)).rowcount for _ in range(2)] == [1, 0]
    assert look(book, row_id, "quantity, version") == ("0.3", 2)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("aapl", "AAPL"),
        (" msft\n", "MSFT"),
        ("BTC/USD", "BTCUSD"),
        ("eth/btc", "ETHUSD"),
        ("brk/b", "BRK.B"),
        ("BTC/", "BTC/"),
    ],
)
def test_a_symbol_is_stored_canonically(book: sqlite3.Connection, written: str, stored: str) -> None:
    """As Alpaca's positions have it, and found in any case."""
    add(book, written, "1")
    assert held(book) == {("main", stored, None): 1}
    assert book.execute("SELECT count(*) FROM positions WHERE symbol = ?", (stored.lower(),)).fetchone() == (1,)


def test_what_is_no_symbol_is_refused(book: sqlite3.Connection) -> None:
    """Nothing, blanks inside and what is not ASCII are refused, whatever conflict policy the writer names."""
    for how, symbol in itertools.product(POLICIES, NO_SYMBOLS):
        with pytest.raises(sqlite3.IntegrityError):
            book.execute(f"INSERT {how} INTO positions (account, symbol, quantity) VALUES ('main', ?, 1)", (symbol,))


def test_a_lower_case_upsert_hits_its_row(book: sqlite3.Connection) -> None:
    """It changes the open row and does not open another."""
    for symbol, quantity in (("AAPL", "5"), ("aapl", "7")):
        book.execute(UPSERT, (symbol, quantity))
    assert held(book) == {("main", "AAPL", None): 7}


@pytest.mark.parametrize("symbol", ["BTC/USD", "btc/usdt", " BTCUSD"])
@pytest.mark.parametrize("how", ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE", "REPLACE"])
def test_another_spelling_of_an_open_symbol_is_refused(book: sqlite3.Connection, how: str, symbol: str) -> None:
    """It is neither lost nor booked on a second row, and the message says how to write it."""
    add(book, "BTCUSD", "1")
    with pytest.raises(sqlite3.IntegrityError, match=r"BTCUSD for BTC/USD|UPDATE the row"):
        book.execute(f"{how} INTO positions (account, symbol, quantity) VALUES ('main', ?, 2)", (symbol,))
    with pytest.raises(sqlite3.IntegrityError, match="BTCUSD for BTC/USD"):
        book.execute(UPSERT, (symbol, "2"))
    for zero in ("0", 0):
        with pytest.raises(sqlite3.IntegrityError, match="BTCUSD for BTC/USD"):
            book.execute(UPSERT, (symbol, zero))
    assert held(book) == {("main", "BTCUSD", None): 1}


@pytest.mark.parametrize("how", ["INSERT OR REPLACE", "REPLACE"])
def test_replace_is_refused(book: sqlite3.Connection, how: str) -> None:
    """Replacing an open row by its key, or any row by its id, is refused before anything is lost."""
    open_id, closed_id = add(book, "AAPL", "5"), add(book, "MSFT", "5")
    book.execute("UPDATE positions SET quantity = '0' WHERE id = ?", (closed_id,))
    for columns, values in (("", ""), ("id, ", f"{open_id}, "), ("id, ", f"{closed_id}, ")):
        for symbol in ("AAPL", "TSLA"):
            if columns or symbol == "AAPL":
                with pytest.raises(sqlite3.IntegrityError, match=r"UPDATE|not deleted"):
                    book.execute(
                        f"{how} INTO positions ({columns}account, symbol, quantity) VALUES ({values}'main', ?, 1)",
                        (symbol,),
                    )
    assert held(book) == {("main", "AAPL", None): 5}
    assert look(book, closed_id, "symbol, status") == ("MSFT", "closed")


def test_update_or_replace_takes_no_other_row(book: sqlite3.Connection) -> None:
    """A row cannot push another out by taking its strategy, its symbol or its id."""
    mine, other = add(book, "AAPL", "5", "mean"), add(book, "AAPL", "7")
    for change in ("strategy_id = NULL", f"id = {other}", f"rowid = {other}", "symbol = 'AAPL', strategy_id = NULL"):
        with pytest.raises(sqlite3.IntegrityError):
            book.execute(f"UPDATE OR REPLACE positions SET {change} WHERE id = ?", (mine,))
    assert held(book) == {("main", "AAPL", "mean"): 5, ("main", "AAPL", None): 7}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("account = 'other'", "account and opened_at"),
        ("account = 'nobody'", "account and opened_at"),
        ("opened_at = '2020-01-01T00:00:00Z'", "account and opened_at"),
        ("symbol = 'MSFT'", "symbol of a position does not change"),
        ("symbol = 'AAP/USD'", "symbol of a position does not change"),
        ("id = 99", "id of a position"),
        ("_rowid_ = 99", "id of a position"),
        ("status = 'OPEN'", "status is open or closed"),
        ("status = NULL", "status is open or closed"),
        ("source = 'me'", "source is platform"),
        ("source = 'reconciliation'", "reconciliation is for recond alone"),
        ("source = NULL", "source is platform"),
        ("strategy_id = ''", "strategy_id is printable"),
        ("strategy_id = '  '", "strategy_id is printable"),
        ("strategy_id = 'ä'", "strategy_id is printable"),
    ],
)
def test_what_never_changes_is_refused(book: sqlite3.Connection, change: str, message: str) -> None:
    """Whatever conflict policy the writer names, with a message that says what to do."""
    add(book, "AAPL", "5")
    for how in POLICIES:
        with pytest.raises(sqlite3.IntegrityError, match=message):
            book.execute(f"UPDATE {how} positions SET {change}")


def test_a_closed_row_stays_as_it_is(book: sqlite3.Connection) -> None:
    """Its quantity, status and strategy do not change; opening again is a new row."""
    row_id = add(book, "AAPL", "5")
    book.execute("UPDATE positions SET quantity = 0")
    changes = ("quantity = 3", "status = 'open'", "strategy_id = 'x'", "version = 9", "side = 'short'")
    for how, change in itertools.product(POLICIES, changes):
        with pytest.raises(sqlite3.IntegrityError, match="closed and stays as it is: INSERT"):
            book.execute(f"UPDATE {how} positions SET {change} WHERE id = ?", (row_id,))
    assert add(book, "AAPL", "3") > row_id


def test_an_insert_is_checked_under_every_policy(book: sqlite3.Connection) -> None:
    """Unknown accounts, ids of no row, other classes and sources, and closed rows with a quantity are refused."""
    cases = (
        ("account", "'nobody'"),
        ("account", "NULL"),
        ("account, asset_class", "'main', 'stock'"),
        ("account, source", "'main', 'me'"),
        ("account, source", "'main', 'reconciliation'"),
        ("account, source", "'main', NULL"),
        ("account, opened_at", "'main', 'yesterday'"),
        ("account, opened_at", "'main', '2026-13-41T25:00:00Z'"),
        ("account, opened_at", "'main', '2026-01-02T03:04:05+01:00'"),
        ("account, opened_at", "'main', NULL"),
        ("account, status", "'main', 'closed'"),
        ("account, id", "'main', 9223372036854775807"),
        ("account, id", "'main', -1"),
    )
    for how, (columns, values) in itertools.product(POLICIES, cases):
        with pytest.raises(sqlite3.IntegrityError):
            book.execute(f"INSERT {how} INTO positions (symbol, quantity, {columns}) VALUES ('AAPL', 1, {values})")
    assert add(book, "AAPL", "1") < 100


def test_rows_are_not_deleted(book: sqlite3.Connection) -> None:
    """Neither one nor all, open or closed; the message says what to do instead."""
    row_id = add(book, "AAPL", "5")
    for sql in ("DELETE FROM positions", f"DELETE FROM positions WHERE id = {row_id}"):
        with pytest.raises(sqlite3.IntegrityError, match="SET quantity = '0'"):
            book.execute(sql)


def test_a_statement_is_refused_whole(book: sqlite3.Connection) -> None:
    """One bad row of many undoes the statement, under OR FAIL too, and not the writer's transaction."""
    add(book, "AAPL", "1")
    book.execute("BEGIN IMMEDIATE")
    add(book, "MSFT", "2")
    for how in ("", "OR FAIL", "OR IGNORE", "OR REPLACE"):
        with pytest.raises(sqlite3.IntegrityError):
            book.execute(
                f"INSERT {how} INTO positions (account, symbol, quantity)"
                " VALUES ('main', 'A', 1), ('main', 'B', 'x'), ('main', 'C', 1)"
            )
    book.execute("COMMIT")
    assert held(book) == {("main", "AAPL", None): 1, ("main", "MSFT", None): 2}


def test_or_fail_keeps_whole_rows_only(book: sqlite3.Connection) -> None:
    """Where OR FAIL stops at a taken key, the rows before it are journalled and the ledger is sound."""
    add(book, "AAPL", "1", "a")
    add(book, "MSFT", "1", "b")
    add(book, "MSFT", "1")
    with pytest.raises(sqlite3.IntegrityError):
        book.execute("UPDATE OR FAIL positions SET strategy_id = NULL WHERE strategy_id IS NOT NULL")


def test_giving_a_row_to_a_strategy_is_journalled_twice(book: sqlite3.Connection) -> None:
    """Once as leaving and once as arriving, so that the journal adds up per strategy; the version grows by one."""
    row_id = add(book, "AAPL", "5")
    book.execute("UPDATE positions SET strategy_id = 'mean', quantity = 6 WHERE id = ?", (row_id,))
    assert journal(book)[1:] == [("AAPL", None, "5", "0", 2), ("AAPL", "mean", "0", "6", 2)]
    assert look(book, row_id, "version") == (2,)


def test_a_row_for_each_strategy(book: sqlite3.Connection) -> None:
    """One open row per account, symbol and strategy; another strategy or another account is another row."""
    for strategy_id in (None, "a", "b"):
        add(book, "AAPL", "1", strategy_id)
        with pytest.raises(sqlite3.IntegrityError):
            add(book, "aapl", "1", strategy_id)
    book.execute("INSERT INTO positions (account, symbol, quantity) VALUES ('other', 'AAPL', 4)")
    assert look(book, book.execute("SELECT max(id) FROM positions").fetchone()[0], "user_id") == (8,)


def test_prices_are_free(book: sqlite3.Connection) -> None:
    """A price written by a bot is no movement: no version, no entry."""
    row_id = add(book, "AAPL", "5")
    book.execute("UPDATE positions SET current_price = 1.5, market_value = '7.5', asset_class = 'us_equity'")
    assert look(book, row_id, "current_price, version") == ("1.5", 1)
    assert len(journal(book)) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM changes",
        "UPDATE changes SET after = '9'",
        "INSERT OR REPLACE INTO changes SELECT * FROM changes",
        "INSERT OR IGNORE INTO changes SELECT * FROM changes",
        "DELETE FROM corrections",
        "UPDATE corrections SET after = '9'",
        "INSERT OR REPLACE INTO corrections SELECT * FROM corrections",
        "UPDATE OR REPLACE corrections SET id = 2",
        (
            "INSERT OR REPLACE INTO corrections SELECT NULL, 2, position_id, version, account, symbol, asset_class,"
            " strategy_id, action, before, after, cause, proven, reverses, at FROM corrections"
        ),
        "DELETE FROM accounts",
        "UPDATE accounts SET name = 'x' WHERE name = 'main'",
        "INSERT OR REPLACE INTO accounts (name, user_id, environment) VALUES ('main', 1, 'paper')",
        "DELETE FROM open_rows",
        "UPDATE open_rows SET quantity = '9'",
        "INSERT OR REPLACE INTO open_rows SELECT * FROM open_rows",
        "DELETE FROM conflicts",
        "DELETE FROM holds",
    ],
)
def test_what_is_recond_s_is_guarded(book: sqlite3.Connection, sql: str) -> None:
    """Journal, corrections, accounts, and what is open are not rewritten by accident."""
    book.execute(
        "INSERT INTO corrections VALUES"
        " (1, 1, 1, 1, 'main', 'AAPL', 'us_equity', NULL, 'open', '0', '1', 'fill', 1, NULL, 'x')"
    )
    add(book, "AAPL", "1")
    sides = "'AAPL', 'us_equity', 'quantity', 'fill', '', '1', '2', 'manual', 'x', 'x', 1"
    book.execute(
        "INSERT INTO conflicts (account, symbol, asset_class, kind, cause, explanation, broker_quantity,"
        f" ledger_quantity, resolution, opened_at, last_seen_at, sightings) VALUES ('main', {sides})"
    )
    book.execute(
        "INSERT INTO holds (account, symbol, asset_class, reason, broker_quantity, ledger_quantity, opened_at)"
        " VALUES ('main', 'AAPL', 'us_equity', 'x', '0', '1', 'x')"
    )
    with pytest.raises(sqlite3.IntegrityError):
        book.execute(sql)


def test_what_retention_deletes_can_be_deleted(book: sqlite3.Connection) -> None:
    """Runs, drifts and evidence are not append-only."""
    for table in ("runs", "drifts", "activities", "executions", "baselines"):
        book.execute(f"DELETE FROM {table}")


async def test_rows_follow_their_account_s_owner(tmp_path: Path) -> None:
    """A user_id that changes in the configuration changes on all rows, closed ones too, and is no movement."""
    path = tmp_path / "recond.db"
    async with open_ledger(path):
        with bot(path) as book:
            add(book, "AAPL", "1")
            add(book, "MSFT", "1")
            book.execute("UPDATE positions SET quantity = 0 WHERE symbol = 'MSFT'")
    async with open_ledger(path, user_id=70):
        with bot(path) as book:
            assert book.execute("SELECT DISTINCT user_id FROM positions").fetchall() == [(70,)]
            assert len(journal(book)) == 3
            assert_sound(book)


def in_memory() -> sqlite3.Connection:
    """A ledger without a file, for examples by the hundred."""
    book = sqlite3.connect(":memory:", isolation_level=None)
    for step in migrations():
        book.executescript(step.sql)
    book.execute("INSERT INTO accounts (name, user_id, environment) VALUES ('main', 7, 'paper'), ('other', 8, 'live')")
    return book


SPELLINGS = st.text(alphabet=st.sampled_from("aZ19./ -_\tß\u00a0\x1f"), max_size=10)
PAIRS = st.from_regex(r"[A-Z]{1,5}/[A-Z]{1,5}", fullmatch=True)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(SPELLINGS | PAIRS)
def test_sql_and_python_name_a_symbol_alike(text: str) -> None:
    """The table takes the ASCII symbols that the core takes, and stores them under the name that the core gives."""
    try:
        expected = canonical_symbol(text) if text.isascii() else None
    except ValueError:
        expected = None
    with closing(in_memory()) as book:
        try:
            add(book, text, "1")
        except sqlite3.IntegrityError:
            assert expected is None
        assert book.execute("SELECT max(symbol) FROM positions").fetchone() == (expected,)


QUANTITIES = st.one_of(
    st.decimals(min_value=-1000, max_value=1000, places=3).map(str),
    st.integers(-5, 5),
    st.floats(-10, 10),
    st.sampled_from(["0", "-0.0", "1E-9", "NaN", "1_000", "", "007", "-00.50", "1e-30", None, 1e30, b"1"]),
)
SYMBOLS = st.sampled_from(["AAPL", "aapl", "MSFT", "BTC/USD", "BTCUSD", " btc/usdt", "BRK/B", "BRK.B", "", "A B"])
STRATEGIES = st.sampled_from([None, "a", "b", ""])


class Bots(RuleBasedStateMachine):
    """Bots that write what comes to their mind, against a model of who holds what."""

    def __init__(self) -> None:
        super().__init__()
        self.book = in_memory()
        self.random = random.Random(0)
        self.model: dict[tuple[str, str, str | None], Decimal] = {}

    def teardown(self) -> None:
        self.book.close()

    def run(self, sql: str, *parameters: object) -> bool:
        """Whether the statement was accepted; a refusal must leave everything as it was."""
        self.book.execute(f"PRAGMA recursive_triggers = {self.random.choice(['ON', 'OFF'])}")
        before = self.everything()
        try:
            self.book.execute(sql, parameters)
        except sqlite3.IntegrityError:
            assert self.everything() == before
            return False
        return True

    def everything(self) -> list[list[tuple[object, ...]]]:
        """All rows that a statement can touch."""
        tables = ("accounts", "positions", "changes", "open_rows", "being_written", "sqlite_sequence")
        return [self.book.execute(f"SELECT * FROM {table}").fetchall() for table in tables]

    def value(self, written: object) -> Decimal:
        """The number as SQLite writes it when it becomes text."""
        [text] = self.book.execute("SELECT CAST(? AS TEXT)", (written,)).fetchone()
        if "e" in text.lower():
            [text] = self.book.execute("SELECT printf('%.9f', CAST(? AS REAL))", (text,)).fetchone()
        return Decimal(text)

    def put(self, key: tuple[str, str, str | None], value: Decimal) -> None:
        """Set the model."""
        self.model.pop(key, None)
        if value:
            self.model[key] = value

    def key(self, symbol: str, strategy_id: str | None) -> tuple[str, str, str | None]:
        """Where a row is booked."""
        return ("main", canonical_symbol(symbol), strategy_id)

    @rule(symbol=SYMBOLS, quantity=QUANTITIES, strategy_id=STRATEGIES, how=st.sampled_from(POLICIES))
    def insert(self, symbol: str, quantity: object, strategy_id: str | None, how: str) -> None:
        """INSERT opens a row, is refused, or is ignored where the bot says so."""
        sql = f"INSERT {how} INTO positions (account, symbol, quantity, strategy_id) VALUES ('main', ?, ?, ?)"
        if self.run(sql, symbol, quantity, strategy_id):
            key = self.key(symbol, strategy_id)
            if key in self.model:
                assert how == "OR IGNORE" or not self.value(quantity)
            else:
                self.put(key, self.value(quantity))

    @rule(symbol=SYMBOLS, quantity=QUANTITIES, strategy_id=STRATEGIES)
    def upsert(self, symbol: str, quantity: object, strategy_id: str | None) -> None:
        """The upsert of the README sets the row or opens it."""
        sql = UPSERT.replace("quantity) VALUES ('main', ?, ?)", "quantity, strategy_id) VALUES ('main', ?, ?, ?)")
        if self.run(sql, symbol, quantity, strategy_id):
            self.put(self.key(symbol, strategy_id), self.value(quantity))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), quantity=QUANTITIES, how=st.sampled_from(POLICIES))
    def change(self, data: st.DataObject, quantity: object, how: str) -> None:
        """UPDATE sets an open row."""
        key = data.draw(st.sampled_from(sorted(self.model, key=str)))
        sql = f"UPDATE {how} positions SET quantity = ?, version = 5, side = 'x', moved_at = NULL WHERE status = 'open'"
        if self.run(f"{sql} AND account = ? AND symbol = ? AND strategy_id IS ?", quantity, *key):
            self.put(key, self.value(quantity))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), step=st.integers(-3, 3))
    def increment(self, data: st.DataObject, step: int) -> None:
        """SQLite's own arithmetic on the text."""
        key = data.draw(st.sampled_from(sorted(self.model, key=str)))
        sql = "UPDATE positions SET quantity = quantity + ? WHERE status = 'open' AND account = ? AND symbol = ?"
        if self.run(f"{sql} AND strategy_id IS ?", step, *key):
            where = "SELECT quantity FROM positions WHERE status = 'open' AND account = ? AND symbol = ?"
            [stored] = self.book.execute(f"{where} AND strategy_id IS ?", key).fetchone() or ("0",)
            assert abs(Decimal(stored) - self.model[key] - step) < Decimal("0.000001") * max(1, abs(self.model[key]))
            self.put(key, Decimal(stored))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), strategy_id=STRATEGIES, how=st.sampled_from(POLICIES))
    def give(self, data: st.DataObject, strategy_id: str | None, how: str) -> None:
        """A row goes to another strategy, unless that has one."""
        key = data.draw(st.sampled_from(sorted(self.model, key=str)))
        sql = f"UPDATE {how} positions SET strategy_id = ? WHERE status = 'open' AND account = ? AND symbol = ?"
        taken = (*key[:2], strategy_id or None) in self.model and strategy_id != key[2]
        if self.run(f"{sql} AND strategy_id IS ?", strategy_id, *key) and not taken:
            self.put((*key[:2], strategy_id), self.model.pop(key))

    @rule(
        sql=st.sampled_from(
            [
                "DELETE FROM positions",
                "UPDATE OR REPLACE positions SET id = 1",
                "UPDATE OR IGNORE positions SET account = 'other'",
                "UPDATE OR IGNORE positions SET symbol = 'TSLA'",
                "UPDATE positions SET quantity = 1, status = 'open' WHERE status = 'closed'",
                "REPLACE INTO positions (id, account, symbol, quantity) SELECT id, account, 'X', 1 FROM positions",
                "UPDATE accounts SET user_id = user_id + 1",
            ]
        )
    )
    def misbehave(self, sql: str) -> None:
        """Refused, or without effect on what is held."""
        self.run(sql)

    @invariant()
    def sound(self) -> None:
        """The table is what the model says and what the journal adds up to."""
        assert_sound(self.book)
        assert held(self.book) == self.model


TestBots = Bots.TestCase
TestBots.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
