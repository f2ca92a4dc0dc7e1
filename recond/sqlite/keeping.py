"""The executions in the ledger: evidence for verdicts, which survives a restart.

Owns that each is stored once, whichever source told of it first.
May not decide which are the same: that is `recond.core.evidence.key`, of which the unique index is the mirror.
"""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from datetime import datetime

import aiosqlite

from recond.core.model import Execution
from recond.sqlite.connection import Value, fetch, insert, write
from recond.sqlite.errors import own_tables
from recond.sqlite.text import decimal_text, money_text, parse_decimal, parse_money, parse_time, time_text

_COLUMNS = (
    "account, execution_id, order_id, cum_qty, symbol, strategy_id, quantity, price, position_qty, at, client_order_id,"
    " previous_id, covered_by, accepted_in"
)
NEWEST_MAX = 2_000
"""Executions of a symbol that are told for an explanation, which can match far fewer."""
_AT_ONCE = 200
"""Rows in a statement, when there are many: at each one its thread and the event loop's wait for each other."""
_FILL_IN = """
ON CONFLICT (account, order_id, symbol, coalesce(cum_qty, execution_id, '')) DO UPDATE SET
    execution_id = coalesce(execution_id, excluded.execution_id),
    strategy_id = coalesce(strategy_id, excluded.strategy_id),
    price = coalesce(price, excluded.price),
    position_qty = coalesce(position_qty, excluded.position_qty),
    client_order_id = coalesce(client_order_id, excluded.client_order_id),
    previous_id = coalesce(previous_id, excluded.previous_id)
"""


async def keep(connection: aiosqlite.Connection, account: str, executions: Sequence[Execution]) -> None:
    """All of `Ledger.keep`, within the transaction that is open."""
    whole = len(executions) - len(executions) % _AT_ONCE
    groups = (executions[start : start + _AT_ONCE] for start in range(0, whole, _AT_ONCE))
    row = f"({', '.join('?' for _ in _COLUMNS.split(','))})"
    many = f"INSERT INTO executions ({_COLUMNS}) VALUES {', '.join([row] * _AT_ONCE)} {_FILL_IN}"  # noqa: S608 - constant
    await write(connection, many, ([value for e in group for value in _row(account, e)] for group in groups))
    await insert(connection, "executions", _COLUMNS, (_row(account, e) for e in executions[whole:]), _FILL_IN)


def _row(account: str, execution: Execution) -> tuple[Value, ...]:
    cum_quantity = execution.cum_quantity
    return (
        account,
        execution.execution_id,
        execution.order_id,
        None if cum_quantity is None else same_text(decimal_text(cum_quantity)),
        execution.symbol,
        execution.strategy_id,
        decimal_text(execution.quantity),
        money_text(execution.price),
        money_text(execution.position_quantity),
        time_text(execution.at),
        execution.client_order_id,
        execution.previous_id,
        execution.covered_by,
        execution.accepted_in,
    )


async def executions(connection: aiosqlite.Connection, account: str, since: datetime) -> tuple[Execution, ...]:
    """All of `Ledger.executions`, within the transaction that is open."""
    sql = f"SELECT {_COLUMNS} FROM executions WHERE account = ? AND at >= ?"  # noqa: S608 - constant columns
    with own_tables():
        return tuple(await fetch(connection, sql, (account, time_text(since)), _execution))


async def newest(
    connection: aiosqlite.Connection, account: str, since: datetime, symbols: str
) -> tuple[Execution, ...]:
    """Those of a JSON list of symbols: of each the newest, of which there are more than can be explained by."""
    sql = (
        f"SELECT {_COLUMNS} FROM (SELECT *, row_number() OVER (PARTITION BY symbol ORDER BY at DESC) AS nth"  # noqa: S608
        " FROM executions WHERE account = ? AND at >= ? AND symbol IN (SELECT value FROM json_each(?))) WHERE nth <= ?"
    )
    with own_tables():
        return tuple(await fetch(connection, sql, (account, time_text(since), symbols, NEWEST_MAX), _execution))


async def amendments(
    connection: aiosqlite.Connection, account: str, symbols: str, amended: Set[str]
) -> tuple[Execution, ...]:
    """What amends another execution, is amended by one, or is `amended`, however old.

    It looks at all executions of the symbols: few amend, so it is seldom needed.
    """
    mine = "account = ?1 AND symbol IN (SELECT value FROM json_each(?2))"
    sql = (
        f"SELECT {_COLUMNS} FROM executions WHERE {mine} AND (previous_id IS NOT NULL"  # noqa: S608
        " OR execution_id IN (SELECT value FROM json_each(?3))"
        f" OR execution_id IS NULL AND order_id IN (SELECT order_id FROM executions WHERE {mine}"
        " AND previous_id IS NOT NULL)"
        f" OR execution_id IN (SELECT previous_id FROM executions WHERE {mine} AND previous_id IS NOT NULL))"
    )
    values = account, symbols, json.dumps(sorted(amended))
    with own_tables():
        return tuple(await fetch(connection, sql, values, _execution))


def _execution(
    _account: str,
    execution_id: str | None,
    order_id: str,
    cum_qty: str | None,
    symbol: str,
    strategy_id: str | None,
    quantity: str,
    price: str | None,
    position_qty: str | None,
    at: str,
    client_order_id: str | None,
    previous_id: str | None,
    covered_by: int | None,
    accepted_in: int | None,
) -> Execution:
    return Execution(
        symbol=symbol,
        at=parse_time(at),
        quantity=parse_decimal(quantity),
        order_id=order_id,
        cum_quantity=parse_money(cum_qty),
        price=parse_money(price),
        execution_id=execution_id,
        position_quantity=parse_money(position_qty),
        strategy_id=strategy_id,
        client_order_id=client_order_id,
        previous_id=previous_id,
        covered_by=covered_by,
        accepted_in=accepted_in,
    )


def same_text(decimal: str) -> str:
    """Equal values as equal text: `10.50` and `10.5` are one cumulated quantity."""
    return decimal.rstrip("0").rstrip(".") if "." in decimal else decimal
