"""Writing one pass: its run, what it found, and its corrections of positions.

Owns what that one transaction consists of, and its order.
May not decide anything: what changed since the reading is withheld by the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import aiosqlite

from recond.core.conclude import numbered, withhold
from recond.core.model import Conflict, Hold
from recond.core.run import Record, Run
from recond.offloop import off_loop
from recond.ports import LedgerUnavailable
from recond.sqlite.connection import Value, fetch, insert, last_id, write
from recond.sqlite.correcting import correct, give_up_lost
from recond.sqlite.linking import keep_evidence, link
from recond.sqlite.reading import changed_symbols, repins_of
from recond.sqlite.text import decimal_text, money_text, time_or_null, time_text

_CONFLICT_STATE = (
    "cause, explanation, broker_quantity, ledger_quantity, broker_value, ledger_value, resolution, last_seen_at,"
    " sightings, resolved_at, resolved_by, note"
)


async def record(connection: aiosqlite.Connection, record: Record, at: str) -> Run:
    """All of `Ledger.record`, within the transaction that is open; `at` is now.

    Raises `LedgerUnavailable` when a row is not as the record has it; the transaction must then be rolled back.
    """
    if await fetch(connection, "SELECT id FROM runs WHERE id = ?", (record.run.id,), int):
        return record.run
    if record.repins not in (None, await repins_of(connection, record.run.account)):
        raise LedgerUnavailable(
            f"account {record.run.account!r} was pinned anew during this pass",
            hint="nothing was written; the next pass reads again",
        )
    if record.run.outcomes or record.baselines or record.ended_decisions:
        changed = await changed_symbols(connection, record.run.account, record.seq)
        if changed:
            record = await off_loop(len(record.run.outcomes), withhold, record, changed)
    run = record.run
    await write_runs(connection, (*record.late, run))
    await _write_drifts(connection, run)
    conflicts, holds = await _write_conflicts(connection, run), await _write_holds(connection, run)
    if conflicts or holds:
        run = await off_loop(len(run.outcomes), _numbered, run, conflicts, holds)
    await keep_evidence(connection, record)
    changes = [(correction, o.drift.position) for o in run.outcomes for correction in o.corrections]
    journal = await last_id(connection, "changes")
    await correct(connection, run, changes, at)
    await give_up_lost(connection, run.account, record.given_up, at)
    await link(connection, run, at)
    await _write_decisions(connection, record, at)
    await _write_accepted(connection, record)
    await _refresh(connection, record, at)
    if changes or record.given_up:
        # What was written for rows that are gone is nobody's move of the ledger since this reading.
        await connection.execute(
            "UPDATE baselines SET seq = (SELECT max(seq) FROM changes) WHERE account = ?1 AND seq = ?2 AND symbol IN"
            " (SELECT symbol FROM changes WHERE seq > ?3 AND account = ?1 AND correction_id IS NULL)",
            (run.account, record.seq, journal),
        )
    return replace(run, recorded=True)


def _numbered(run: Run, conflicts: Sequence[tuple[int, Conflict]], holds: Sequence[tuple[int, Hold]]) -> Run:
    """The run with the ids of its new conflicts and holds."""
    conflict_ids = {(conflict.instrument, conflict.kind): conflict_id for conflict_id, conflict in conflicts}
    return numbered(run, conflict_ids, {hold.instrument: hold_id for hold_id, hold in holds})


async def write_runs(connection: aiosqlite.Connection, runs: Sequence[Run]) -> None:
    """Insert the runs that are not there yet."""
    await insert(
        connection,
        "runs",
        "id, account, user_id, sequence, trigger, started_at, finished_at, duration_s, status, broker_positions,"
        " db_positions, synced, added, removed, conflicts, holds, pending, unknown, total_value, error, hint",
        (
            (
                run.id,
                run.account,
                run.user_id,
                run.sequence,
                run.trigger,
                time_text(run.started_at),
                time_text(run.finished_at),
                run.duration_s,
                run.status,
                run.broker_positions,
                run.db_positions,
                run.synced,
                run.added,
                run.removed,
                len(run.conflicts),
                len(run.open_holds),
                len(run.pending),
                len(run.unknown),
                money_text(run.total_value),
                None if run.error is None else run.error.message,
                None if run.error is None else run.error.hint,
            )
            for run in runs
        ),
        "ON CONFLICT (id) DO NOTHING",
    )


async def _write_drifts(connection: aiosqlite.Connection, run: Run) -> None:
    """Insert one drift for each outcome."""
    await insert(
        connection,
        "drifts",
        "run_id, account, symbol, asset_class, kind, cause, broker_quantity, ledger_quantity, resolution, explanation",
        (
            (
                run.id,
                run.account,
                outcome.drift.instrument.symbol,
                outcome.drift.instrument.asset_class,
                outcome.drift.kind,
                outcome.explanation.cause,
                decimal_text(outcome.drift.broker),
                decimal_text(outcome.drift.ledger),
                outcome.resolution,
                outcome.explanation.text,
            )
            for outcome in run.outcomes
        ),
    )


async def _write_conflicts(connection: aiosqlite.Connection, run: Run) -> list[tuple[int, Conflict]]:
    """Bring the run's conflicts up to date and insert the new ones; returns those with their ids."""
    known = [c for c in (*run.ended_conflicts, *run.conflicts) if c.id is not None]
    new = list(enumerate((c for c in run.conflicts if c.id is None), await last_id(connection, "conflicts") + 1))
    await write(
        connection,
        f"UPDATE conflicts SET ({_CONFLICT_STATE}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",  # noqa: S608
        ((*_conflict_state(conflict), conflict.id) for conflict in known),
    )
    await insert(
        connection,
        "conflicts",
        f"id, account, symbol, asset_class, kind, opened_at, {_CONFLICT_STATE}",
        (
            (
                conflict_id,
                run.account,
                conflict.instrument.symbol,
                conflict.instrument.asset_class,
                conflict.kind,
                time_text(conflict.opened_at),
                *_conflict_state(conflict),
            )
            for conflict_id, conflict in new
        ),
    )
    return new


def _conflict_state(conflict: Conflict) -> tuple[Value, ...]:
    """What may change from one sighting to the next."""
    return (
        conflict.cause,
        conflict.explanation,
        decimal_text(conflict.broker_quantity),
        decimal_text(conflict.ledger_quantity),
        money_text(conflict.broker_value),
        money_text(conflict.ledger_value),
        conflict.resolution,
        time_text(conflict.last_seen_at),
        conflict.sightings,
        time_or_null(conflict.resolved_at),
        conflict.resolved_by,
        conflict.note,
    )


async def _write_holds(connection: aiosqlite.Connection, run: Run) -> list[tuple[int, Hold]]:
    """Bring the run's holds up to date and insert the new ones; returns those with their ids."""
    held = [outcome.hold for outcome in run.outcomes if outcome.hold is not None]
    known = [hold for hold in (*run.ended_holds, *held) if hold.id is not None]
    new = list(enumerate((hold for hold in held if hold.id is None), await last_id(connection, "holds") + 1))
    await write(
        connection,
        "UPDATE holds SET reason = ?, broker_quantity = ?, ledger_quantity = ?, ended_at = ?, ended_by = ?"
        " WHERE id = ?",
        ((*_hold_state(hold), hold.id) for hold in known),
    )
    await insert(
        connection,
        "holds",
        "id, account, symbol, asset_class, opened_at, reason, broker_quantity, ledger_quantity, ended_at, ended_by",
        (
            (
                hold_id,
                run.account,
                hold.instrument.symbol,
                hold.instrument.asset_class,
                time_text(hold.opened_at),
                *_hold_state(hold),
            )
            for hold_id, hold in new
        ),
    )
    return new


def _hold_state(hold: Hold) -> tuple[Value, ...]:
    """What may change from one sighting to the next."""
    return (
        hold.reason,
        decimal_text(hold.broker_quantity),
        decimal_text(hold.ledger_quantity),
        time_or_null(hold.ended_at),
        hold.ended_by,
    )


async def _write_decisions(connection: aiosqlite.Connection, record: Record, at: str) -> None:
    """What came of the operators' decisions."""
    acted_on = [outcome.decision for outcome in record.run.outcomes if outcome.decision is not None]
    await write(
        connection,
        "UPDATE decisions SET ended_at = ?, outcome = ? WHERE id = ? AND ended_at IS NULL",
        ((at, decision.outcome, decision.id) for decision in (*acted_on, *record.ended_decisions)),
    )


async def _write_accepted(connection: aiosqlite.Connection, record: Record) -> None:
    """The differences that are accepted from now on, and those that are no more."""
    account = record.run.account
    await write(
        connection,
        "DELETE FROM accepted WHERE account = ? AND asset_class = ? AND symbol = ?",
        ((account, each.instrument.asset_class, each.instrument.symbol) for each in record.ended_accepted),
    )
    new = [outcome.accepted for outcome in record.run.outcomes if outcome.accepted is not None]
    await insert(
        connection,
        "accepted",
        "account, asset_class, symbol, difference, at, by, note",
        (
            (
                account,
                each.instrument.asset_class,
                each.instrument.symbol,
                decimal_text(each.difference),
                time_text(each.at),
                each.by,
                each.note,
            )
            for each in new
        ),
        "ON CONFLICT (account, asset_class, symbol) DO UPDATE SET difference = excluded.difference, at = excluded.at,"
        " by = excluded.by, note = excluded.note",
    )


async def _refresh(connection: aiosqlite.Connection, record: Record, at: str) -> None:
    """Prices of agreeing rows that are still as they were read, baselines, and what is known of the account."""
    await write(
        connection,
        "UPDATE positions SET asset_class = ?, asset_id = ?, entry_price = coalesce(?, entry_price),"
        " current_price = coalesce(?, current_price), market_value = coalesce(?, market_value),"
        " unrealized_pl = coalesce(?, unrealized_pl), unrealized_plpc = coalesce(?, unrealized_plpc),"
        " last_synced_at = ? WHERE id = ? AND version = ? AND status = 'open'",
        (
            (
                refresh.asset_class,
                refresh.asset_id,
                money_text(refresh.entry_price),
                money_text(refresh.price),
                money_text(refresh.market_value),
                money_text(refresh.unrealized_pl),
                money_text(refresh.unrealized_plpc),
                at,
                refresh.row_id,
                refresh.version,
            )
            for refresh in record.refreshes
        ),
    )
    await insert(
        connection,
        "baselines",
        "account, asset_class, symbol, broker_quantity, ledger_quantity, cost_basis, at, seq",
        (
            (
                record.run.account,
                baseline.instrument.asset_class,
                baseline.instrument.symbol,
                decimal_text(baseline.broker_quantity),
                decimal_text(baseline.ledger_quantity),
                money_text(baseline.cost_basis),
                time_text(baseline.at),
                baseline.seq,
            )
            for baseline in record.baselines
        ),
        "ON CONFLICT (account, asset_class, symbol) DO UPDATE SET broker_quantity = excluded.broker_quantity,"
        " ledger_quantity = excluded.ledger_quantity, cost_basis = excluded.cost_basis, at = excluded.at,"
        " seq = excluded.seq",
    )
    if record.settled:
        await connection.execute(
            "UPDATE accounts SET adopted_at = ? WHERE name = ? AND adopted_at IS NULL", (at, record.run.account)
        )
    if record.quiet and record.read_at is not None:
        await connection.execute(
            "UPDATE accounts SET settled_at = ?, settled_seq = ? WHERE name = ?",
            (time_text(record.read_at), record.seq, record.run.account),
        )
    if record.equity is not None:
        await connection.execute(
            "UPDATE accounts SET equity = ?, equity_at = ? WHERE name = ?",
            (decimal_text(record.equity), at, record.run.account),
        )
