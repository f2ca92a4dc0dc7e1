"""Reading rows that something wrote past the triggers."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from recond.core.model import LedgerRow
from recond.ports import LedgerCorrupt
from recond.sqlite.ledger import SqliteLedger


def without_triggers(plain: sqlite3.Connection, **values: object) -> None:
    """What a program leaves that has switched the triggers off: here they are taken away for one statement."""
    triggers = plain.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'positions'")
    statements = triggers.fetchall()
    for name, _ in statements:
        plain.execute(f"DROP TRIGGER {name}")
    row = {"account": "main", "symbol": "AAPL", "quantity": "5", "version": 1} | values
    plain.execute(f"INSERT INTO positions ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    for _, sql in statements:
        plain.execute(sql)


@pytest.mark.parametrize(
    ("values", "symbol", "problem"),
    [
        ({"quantity": "NaN"}, "AAPL", "not a quantity"),
        ({"quantity": "1_000"}, "AAPL", "not a quantity"),
        ({"quantity": None}, "AAPL", "not a quantity"),
        ({"symbol": "aapl"}, "AAPL", "triggers"),
        ({"symbol": "BTC/USD"}, "BTCUSD", "triggers"),
        ({"symbol": "A B"}, None, "not a symbol"),
        ({"symbol": None}, None, "not a symbol"),
        ({"version": None}, "AAPL", "triggers"),
        ({"version": 0}, "AAPL", "triggers"),
    ],
)
async def test_an_unreadable_row_does_not_lose_the_others(
    ledger: SqliteLedger, plain: sqlite3.Connection, values: dict[str, object], symbol: str | None, problem: str
) -> None:
    """It is reported with its symbol, where that can be read, and with its id."""
    plain.execute("INSERT INTO positions (account, symbol, quantity) VALUES ('main', 'MSFT', 3)")
    without_triggers(plain, **values)
    reading = await ledger.read("main", None)
    assert [row.symbol for row in reading.rows] == ["MSFT"]
    [unreadable] = reading.unreadable
    assert unreadable.symbol == symbol
    assert "row 2" in unreadable.problem
    assert problem in unreadable.problem


@pytest.mark.parametrize("price", ["NaN", "12,5", "Infinity", "", "free", "1e9999999", "1e-9999999", "1" * 81])
async def test_a_price_that_is_no_number_is_unknown(
    ledger: SqliteLedger, plain: sqlite3.Connection, price: str
) -> None:
    """Prices are nobody's quantity: what cannot be read of them is unknown."""
    sql = "INSERT INTO positions (account, symbol, quantity, entry_price) VALUES ('main', 'AAPL', 3, ?)"
    plain.execute(sql, (price,))
    [row] = (await ledger.read("main", None)).rows
    assert isinstance(row, LedgerRow)
    assert row.entry_price is None


async def test_text_that_is_not_utf_8_is_no_obstacle(ledger: SqliteLedger, plain: sqlite3.Connection) -> None:
    """A price of bytes in some other encoding is unknown, and the row is read."""
    plain.execute("INSERT INTO positions (account, symbol, quantity) VALUES ('main', 'AAPL', 3)")
    plain.execute("UPDATE positions SET entry_price = CAST(x'fc' AS TEXT), close_reason = CAST(x'fc' AS TEXT)")
    assert len((await ledger.read("main", None)).rows) == 1


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("baselines", {"broker_quantity": "x", "ledger_quantity": "1", "at": "2026-01-02T03:04:05Z"}),
        ("baselines", {"broker_quantity": "1", "ledger_quantity": "NaN", "at": "2026-01-02T03:04:05Z"}),
        ("baselines", {"broker_quantity": "1", "ledger_quantity": "1", "at": "yesterday"}),
        (
            "holds",
            {"reason": "", "broker_quantity": "1e5", "ledger_quantity": "1", "opened_at": "2026-01-02T03:04:05Z"},
        ),
    ],
)
async def test_what_recond_did_not_write_into_its_own_tables_ends_it_with_a_reason(
    ledger: SqliteLedger, plain: sqlite3.Connection, table: str, values: dict[str, str]
) -> None:
    """A program that writes into what is recond's alone is named as the cause, where a traceback would not."""
    row = {"account": "main", "symbol": "AAPL", "asset_class": "us_equity"} | values
    plain.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    with pytest.raises(LedgerCorrupt, match="another program wrote into the ledger's own tables"):
        await ledger.read("main", None)


async def test_executions_that_recond_did_not_write_end_it_with_a_reason(
    ledger: SqliteLedger, plain: sqlite3.Connection
) -> None:
    """The same holds for the evidence, which is read at the start."""
    plain.execute(
        "INSERT INTO executions (account, order_id, symbol, quantity, at)"
        " VALUES ('main', 'o', 'AAPL', 'ten', '2026-01-02T03:04:05Z')"
    )
    with pytest.raises(LedgerCorrupt, match="not a quantity: 'ten'"):
        await ledger.executions("main", datetime(2026, 1, 1, tzinfo=UTC))
