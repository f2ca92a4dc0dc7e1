"""The executions in the ledger: evidence for verdicts, which survives a restart.

Owns that each is stored once, whichever source told of it first.
May not decide which are the same: that is `recond.core.evidence.key`, of which the unique index is the mirror.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import aiosqlite

from recond.core.model import Execution
from recond.sqlite.connection import fetch, insert
from recond.sqlite.text import decimal_text, money_text, parse_decimal, parse_money, parse_time, time_text

_COLUMNS = "account, execution_id, order_id, cum_qty, symbol, strategy_id, quantity, price, position_qty, at"
_FILL_IN = """
ON CONFLICT (account, order_id, symbol, coalesce(cum_qty, execution_id, '')) DO UPDATE SET
    execution_id = coalesce(execution_id, excluded.execution_id),
    strategy_id = coalesce(strategy_id, excluded.strategy_id),
    price = coalesce(price, excluded.price),
    position_qty = coalesce(position_qty, excluded.position_qty)
"""


async def keep(connection: aiosqlite.Connection, account: str, executions: Sequence[Execution]) -> None:
    """All of `Ledger.keep`, within the transaction that is open."""
    rows = (
        (
            account,
            e.execution_id,
            e.order_id,
            None if e.cum_quantity is None else _same_text(decimal_text(e.cum_quantity)),
            e.symbol,
            e.strategy_id,
            decimal_text(e.quantity),
            money_text(e.price),
            money_text(e.position_quantity),
            time_text(e.at),
        )
        for e in executions
    )
    await insert(connection, "executions", _COLUMNS, rows, _FILL_IN)


async def executions(connection: aiosqlite.Connection, account: str, since: datetime) -> tuple[Execution, ...]:
    """All of `Ledger.executions`, within the transaction that is open."""
    sql = f"SELECT {_COLUMNS} FROM executions WHERE account = ? AND at >= ?"  # noqa: S608 - constant columns
    return tuple(await fetch(connection, sql, (account, time_text(since)), _execution))


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
    )


def _same_text(decimal: str) -> str:
    """Equal values as equal text: `10.50` and `10.5` are one cumulated quantity."""
    return decimal.rstrip("0").rstrip(".") if "." in decimal else decimal
