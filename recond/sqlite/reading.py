"""The ledger's side of one account as values.

Owns the statements that read what a pass needs, and what counts as unreadable.
May not write, or raise because of what another program wrote into a row of `positions`.
"""

from __future__ import annotations

import re

import aiosqlite

from recond.core.model import (
    Baseline,
    Cause,
    Conflict,
    Hold,
    Instrument,
    Kind,
    LedgerReading,
    LedgerRow,
    Resolution,
    Unreadable,
)
from recond.core.symbols import canonical_symbol
from recond.sqlite.connection import fetch
from recond.sqlite.errors import own_tables
from recond.sqlite.text import parse_decimal, parse_money, parse_time, parse_time_or_null

_CANONICAL = re.compile(r"[!-.0-`{-~]+", re.ASCII)  # printable, neither blank nor "/" nor a small letter


async def read(connection: aiosqlite.Connection, account: str, since: int | None) -> LedgerReading:
    """All of `LedgerReading`, within the transaction that is open."""
    [seq] = await fetch(connection, "SELECT coalesce(max(seq), 0) FROM changes", (), int)
    rows = await fetch(
        connection,
        "SELECT id, symbol, asset_class, strategy_id, quantity, version, entry_price, market_value FROM positions"
        " WHERE account = ? AND status = 'open'",
        (account,),
        row_of,
    )
    with own_tables():
        conflicts = await fetch(
            connection,
            "SELECT id, symbol, asset_class, kind, cause, broker_quantity, ledger_quantity, resolution, opened_at,"
            " last_seen_at, sightings, explanation, broker_value, ledger_value, resolved_at, resolved_by, note"
            " FROM conflicts WHERE account = ? AND resolved_at IS NULL ORDER BY id",
            (account,),
            _conflict,
        )
        holds = await fetch(
            connection,
            "SELECT id, symbol, asset_class, reason, broker_quantity, ledger_quantity, opened_at"
            " FROM holds WHERE account = ? AND ended_at IS NULL ORDER BY id",
            (account,),
            _hold,
        )
        baselines = await fetch(
            connection,
            "SELECT symbol, asset_class, broker_quantity, ledger_quantity, cost_basis, at FROM baselines"
            " WHERE account = ?",
            (account,),
            _baseline,
        )
    facts = await fetch(
        connection, "SELECT adopted_at, equity FROM accounts WHERE name = ?", (account,), lambda *row: row
    )
    adopted_at, equity = facts[0] if facts else (None, None)
    return LedgerReading(
        rows=tuple(row for row in rows if isinstance(row, LedgerRow)),
        seq=seq,
        changed=frozenset() if since is None else await changed_symbols(connection, account, since),
        unreadable=tuple(row for row in rows if isinstance(row, Unreadable)),
        conflicts=tuple(conflicts),
        holds=tuple(holds),
        baselines={baseline.instrument: baseline for baseline in baselines},
        adopted=adopted_at is not None,
        equity=parse_money(equity),
    )


async def changed_symbols(connection: aiosqlite.Connection, account: str, since: int) -> frozenset[str]:
    """The symbols of the account with a change after journal position `since`, by anybody."""
    sql = "SELECT DISTINCT symbol FROM changes WHERE seq > ? AND account = ?"
    return frozenset(await fetch(connection, sql, (since, account), str))


def row_of(
    row_id: int,
    symbol: str | None,
    asset_class: str | None,
    strategy_id: str | None,
    quantity: str | None,
    version: int | None,
    entry_price: str | None,
    market_value: str | None,
) -> LedgerRow | Unreadable:
    """The row, or why it cannot be read: something wrote it while the triggers were off."""
    canonical = None
    try:
        canonical = symbol if symbol and _CANONICAL.fullmatch(symbol) else canonical_symbol(symbol or "")
        if symbol != canonical or not version:
            raise ValueError(f"{symbol!r} was not written through the ledger's triggers")
        value = parse_decimal(quantity)
    except ValueError as error:
        return Unreadable(canonical, f"ledger row {row_id}: {error}")
    money = parse_money(entry_price), parse_money(market_value)
    return LedgerRow(row_id, canonical, asset_class, strategy_id, value, version, *money)


def _conflict(
    conflict_id: int,
    symbol: str,
    asset_class: str,
    kind: str,
    cause: str,
    broker_quantity: str,
    ledger_quantity: str,
    resolution: str,
    opened_at: str,
    last_seen_at: str,
    sightings: int,
    explanation: str,
    broker_value: str | None,
    ledger_value: str | None,
    resolved_at: str | None,
    resolved_by: str | None,
    note: str | None,
) -> Conflict:
    return Conflict(
        id=conflict_id,
        instrument=Instrument(asset_class, symbol),
        kind=Kind(kind),
        cause=Cause(cause),
        broker_quantity=parse_decimal(broker_quantity),
        ledger_quantity=parse_decimal(ledger_quantity),
        resolution=Resolution(resolution),
        opened_at=parse_time(opened_at),
        last_seen_at=parse_time(last_seen_at),
        sightings=sightings,
        explanation=explanation,
        broker_value=parse_money(broker_value),
        ledger_value=parse_money(ledger_value),
        resolved_at=parse_time_or_null(resolved_at),
        resolved_by=resolved_by,
        note=note,
    )


def _hold(
    hold_id: int,
    symbol: str,
    asset_class: str,
    reason: str,
    broker_quantity: str,
    ledger_quantity: str,
    opened_at: str,
) -> Hold:
    return Hold(
        id=hold_id,
        instrument=Instrument(asset_class, symbol),
        reason=reason,
        broker_quantity=parse_decimal(broker_quantity),
        ledger_quantity=parse_decimal(ledger_quantity),
        opened_at=parse_time(opened_at),
    )


def _baseline(
    symbol: str, asset_class: str, broker_quantity: str, ledger_quantity: str, cost_basis: str | None, at: str
) -> Baseline:
    return Baseline(
        Instrument(asset_class, symbol),
        parse_decimal(broker_quantity),
        parse_decimal(ledger_quantity),
        parse_money(cost_basis),
        parse_time(at),
    )
