"""Evidence and what it explains: fills that a correction has covered, activities that are used up.

Owns the statements that store evidence with a pass and mark it as consumed.
May not decide what explains what; the core did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeAlias

import aiosqlite

from recond.core.model import Activity, Key
from recond.core.run import Record, Run
from recond.sqlite import keeping
from recond.sqlite.connection import Value, fetch, insert, write
from recond.sqlite.text import decimal_text, money_text, time_or_null

_Use: TypeAlias = tuple[int, Sequence[Key], Sequence[str]]
"""The correction or the run that has used up these executions and these activities."""


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
    used: list[_Use] = [
        *_used(run, made),
        *((late.correction_id, late.executions, late.activities) for late in run.late_links),
    ]
    await insert(
        connection,
        "explanations",
        "correction_id, run_id, cause, explanation, at",
        [(late.correction_id, run.id, late.cause, late.text, at) for late in run.late_links],
        "ON CONFLICT (correction_id) DO NOTHING",
    )
    # What made a difference that is accepted now explains no other one.
    parts = (part for o in run.outcomes if o.accepted and not o.corrections for part in o.explanation.parts)
    accepted = [(run.id, part.executions, part.activities) for part in parts]
    for uses, covers, explains in ((used, "covered_by", "explains"), (accepted, "accepted_in", "accepted_in")):
        await write(
            connection,
            f"UPDATE executions SET {covers} = ? WHERE account = ? AND symbol = ? AND order_id = ?"  # noqa: S608
            " AND coalesce(cum_qty, execution_id, '') = ? AND covered_by IS NULL AND accepted_in IS NULL",
            [
                (what_id, run.account, symbol, order_id, _told(told))
                for what_id, keys, _ in uses
                for symbol, order_id, told in keys
            ],
        )
        await write(
            connection,
            f"UPDATE activities SET {explains} = ? WHERE account = ? AND id = ?"  # noqa: S608 - constants
            " AND explains IS NULL AND accepted_in IS NULL",
            [(what_id, run.account, id_) for what_id, _, ids in uses for id_ in ids],
        )


def _used(run: Run, made: Sequence[tuple[tuple[str, str | None], int]]) -> Iterator[_Use]:
    """What the corrections `made`, by symbol and strategy, have used up: each part that of its row, else the first."""
    by_row = dict(made)
    by_symbol: dict[str, int] = {}
    for (symbol, _), correction_id in made:
        by_symbol[symbol] = min(correction_id, by_symbol.get(symbol, correction_id))
    for outcome in run.outcomes:
        symbols = {correction.instrument.symbol for correction in outcome.corrections}
        if any(part.comes_from is not None for part in outcome.explanation.parts):
            symbols.add(outcome.drift.instrument.symbol)  # its rows came with the old name's outcome
        first = min((by_symbol[symbol] for symbol in symbols & by_symbol.keys()), default=None)
        if first is None:
            continue
        for part in outcome.explanation.parts:
            whose = by_row.get((outcome.drift.instrument.symbol, part.strategy_id), first)
            yield whose, part.executions, part.activities


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
