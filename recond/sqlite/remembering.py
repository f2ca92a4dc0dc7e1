"""What the ledger remembers of some instruments: others' changes, corrections, executions, used activities.

Owns the statements behind `Ledger.history`.
May not write, or read what nobody has asked to have explained.
"""

from __future__ import annotations

import json

import aiosqlite

from recond.core.history import Change, History, PastCorrection, Wanted
from recond.core.model import Cause, Instrument
from recond.sqlite import keeping
from recond.sqlite.connection import fetch
from recond.sqlite.errors import own_tables
from recond.sqlite.text import parse_decimal, parse_time, time_text

_ENTRIES_BACK = 10_000
"""Entries of the journal, of all symbols, in which earlier bookings are looked for."""


async def history(connection: aiosqlite.Connection, account: str, wanted: Wanted) -> History:
    """All of `Ledger.history`, within the transaction that is open."""
    if not wanted.since:
        return History()
    symbols = json.dumps(list(wanted.since))
    with own_tables():
        corrections = await fetch(
            connection,
            "SELECT c.id, c.run_id, c.position_id, c.asset_class, c.symbol, c.strategy_id, c.before, c.after,"
            " coalesce(e.cause, c.cause), c.at, c.proven OR e.id IS NOT NULL,"
            " EXISTS (SELECT 1 FROM corrections AS r, json_each(r.reverses) AS undone WHERE r.account = c.account"
            " AND r.symbol = c.symbol AND r.reverses IS NOT NULL AND undone.value = c.id)"
            " FROM corrections AS c LEFT JOIN explanations AS e ON e.correction_id ="
            " (SELECT min(k.id) FROM corrections AS k WHERE k.run_id = c.run_id AND k.symbol = c.symbol)"
            " WHERE c.account = ? AND c.symbol IN (SELECT value FROM json_each(?)) AND c.at >= ? ORDER BY c.id",
            (account, symbols, time_text(wanted.corrected)),
            _correction,
        )
        changes = await fetch(
            connection,
            "SELECT c.seq, c.position_id, c.symbol, c.strategy_id, c.before, c.after, c.at"
            " FROM json_each(?) AS of CROSS JOIN changes AS c WHERE c.account = ? AND c.symbol = of.key"
            " AND c.seq > json_extract(of.value, '$[0]') AND c.correction_id IS NULL"
            " AND (c.seq > json_extract(of.value, '$[1]') OR c.at >= json_extract(of.value, '$[2]')) ORDER BY c.seq",
            (_bounds(wanted), account),
            _change,
        )
        executions = await keeping.newest(connection, account, wanted.executed, symbols)
        if wanted.amended or any(execution.previous_id for execution in executions):
            linked = await keeping.amendments(connection, account, symbols, wanted.amended)
            executions = tuple(dict.fromkeys((*executions, *linked)))
        consumed = await fetch(
            connection,
            "SELECT id FROM activities WHERE account = ?1 AND explains IS NOT NULL"
            " UNION ALL SELECT id FROM activities WHERE account = ?1 AND accepted_in IS NOT NULL",
            (account,),
            str,
        )
    return History(tuple(changes), tuple(corrections), executions, frozenset(consumed))


def _bounds(wanted: Wanted) -> str:
    """For each symbol the position after which entries are looked at, that after which all count, else from when."""
    first = min(wanted.since.values()) - _ENTRIES_BACK
    earlier = {symbol: time_text(at) for symbol, at in wanted.earlier.items()}
    return json.dumps(
        {
            symbol: (first if symbol in earlier else since, since, earlier.get(symbol))
            for symbol, since in wanted.since.items()
        }
    )


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
