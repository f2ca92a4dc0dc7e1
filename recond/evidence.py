"""The executions of one account that are recent enough to matter, from whichever source told first.

Owns them in memory, and the handing on to the ledger in grouped writes; a restart gets them back from there.
May not let the ledger hold up the stream: while it is locked they wait here, up to a bound that is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from recond.core.evidence import Key, key, merged, motions
from recond.core.judge import Motion
from recond.core.model import Execution
from recond.ports import Ledger, LedgerUnavailable

WAITING_MAX = 100_000
WRITE_EVERY_S = 0.5
RETRY_S = 2.0


class Evidence:
    """What is known to have moved in one account. `horizon_s` is how far back a verdict can look."""

    def __init__(self, account: str, ledger: Ledger, *, horizon_s: float) -> None:
        self._account = account
        self._ledger = ledger
        self._horizon = timedelta(seconds=horizon_s)
        self._known: dict[Key, Execution] = {}
        self._waiting: dict[Key, Execution] = {}
        self._added = asyncio.Event()
        self.gap = True
        """Whether the stream may have lost something that REST has not been asked for since."""

    @property
    def waiting(self) -> int:
        """How many executions the ledger has not got yet."""
        return len(self._waiting)

    async def load(self, now: datetime) -> None:
        """Take back what an earlier process left in the ledger."""
        for execution in await self._ledger.executions(self._account, now - self._horizon):
            self._known[key(execution)] = execution

    def add(self, told: Iterable[Execution]) -> int:
        """Take these over, each once; returns how many were new. Costs no waiting."""
        new = 0
        for execution in told:
            which = key(execution)
            before = self._known.get(which)
            if before is None:
                new += 1
            elif (execution := merged(before, execution)) == before:
                continue
            self._known[which] = execution
            if len(self._waiting) < WAITING_MAX or which in self._waiting:
                self._waiting[which] = execution
            else:
                self.gap = True
        if self._waiting:
            self._added.set()
        return new

    def motions(self, broker_now: datetime, now_s: float) -> dict[str, list[Motion]]:
        """What moved within the horizon, by symbol, on the monotonic clock; forgets what is older."""
        oldest = broker_now - self._horizon
        if any(execution.at < oldest for execution in self._known.values()):
            self._known = {k: e for k, e in self._known.items() if e.at >= oldest}
        return motions(self._known.values(), broker_now, now_s)

    async def write(self) -> NoReturn:
        """Hand on to the ledger what waits, many at a time; what it cannot take now waits on."""
        while True:
            await self._added.wait()
            await asyncio.sleep(WRITE_EVERY_S)
            self._added.clear()
            batch: Sequence[Execution] = tuple(self._waiting.values())
            try:
                await self._ledger.keep(self._account, batch)
            except LedgerUnavailable:
                await asyncio.sleep(RETRY_S)
                self._added.set()
                continue
            for execution in batch:
                if self._waiting.get(key(execution)) is execution:
                    del self._waiting[key(execution)]
