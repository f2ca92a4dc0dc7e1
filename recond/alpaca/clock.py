"""The broker's clock, as far as its Date headers tell.

Owns the bounds between which the difference of the broker's time and the process's monotonic clock must lie.
May not look at the wall clock, which an operator or NTP may set at any moment.

A Date header is cut to whole seconds: sent at monotonic s, received at r, a date D says that the difference lay
between D - r and D + 1 s - s. Every further answer narrows that, since answers fall on different parts of a second.
"""

from __future__ import annotations

from datetime import UTC, datetime

# Two clocks drift apart by far less; the bounds are widened by it so that old answers count less and less.
_DRIFT = 0.0002


class BrokerClock:
    """The narrowest bounds that the answers so far agree on; starts anew with an answer that contradicts them."""

    def __init__(self) -> None:
        self._bounds: tuple[float, float] | None = None
        self._heard_s = 0.0

    def heard(self, date: datetime, sent_s: float, received_s: float) -> None:
        """Take in the Date header of an answer and the monotonic moments around it."""
        low, high = date.timestamp() - received_s, date.timestamp() + 1.0 - sent_s
        if self._bounds is not None:
            widened = (received_s - self._heard_s) * _DRIFT
            agreed = max(low, self._bounds[0] - widened), min(high, self._bounds[1] + widened)
            if agreed[0] <= agreed[1]:
                low, high = agreed
        self._bounds, self._heard_s = (low, high), received_s

    def at(self, now_s: float) -> datetime | None:
        """The broker's time at a monotonic moment, the middle of the bounds; None before any answer."""
        if self._bounds is None:
            return None
        return datetime.fromtimestamp(now_s + sum(self._bounds) / 2, UTC)
