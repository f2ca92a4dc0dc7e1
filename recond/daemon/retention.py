"""Forgetting what is older than the configuration wants it kept, a little at a time.

Owns when that is done, and how much at once.
May not hold up a bot: a batch is small, and there is a pause after each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NoReturn

from recond.ports import Ledger, LedgerUnavailable

FIRST_S = 60.0
"""The start has other things to do."""
EVERY_S = 3600.0
PAUSE_S = 0.25
AT_ONCE = 200


async def forget_old(ledger: Ledger, retention_s: float, now: Callable[[], datetime]) -> NoReturn:
    """Forget what is old, once an hour. A ledger that cannot be written now is left until the next time."""
    await asyncio.sleep(FIRST_S)
    while True:
        before = now() - timedelta(seconds=retention_s)
        try:
            count = AT_ONCE
            while count:
                count = await ledger.forget(before, AT_ONCE)
                await asyncio.sleep(PAUSE_S)
        except LedgerUnavailable:
            pass
        await asyncio.sleep(EVERY_S)
