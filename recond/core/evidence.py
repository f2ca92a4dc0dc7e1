"""What is known to have moved: fills from the stream and from the activities, each once, on one clock.

Owns the joining of the two sources: both know the order and its cumulated quantity, and only that is relied upon.
May not judge or explain anything by them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from recond.core.judge import Motion
from recond.core.model import Activity, Execution, Key
from recond.core.symbols import coins_of


def key(execution: Execution) -> Key:
    """What makes an execution the same one, whoever tells of it: coin, order, and the order's quantity by then.

    One that lacks the cumulated quantity is only the same as another with its execution id.
    """
    told = execution.cum_quantity if execution.cum_quantity is not None else execution.execution_id
    return (execution.symbol, execution.order_id, told)


def executions_of(activity: Activity) -> tuple[Execution, ...]:
    """The fill of an activity under position symbols, signed; empty for everything that is no readable fill.

    `execution_id` stays None, since the uuid of an activity is not known to be the stream's.
    """
    if (
        activity.type != "FILL"
        or activity.symbol is None
        or activity.quantity is None
        or activity.at is None
        or activity.order_id is None
    ):
        return ()
    return tuple(
        Execution(symbol, activity.at, change, activity.order_id, activity.cum_quantity, activity.price)
        for symbol, change in moved_by(activity.symbol, activity.side, activity.quantity, activity.price)
    )


def moved_by(traded: str, side: str | None, quantity: Decimal, price: Decimal | None) -> list[tuple[str, Decimal]]:
    """What a fill of that side moves under position symbols, signed, what was traded first; nothing for no known side.

    A pair of two coins moves both, the quote coin by the price. Raises `ValueError` when `traded` is no symbol.
    """
    sign = _trade_sign(side)
    if sign is None:
        return []
    coins, change = coins_of(traded), quantity * sign
    if len(coins) == 1 or price is None:
        return [(coins[0], change)]
    return [(coins[0], change), (coins[1], -change * price)]


def merged(before: Execution, again: Execution) -> Execution:
    """One execution as both sources tell it; the first one's word stands where both say something."""
    return replace(
        before,
        price=before.price if before.price is not None else again.price,
        execution_id=before.execution_id or again.execution_id,
        position_quantity=before.position_quantity if before.position_quantity is not None else again.position_quantity,
        strategy_id=before.strategy_id or again.strategy_id,
        client_order_id=before.client_order_id or again.client_order_id,
        previous_id=before.previous_id or again.previous_id,
        covered_by=before.covered_by if before.covered_by is not None else again.covered_by,
        accepted_in=before.accepted_in if before.accepted_in is not None else again.accepted_in,
    )


def motions(executions: Iterable[Execution], broker_now: datetime, now_s: float) -> dict[str, list[Motion]]:
    """By symbol and on the monotonic clock, on which `now_s` is the moment that the broker calls `broker_now`.

    What takes back or corrects another execution moves as much as the two differ.
    """
    known = tuple(executions)
    by_id = {(e.symbol, e.execution_id): e.quantity for e in known if e.execution_id is not None}
    moved: dict[str, list[Motion]] = {}
    for execution in known:
        at_s = now_s - (broker_now - execution.at) / timedelta(seconds=1)
        before = Decimal(0) if execution.previous_id is None else by_id.get((execution.symbol, execution.previous_id))
        quantity = execution.quantity - (before or Decimal(0))
        moved.setdefault(execution.symbol, []).append(Motion(at_s, quantity, execution.position_quantity))
    return moved


def _trade_sign(side: str | None) -> int | None:
    # `sell_short` was seen where only `buy` and `sell` were documented, hence the beginning of the word.
    word = (side or "").lower()
    if word.startswith("buy"):
        return 1
    return -1 if word.startswith("sell") else None
