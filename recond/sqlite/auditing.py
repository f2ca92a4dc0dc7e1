"""From a quantity back to what made it: the journal with corrections, their explanations and the evidence behind them.

Owns how these tables belong together. What explains one correction of a run explains all of that run and symbol.
May not change anything, or tell more of a change by others than the journal knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import aiosqlite

from recond.sqlite.connection import fetch
from recond.sqlite.text import parse_money

FIRST_OF_RUN = "SELECT min(k.id) FROM corrections AS k WHERE k.run_id = c.run_id AND k.symbol = c.symbol"
"""The correction that a later explanation is linked to, for any correction `c`."""
HISTORY = (
    "seq", "at", "account", "symbol", "position_id", "strategy_id", "before", "after", "version", "who",
    "correction_id", "run_id", "trigger", "cause", "proven", "reverses", "explanation", "later_cause",
    "later_explanation",
)  # fmt: skip
CHANGES = f"""(
    SELECT j.seq, j.at, j.account, j.symbol, j.position_id, j.strategy_id, j.before, j.after, j.version,
        iif(j.correction_id IS NULL, 'platform', 'recond') AS who, j.correction_id, c.run_id, r.trigger, c.cause,
        c.proven, c.reverses,
        coalesce((SELECT d.explanation FROM drifts AS d WHERE d.run_id = c.run_id AND d.symbol = c.symbol), r.hint)
            AS explanation,
        e.cause AS later_cause, e.explanation AS later_explanation
    FROM changes AS j
        LEFT JOIN corrections AS c ON c.id = j.correction_id
        LEFT JOIN runs AS r ON r.id = c.run_id
        LEFT JOIN explanations AS e ON e.correction_id = ({FIRST_OF_RUN}))"""  # noqa: S608 - constants
"""The journal, each entry with all that is known of it but the evidence."""
CORRECTIONS = f"""(
    SELECT c.*, e.cause AS later_cause, e.explanation AS later_explanation
    FROM corrections AS c LEFT JOIN explanations AS e ON e.correction_id = ({FIRST_OF_RUN}))"""  # noqa: S608 - constants
"""The corrections, each with what later evidence says of it."""
_OF_RUN = (
    "FROM corrections AS c JOIN corrections AS k ON k.run_id = c.run_id AND k.symbol = c.symbol JOIN"
    " {table} AS t ON t.{link} = k.id AND t.account = k.account WHERE c.id IN (SELECT value FROM json_each(?))"
)
_EXECUTION = ("at", "quantity", "price", "order_id", "client_order_id", "execution_id")
_ACTIVITY = ("id", "type", "sub_type", "symbol", "quantity", "price", "at", "group_id", "status")
_EVIDENCE = MappingProxyType({"executions": ("covered_by", _EXECUTION), "activities": ("explains", _ACTIVITY)})
_NUMBERS = frozenset({"quantity", "price"})


async def with_evidence(
    connection: aiosqlite.Connection, rows: Sequence[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    """The entries of the journal, each with the executions and activities behind it."""
    ids = json.dumps([row["correction_id"] for row in rows if row["correction_id"] is not None])
    behind: dict[tuple[str, object], list[Mapping[str, object]]] = {}
    for table, (link, columns) in _EVIDENCE.items():
        told = ", ".join(f"t.{name}" for name in columns)
        found = await fetch(
            connection,
            f"SELECT c.id, {told} {_OF_RUN.format(table=table, link=link)} ORDER BY t.at",
            (ids,),
            lambda correction_id, *values: (correction_id, values),
        )
        for correction_id, values in found:
            entry = {
                name: parse_money(value) if name in _NUMBERS else value
                for name, value in zip(columns, values, strict=True)
            }
            behind.setdefault((table, correction_id), []).append(entry)
    return [{**row, **{table: behind.get((table, row["correction_id"]), []) for table in _EVIDENCE}} for row in rows]
