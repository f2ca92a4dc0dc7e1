"""The ledger's side of one account as values.

Owns the statements that read what a pass needs, and what counts as unreadable.
May not write, or raise because of what another program wrote into a row of `positions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import aiosqlite

from recond.core.late import LATE_MAX
from recond.core.model import (
    Accepted,
    Baseline,
    Cause,
    Conflict,
    Decision,
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

_ROW = "id, symbol, asset_class, strategy_id, quantity, version, entry_price, market_value, asset_id"
_UNPROVEN_MAX = 100
_CANONICAL = re.compile(r"[!-.0-`{-~]+", re.ASCII)  # printable, neither blank nor "/" nor a small letter


async def read(connection: aiosqlite.Connection, account: str, since: int | None) -> LedgerReading:
    """All of `LedgerReading`, within the transaction that is open."""
    [seq] = await fetch(connection, "SELECT coalesce(max(seq), 0) FROM changes", (), int)
    rows = await fetch(
        connection,
        f"SELECT {_ROW} FROM positions WHERE account = ? AND status = 'open'",  # noqa: S608 - constant columns
        (account,),
        row_of,
    )
    open_matters = await _open_matters(connection, account)
    facts = await fetch(
        connection,
        "SELECT adopted_at, equity, settled_at, settled_seq, repins FROM accounts WHERE name = ?",
        (account,),
        lambda *row: row,
    )
    adopted_at, equity, settled_at, settled_seq, repins = facts[0] if facts else (None, None, None, 0, 0)
    return LedgerReading(
        rows=tuple(row for row in rows if isinstance(row, LedgerRow)),
        seq=seq,
        changed=frozenset() if since is None else await changed_symbols(connection, account, since),
        unreadable=tuple(row for row in rows if isinstance(row, Unreadable)),
        conflicts=tuple(open_matters.conflicts),
        holds=tuple(open_matters.holds),
        baselines={baseline.instrument: baseline for baseline in open_matters.baselines},
        adopted=adopted_at is not None,
        equity=parse_money(equity),
        settled_at=parse_time_or_null(settled_at),
        settled_seq=settled_seq,
        lost=tuple(row for row in open_matters.lost if isinstance(row, LedgerRow)),
        accepted={each.instrument: each for each in open_matters.accepted},
        decisions=tuple(open_matters.decisions),
        unproven=dict(await _unproven(connection, account)),
        repins=repins,
    )


@dataclass(frozen=True, slots=True)
class _Matters:
    """What recond keeps of an account in tables of its own."""

    conflicts: list[Conflict]
    holds: list[Hold]
    baselines: list[Baseline]
    accepted: list[Accepted]
    decisions: list[Decision]
    lost: list[LedgerRow | Unreadable]


async def _open_matters(connection: aiosqlite.Connection, account: str) -> _Matters:
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
            "SELECT symbol, asset_class, broker_quantity, ledger_quantity, cost_basis, at, seq FROM baselines"
            " WHERE account = ?",
            (account,),
            _baseline,
        )
        accepted = await fetch(
            connection,
            "SELECT symbol, asset_class, difference, at, by, note FROM accepted WHERE account = ?",
            (account,),
            _accepted,
        )
        decisions = await open_decisions(connection, account)
        # A row that is gone though the journal has it open was not closed by anybody.
        lost = await fetch(
            connection,
            "SELECT o.position_id, o.symbol, NULL, o.strategy_id, o.quantity, o.version, NULL, NULL, NULL"
            " FROM open_rows AS o LEFT JOIN positions AS p ON p.id = o.position_id AND p.status = 'open'"
            " WHERE o.account = ? AND p.id IS NULL",
            (account,),
            row_of,
        )
    return _Matters(conflicts, holds, baselines, accepted, decisions, lost)


async def open_decisions(connection: aiosqlite.Connection, account: str) -> list[Decision]:
    """The operators' decisions of the account that nothing has come of yet."""
    return await fetch(
        connection,
        "SELECT id, symbol, asset_class, resolution, broker_quantity, ledger_quantity, by, at, conflict_id, hold_id,"
        " names_row, strategy_id, note FROM decisions WHERE account = ? AND ended_at IS NULL ORDER BY id",
        (account,),
        _decision,
    )


async def _unproven(connection: aiosqlite.Connection, account: str) -> list[tuple[str, datetime]]:
    """The symbols of the oldest corrections of the last days that nothing explains, and when they were made."""
    return await fetch(
        connection,
        "SELECT c.symbol, min(c.at) FROM corrections AS c WHERE c.account = ? AND c.proven = 0"
        " AND c.at >= strftime('%Y-%m-%dT%H:%M:%f', 'now', ?)"
        " AND NOT EXISTS (SELECT 1 FROM explanations AS e WHERE e.correction_id IN"
        " (SELECT k.id FROM corrections AS k WHERE k.run_id = c.run_id AND k.symbol = c.symbol))"
        " GROUP BY c.symbol ORDER BY min(c.at) LIMIT ?",
        (account, f"-{LATE_MAX.days} days", _UNPROVEN_MAX),
        lambda symbol, at: (symbol, parse_time(at)),
    )


async def changed_symbols(connection: aiosqlite.Connection, account: str, since: int) -> frozenset[str]:
    """The symbols of the account with a change after journal position `since`, by anybody."""
    sql = "SELECT DISTINCT symbol FROM changes WHERE seq > ? AND account = ?"
    return frozenset(await fetch(connection, sql, (since, account), str))


async def repins_of(connection: aiosqlite.Connection, account: str) -> int:
    """How often the account was pinned anew."""
    return sum(await fetch(connection, "SELECT repins FROM accounts WHERE name = ?", (account,), int))


def row_of(
    row_id: int,
    symbol: str | None,
    asset_class: str | None,
    strategy_id: str | None,
    quantity: str | None,
    version: int | None,
    entry_price: str | None,
    market_value: str | None,
    asset_id: str | None,
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
    return LedgerRow(row_id, canonical, asset_class, strategy_id, value, version, *money, asset_id)


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
    symbol: str, asset_class: str, broker_quantity: str, ledger_quantity: str, cost_basis: str | None, at: str, seq: int
) -> Baseline:
    return Baseline(
        Instrument(asset_class, symbol),
        parse_decimal(broker_quantity),
        parse_decimal(ledger_quantity),
        parse_money(cost_basis),
        parse_time(at),
        seq,
    )


def _accepted(symbol: str, asset_class: str, difference: str, at: str, by: str, note: str | None) -> Accepted:
    return Accepted(Instrument(asset_class, symbol), parse_decimal(difference), parse_time(at), by, note)


def _decision(
    decision_id: int,
    symbol: str,
    asset_class: str,
    resolution: str,
    broker_quantity: str,
    ledger_quantity: str,
    by: str,
    at: str,
    conflict_id: int | None,
    hold_id: int | None,
    names_row: int,
    strategy_id: str | None,
    note: str | None,
) -> Decision:
    return Decision(
        id=decision_id,
        instrument=Instrument(asset_class, symbol),
        resolution=Resolution(resolution),
        broker_quantity=parse_decimal(broker_quantity),
        ledger_quantity=parse_decimal(ledger_quantity),
        by=by,
        at=parse_time(at),
        conflict_id=conflict_id,
        hold_id=hold_id,
        names_row=bool(names_row),
        strategy_id=strategy_id,
        note=note,
    )
