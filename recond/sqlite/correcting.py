"""Corrections: each is written down first and then made, so that the journal can tell whose change it is.

Owns the statements that change positions, and the proof that each correction changed exactly its row.
May not choose a row or a quantity; the core did.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import aiosqlite

from recond.core.model import BrokerPosition
from recond.core.run import Action, Correction, Run
from recond.offloop import off_loop
from recond.ports import LedgerUnavailable
from recond.sqlite.connection import Value, fetch, insert, last_id, write
from recond.sqlite.text import decimal_text, money_text

EXTERNAL_CLOSE = "reconciliation_external_close"


@dataclass(frozen=True, slots=True)
class _Step:
    """A correction with its ids, the row's version after it, and what the broker shows of the instrument."""

    id: int
    position_id: int
    version: int
    correction: Correction
    position: BrokerPosition | None

    def prices(self) -> tuple[Value, ...]:
        """Price, market value, unrealized profit and its share; the last three only if the row is all there is."""
        position = self.position
        if position is None:
            return (None, None, None, None)
        if self.correction.after != position.quantity:
            return (money_text(position.price), None, None, None)
        return (
            money_text(position.price),
            money_text(position.market_value),
            money_text(position.unrealized_pl),
            money_text(position.unrealized_plpc),
        )


async def correct(
    connection: aiosqlite.Connection,
    run: Run,
    corrections: Sequence[tuple[Correction, BrokerPosition | None]],
    at: str,
    close_reason: str = EXTERNAL_CLOSE,
) -> None:
    """Write the corrections, each with what the broker shows of it, and change the rows.

    What closes comes first, so that what opens finds its place free. Raises `LedgerUnavailable` when a row is not as
    the run has it; the transaction must then be rolled back.
    """
    ids = await last_id(connection, "corrections"), await last_id(connection, "positions")
    steps = await off_loop(len(corrections), _steps, corrections, *ids)
    if not steps:
        return
    journal = await last_id(connection, "changes")
    await insert(
        connection,
        "corrections",
        "id, run_id, position_id, version, account, symbol, asset_class, strategy_id, action, before, after, cause,"
        " proven, reverses, at",
        (
            (
                step.id,
                run.id,
                step.position_id,
                step.version,
                run.account,
                step.correction.instrument.symbol,
                step.correction.instrument.asset_class,
                step.correction.strategy_id,
                step.correction.action,
                decimal_text(step.correction.before),
                decimal_text(step.correction.after),
                step.correction.cause,
                step.correction.proven,
                json.dumps(step.correction.reverses) if step.correction.reverses else None,
                at,
            )
            for step in steps
        ),
    )
    await give_up_lost(connection, run.account, (step.correction.instrument.symbol for step in steps), at)
    await _close(connection, [step for step in steps if step.correction.action is Action.CLOSE], at, close_reason)
    await _set(connection, [step for step in steps if step.correction.action is Action.SET], at)
    await _open(connection, run.account, [step for step in steps if step.correction.action is Action.OPEN], at)
    counted = "SELECT count(DISTINCT correction_id) FROM changes WHERE seq > ?"
    [made] = await fetch(connection, counted, (journal,), int)
    if made != len(steps):
        raise LedgerUnavailable(
            f"the ledger changed under a run of {run.account}: {made} of {len(steps)} corrections met their row",
            hint="nothing was written; the next pass reads again",
        )


def _steps(
    corrections: Sequence[tuple[Correction, BrokerPosition | None]], correction_id: int, position_id: int
) -> list[_Step]:
    """The corrections, numbered from after these ids, and so are the rows that they open."""
    steps: list[_Step] = []
    for correction, position in corrections:
        correction_id += 1
        if correction.row is None:
            position_id += 1
            row_id, version = position_id, 1
        else:
            row_id, version = correction.row.id, correction.row.version + 1
        steps.append(_Step(correction_id, row_id, version, correction, position))
    return steps


async def give_up_lost(connection: aiosqlite.Connection, account: str, symbols: Iterable[str], at: str) -> None:
    """Close in the journal what it has open of these symbols though the rows are gone.

    Only what is being written may leave `open_rows`; see its triggers.
    """
    lost = await fetch(
        connection,
        "SELECT position_id, symbol, strategy_id, quantity, version FROM open_rows AS o WHERE account = ?"
        " AND symbol IN (SELECT value FROM json_each(?))"
        " AND NOT EXISTS (SELECT 1 FROM positions AS p WHERE p.id = o.position_id AND p.status = 'open')",
        (account, json.dumps(list(dict.fromkeys(symbols)))),
        lambda *row: row,
    )
    for position_id, symbol, strategy_id, quantity, version in lost:
        await insert(
            connection,
            "changes",
            "position_id, account, symbol, strategy_id, before, after, version, at",
            [(position_id, account, symbol, strategy_id, quantity, "0", version + 1, at)],
        )
        written = "INSERT INTO being_written (position_id, written_symbol, written, moved_at) VALUES (?, ?, '0', ?)"
        await connection.execute(written, (position_id, symbol, at))
        await connection.execute("DELETE FROM open_rows WHERE position_id = ?", (position_id,))
        await connection.execute("DELETE FROM being_written WHERE position_id = ?", (position_id,))


async def _close(connection: aiosqlite.Connection, steps: Sequence[_Step], at: str, reason: str) -> None:
    """Close rows that are still at the version they were read at."""
    await write(
        connection,
        "UPDATE positions SET quantity = '0', closed_at = ?, close_reason = ?, last_synced_at = ?"
        " WHERE id = ? AND version = ? AND status = 'open'",
        ((at, reason, at, step.position_id, step.version - 1) for step in steps),
    )


async def _set(connection: aiosqlite.Connection, steps: Sequence[_Step], at: str) -> None:
    """Set rows that are still at the version they were read at; values that the broker does not tell are unknown."""
    await write(
        connection,
        "UPDATE positions SET symbol = ?, quantity = ?, asset_class = coalesce(?, asset_class),"
        " asset_id = coalesce(?, asset_id), entry_price = coalesce(?, entry_price),"
        " current_price = coalesce(?, current_price), market_value = ?, unrealized_pl = ?, unrealized_plpc = ?,"
        " last_synced_at = ? WHERE id = ? AND version = ? AND status = 'open'",
        (
            (
                step.correction.instrument.symbol,
                decimal_text(step.correction.after),
                None if step.position is None else step.position.instrument.asset_class,
                step.correction.asset_id,
                money_text(step.correction.entry_price),
                *step.prices(),
                at,
                step.position_id,
                step.version - 1,
            )
            for step in steps
        ),
    )


async def _open(connection: aiosqlite.Connection, account: str, steps: Sequence[_Step], at: str) -> None:
    """Open rows under the ids that their corrections name."""
    await insert(
        connection,
        "positions",
        "id, account, strategy_id, symbol, asset_class, asset_id, quantity, entry_price, current_price, market_value,"
        " unrealized_pl, unrealized_plpc, source, opened_at, last_synced_at",
        (
            (
                step.position_id,
                account,
                step.correction.strategy_id,
                step.correction.instrument.symbol,
                step.correction.instrument.asset_class,
                step.correction.asset_id,
                decimal_text(step.correction.after),
                money_text(step.correction.entry_price),
                *step.prices(),
                "reconciliation",
                at,
                at,
            )
            for step in steps
        ),
    )
