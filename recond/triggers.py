"""Why the next pass of one account should run; many nudges become one pass.

Owns the reasons that no pass has taken up yet, and the number of the pass that will.
May not know what a pass does, carry what an event said, or drop a nudge that comes during a pass.
"""

from __future__ import annotations

import asyncio

from recond.core.run import Reason


class Triggers:
    """Reasons waiting for the next pass. For use on one event loop."""

    def __init__(self) -> None:
        self._reasons: dict[Reason, None] = {}
        self._nudged = asyncio.Event()
        self._taken = 0

    @property
    def waiting(self) -> tuple[Reason, ...]:
        """The reasons that no pass has taken up yet, first come first."""
        return tuple(self._reasons)

    def nudge(self, reason: Reason) -> int:
        """Ask for a pass; returns the number of the pass that will answer, which has not started yet."""
        self._reasons[reason] = None
        self._nudged.set()
        return self._taken + 1

    async def wait(self, timeout_s: float) -> None:
        """Return at the next nudge that comes after this call, or after `timeout_s` seconds."""
        self._nudged.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._nudged.wait()
        except TimeoutError:
            return

    def take(self) -> tuple[int, tuple[Reason, ...]]:
        """The number of the pass that starts now and the reasons it answers; nudges from here on mean the next."""
        reasons = tuple(self._reasons)
        self._reasons.clear()
        self._taken += 1
        return self._taken, reasons
