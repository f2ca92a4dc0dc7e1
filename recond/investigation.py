"""Finding out why confirmed drifts are there: what to ask the broker and the ledger, and no more than is needed.

Owns the spending of requests on evidence: fills before a verdict, bookings only when fills explain nothing, single
orders only when it matters whose they were.
May not explain or decide anything itself, or fail a pass because evidence cannot be had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from recond.core.effects import moves
from recond.core.evidence import executions_of, key, merged
from recond.core.explain import Known, Patience, base_of, is_day
from recond.core.history import Wanted
from recond.core.late import EDGE, FILL_BEFORE, explain_with_late
from recond.core.model import Activity, Baseline, Cause, Drift, Execution, Instrument, Key, LedgerReading
from recond.core.run import Explanation, LateLink
from recond.core.symbols import canonical_symbol
from recond.evidence import Evidence
from recond.offloop import off_loop
from recond.ports import Broker, BrokerUnavailable, Ledger

LOOK_BACK_MAX = timedelta(days=7)
CORRECTED_BEFORE = timedelta(days=4)
"""How far back a correction can still be booked twice, or be explained by what comes late."""
BOOKED_BEFORE = timedelta(hours=1)
ORDERS_MAX = 5
"""How many orders are read one by one; of more the list is read first."""
ORDERED_BEFORE = timedelta(days=1)
"""How long before its fill an order of that list was submitted at most."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the broker told when it was asked: everything since `since`, or bookings only since `bookings_since`.

    `saving` tells that it was not asked since the budget has too little left for it.
    """

    since: datetime | None = None
    bookings_since: datetime | None = None
    entries: tuple[Activity, ...] = ()
    complete: bool = True
    missed: int = 0
    saving: bool = False

    @property
    def executions(self) -> tuple[Execution, ...]:
        """The fills among it."""
        return tuple(execution for entry in self.entries for execution in executions_of(entry))


@dataclass(frozen=True, slots=True)
class Findings:
    """Why each confirmed drift is there, what late evidence says of earlier ones, and the evidence to be stored."""

    explanations: Mapping[Instrument, Explanation] = field(default_factory=dict)
    late_links: tuple[LateLink, ...] = ()
    activities: tuple[Activity, ...] = ()
    executions: tuple[Execution, ...] = ()


class Investigator:
    """Asks for the evidence of one account. `strategies` maps strategies to client_order_id prefixes."""

    def __init__(
        self,
        account: str,
        broker: Broker,
        ledger: Ledger,
        evidence: Evidence,
        *,
        strategies: Mapping[str, str],
        patience: Patience,
        tolerance: Mapping[str, Decimal],
    ) -> None:
        self._account, self._broker, self._ledger, self._evidence = account, broker, ledger, evidence
        self._strategies, self._patience, self._tolerance = strategies, patience, tolerance

    async def ask(self, now: datetime, pages: int, *, remember: bool) -> Found:
        """Ask the broker for everything that moved lately, in so many requests; else the rest is for the next time.

        Unless it is to be remembered, the evidence stays as it is.
        """
        since = self._evidence.look_back(now)
        found = await self._broker.activities(since, pages)
        missed = self._evidence.looked_up(found) if remember else 0
        return Found(since, since, found.entries, found.whole, missed)

    def window(self, drifts: Sequence[Drift], reading: LedgerReading, now: datetime) -> datetime | None:
        """From when on evidence can matter for these drifts; None when none of them has a baseline."""
        known = [base.at for base in self._bases(drifts, reading).values() if base is not None]
        return max(min(known) - self._patience.late, now - LOOK_BACK_MAX) if known else None

    async def explain(
        self,
        drifts: Sequence[Drift],
        reading: LedgerReading,
        ages: Mapping[Instrument, timedelta],
        now: datetime,
        found: Found,
        others: Sequence[Drift],
        pages: Callable[[], int],
    ) -> Findings:
        """Explain these drifts. `found` is what the broker was asked for already, `now` the broker's time.

        `others` are drifts that are not confirmed yet, and may have to do with these. `pages` tells how many requests a
        further look-up may take.
        """
        window = await off_loop(len(drifts), self.window, drifts, reading, now)
        if window is None and reading.unproven_since is None:
            return await self._find(drifts, reading, ages, Known(now), others)
        known = await self._known(drifts, reading, found, now, window)
        findings = await self._find(drifts, reading, ages, known, others)
        # The stream may have lost a fill, and has told none from before it was connected: it is asked about last.
        streamed = self._evidence.listening and self._evidence.gap_since is None
        late = reading.unproven_since
        for trades in (False, True) if streamed else (True,):
            evident = all(explanation.evident for explanation in findings.explanations.values())
            if window is None or (evident and late is None):
                break
            more, late = await self._with_more(found, window, late, pages, trades=trades), None
            if more is not found:
                found, known = more, await self._known(drifts, reading, more, now, window)
                findings = await self._find(drifts, reading, ages, known, others)
        day = None if window is None else self._day(findings, known)
        if day is not None and (found.since is None or found.since > day):
            found = await self._and(found, day, pages(), bookings_only=False)
            known = await self._known(drifts, reading, found, now, window)
            findings = await self._find(drifts, reading, ages, known, others)
        asked: Set[str] = frozenset()
        if len(self._orders(findings, known, asked)) > ORDERS_MAX and pages() > 1:
            known = _named(known, await self._listed(self._unread(findings, known), pages()))
            findings = await self._find(drifts, reading, ages, known, others)
        left = min(ORDERS_MAX, pages() - 1)
        # Whose an order was can tell that another one is what the ledger lacks.
        while orders := self._orders(findings, known, asked)[:left]:
            left, asked = left - len(orders), asked | set(orders)
            known = _named(known, await self._read(orders))
            findings = await self._find(drifts, reading, ages, known, others)
        return findings

    async def explain_late(self, reading: LedgerReading, now: datetime, pages: Callable[[], int]) -> Findings:
        """What has come in meanwhile that explains earlier corrections; nothing when the broker cannot tell now."""
        if reading.unproven_since is None:
            return Findings()
        asked = Found(since=now, bookings_since=now)
        found = await self._with_more(asked, now, reading.unproven_since, pages, trades=False)
        return await self._find((), reading, {}, await self._known((), reading, found, now, None), ())

    def _bases(self, drifts: Sequence[Drift], reading: LedgerReading) -> dict[Instrument, Baseline | None]:
        return {d.instrument: base_of(d, reading.baselines, reading.settled_at, reading.settled_seq) for d in drifts}

    async def _find(
        self,
        drifts: Sequence[Drift],
        reading: LedgerReading,
        ages: Mapping[Instrument, timedelta],
        known: Known,
        others: Sequence[Drift],
    ) -> Findings:
        size = sum(map(len, (drifts, others, known.executions, known.activities, known.changes, known.corrections)))
        return await off_loop(size, self._findings, drifts, reading, ages, known, others)

    def _findings(
        self,
        drifts: Sequence[Drift],
        reading: LedgerReading,
        ages: Mapping[Instrument, timedelta],
        known: Known,
        others: Sequence[Drift],
    ) -> Findings:
        bases = self._bases((*drifts, *others), reading)
        explanations, late = explain_with_late(drifts, bases, ages, known, self._patience, self._tolerance, others)
        evidence = {each for link in late for each in link.executions}
        evidence |= {k for e in explanations.values() for part in e.parts for k in part.executions}
        return Findings(
            explanations=explanations,
            late_links=late,
            activities=tuple(a for a in known.activities if a.type != "FILL"),
            executions=tuple(e for e in known.executions if key(e) in evidence),
        )

    async def _known(
        self,
        drifts: Sequence[Drift],
        reading: LedgerReading,
        found: Found,
        now: datetime,
        window: datetime | None,
    ) -> Known:
        """The ledger's memory, what the stream told, and what the broker answered, put together."""
        bases = await off_loop(len(drifts), self._bases, drifts, reading)
        since = {instrument.symbol: base.seq for instrument, base in bases.items() if base is not None}
        for entry in found.entries:
            if entry.symbol is not None and moves(entry):
                since.setdefault(canonical_symbol(entry.symbol), reading.seq)
        since = {**dict.fromkeys(reading.unproven, reading.seq), **since}
        earlier = self._earlier(bases.values(), reading, found, now)
        executed = min((now if window is None else window) - self._patience.late, *earlier.values(), now)
        told = [e for e in (*self._evidence.known(since), *found.executions) if e.symbol in since]
        amended = frozenset(e.previous_id for e in told if e.previous_id is not None)
        wanted = Wanted(since, executed, now - CORRECTED_BEFORE, earlier, amended)
        history = await self._ledger.history(self._account, wanted)
        executions: dict[Key, Execution] = {key(execution): execution for execution in history.executions}
        amended |= {e.previous_id for e in history.executions if e.previous_id is not None}
        for execution in told:
            linked = execution.previous_id is not None or execution.execution_id in amended
            if linked or execution.at >= executed:
                before = executions.get(key(execution))
                executions[key(execution)] = execution if before is None else merged(before, execution)
        return Known(
            at=now,
            executions=tuple(executions.values()),
            activities=found.entries,
            used=history.consumed,
            changes=history.changes,
            corrections=history.corrections,
            strategies=self._strategies,
            complete=found.complete,
            fills_since=found.since if found.since is not None and found.complete else now,
        )

    def _day(self, findings: Findings, known: Known) -> datetime | None:
        """From when on all fills have to be known: to tell whether a booking that explains now was booked that day."""
        used = {id_ for e in findings.explanations.values() for part in e.parts for id_ in part.activities}
        booked = {change.symbol: change.at for change in known.changes}
        days = [
            entry.at - self._patience.late
            for entry in known.activities
            if entry.id in used
            and entry.symbol is not None
            and entry.at is not None
            and is_day(entry.at)
            and entry.at <= booked.get(canonical_symbol(entry.symbol), entry.at - self._patience.late)
        ]
        return min(days, default=None)

    def _earlier(
        self, bases: Iterable[Baseline | None], reading: LedgerReading, found: Found, now: datetime
    ) -> dict[str, datetime]:
        """From when on it matters what the ledger had booked before both sides agreed, or before a correction.

        What explained an agreement explains nothing after it: fills shortly before it, and bookings of the days before.
        """
        earlier = {symbol: at - FILL_BEFORE - EDGE for symbol, at in reading.unproven.items()}
        days: dict[str, datetime] = {}
        for entry in found.entries:
            if entry.symbol is not None and entry.at is not None and moves(entry):
                symbol = canonical_symbol(entry.symbol)
                days[symbol] = min(entry.at, days.get(symbol, entry.at))
        late, oldest = self._patience.late, now - LOOK_BACK_MAX
        for base in filter(None, bases):
            symbol = base.instrument.symbol
            moments = base.at - late, days.get(symbol), earlier.get(symbol)
            earlier[symbol] = max(min(filter(None, moments)), oldest) - late
        return earlier

    async def _with_more(
        self,
        found: Found,
        window: datetime,
        unproven_since: datetime | None,
        pages: Callable[[], int],
        *,
        trades: bool,
    ) -> Found:
        """Also what came since the window began, unless it has been asked for; as it is when it cannot be had.

        That is bookings, and with `trades` fills. For corrections that nothing explains bookings are asked for from
        before them on.
        """
        late_since = window if unproven_since is None else min(window, unproven_since - BOOKED_BEFORE)
        if trades and (found.since is None or found.since > window):
            found = await self._and(found, window, pages(), bookings_only=False)
        if found.bookings_since is None or found.bookings_since > late_since:
            found = await self._and(found, late_since, pages(), bookings_only=True)
        return found

    async def _and(self, found: Found, since: datetime, pages: int, *, bookings_only: bool) -> Found:
        """What was found, and what the broker tells of the time since that moment."""
        try:
            told = await self._broker.activities(since, pages, bookings_only=bookings_only)
        except BrokerUnavailable:
            return replace(found, complete=False)
        entries = {entry.id: entry for entry in (*found.entries, *told.entries)}
        return replace(
            found,
            since=found.since if bookings_only else since,
            bookings_since=since,
            entries=tuple(entries.values()),
            complete=found.complete and told.whole,
        )

    def _unread(self, findings: Findings, known: Known) -> list[Execution]:
        """The fills of which it makes a difference whose they were, and whose orders nobody has read."""
        if not self._strategies:
            return []
        parts = [part for e in findings.explanations.values() for part in e.parts if not part.owned]
        keys = {k for part in parts if part.cause in (Cause.FILL, Cause.BUST_OR_CORRECT) for k in part.executions}
        read = {e.order_id for e in known.executions if e.client_order_id is not None}
        return [e for e in known.executions if key(e) in keys and e.order_id not in read]

    def _orders(self, findings: Findings, known: Known, asked: Set[str]) -> list[str]:
        """The orders of those fills, each once, that have not been asked for."""
        return list(dict.fromkeys(e.order_id for e in self._unread(findings, known) if e.order_id not in asked))

    async def _listed(self, unread: Sequence[Execution], requests_max: int) -> dict[str, str]:
        """Order → client_order_id of what was ordered not long before these fills; nothing when it cannot be had."""
        symbols, first = sorted({e.symbol for e in unread}), min(e.at for e in unread)
        try:
            orders = await self._broker.orders(symbols, first - ORDERED_BEFORE, requests_max)
        except BrokerUnavailable:
            return {}
        return {order.id: order.client_order_id for order in orders}

    async def _read(self, order_ids: Sequence[str]) -> dict[str, str]:
        """Order → client_order_id of those of them that can be had."""
        owners: dict[str, str] = {}
        for order_id in order_ids:
            try:
                owners[order_id] = (await self._broker.order(order_id)).client_order_id
            except BrokerUnavailable:
                continue
        return owners


def _named(known: Known, owners: Mapping[str, str]) -> Known:
    """What is known, with these orders' client_order_ids where they were not."""
    executions = (
        replace(e, client_order_id=owners[e.order_id]) if e.client_order_id is None and e.order_id in owners else e
        for e in known.executions
    )
    return replace(known, executions=tuple(executions))
