"""The executions of one account that are recent enough to matter, from whichever source told first.

Owns them in memory, and the handing on to the ledger in grouped writes; a restart gets them back from there.
May not let the ledger hold up the stream: while it is locked they wait here, up to a bound that is reported.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from math import inf
from typing import NoReturn

from recond.core.evidence import executions_of, key, merged, motions
from recond.core.judge import CLOCK_SLACK_S, Moment, Motion, Timing, look_again
from recond.core.model import Activities, Execution, Key
from recond.ports import Ledger, LedgerUnavailable

WAITING_MAX = 100_000
KNOWN_MAX = 100_000
FLOOD = 200
NEWEST, MOTIONS_MAX = 500, 5_000
OVERLAP = timedelta(seconds=60)
GRAIN = timedelta(milliseconds=1)
NEVER = datetime.min.replace(tzinfo=UTC)
WRITE_EVERY_S = 0.5
WRITE_MAX = 5_000
RETRY_S = 2.0


class Evidence:
    """What is known to have moved in one account.

    `horizon_s` is how far back a verdict can look, `late_s` how late an activity may be booked.

    `gap_since` is the moment from which on the stream may have lost something that REST has not been asked for yet,
    None when there is none. `listening` tells whether the stream is connected.
    """

    def __init__(self, account: str, ledger: Ledger, *, horizon_s: float, late_s: float) -> None:
        self._account = account
        self._ledger = ledger
        self.horizon, self._late = timedelta(seconds=horizon_s), timedelta(seconds=late_s)
        self._known: dict[str, dict[Key, Execution]] = {}
        self._order: deque[Key] = deque()
        self._waiting: dict[Key, Execution] = {}
        self._dropped: set[Key] = set()
        self._added = asyncio.Event()
        self.gap_since: datetime | None = None
        self.listening = False
        self._went: datetime | None = None
        self._gaps = 0
        self._asked = (NEVER, NEVER, 0)
        self._told_until: datetime | None = None
        self._cut_at: datetime | None = None

    @property
    def waiting(self) -> int:
        """How many executions the ledger has not got yet."""
        return len(self._waiting)

    @property
    def flooded(self) -> bool:
        """Whether so much moves that REST's list of it would have many pages."""
        return len(self._order) > FLOOD

    def came(self, now: datetime) -> None:
        """The stream is connected, and may have lost what happened since it went and REST has not told since then."""
        went = now if self._went is None else self._went
        self.open_gap(went if self._told_until is None else max(went, self._told_until))
        self._went = None
        self.listening = True

    def went(self, now: datetime) -> None:
        """The stream is gone, perhaps after a silence."""
        self.open_gap(now)
        self._went = now
        self.listening = False

    def open_gap(self, since: datetime) -> None:
        """The stream may have lost something from this moment on."""
        self._gaps += 1
        self.gap_since = since if self.gap_since is None else min(since, self.gap_since)

    def look_back(self, now: datetime) -> datetime:
        """From which moment on REST must be asked now, so that nothing that matters is missing.

        What it told once is not asked for again, but for what may have been booked late: a page has 100 entries only.
        """
        since = now - self.horizon
        if self._cut_at is not None:
            since = max(since, self._cut_at) if self.gap_since is None else self._cut_at
        else:
            if self._told_until is not None:
                since = max(since, self._told_until - self._late)
            if self.gap_since is not None:
                since = min(since, self.gap_since - OVERLAP)
        self._asked = since, now, self._gaps
        return since

    def looked_up(self, found: Activities) -> int:
        """Take over what REST told; returns how many executions the connected stream should have told and did not.

        After a list that was cut short the next look-up goes on where it ended, and of a gap the rest stays. So does a
        gap that opened after REST was asked, and one that there is no room for.
        """
        since, asked_at, gaps = self._asked
        counts, in_time = self.listening and self.gap_since is None, gaps == self._gaps
        new = self.add(execution for entry in found.entries for execution in executions_of(entry))
        if found.complete:  # what is unreadable stays so: a gap that waited for it would end all verdicts
            self._cut_at, self._told_until = None, asked_at
        else:
            # There may be more of the very moment at which the list was cut, and what is booked late.
            told = [entry.at - GRAIN for entry in found.entries if entry.at is not None]
            self._cut_at = min(max([since, *told]), asked_at - self._late)
        if self.gap_since is not None and in_time and len(self._waiting) < WAITING_MAX:
            self.gap_since = self._cut_at
        return new if counts else 0

    async def load(self, now: datetime) -> None:
        """Take back what an earlier process left in the ledger."""
        for execution in await self._ledger.executions(self._account, now - self.horizon):
            self._learn(key(execution), execution)

    def add(self, told: Iterable[Execution]) -> int:
        """Take these over, each once; returns how many were new. Costs no waiting."""
        new = 0
        for execution in told:
            which = key(execution)
            before = self._known.get(execution.symbol, {}).get(which)
            known = execution if before is None else merged(before, execution)
            if known == before and which not in self._dropped:
                continue
            new += before is None
            self._learn(which, known)
            if len(self._waiting) < WAITING_MAX or which in self._waiting:
                self._waiting[which] = known
                self._dropped.discard(which)
            else:
                self._dropped.add(which)
                self.open_gap(known.at)
        if self._waiting:
            self._added.set()
        return new

    def motions(
        self, symbols: Collection[str], broker_now: datetime, now_s: float, told: Sequence[Execution] = ()
    ) -> dict[str, list[Motion]]:
        """What moved within the horizon, of these symbols, on the monotonic clock; forgets what is older.

        `told` is what REST told and is not to be remembered.
        """
        while self._order and self._at(self._order[0]) < broker_now - self.horizon:
            self._forget_oldest()
        known = self.known(symbols)
        if told:
            mine = {key(execution) for execution in known}
            known = (*known, *(e for e in told if e.symbol in symbols and key(e) not in mine))
        return motions(known, broker_now, now_s)

    def known(self, symbols: Iterable[str]) -> tuple[Execution, ...]:
        """The executions of these symbols that are remembered."""
        return tuple(execution for symbol in symbols for execution in self._known.get(symbol, {}).values())

    def known_until_s(self, broker_now: datetime, now_s: float, *, asked: bool) -> float:
        """The monotonic moment until which all that moved is known, infinite when REST was just `asked` to the end.

        Else it is known as far as REST told before: of what the stream lost in silence nothing else tells.
        """
        until_s = inf
        if not asked:
            told_until = self._told_until
            until_s = -inf if told_until is None else now_s - (broker_now - told_until + self._late).total_seconds()
        if (cut_at := self.gap_since or self._cut_at) is not None:
            until_s = min(until_s, now_s - (broker_now - cut_at).total_seconds() - CLOCK_SLACK_S)
        return until_s

    def not_shown(
        self,
        shown: Mapping[str, Decimal],
        passed_over: Set[str],
        moment: Moment,
        timing: Timing,
        broker_now: datetime,
        now_s: float,
    ) -> tuple[frozenset[str], float]:
        """The symbols of which the broker may not have shown yet what moved, and when it must be looked at again.

        `shown` are its quantities by symbol at the reading of this moment, `passed_over` the symbols that somebody else
        looks after: see `judge.look_again`. In a flood it is soon, and of the newest alone it is asked which.
        """
        symbols = self._known.keys() - passed_over
        if self.flooded:
            symbols &= {which[0] for which in islice(reversed(self._order), NEWEST)}
            if sum(len(self._known[symbol]) for symbol in symbols) > MOTIONS_MAX:
                symbols = set()
        stale = look_again(shown, self.motions(symbols, broker_now, now_s), moment, timing)
        soon_s = moment.ended_s + timing.confirm_after_s if self.flooded else inf
        return frozenset(stale), min((soon_s, *stale.values()))

    def _learn(self, which: Key, execution: Execution) -> None:
        """Know an execution, or know more of it; the oldest of too many are forgotten, which is a gap."""
        book = self._known.setdefault(execution.symbol, {})
        if which not in book:
            self._order.append(which)
        book[which] = execution
        if len(self._order) > KNOWN_MAX:
            self.open_gap(self._at(self._order[0]))
            self._forget_oldest()

    def _at(self, which: Key) -> datetime:
        return self._known[which[0]][which].at

    def _forget_oldest(self) -> None:
        which = self._order.popleft()
        self._dropped.discard(which)
        book = self._known[which[0]]
        del book[which]
        if not book:
            del self._known[which[0]]

    async def write(self) -> NoReturn:
        """Hand on to the ledger what waits, many at a time; what it cannot take now waits on."""
        while True:
            await self._added.wait()
            if len(self._waiting) < WRITE_MAX:
                await asyncio.sleep(WRITE_EVERY_S)
            batch = dict(islice(self._waiting.items(), WRITE_MAX))
            try:
                await self._ledger.keep(self._account, tuple(batch.values()))
            except LedgerUnavailable:
                await asyncio.sleep(RETRY_S)
                continue
            for which, execution in batch.items():
                if self._waiting[which] is execution:
                    del self._waiting[which]
            if not self._waiting:
                self._added.clear()
