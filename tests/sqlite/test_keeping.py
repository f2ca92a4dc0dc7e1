"""Executions on their way into the ledger's file and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from recond.core.model import Execution
from recond.sqlite.ledger import AccountEntry, SqliteLedger

NOW = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)


def execution(number: int) -> Execution:
    """The fill of the number-th order, as the activities tell it."""
    return Execution(
        symbol="AAPL",
        at=NOW + timedelta(milliseconds=number),
        quantity=Decimal(-number),
        order_id=f"order-{number}",
        cum_quantity=Decimal(number),
        price=Decimal("230.10"),
    )


async def test_many_at_once_are_each_stored_once(tmp_path: Path) -> None:
    """Hundreds in one write, told again with more detail and in other groups, are each there once, with all of it."""
    fills = [execution(number) for number in range(1, 651)]
    told_again = [replace(fill, execution_id=f"id-{fill.order_id}", position_quantity=Decimal(7)) for fill in fills]
    entries = [AccountEntry("main", 1, "paper")]
    async with SqliteLedger(tmp_path / "recond.db", entries, now=lambda: NOW) as ledger:
        await ledger.keep("main", fills[:450])
        await ledger.keep("main", [*told_again, *told_again])
        await ledger.keep("main", fills)
        assert sorted(await ledger.executions("main", NOW), key=lambda each: each.at) == told_again
