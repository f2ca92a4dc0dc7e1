"""What operators decide, written down in one transaction each: about a conflict or a hold, or about a whole account.

Owns the statements behind `Ledger.decide` and `Ledger.repin`.
May not judge a wish, or choose what a correction does; the core did.
"""

from __future__ import annotations

from datetime import datetime

import aiosqlite

from recond.core.model import Decision, Instrument
from recond.core.repin import Repin, Repinned, closings
from recond.core.run import Reason, Run, RunStatus
from recond.core.wish import Matter, Refusal, State, Why, Wish, judge_wish
from recond.sqlite.connection import fetch, insert, last_id
from recond.sqlite.correcting import correct, give_up_lost
from recond.sqlite.errors import own_tables
from recond.sqlite.reading import open_decisions, read
from recond.sqlite.recording import write_runs
from recond.sqlite.text import decimal_text, parse_decimal, parse_time_or_null, time_text

REPIN_CLOSE = "reconciliation_repin"
_STATE = "account, symbol, asset_class, broker_quantity, ledger_quantity"


async def decide(connection: aiosqlite.Connection, wish: Wish, now: datetime) -> Decision | Refusal:
    """All of `Ledger.decide`, within the transaction that is open."""
    account, state = await _state(connection, wish)
    decided = judge_wish(wish, state, await last_id(connection, "decisions") + 1, now)
    if isinstance(decided, Decision):
        await insert(
            connection,
            "decisions",
            "id, account, symbol, asset_class, conflict_id, hold_id, resolution, broker_quantity, ledger_quantity,"
            " names_row, strategy_id, by, note, at",
            [
                (
                    decided.id,
                    account,
                    decided.instrument.symbol,
                    decided.instrument.asset_class,
                    decided.conflict_id,
                    decided.hold_id,
                    decided.resolution,
                    decimal_text(decided.broker_quantity),
                    decimal_text(decided.ledger_quantity),
                    decided.names_row,
                    decided.strategy_id,
                    decided.by,
                    decided.note,
                    time_text(decided.at),
                )
            ],
        )
    return decided


async def _state(connection: aiosqlite.Connection, wish: Wish) -> tuple[str, State | None]:
    """The account of the matter and how it stands; no state when there is no such matter."""
    ended = {
        Matter.CONFLICT: f"SELECT {_STATE}, resolved_at, resolved_by FROM conflicts WHERE id = ?",  # noqa: S608
        Matter.HOLD: f"SELECT {_STATE}, ended_at, ended_by FROM holds WHERE id = ?",  # noqa: S608
    }
    found = await fetch(connection, ended[wish.matter], (wish.id,), lambda *row: row)
    if not found:
        return "", None
    [(account, symbol, asset_class, broker, ledger, ended_at, ended_by)] = found
    instrument = Instrument(asset_class, symbol)
    with own_tables():
        others = [d for d in await open_decisions(connection, account) if d.instrument == instrument]
        state = State(
            instrument=instrument,
            broker_quantity=parse_decimal(broker),
            ledger_quantity=parse_decimal(ledger),
            ended_at=parse_time_or_null(ended_at),
            ended_by=ended_by,
            decision=next(iter(others), None),
        )
    return account, state


async def repin(connection: aiosqlite.Connection, wish: Repin, run_id: int, now: datetime) -> Repinned | Refusal:
    """All of `Ledger.repin`, within the transaction that is open."""
    pins = await fetch(
        connection, "SELECT name, user_id, broker_account_id FROM accounts", (), lambda *row: (row[0], row[1:])
    )
    known = dict(pins)
    if wish.account not in known:
        return Refusal(Why.UNKNOWN, f"there is no account {wish.account!r}")
    user_id, was = known[wish.account]
    twins = [name for name, (_, pin) in pins if pin == wish.broker_account_id and name != wish.account]
    if wish.broker_account_id is not None and twins:
        return Refusal(Why.INVALID, f"account {twins[0]!r} is kept for {wish.broker_account_id}")
    reading = await read(connection, wish.account, None)
    if reading.unreadable:
        problem = reading.unreadable[0].problem
        return Refusal(Why.INVALID, f"{problem}: set the row right first, a correction needs to know what it closes")
    at = time_text(now)
    run = Run(
        id=run_id,
        account=wish.account,
        user_id=user_id,
        sequence=0,
        reasons=(Reason.OPERATOR,),
        started_at=now,
        finished_at=now,
        duration_s=0.0,
        status=RunStatus.SUCCESS,
        db_positions=len({row.symbol for row in reading.rows}),
        removed=len({row.symbol for row in reading.rows}),
    )
    await write_runs(connection, [run])
    await connection.execute("UPDATE runs SET hint = ? WHERE id = ?", (wish.text, run_id))
    await give_up_lost(connection, wish.account, (row.symbol for row in reading.lost), at)
    await correct(connection, run, [(closing, None) for closing in closings(reading.rows)], at, REPIN_CLOSE)
    await _forget_account(connection, wish, at)
    return Repinned(run_id, was, wish.broker_account_id, len(reading.rows), len(reading.conflicts), len(reading.holds))


async def _forget_account(connection: aiosqlite.Connection, wish: Repin, at: str) -> None:
    """End what is open and forget what was known, as if the account were met for the first time."""
    by = f"repin by {wish.by}"
    for sql in (
        "UPDATE conflicts SET resolved_at = ?2, resolved_by = ?3 WHERE account = ?1 AND resolved_at IS NULL",
        "UPDATE holds SET ended_at = ?2, ended_by = ?3 WHERE account = ?1 AND ended_at IS NULL",
        "UPDATE decisions SET ended_at = ?2, outcome = 'refused: ' || ?3 WHERE account = ?1 AND ended_at IS NULL",
    ):
        await connection.execute(sql, (wish.account, at, by))
    for table in ("baselines", "accepted"):
        await connection.execute(f"DELETE FROM {table} WHERE account = ?", (wish.account,))  # noqa: S608
    await connection.execute(
        "UPDATE accounts SET broker_account_id = ?, adopted_at = NULL, equity = NULL, equity_at = NULL,"
        " settled_at = NULL, settled_seq = 0, repins = repins + 1 WHERE name = ?",
        (wish.broker_account_id, wish.account),
    )
