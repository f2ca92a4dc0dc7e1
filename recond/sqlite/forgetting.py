"""Forgetting what is old: runs, their drifts, evidence, and what was open and has ended.

Owns which rows are old and which are kept whatever their age: what corrected the ledger, and the evidence behind it.
May not hold the write lock while it looks for them, or touch positions, changes, corrections or explanations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import aiosqlite

from recond.sqlite.connection import Value, fetch, write

_KEY = MappingProxyType({"activities": "account, id"})
_IDLE = (
    "finished_at < ? AND NOT EXISTS (SELECT 1 FROM corrections AS c WHERE c.run_id = runs.id)"
    " AND NOT EXISTS (SELECT 1 FROM explanations AS e WHERE e.run_id = runs.id)"
)
_ACCOUNTS = "account IN (SELECT name FROM accounts)"
_OLD = MappingProxyType(
    {
        "drifts": f"EXISTS (SELECT 1 FROM runs WHERE id = drifts.run_id AND {_IDLE})",  # noqa: S608 - constant
        "runs": f"{_IDLE} AND NOT EXISTS (SELECT 1 FROM drifts AS d WHERE d.run_id = runs.id)",  # noqa: S608
        "executions": f"{_ACCOUNTS} AND at < ? AND covered_by IS NULL AND accepted_in IS NULL",
        "activities": f"{_ACCOUNTS} AND at < ? AND explains IS NULL AND accepted_in IS NULL",
        "conflicts": "resolved_at < ?",
        "holds": "ended_at < ?",
        "decisions": "ended_at < ?",
    }
)
"""By table, what makes a row old; the one parameter is the moment."""
_SOUGHT = MappingProxyType(
    {
        "drifts": (
            "run_id IN (SELECT id FROM runs WHERE EXISTS (SELECT 1 FROM drifts WHERE run_id = runs.id)"  # noqa: S608
            f" AND {_IDLE} LIMIT 200)"
        )
    }
)
"""How old rows of a table are looked for, where that is quicker from another table's side."""


async def find(connection: aiosqlite.Connection, before: str, at_most: int) -> Mapping[str, Sequence[Sequence[Value]]]:
    """By table the keys of old rows, so many in all; within a transaction that only reads."""
    found: dict[str, Sequence[Sequence[Value]]] = {}
    for table, condition in _OLD.items():
        if at_most > 0:
            sought = _SOUGHT.get(table, condition)
            sql = f"SELECT {_KEY.get(table, 'id')} FROM {table} WHERE {sought} LIMIT ?"  # noqa: S608 - constants
            keys = await fetch(connection, sql, (before, at_most), lambda *key: key)
            at_most -= len(keys)
            if keys:
                found[table] = keys
    return found


async def delete(connection: aiosqlite.Connection, old: Mapping[str, Sequence[Sequence[Value]]], before: str) -> int:
    """Delete these rows, unless they have become worth keeping; within the transaction that is open."""
    count = connection.total_changes
    for table, keys in old.items():
        names = " AND ".join(f"{name} = ?" for name in _KEY.get(table, "id").split(", "))
        sql = f"DELETE FROM {table} WHERE {names} AND {_OLD[table]}"  # noqa: S608 - constants
        await write(connection, sql, ((*key, before) for key in keys))
    return connection.total_changes - count
