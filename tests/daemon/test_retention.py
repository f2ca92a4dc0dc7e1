"""What is old is forgotten in small batches, again and again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from recond.daemon.retention import forget_old
from recond.ports import LedgerUnavailable
from tests.fakes import FakeLedger

pytestmark = pytest.mark.looptime
NOW = datetime(2026, 1, 2, tzinfo=UTC)


async def test_batches_are_small_and_come_with_pauses() -> None:
    """Not at the start; then a few hundred rows at most each time until nothing is left, and again every hour."""
    ledger = FakeLedger(old=1000)
    task = asyncio.create_task(forget_old(ledger, 90 * 86400.0, lambda: NOW))
    await asyncio.sleep(30)
    assert ledger.forgotten == []
    await asyncio.sleep(31)
    assert 1 <= len(ledger.forgotten) < 5
    await asyncio.sleep(10)
    assert ledger.old == 0
    assert len(ledger.forgotten) == 6
    assert set(ledger.forgotten) == {(NOW - timedelta(days=90), 200)}
    ledger.fails = [LedgerUnavailable("locked", hint="wait")]
    await asyncio.sleep(3600)
    assert len(ledger.forgotten) == 6
    ledger.old = 1
    await asyncio.sleep(3600)
    assert ledger.old == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
