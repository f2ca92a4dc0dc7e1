"""Whether a ledger is still what recond and its triggers made of it.

Owns the comparison of its schema with that of a fresh one, and of its positions with its journal and corrections.
May not write, mend anything, or need the daemon: it reads the file as it is at one moment, offline or beside it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Literal

import aiosqlite

from recond.core.exact import exactly
from recond.core.model import Unreadable
from recond.ports import PortError
from recond.sqlite.connection import BUSY_TIMEOUT_S
from recond.sqlite.errors import port_errors
from recond.sqlite.migrate import FACTS, HISTORY, Migration, check_history, ledger_version, migrations, script
from recond.sqlite.reading import read, row_of
from recond.sqlite.text import decimal_text, parse_decimal

RESTORE = "stop all that write to it and restore it from a backup; what it was before is in the table `changes`"
SCHEMA_HINT = "stop all that write to it, and put back what recond/sqlite/migrations says, or restore a backup"
REPLICATION = "_litestream_"
"""How the tables begin that a replication tool keeps in the database."""

Schema = Mapping[tuple[str, str], str]
Key = tuple[str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about the ledger that is not as it should be; a fault must not stay so."""

    level: Literal["warning", "fault"]
    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What the ledger is, in a few words, all that is wrong with it, and each account's broker account id, if known."""

    summary: str
    remarks: tuple[Remark, ...]
    pins: Mapping[str, str] = field(default_factory=dict)


def audit(path: Path, *, thorough: bool) -> Audit:
    """Look at the ledger at `path`: at its schema, and if `thorough` at all that is in it."""
    try:
        return _audit(path, thorough)
    except PortError as error:
        return Audit("", (_refused(error),))
    except OSError as error:
        return Audit("", (Remark("fault", f"{path}: {error.strerror}", "let this user read it"),))


def _refused(error: PortError) -> Remark:
    return Remark("fault", error.message, error.hint)


def _audit(path: Path, thorough: bool) -> Audit:
    wal = path.with_name(f"{path.name}-wal")
    with path.open("rb") as file:
        undisturbed = file.read(20)[18:] == b"\x02\x02" and not wal.exists()
    # A ledger in WAL mode that nobody has open: SQLite would make two files beside it, and leave them there.
    uri = f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if undisturbed else ''}"
    with port_errors(path), closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as ledger:
        ledger.isolation_level = None
        ledger.text_factory = partial(str, encoding="utf-8", errors="replace")
        ledger.execute("BEGIN")
        found = _found(path, uri, ledger, migrations(), thorough)
    return _audit(path, thorough) if undisturbed and wal.exists() else found


def _found(path: Path, uri: str, ledger: sqlite3.Connection, steps: Sequence[Migration], thorough: bool) -> Audit:
    version = ledger_version(path, steps, *ledger.execute(FACTS).fetchone())
    if not version:
        return Audit(f"{path} is empty; the daemon makes it a ledger", ())
    check_history(path, ledger.execute(HISTORY), steps[:version])
    expected, schema = _fresh_schema(steps[:version]), _schema(ledger)
    summary = f"{path}: schema {version}, sha256 {_sha256(schema)[:16]}"
    remarks = list(_schema_remarks(path, expected, schema))
    for look in (_damage, _odd_rows, _differences, _unmatched, partial(_unread, uri)) if thorough else ():
        try:
            with port_errors(path):
                remarks += [Remark("fault", text, RESTORE) for text in look(ledger)]
        except PortError as error:
            remarks.append(_refused(error))
    if thorough and not remarks:
        [counts] = ledger.execute(_COUNTS)
        summary += "; {} open positions, {} changes, {} corrections: all agree".format(*counts)
    pins = "SELECT name, broker_account_id FROM accounts WHERE broker_account_id IS NOT NULL"
    return Audit(summary, tuple(remarks), dict(ledger.execute(pins)))


_COUNTS = """
SELECT (SELECT count(*) FROM positions WHERE status = 'open'),
    (SELECT count(*) FROM changes), (SELECT count(*) FROM corrections)
"""


def _damage(ledger: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the file."""
    return [f"the file is damaged: {text}" for (text,) in ledger.execute("PRAGMA integrity_check") if text != "ok"]


def _unread(uri: str, ledger: sqlite3.Connection) -> list[str]:
    """What keeps the daemon from reading an account; raises `LedgerCorrupt` for the first."""
    accounts = [str(name) for (name,) in ledger.execute("SELECT name FROM accounts")]

    async def read_all() -> None:
        async with aiosqlite.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S) as connection:
            for account in accounts:
                await read(connection, account, None)

    with ThreadPoolExecutor(1) as aside:  # this may be a thread in which an event loop runs
        aside.submit(lambda: asyncio.run(read_all())).result()
    return []


# The schema


def _schema(ledger: sqlite3.Connection) -> Schema:
    """What the ledger consists of, as it was written, line by line; SQLite's own entries are left out."""
    rows = ledger.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'")
    return {(kind, name): "\n".join(line.strip() for line in sql.splitlines()) for kind, name, sql in rows}


def _fresh_schema(steps: Sequence[Migration]) -> Schema:
    """What a new ledger consists of after these steps."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for step in steps:
            fresh.executescript(script(step, datetime.fromtimestamp(0, UTC)))
        return _schema(fresh)


def _sha256(schema: Schema) -> str:
    return sha256(
        "\n".join(f"{kind} {name}\n{schema[kind, name]}" for kind, name in sorted(schema)).encode()
    ).hexdigest()


def _schema_remarks(path: Path, expected: Schema, schema: Schema) -> Iterator[Remark]:
    """Everything that is not as in a new ledger, by name."""
    if _sha256(expected) == _sha256(schema):
        return
    for kind, name in sorted(expected.keys() - schema.keys()):
        yield Remark("fault", f"{path}: the {kind} {name} is missing", SCHEMA_HINT)
    for kind, name in sorted(expected.keys() & schema.keys()):
        if expected[kind, name] != schema[kind, name]:
            yield Remark("fault", f"{path}: the {kind} {name} is not as recond made it", SCHEMA_HINT)
    for kind, name in sorted(schema.keys() - expected.keys()):
        if kind == "trigger":
            yield Remark(
                "fault", f"{path}: the trigger {name} is not recond's", "drop it: it can change what is written"
            )
        elif not name.startswith(REPLICATION):
            yield Remark("warning", f"{path}: the {kind} {name} is not recond's", "keep other data in another file")


# Positions


def _odd_rows(ledger: sqlite3.Connection) -> Iterator[str]:
    """Rows of positions as no trigger would have left them."""
    accounts = {name for (name,) in ledger.execute("SELECT name FROM accounts")}
    rows = ledger.execute(
        "SELECT account, status, side, closed_at, id, symbol, asset_class, strategy_id, quantity, version, entry_price,"
        " market_value, asset_id FROM positions ORDER BY id"
    )
    for account, status, side, closed_at, *row in rows:
        row_id, quantity, read = row[0], row[4], row_of(*row)
        if account not in accounts:
            why = f"ledger row {row_id}: account {account!r} is unknown"
        elif status == "closed":
            if quantity == "0" and closed_at is not None:
                continue
            why = f"ledger row {row_id}: it is closed, its quantity {quantity!r}, its end {closed_at!r}"
        elif isinstance(read, Unreadable):
            why = read.problem
        elif (status, side) != ("open", "short" if read.quantity < 0 else "long") or not read.quantity:
            why = f"ledger row {row_id}: status is {status!r}, side {side!r} and quantity {quantity!r}"
        else:
            continue
        yield f"{why}; it was written past the triggers"
    for (left,) in ledger.execute("SELECT position_id FROM being_written"):
        yield f"being_written has an entry for row {left}: the triggers would not see changes of that row"
    for (row_id,) in ledger.execute(_NOT_MIRRORED):
        yield f"ledger row {row_id}: open_rows, from which the triggers know what it was, has it otherwise"


_NOT_MIRRORED = """
SELECT p.id FROM positions AS p LEFT JOIN open_rows AS o ON o.position_id = p.id
WHERE p.status IS NOT 'closed' AND (o.account, o.symbol, o.strategy_id, o.side, o.quantity, o.version, o.moved_at)
    IS NOT (p.account, p.symbol, p.strategy_id, p.side, p.quantity, p.version, p.moved_at)
UNION SELECT position_id FROM open_rows WHERE position_id NOT IN (SELECT id FROM positions WHERE status IS NOT 'closed')
"""


# The journal


@exactly
def _differences(ledger: sqlite3.Connection) -> list[str]:
    """Where adding up the journal does not give the positions, and where the journal itself has holes."""
    texts: list[str] = []
    journal: dict[Key, Decimal] = defaultdict(Decimal)
    ended: dict[Key, Decimal] = defaultdict(Decimal)
    for seq, before, after, *key in ledger.execute(
        "SELECT seq, before, after, account, symbol, strategy_id FROM changes ORDER BY seq"
    ):
        which = _key(key)
        try:
            began, last, ended[which] = parse_decimal(before), ended[which], parse_decimal(after)
        except ValueError as error:
            texts.append(f"journal entry {seq}: {error}")
            continue
        journal[which] += ended[which] - began
        if began != last:
            texts.append(f"journal entry {seq}: it begins at {before}, and the one before it ended at {last:f}")
    [(count, last)] = ledger.execute(
        "SELECT count(*), (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes') FROM changes"
    )
    if count != last:
        texts.append(f"the journal has {count} entries and has had {last}")
    book: dict[Key, list[str]] = defaultdict(list)
    for quantity, *key in ledger.execute(
        "SELECT quantity, account, symbol, strategy_id FROM positions WHERE status IS NOT 'closed'"
    ):
        book[_key(key)].append(quantity)
    for key in sorted(journal.keys() | book.keys(), key=repr):
        told, rows = journal.get(key, Decimal(0)), book.get(key, [])
        if not _says(told, rows):
            account, symbol, strategy = key
            whose = "no strategy" if strategy is None else f"strategy {strategy}"
            says = f"the row says {' and '.join(map(str, rows))}" if rows else "there is no open row"
            texts.append(
                f"account {account}, {symbol}, {whose}: the journal says {decimal_text(told.normalize())}, {says}"
            )
    return texts


def _key(columns: Sequence[str | None]) -> Key:
    account, symbol, strategy_id = columns
    return account, symbol, strategy_id


def _says(told: Decimal, rows: Sequence[str]) -> bool:
    try:
        return sum(map(parse_decimal, rows), Decimal(0)) == told
    except ValueError:
        return False


def _unmatched(ledger: sqlite3.Connection) -> Iterator[str]:
    """Corrections that did not happen as they say, and changes that name a correction which is not there."""
    rows = ledger.execute(
        "SELECT k.id, k.account, k.symbol, k.position_id, k.before, k.after, c.position_id, c.before, c.after"
        " FROM corrections AS k LEFT JOIN changes AS c ON c.correction_id = k.id ORDER BY k.id, c.seq"
    )
    for (number, account, symbol, position_id, before, after), entries in groupby(rows, key=lambda row: row[:6]):
        changes = [entry[6:] for entry in entries]  # two when it gave the row another symbol
        which = f"correction {number} of {symbol}, account {account}"
        if changes[0][0] is None:
            yield f"{which}: no entry of the journal belongs to it"
        elif {changed for changed, _, _ in changes} != {position_id}:
            yield f"{which}: it names row {position_id}, the journal another"
        elif not (_same(before, changes[0][1]) and _same(after, changes[-1][2])):
            told = f"from {changes[0][1]} to {changes[-1][2]}"
            yield f"{which}: it says from {before} to {after}, the journal {told}"
    for seq, number in ledger.execute(
        "SELECT seq, correction_id FROM changes"
        " WHERE correction_id IS NOT NULL AND correction_id NOT IN (SELECT id FROM corrections)"
    ):
        yield f"journal entry {seq}: there is no correction {number}, to which it belongs"


def _same(one: str, other: str) -> bool:
    """Whether two quantities are equal, however they are written."""
    try:
        return parse_decimal(one) == parse_decimal(other)
    except ValueError:
        return False
