"""When the next pass may begin: the timer, what is due, and the budget of requests.

Owns the order in which the budget is spent: due re-checks first, then forced passes, then nudges.
May not sleep or know the time: every moment is a number of seconds on the caller's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import inf

from recond.core.run import Reason

BUDGET_WINDOW_S = 60.0
FORCED_WAIT_S = 10.0
RETRY_FIRST_S = 10.0
LIMIT_RESERVE = 20
"""Requests of the broker's own limit that are left to the platform."""
PASS_MORE = 5
"""Requests that a pass may send after its first: the account, what moved, bookings, older fills, and the proof."""

FORCED = frozenset({Reason.START, Reason.HTTP, Reason.SIGHUP, Reason.OPERATOR})
"""Somebody waits for these; all other reasons but a re-check may be late."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `limit` requests in any 60 seconds; `sent` are the moments of those that still count."""

    limit: int
    sent: tuple[float, ...] = ()

    def spend(self, count: int, now_s: float) -> Budget:
        """The budget after `count` requests that were sent by now."""
        recent = tuple(moment for moment in self.sent if moment > now_s - BUDGET_WINDOW_S)
        return replace(self, sent=recent + (now_s,) * count)

    def pages(self, sent: int, now_s: float) -> int:
        """How many requests a look-up may take in a pass that has sent so many already, at least one.

        It leaves the pass its proof, and an eighth to the readings that are due.
        """
        spent = sent + sum(moment > now_s - BUDGET_WINDOW_S for moment in self.sent)
        return max(1, self.limit - spent - 1 - self.limit // 8)

    @property
    def worth(self) -> int:
        """The pages that a look-up must have when it can wait for them: with few it would hardly get on."""
        return self.limit // 4 - self.limit // 8

    def free_at(self, reserve: int, now_s: float) -> float:
        """The earliest moment, not before now, at which one request leaves `reserve` others free."""
        usable = self._usable(reserve)
        if len(self.sent) < usable:
            return now_s
        return max(now_s, self.sent[-usable] + BUDGET_WINDOW_S)

    @property
    def pace_s(self) -> float:
        """Readings that far apart never use it up."""
        return BUDGET_WINDOW_S / self._usable(0)

    def _usable(self, reserve: int) -> int:
        """What a pass may need beyond its first request is always left, unless the limit is too small for that."""
        return max(1, self.limit - max(reserve, min(PASS_MORE, self.limit // 3)))


@dataclass(frozen=True, slots=True)
class Agenda:
    """What one account's next pass depends on besides nudges.

    `spacing_s` keeps passes that nobody waits for apart; `asked_s` is when the oldest forced request came;
    before `quiet_s` the broker's own limit is so near that only re-checks and forced passes may spend it; `saving`
    tells that a look-up waits for as many pages as are worth it.
    """

    timer_s: float
    spacing_s: float
    budget: Budget
    recheck_s: float | None = None
    began_s: float = -inf
    asked_s: float | None = None
    quiet_s: float = -inf
    saving: bool = False

    def begins(self, waiting: Collection[Reason], now_s: float) -> float:
        """The moment at which the next pass begins if nothing else happens."""
        limit = self.budget.limit
        nudges = [self.timer_s]
        if any(reason not in FORCED for reason in waiting):
            nudges.append(max(now_s, self.began_s + max(self.spacing_s, self.budget.pace_s)))
        begin = max(min(nudges), self.budget.free_at(limit // 4, now_s), self.quiet_s)
        if self.recheck_s is not None:
            free_s = self.budget.free_at(limit // 4 + 1 if self.saving else 0, now_s)
            # With a small budget readings are spread: a lot of them at once and none for long would settle nothing.
            spread_s = self.began_s + self.budget.pace_s if self.budget.pace_s > self.spacing_s else now_s
            begin = min(begin, max(self.recheck_s, free_s, spread_s))
        if self.asked_s is not None:
            forced = min(self.budget.free_at(limit // 8, now_s), self.asked_s + FORCED_WAIT_S)
            begin = min(begin, max(now_s, forced))
        return begin

    def due(self, now_s: float) -> tuple[Reason, ...]:
        """The reasons that time itself gives at this moment."""
        rechecks = () if self.recheck_s is None or self.recheck_s > now_s else (Reason.RECHECK,)
        return rechecks if self.timer_s > now_s else (*rechecks, Reason.TIMER)


def retry_delay(failures: int, interval_s: float) -> float:
    """Seconds until a pass is tried again after so many that failed or stayed unproven in a row."""
    return min(interval_s, RETRY_FIRST_S * 2.0 ** min(failures - 1, 16)) if failures > 0 else inf


def quiet_until(remaining: int | None, reset_s: float | None) -> float:
    """The moment before which the broker's own limit is too near for passes that nobody waits for."""
    return -inf if remaining is None or reset_s is None or remaining > LIMIT_RESERVE else reset_s
