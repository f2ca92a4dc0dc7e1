"""Evidence and what it explains: fills that a correction has covered, activities that are used up.

Owns the statements that store evidence with a pass and mark it as consumed.
May not decide what explains what; the core did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

import aiosqlite

from recond.core.model import Activity, Key
from recond.core.run import Part, Record, Run
from recond.sqlite import keeping
from recond.sqlite.connection import Value, fetch, insert, write
from recond.sqlite.text import decimal_text, money_text, time_or_null


async def keep_evidence(connection: aiosqlite.Connection, record: Record) -> None:
    """Store the executions and activities that a pass has learnt of, each once."""
    account = record.run.account
    if record.executions:
        await keeping.keep(connection, account, record.executions)
    await insert(
        connection,
        "activities",
        "account, id, type, sub_type, symbol, quantity, price, at, order_id, side, cum_qty, group_id, net_amount,"
        " status",
        (_activity(account, activity) for activity in record.activities),
        "ON CONFLICT (account, id) DO UPDATE SET status = excluded.status",
    )


async def link(connection: aiosqlite.Connection, run: Run, at: str) -> None:
    """Mark what the corrections of this run, and the late explanations, have used up."""
    made = await fetch(
        connection,
        "SELECT symbol, strategy_id, min(id) FROM corrections WHERE run_id = ? GROUP BY symbol, strategy_id",
        (run.id,),
        lambda symbol, strategy_id, correction_id: ((symbol, strategy_id), correction_id),
    )
    by_row = dict(made)
    for outcome in run.outcomes:
        symbols = {correction.instrument.symbol for correction in outcome.corrections}
        if any(part.comes_from is not None for part in outcome.explanation.parts):
            symbols.add(outcome.drift.instrument.symbol)  # its rows came with the old name's outcome
        first = min((id_ for (symbol, _), id_ in by_row.items() if symbol in symbols), default=None)
        for part in outcome.explanation.parts:
            if first is None:
                if outcome.accepted is not None:
                    await _accept(connection, run, part)
                continue
            whose = by_row.get((outcome.drift.instrument.symbol, part.strategy_id), first)
            await _consume(connection, run.account, whose or first, part)
    for late in run.late_links:
        await insert(
            connection,
            "explanations",
            "correction_id, run_id, cause, explanation, at",
            [(late.correction_id, run.id, late.cause, late.text, at)],
            "ON CONFLICT (correction_id) DO NOTHING",
        )
        await _cover(connection, run.account, late.correction_id, late.executions)
        await _use_up(connection, run.account, late.correction_id, late.activities)


async def _consume(connection: aiosqlite.Connection, account: str, correction_id: int | None, part: Part) -> None:
    await _cover(connection, account, correction_id, part.executions)
    await _use_up(connection, account, correction_id, part.activities)


async def _accept(connection: aiosqlite.Connection, run: Run, part: Part) -> None:
    """What made a difference that is accepted now explains no other one."""
    await _cover(connection, run.account, run.id, part.executions, by="accepted_in")
    await _use_up(connection, run.account, run.id, part.activities, by="accepted_in")


async def _cover(
    connection: aiosqlite.Connection,
    account: str,
    what_id: int | None,
    keys: Sequence[Key],
    *,
    by: Literal["covered_by", "accepted_in"] = "covered_by",
) -> None:
    await write(
        connection,
        f"UPDATE executions SET {by} = ? WHERE account = ? AND symbol = ? AND order_id = ?"  # noqa: S608 - constants
        " AND coalesce(cum_qty, execution_id, '') = ? AND covered_by IS NULL AND accepted_in IS NULL",
        ((what_id, account, symbol, order_id, _told(told)) for symbol, order_id, told in keys),
    )


async def _use_up(
    connection: aiosqlite.Connection,
    account: str,
    what_id: int | None,
    ids: Iterable[str],
    *,
    by: Literal["explains", "accepted_in"] = "explains",
) -> None:
    await write(
        connection,
        f"UPDATE activities SET {by} = ? WHERE account = ? AND id = ?"  # noqa: S608 - constants
        " AND explains IS NULL AND accepted_in IS NULL",
        ((what_id, account, id_) for id_ in ids),
    )


def _told(told: Decimal | str | None) -> str:
    """The third part of an execution's key, as the unique index of `executions` has it."""
    return keeping.same_text(decimal_text(told)) if isinstance(told, Decimal) else told or ""


def _activity(account: str, activity: Activity) -> tuple[Value, ...]:
    return (
        account,
        activity.id,
        activity.type,
        activity.sub_type,
        activity.symbol,
        money_text(activity.quantity),
        money_text(activity.price),
        time_or_null(activity.at),
        activity.order_id,
        activity.side,
        money_text(activity.cum_quantity),
        activity.group_id,
        money_text(activity.net_amount),
        activity.status,
    )
