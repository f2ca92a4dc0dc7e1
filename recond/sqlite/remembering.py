"""What the ledger remembers of some instruments: others' changes, corrections, executions, used activities.

Owns the statements behind `Ledger.history`.
May not write, or read what nobody has asked to have explained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from datetime import datetime

import aiosqlite

from recond.core.history import Change, History, PastCorrection
from recond.core.late import FILL_BEFORE
from recond.core.model import Cause, Instrument
from recond.sqlite import keeping
from recond.sqlite.connection import fetch
from recond.sqlite.errors import own_tables
from recond.sqlite.text import parse_decimal, parse_time, time_text

_ENTRIES_BACK = 10_000
"""Entries of the journal, of all symbols, in which earlier bookings are looked for."""


async def history(
    connection: aiosqlite.Connection,
    account: str,
    since: Mapping[str, int],
    executed: datetime,
    corrected: datetime,
    amended: Set[str],
) -> History:
    """All of `Ledger.history`, within the transaction that is open."""
    if not since:
        return History()
    symbols, first = json.dumps(list(since)), min(since.values())
    with own_tables():
        corrections = await fetch(
            connection,
            "SELECT c.id, c.run_id, c.position_id, c.asset_class, c.symbol, c.strategy_id, c.before, c.after,"
            " coalesce(e.cause, c.cause), c.at, c.proven OR e.id IS NOT NULL,"
            " EXISTS (SELECT 1 FROM corrections AS r WHERE r.reverses = c.id)"
            " FROM corrections AS c LEFT JOIN explanations AS e ON e.correction_id ="
            " (SELECT min(k.id) FROM corrections AS k WHERE k.run_id = c.run_id AND k.symbol = c.symbol)"
            " WHERE c.account = ? AND c.symbol IN (SELECT value FROM json_each(?)) AND c.at >= ? ORDER BY c.id",
            (account, symbols, time_text(corrected)),
            _correction,
        )
        # What was booked before a correction that nothing explains does not explain it: the hour before it counts.
        open_to_say = {c.instrument.symbol for c in corrections if not (c.proven or c.reversed)}
        changes = await fetch(
            connection,
            "SELECT seq, position_id, symbol, strategy_id, before, after, at FROM changes"
            " WHERE account = ? AND symbol IN (SELECT value FROM json_each(?)) AND seq > ? AND (seq > ? OR at >= ?)"
            " AND correction_id IS NULL ORDER BY seq",
            (
                account,
                symbols,
                first - _ENTRIES_BACK if open_to_say else first,
                first,
                time_text(corrected - FILL_BEFORE),
            ),
            _change,
        )
        executions = await keeping.executions(connection, account, executed, symbols)
        if amended or any(execution.previous_id for execution in executions):
            executions += await keeping.amendments(connection, account, executed, symbols, amended)
        consumed = await fetch(
            connection, "SELECT id FROM activities WHERE account = ? AND explains IS NOT NULL", (account,), str
        )
    others = tuple(each for each in changes if each.seq > since[each.symbol] or each.symbol in open_to_say)
    return History(others, tuple(corrections), executions, frozenset(consumed))


def _change(
    seq: int, position_id: int, symbol: str, strategy_id: str | None, before: str, after: str, at: str
) -> Change:
    return Change(seq, position_id, symbol, strategy_id, parse_decimal(before), parse_decimal(after), parse_time(at))


def _correction(
    correction_id: int,
    run_id: int,
    position_id: int,
    asset_class: str,
    symbol: str,
    strategy_id: str | None,
    before: str,
    after: str,
    cause: str,
    at: str,
    proven: int,
    undone: int,
) -> PastCorrection:
    return PastCorrection(
        id=correction_id,
        run_id=run_id,
        position_id=position_id,
        instrument=Instrument(asset_class, symbol),
        strategy_id=strategy_id,
        before=parse_decimal(before),
        after=parse_decimal(after),
        cause=Cause(cause),
        at=parse_time(at),
        proven=bool(proven),
        reversed=bool(undone),
    )
