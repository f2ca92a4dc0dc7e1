"""Records as a pass makes them, and plain connections as bots have them, for tests of the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

from recond.core.model import BrokerPosition, Cause, Drift, Instrument, Kind, LedgerReading, LedgerRow, Resolution
from recond.core.run import Action, Correction, Explanation, Outcome, Reason, Record, Run, RunStatus
from recond.sqlite.ledger import AccountEntry, SqliteLedger

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
UPSERT = (
    "INSERT INTO positions (account, symbol, quantity) VALUES ('main', ?, ?)"
    " ON CONFLICT (account, symbol, coalesce(strategy_id, '')) WHERE status = 'open'"
    " DO UPDATE SET quantity = excluded.quantity"
)


def open_ledger(path: Path, *, user_id: int = 7, journal: Literal["wal", "delete"] = "wal") -> SqliteLedger:
    """A ledger with the accounts `main` and `other`, at a fixed time."""
    accounts = [AccountEntry("main", user_id, "paper"), AccountEntry("other", 8, "live")]
    return SqliteLedger(path, accounts, journal=journal, now=lambda: NOW)


@contextmanager
def bot(path: Path, *pragmas: str) -> Iterator[sqlite3.Connection]:
    """A plain connection in autocommit mode, as another program has it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        yield connection


def put_file(path: Path, content: bytes) -> None:
    """Put a file there."""
    path.write_bytes(content)


def get_file(path: Path) -> bytes:
    """What is in the file."""
    return path.read_bytes()


def a_run(run_id: int, *outcomes: Outcome, account: str = "main") -> Run:
    """A run with these outcomes."""
    return Run(
        id=run_id,
        account=account,
        user_id=7,
        sequence=run_id,
        reasons=(Reason.TIMER, Reason.HTTP),
        started_at=NOW,
        finished_at=NOW,
        duration_s=0.25,
        status=RunStatus.SUCCESS,
        broker_positions=len(outcomes),
        db_positions=0,
        outcomes=outcomes,
    )


def a_record(run_id: int, reading: LedgerReading, *outcomes: Outcome) -> Record:
    """A record of these outcomes, judged on this reading."""
    return Record(a_run(run_id, *outcomes), seq=reading.seq)


def instrument(symbol: str) -> Instrument:
    """An equity."""
    return Instrument("us_equity", symbol)


def position(symbol: str, quantity: str) -> BrokerPosition:
    """What the broker shows, at a price of 10."""
    held = Decimal(quantity)
    return BrokerPosition(
        instrument(symbol),
        f"id-{symbol}",
        held,
        Decimal(9),
        Decimal(9) * held,
        Decimal(10),
        Decimal(10) * held,
        held,
        Decimal("0.1"),
    )


def an_outcome(symbol: str, quantity: str, *corrections: Correction, cause: Cause = Cause.UNEXPLAINED) -> Outcome:
    """The broker holds this quantity, and the ledger is corrected so."""
    held = Decimal(quantity)
    ledger = sum((c.before for c in corrections), Decimal(0))
    kind = Kind.QUANTITY if held and ledger else Kind.MISSING_IN_LEDGER if held else Kind.MISSING_AT_BROKER
    rows = tuple(c.row for c in corrections if c.row is not None)
    shown = position(symbol, quantity) if held else None
    drift = Drift(instrument(symbol), kind, held, ledger, shown, rows)
    return Outcome(drift, Explanation(cause, "a sentence"), Resolution.USE_BROKER, corrections)


def opening(symbol: str, quantity: str, strategy_id: str | None = None) -> Correction:
    """A correction that opens a row."""
    return Correction(
        Action.OPEN,
        instrument(symbol),
        None,
        strategy_id,
        Decimal(0),
        Decimal(quantity),
        Cause.UNEXPLAINED,
        f"id-{symbol}",
        Decimal(9),
    )


def setting(row: LedgerRow, quantity: str, symbol: str | None = None) -> Correction:
    """A correction that sets a row, and renames it when `symbol` is another."""
    return Correction(
        Action.SET,
        instrument(symbol or row.symbol),
        row,
        row.strategy_id,
        row.quantity,
        Decimal(quantity),
        Cause.UNEXPLAINED,
        f"id-{symbol or row.symbol}",
        Decimal(9),
    )


def closing_of(row: LedgerRow) -> Correction:
    """A correction that closes a row."""
    return Correction(
        Action.CLOSE,
        instrument(row.symbol),
        row,
        row.strategy_id,
        row.quantity,
        Decimal(0),
        Cause.UNEXPLAINED,
    )


def replayed(connection: sqlite3.Connection) -> dict[tuple[str, str, str | None], Decimal]:
    """What the journal adds up to, per account, symbol and strategy; nothing where it is zero."""
    sums: dict[tuple[str, str, str | None], Decimal] = {}
    for account, symbol, strategy_id, before, after in connection.execute(
        "SELECT account, symbol, strategy_id, before, after FROM changes ORDER BY seq"
    ):
        key = (account, symbol, strategy_id)
        assert sums.get(key, Decimal(0)) == Decimal(before), "an entry does not begin where the last one ended"
        sums[key] = Decimal(after)
    return {key: value for key, value in sums.items() if value}


def held(connection: sqlite3.Connection) -> dict[tuple[str, str, str | None], Decimal]:
    """The open rows."""
    rows = connection.execute("SELECT account, symbol, strategy_id, quantity FROM positions WHERE status = 'open'")
    return {(account, symbol, strategy_id): Decimal(quantity) for account, symbol, strategy_id, quantity in rows}


def assert_sound(connection: sqlite3.Connection) -> None:
    """The file is whole, the journal gives the positions, and the triggers' own tables hold what they should."""
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert replayed(connection) == held(connection)
    assert connection.execute("SELECT count(*) FROM being_written").fetchone() == (0,)
    columns = "account, symbol, strategy_id, side, version, moved_at"
    rows = connection.execute(f"SELECT id, {columns} FROM positions WHERE status = 'open' ORDER BY 1").fetchall()
    assert connection.execute(f"SELECT position_id, {columns} FROM open_rows ORDER BY 1").fetchall() == rows
    for row_id, last in connection.execute("SELECT position_id, max(version) FROM changes GROUP BY 1"):
        assert connection.execute("SELECT version FROM positions WHERE id = ?", (row_id,)).fetchone() == (last,)
    odd = "(quantity = '0') <> (status = 'closed') OR (closed_at IS NULL) <> (status = 'open') OR moved_at IS NULL"
    assert connection.execute(f"SELECT * FROM positions WHERE {odd}").fetchall() == []
    wrong = connection.execute(
        "SELECT c.id FROM corrections c WHERE NOT EXISTS (SELECT 1 FROM changes j WHERE j.correction_id = c.id"
        " AND j.position_id = c.position_id AND j.version = c.version)"
    )
    assert wrong.fetchall() == []
