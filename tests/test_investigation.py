"""What is asked of the broker to explain drifts: no more than makes a difference, and never at the price of a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from recond.core.evidence import key
from recond.core.history import History, PastCorrection, Wanted
from recond.core.model import Activities, Activity, Baseline, Cause, Drift, LedgerReading, Order
from recond.core.run import Explanation
from recond.evidence import Evidence
from recond.investigation import (
    CORRECTED_BEFORE,
    LOOK_BACK_MAX,
    ORDERED_BEFORE,
    ORDERS_MAX,
    Findings,
    Found,
    Investigator,
)
from recond.ports import BrokerUnavailable
from tests.core.stories import (
    BASE_AT,
    NOW,
    PATIENCE,
    STRATEGIES,
    TOLERANCE,
    base,
    booking,
    causes,
    change,
    corrected,
    fill,
)
from tests.core.strategies import drift_of, row
from tests.fakes import FakeBroker, FakeLedger

pytestmark = pytest.mark.looptime
HORIZON_S, PAGES = 90.0, 7
DRIFT = drift_of("AAPL", 15, row("AAPL", 10))
BASES = {DRIFT.instrument: base(DRIFT, 10)}


@dataclass
class AskedBroker(FakeBroker):
    """A broker that keeps what it was asked for."""

    booked: list[Activity] = field(default_factory=list)
    filled: list[Activity] = field(default_factory=list)
    clients: dict[str, str] = field(default_factory=dict)
    listed: dict[str, str] | None = None
    cut: bool = False
    down: bool = False
    asked: list[tuple[str, object]] = field(default_factory=list)

    async def activities(self, after: datetime, requests_max: int, *, bookings_only: bool = False) -> Activities:
        assert 0 < requests_max <= PAGES
        self.asked.append(("bookings" if bookings_only else "all", after))
        if self.down:
            raise BrokerUnavailable("activities: HTTP 502", hint="wait")
        entries = self.booked if bookings_only else [*self.booked, *self.filled]
        return Activities(tuple(entries), not self.cut, self.unreadable)

    async def order(self, order_id: str) -> Order:
        self.asked.append(("order", order_id))
        if self.down or order_id not in self.clients:
            raise BrokerUnavailable("orders: HTTP 404", hint="there is no such order")
        return Order(order_id, self.clients[order_id], "AAPL", "buy", "filled", Decimal(5))

    async def orders(self, symbols: Sequence[str], after: datetime, requests_max: int) -> tuple[Order, ...]:
        assert requests_max == PAGES
        self.asked.append(("orders", (*symbols, after)))
        if self.down or self.listed is None:
            raise BrokerUnavailable("orders: the list did not end", hint="wait")
        return tuple(Order(id_, client, "AAPL", "buy", "filled", Decimal(1)) for id_, client in self.listed.items())

    @property
    def kinds(self) -> list[str]:
        """What kinds of requests there were, in their order."""
        return [kind for kind, _ in self.asked]


@dataclass
class RememberingLedger(FakeLedger):
    """A ledger that remembers corrections and used activities, and what it was asked for."""

    corrections: tuple[PastCorrection, ...] = ()
    consumed: frozenset[str] = frozenset()
    asked: list[Wanted] = field(default_factory=list)

    async def history(self, account: str, wanted: Wanted) -> History:
        self.asked.append(wanted)
        told = await super().history(account, wanted)
        known = tuple(c for c in self.corrections if c.instrument.symbol in wanted.since)
        return replace(told, corrections=known, consumed=self.consumed)


@dataclass
class Case:
    """An investigator with its ports."""

    broker: AskedBroker = field(default_factory=AskedBroker)
    ledger: RememberingLedger = field(default_factory=RememberingLedger)
    strategies: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.evidence = Evidence("default", self.ledger, horizon_s=HORIZON_S, late_s=30.0)
        self.evidence.listening = True
        self.investigator = Investigator(
            "default",
            self.broker,
            self.ledger,
            self.evidence,
            strategies=self.strategies,
            patience=PATIENCE,
            tolerance=TOLERANCE,
        )

    async def explain(
        self,
        *drifts: Drift,
        found: Found | None = None,
        bases: Mapping[object, Baseline] | None = None,
        unproven_since: datetime | None = None,
        pages: int = PAGES,
    ) -> Findings:
        """Why the drifts are there."""
        unproven = {} if unproven_since is None else {"AAPL": unproven_since}
        reading = LedgerReading((), seq=9, baselines=dict(BASES if bases is None else bases), unproven=unproven)  # type: ignore[arg-type]
        asked = drifts or (DRIFT,)
        return await self.investigator.explain(asked, reading, {}, NOW, found or Found(), (), lambda: pages)


def only(findings: Findings) -> Explanation:
    """The explanation of the only drift."""
    (explanation,) = findings.explanations.values()
    return explanation


def trade(quantity: int, minute: float = 5, order: str = "o1") -> Activity:
    """A fill as the activities tell it."""
    return Activity(
        f"t-{order}", "FILL", "fill", "AAPL", Decimal(quantity), Decimal(10), BASE_AT + timedelta(minutes=minute),
        order_id=order, side="buy", cum_quantity=Decimal(quantity),
    )  # fmt: skip


async def test_an_adoption_asks_nobody() -> None:
    """At the first contact there is no baseline, and neither broker nor ledger is asked."""
    case = Case()
    explanation = only(await case.explain(bases={}))
    assert (explanation.cause, case.broker.asked, case.ledger.asked) == (Cause.ADOPTION, [], [])


async def test_fills_that_explain_it_are_enough() -> None:
    """Whether the stream told of them, the ledger kept them, or the look before the verdict found them."""
    streamed, kept, found = Case(), Case(), Case()
    streamed.evidence.add([fill(5)])
    kept.ledger.kept.append(fill(5))
    for case, told in ((streamed, Found()), (kept, Found()), (found, Found(entries=(trade(5),)))):
        explanation = only(await case.explain(found=told))
        assert (causes(explanation), explanation.evident) == ([(Cause.FILL, 5, None)], True)
        assert case.broker.asked == []


async def test_one_fill_that_all_three_tell_is_one() -> None:
    """It is joined by its order and sum, with what each knows of it, and is stored with the pass."""
    case = Case()
    case.evidence.add([fill(5, execution_id="x")])
    case.ledger.kept.append(fill(5, price=None, strategy_id="mean"))
    findings = await case.explain(found=Found(entries=(trade(5),)))
    assert causes(only(findings)) == [(Cause.MISSED_FILL, 5, "mean")]
    (stored,) = findings.executions
    assert (stored.execution_id, stored.price, stored.strategy_id) == ("x", 10, "mean")
    assert findings.activities == ()


async def test_bookings_are_asked_for_when_fills_explain_nothing() -> None:
    """Once, from the baseline and a little before; they are stored, and so is what they explain it with."""
    case = Case(AskedBroker(booked=[booking("ACATS", 5)]))
    findings = await case.explain()
    assert causes(only(findings)) == [(Cause.TRANSFER, 5, None)]
    assert case.broker.asked == [("bookings", BASE_AT - PATIENCE.late)]
    assert findings.activities == (booking("ACATS", 5),)


async def test_what_was_asked_for_already_is_not_asked_for_again() -> None:
    """A look that reaches back far enough is enough; a shorter one is not."""
    since = BASE_AT - PATIENCE.late
    entries = (booking("ACATS", 5),)
    later, sooner = since + timedelta(seconds=1), since - timedelta(days=1)
    for begin, kinds in ((since, []), (sooner, []), (later, ["bookings", "all"])):
        case = Case()
        explanation = only(await case.explain(found=Found(begin, begin, entries)))
        assert explanation.cause is Cause.TRANSFER
        assert case.broker.kinds == []
        unexplained = Case()
        await unexplained.explain(found=Found(begin, begin))
        assert unexplained.broker.kinds == kinds


async def test_a_very_old_baseline_does_not_make_the_broker_list_a_year() -> None:
    """Evidence is asked for within a week; the ledger's own memory likewise, with some days of corrections."""
    case = Case()
    await case.explain(bases={DRIFT.instrument: replace(BASES[DRIFT.instrument], at=NOW - timedelta(days=300))})
    assert case.broker.asked == [("bookings", NOW - LOOK_BACK_MAX), ("all", NOW - LOOK_BACK_MAX)]
    oldest = NOW - LOOK_BACK_MAX - PATIENCE.late
    assert case.ledger.asked[0] == Wanted({"AAPL": 5}, oldest, NOW - CORRECTED_BEFORE, {"AAPL": oldest})


async def test_what_was_booked_before_both_sides_agreed_is_asked_for() -> None:
    """From shortly before the fills that may be in the agreement already, and from the day of a booking on."""
    for entries, begin in (
        ((), BASE_AT - PATIENCE.late),
        ((booking("ACATS", 5, -900), booking("ACATS", 5, -600, number=2)), BASE_AT - timedelta(hours=15)),
        ((booking("ACATS", 5, -900, symbol="MSFT"), booking("FEE", 1, -900), trade(5, -900)), BASE_AT - PATIENCE.late),
    ):
        case = Case()
        since = BASE_AT - timedelta(days=2)
        await case.explain(found=Found(since, since, entries))
        (asked,) = case.ledger.asked
        assert asked.earlier == {"AAPL": begin - PATIENCE.late}


async def test_a_broker_that_cannot_tell_leaves_it_unexplained() -> None:
    """The pass goes on, and the text says that there may be more to know; so it is with a list cut or half read."""
    for broker in (AskedBroker(down=True), AskedBroker(cut=True), AskedBroker(unreadable=1)):
        explanation = only(await Case(broker, strategies=STRATEGIES).explain())
        assert explanation.cause is Cause.UNEXPLAINED
        assert "there may be more to know" in explanation.text
    assert "more to know" not in only(await Case().explain()).text


async def test_an_order_is_asked_for_when_it_matters_whose_it_was() -> None:
    """With strategies configured and the owner unknown; then the fill is its strategy's, and stored as that."""
    case = Case(AskedBroker(clients={"o1": "mean-7"}), strategies=STRATEGIES)
    case.evidence.add([fill(5)])
    findings = await case.explain()
    assert causes(only(findings)) == [(Cause.MISSED_FILL, 5, "mean")]
    assert case.broker.asked == [("order", "o1")]
    assert [e.client_order_id for e in findings.executions] == ["mean-7"]
    known = Case(AskedBroker(), strategies=STRATEGIES)
    known.evidence.add([fill(5, client="app")])
    assert causes(only(await known.explain())) == [(Cause.EXTERNAL_TRADE, 5, None)]
    assert known.broker.asked == []
    without = Case(AskedBroker(clients={"o1": "mean-7"}))
    without.evidence.add([fill(5)])
    assert causes(only(await without.explain())) == [(Cause.FILL, 5, None)]
    assert without.broker.asked == []


async def test_whose_was_taken_back_is_asked_for_too() -> None:
    """A bust is of the strategy whose fill it takes back; of one that is known nobody is asked."""
    for client, asked in ((None, [("order", "o1")]), ("trend-1", []), ("app", [])):
        case = Case(AskedBroker(clients={"o1": "mean-7"}), strategies=STRATEGIES)
        case.ledger.kept.append(fill(5, -999, client=client, execution_id="x1"))
        case.evidence.add([fill(0, 5, execution_id="x2", previous_id="x1")])
        drift = drift_of("AAPL", 5, row("AAPL", 10, "mean"))
        explanation = only(await case.explain(drift, bases={drift.instrument: base(drift, 10)}))
        whose = {None: "mean", "trend-1": "trend", "app": None}[client]
        assert causes(explanation) == [(Cause.BUST_OR_CORRECT, -5, whose)]
        assert [each for each in case.broker.asked if each[0] == "order"] == asked


def many(broker: AskedBroker, count: int = 8) -> tuple[Case, Drift]:
    """So many fills of one share that were not booked, each of its own order, and one of five that was."""
    drift = drift_of("AAPL", 10 + count + 5, row("AAPL", 15))
    case = Case(broker, strategies=STRATEGIES)
    case.ledger.kept += [fill(1, 1 + n / 10, order=f"o{n}", cum=1) for n in range(count)]
    case.ledger.kept += [fill(5, 1, order="booked")]
    at = BASE_AT + timedelta(minutes=2)
    case.ledger.book("AAPL", 5)
    case.ledger.changes = [replace(c, seq=9, at=at) for c in case.ledger.changes]
    return case, drift


LISTED = ("orders", ("AAPL", BASE_AT + timedelta(minutes=1) - ORDERED_BEFORE))


async def test_many_orders_are_listed_at_once() -> None:
    """Fills that the ledger has booked are nobody's question; those that remain are told by one list."""
    case, drift = many(AskedBroker(listed={f"o{n}": "mean-0" if n < 6 else "app" for n in range(8)}))
    explanation = only(await case.explain(drift, bases={drift.instrument: base(drift, 10)}))
    assert case.broker.asked == [LISTED]
    assert set(causes(explanation)) == {(Cause.MISSED_FILL, 6, "mean"), (Cause.EXTERNAL_TRADE, 2, None)}
    assert explanation.wait is None


async def test_what_the_list_does_not_tell_is_asked_for_up_to_a_bound() -> None:
    """One by one, each once; what is unknown then is waited for, and what was read is stored."""
    case, drift = many(AskedBroker(clients={"o0": "mean-0"}))
    findings = await case.explain(drift, bases={drift.instrument: base(drift, 10)})
    assert case.broker.asked == [LISTED, *(("order", f"o{n}") for n in range(ORDERS_MAX))]
    explanation = only(findings)
    assert set(causes(explanation)) == {(Cause.MISSED_FILL, 1, "mean"), (Cause.FILL, 7, None)}
    assert explanation.wait is not None
    assert [e.client_order_id for e in findings.executions if e.order_id == "o0"] == ["mean-0"]
    told, drift = many(AskedBroker(listed={f"o{n}": "mean-0" for n in range(7)}, clients={"o7": "trend-7"}))
    explanation = only(await told.explain(drift, bases={drift.instrument: base(drift, 10)}))
    assert told.broker.asked == [LISTED, ("order", "o7")]
    assert set(causes(explanation)) == {(Cause.MISSED_FILL, 7, "mean"), (Cause.MISSED_FILL, 1, "trend")}
    assert explanation.wait is None


async def test_orders_are_asked_for_within_the_budget() -> None:
    """With little left of it only so many are, and the others are waited for."""
    case, drift = many(AskedBroker(clients={f"o{n}": "mean-0" for n in range(5)}), count=5)
    explanation = only(await case.explain(drift, bases={drift.instrument: base(drift, 10)}, pages=3))
    assert case.broker.asked == [("order", "o0"), ("order", "o1")]
    assert set(causes(explanation)) == {(Cause.MISSED_FILL, 2, "mean"), (Cause.FILL, 3, None)}
    assert explanation.wait is not None
    for count in (5, ORDERS_MAX + 1):
        none, drift = many(AskedBroker(), count=count)
        assert only(await none.explain(drift, bases={drift.instrument: base(drift, 10)}, pages=1)).wait is not None
        assert none.broker.asked == [], "what is left is for the proof"


async def test_an_order_that_was_read_can_tell_that_another_is_lacking() -> None:
    """Of two alike the platform's own was booked: then it matters whose the other one was."""
    case = Case(AskedBroker(clients={"own": "mean-1", "hand": "app"}), strategies=STRATEGIES)
    drift = drift_of("AAPL", 20, row("AAPL", 15))
    case.ledger.kept += [fill(5, 1, order="own"), fill(5, 1.05, order="hand")]
    case.ledger.book("AAPL", 5, "mean")
    at = BASE_AT + timedelta(minutes=1.1)
    case.ledger.changes = [replace(c, seq=9, at=at) for c in case.ledger.changes]
    explanation = only(await case.explain(drift, bases={drift.instrument: base(drift, 10)}))
    assert case.broker.asked == [("order", "own"), ("order", "hand")]
    assert (causes(explanation), explanation.wait) == ([(Cause.EXTERNAL_TRADE, 5, None)], None)


async def test_the_same_order_is_asked_for_once() -> None:
    """Its partial fills are of one owner."""
    case = Case(AskedBroker(clients={"o1": "trend-1"}), strategies=STRATEGIES)
    case.ledger.kept += [fill(2, 1, cum=2), fill(3, 2, cum=5)]
    assert causes(only(await case.explain())) == [(Cause.MISSED_FILL, 5, "trend")]
    assert case.broker.asked == [("order", "o1")]


async def test_an_order_that_cannot_be_had_leaves_its_owner_unknown() -> None:
    """The fill still explains the drift, and what could not be read is waited for, not taken for nobody's."""
    case = Case(AskedBroker(), strategies=STRATEGIES)
    case.evidence.add([fill(5)])
    explanation = only(await case.explain())
    assert (causes(explanation), explanation.evident) == ([(Cause.FILL, 5, None)], True)
    assert explanation.wait is not None


async def test_a_bust_of_a_fill_from_long_before_the_baseline_is_understood() -> None:
    """Whether the ledger or only the stream knows either of them; the old fill itself moves nothing again."""
    bought = fill(5, -60 * 24 * 9, client="mean-1", execution_id="x1")
    bust = replace(fill(0, 5, client="mean-1", execution_id="x2", previous_id="x1"), cum_quantity=None)
    drift = drift_of("AAPL", 5, row("AAPL", 10))
    for kept, streamed in (([bought, bust], []), ([bought], [bust]), ([bust], [bought]), ([], [bought, bust])):
        case = Case(strategies=STRATEGIES)
        case.ledger.kept += kept
        case.evidence.add(streamed)
        findings = await case.explain(drift, bases={drift.instrument: base(drift, 10)})
        assert causes(only(findings)) == [(Cause.BUST_OR_CORRECT, -5, "mean")]
        assert only(findings).parts[0].executions == (key(bust),)
        back = drift_of("AAPL", 15, row("AAPL", 10))
        unexplained = await case.explain(back, bases={back.instrument: base(back, 10)})
        assert only(unexplained).cause is Cause.UNEXPLAINED


async def test_a_used_activity_explains_nothing_more() -> None:
    """What the ledger says has explained something is left out."""
    case = Case(AskedBroker(booked=[booking("ACATS", 5)]), RememberingLedger(consumed=frozenset({"ACATS-AAPL-1"})))
    assert only(await case.explain()).cause is Cause.UNEXPLAINED


def unproven(**more: object) -> PastCorrection:
    """A correction of five that nothing has explained."""
    return corrected(5, **{"proven": False, "cause": Cause.UNEXPLAINED, **more})  # type: ignore[arg-type]


async def test_late_evidence_goes_to_the_correction_before_the_drift() -> None:
    """A transfer of five explains the correction of five from before, and not today's drift of five as well.

    Unless it came after both sides had agreed: then the drift that came after that too has the better claim.
    """
    for minute, links, cause in (
        (-0.3, [(7, ("ACATS-AAPL-1",))], Cause.UNEXPLAINED),
        (-2 / 60, [(7, ("ACATS-AAPL-1",))], Cause.UNEXPLAINED),
        (-1.9 / 60, [], Cause.TRANSFER),
    ):
        told = AskedBroker(booked=[booking("ACATS", 5, minute)])
        case = Case(told, RememberingLedger(corrections=(unproven(at=BASE_AT - timedelta(hours=1)),)))
        findings = await case.explain(unproven_since=BASE_AT)
        assert [(link.correction_id, link.activities) for link in findings.late_links] == links
        assert only(findings).cause is cause
        assert case.broker.asked[0] == ("bookings", BASE_AT - timedelta(hours=1))
    proven = Case(AskedBroker(booked=[booking("ACATS", 5)]), RememberingLedger(corrections=(unproven(proven=True),)))
    assert only(await proven.explain(unproven_since=BASE_AT)).cause is Cause.TRANSFER


async def test_whether_a_booking_was_booked_on_its_day_is_told_by_all_the_fills_of_it() -> None:
    """They are asked for when only its day is told and the ledger has booked something; in doubt it counts."""
    day = BASE_AT.replace(hour=0)
    asked, transfer = ("all", day - PATIENCE.late), booking("ACATS", 5, -900)
    for broker, booked, kinds, cause in (
        (AskedBroker(booked=[transfer]), True, [asked], Cause.UNEXPLAINED),
        (AskedBroker(booked=[transfer]), False, [], Cause.TRANSFER),
        (AskedBroker(booked=[transfer], filled=[trade(5, -60)]), True, [asked], Cause.TRANSFER),
        (AskedBroker(booked=[transfer], cut=True), True, [asked], Cause.TRANSFER),
        (AskedBroker(booked=[booking("ACATS", 5, -0.3)]), True, [], Cause.TRANSFER),
    ):
        case = Case(broker)
        if booked:
            case.ledger.changes.append(replace(change(5, seq=1), at=BASE_AT - timedelta(minutes=59)))
        assert only(await case.explain()).cause is cause
        assert case.broker.asked[1:] == kinds
        assert case.broker.asked[0] == ("bookings", BASE_AT - PATIENCE.late)


async def test_a_late_fill_is_not_used_twice_either() -> None:
    """It is stored with the link, and explains nothing more."""
    case = Case(ledger=RememberingLedger(corrections=(unproven(at=BASE_AT),)))
    case.ledger.kept.append(fill(5, -0.2))
    findings = await case.explain(unproven_since=BASE_AT)
    (link,) = findings.late_links
    assert link.executions == (key(fill(5, -0.2)),)
    assert only(findings).cause is Cause.UNEXPLAINED


async def explain_late(case: Case, unproven_since: datetime | None, symbol: str = "TSLA") -> Findings:
    """What has come in meanwhile."""
    reading = LedgerReading((), seq=9, unproven={} if unproven_since is None else {symbol: unproven_since})
    return await case.investigator.explain_late(reading, NOW, lambda: PAGES)


@pytest.mark.parametrize("told", ["stream", "ledger"])
async def test_a_fill_that_was_told_late_is_linked_though_nothing_drifts(told: str) -> None:
    """Of the symbols of the corrections that nothing explains; from as long before as a fill can explain them."""
    case = Case(ledger=RememberingLedger(corrections=(unproven(),)))
    for late in (fill(5, 3), replace(fill(5, 3), symbol="MSFT")):
        if told == "stream":
            case.evidence.add([late])
        else:
            case.ledger.kept.append(late)
    made = BASE_AT + timedelta(minutes=4)
    assert (await explain_late(case, made)).late_links == ()
    findings = await explain_late(case, made, "AAPL")
    assert [link.executions for link in findings.late_links] == [(key(fill(5, 3)),)]
    assert [key(each) for each in findings.executions] == [key(fill(5, 3))]


async def test_late_evidence_is_only_looked_for_while_something_is_unproven() -> None:
    """An hour before the oldest such correction is where it begins; what comes of it is stored."""
    case = Case(AskedBroker(booked=[booking("CFEE", 5, symbol="BTC/USD")]))
    case.ledger.corrections = (unproven(instrument=drift_of("BTCUSD", 1).instrument),)
    assert await explain_late(case, None) == Findings()
    assert (case.broker.asked, case.ledger.asked) == ([], [])
    findings = await explain_late(case, BASE_AT)
    assert case.broker.asked == [("bookings", BASE_AT - timedelta(hours=1))]
    assert [link.correction_id for link in findings.late_links] == [7]
    assert len(findings.activities) == 1
    assert not findings.explanations
    case.broker.down = True
    assert await explain_late(case, BASE_AT) == Findings()


async def test_without_the_stream_the_broker_is_asked_for_fills_too() -> None:
    """Nobody else has told of them since the baseline; a stream with a gap has not either."""
    for listening, gap in ((False, None), (True, NOW)):
        case = Case(AskedBroker(filled=[trade(5)]))
        case.evidence.listening, case.evidence.gap_since = listening, gap
        assert causes(only(await case.explain())) == [(Cause.FILL, 5, None)]
        assert case.broker.asked == [("all", BASE_AT - PATIENCE.late)]


async def test_a_fill_that_the_stream_has_lost_is_asked_for_last() -> None:
    """Or one from before it was connected: when neither it nor a booking explains the drift."""
    case = Case(AskedBroker(filled=[trade(5)]))
    assert causes(only(await case.explain())) == [(Cause.FILL, 5, None)]
    assert case.broker.kinds == ["bookings", "all"]


async def test_the_look_before_a_verdict_is_that_of_the_evidence() -> None:
    """What is recent is remembered, and counted when the stream has missed it; a preview remembers nothing."""
    case = Case(AskedBroker(filled=[trade(5, 9.9)]))
    found = await case.investigator.ask(NOW, PAGES, remember=False)
    assert (found.missed, case.evidence.known(["AAPL"])) == (0, ())
    found = await case.investigator.ask(NOW, PAGES, remember=True)
    since = NOW - timedelta(seconds=HORIZON_S)
    assert case.broker.asked == [("all", since)] * 2
    assert (found.since, found.bookings_since, found.complete, found.missed) == (since, since, True, 1)
    assert len(case.evidence.known(["AAPL"])) == 1


def test_the_window_begins_at_the_oldest_baseline() -> None:
    """And there is none when nothing has a baseline."""
    other = drift_of("MSFT", 1)
    case = Case()
    bases = {**BASES, other.instrument: replace(base(other, 1), at=BASE_AT - timedelta(days=1))}

    def window(drifts: Sequence[Drift], known: Mapping[object, Baseline]) -> datetime | None:
        return case.investigator.window(drifts, LedgerReading((), 1, baselines=known), NOW)  # type: ignore[arg-type]

    assert window([DRIFT, other], bases) == BASE_AT - timedelta(days=1) - PATIENCE.late
    assert window([DRIFT], bases) == BASE_AT - PATIENCE.late
    assert window([other], BASES) is None
