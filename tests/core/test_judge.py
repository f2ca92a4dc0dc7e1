"""The verdict rule, against a second reading of its text and at each of its borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recond.core.judge import Judgement, Moment, Motion, Sighting, Timing, judge, look_again
from recond.core.model import Instrument
from tests.core.strategies import ZERO, drift_of, row

TIMING = Timing(settle_s=15.0, broker_lag_s=10.0, confirm_after_s=2.0, pending_max_s=120.0)
AAPL = Instrument("us_equity", "AAPL")


@dataclass(frozen=True)
class Look:
    """One reading of one instrument; `changed` says that the ledger's journal had an entry since the last one."""

    began: float
    ended: float
    broker: Decimal
    ledger: Decimal
    changed: bool


@dataclass(frozen=True)
class Fill:
    """One execution, and when it became known."""

    at: float
    quantity: Decimal
    after: Decimal | None
    known: float


def believed(looks: Sequence[Look], fills: Sequence[Fill], timing: Timing) -> bool:
    """Section 3, "at rest", word for word: is the drift of the last look believed, by all looks and all it knows?"""
    verdict = looks[-1]
    known = [fill for fill in fills if fill.known <= verdict.ended]
    for index, reading in enumerate(looks[:-1]):
        if verdict.began < reading.ended + timing.settle_s:
            continue
        since = looks[index:]
        if any((look.broker, look.ledger) != (reading.broker, reading.ledger) for look in since):
            continue
        if any(look.changed for look in since[1:]):
            continue
        if was_fresh(reading, known, timing):
            return True
    return False


def verdicts_of_the_text(looks: Sequence[Look], fills: Sequence[Fill], timing: Timing) -> list[bool]:
    """Look by look; what is believed stays so while nothing moves, whatever becomes known of the past."""
    verdicts: list[bool] = []
    for count, look in enumerate(looks, start=1):
        before = looks[count - 2]
        same = (look.broker, look.ledger, look.changed) == (before.broker, before.ledger, False)
        verdicts.append((bool(verdicts) and verdicts[-1] and same) or believed(looks[:count], fills, timing))
    return verdicts


def was_fresh(reading: Look, known: Sequence[Fill], timing: Timing) -> bool:
    """No execution shortly before the reading, or the quantity is the one that executions say it should be."""
    before = [fill for fill in known if fill.at <= reading.ended + 2]
    if all(fill.at < reading.began - timing.broker_lag_s - 2 for fill in before):
        return True
    said = [fill for fill in before if fill.after is not None]
    if not said:
        return False
    newest_at = max(fill.at for fill in said)
    newest = [fill for fill in before if fill.at == newest_at]
    if len(newest) > 1 or newest[0].after is None:
        return False
    later = sum((fill.quantity for fill in before if fill.at > newest_at), ZERO)
    return newest[0].after + later == reading.broker


def run_through(looks: Sequence[Look], fills: Sequence[Fill], timing: Timing) -> list[bool | None]:
    """What `judge` says look by look: confirmed, pending, or None where the sides agree."""
    sightings: Mapping[Instrument, Sighting] = {}
    verdicts: list[bool | None] = []
    for look in looks:
        drifts = [] if look.broker == look.ledger else [drift_of("AAPL", look.broker, row("AAPL", look.ledger))]
        motions = [Motion(f.at, f.quantity, f.after) for f in fills if f.known <= look.ended]
        changed = {"AAPL"} if look.changed else set()
        made = judge(drifts, sightings, Moment(look.began, look.ended), changed, {"AAPL": motions}, timing)
        sightings = made.sightings
        verdicts.append(None if not drifts else bool(made.confirmed))
        assert len(made.confirmed) + len(made.pending) == len(drifts) == len(sightings)
    return verdicts


@st.composite
def histories(draw: st.DrawFn, *, latest_known: float) -> tuple[list[Look], list[Fill]]:
    """Looks at an instrument that mostly rests, and executions known at most `latest_known` after they happened."""
    looks: list[Look] = []
    at, broker, ledger = 100.0, Decimal(5), Decimal(3)
    halves = st.integers(0, 24).map(lambda n: n / 2)
    rarely = st.sampled_from((False,) * 9 + (True,))
    for _ in range(draw(st.integers(1, 14))):
        at += draw(st.sampled_from((0.5, 1.0, 2.0, 5.0, 13.0, 15.0, 15.5, 30.0)))
        began, at = at, at + draw(st.sampled_from((0.0, 0.0, 0.5, 4.0, 20.0)))
        changed = draw(rarely)
        if draw(rarely):
            broker = Decimal(draw(st.sampled_from((0, 3, 5, 7))))
        if changed:
            ledger = Decimal(draw(st.sampled_from((1, 3, 5))))
        looks.append(Look(began, at, broker, ledger, changed))
    fills = []
    for _ in range(draw(st.integers(0, 4))):
        happened = draw(st.sampled_from(looks)).began - 14 + draw(halves)
        known = happened + draw(st.integers(0, int(latest_known * 2))) / 2
        after = draw(st.sampled_from((None, Decimal(3), Decimal(5), Decimal(7))))
        fills.append(Fill(happened, Decimal(draw(st.sampled_from((-2, 2)))), after, known))
    return looks, fills


@given(histories(latest_known=15.0))
@settings(max_examples=400)
def test_verdicts_are_those_of_the_rules_text(history: tuple[list[Look], list[Fill]]) -> None:
    """While executions become known within `settle`, a drift is confirmed exactly when some earlier look allows it."""
    looks, fills = history
    expected = verdicts_of_the_text(looks, fills, TIMING)
    for verdict, right in zip(run_through(looks, fills, TIMING), expected, strict=True):
        if verdict is not None:
            assert verdict is right


@given(histories(latest_known=200.0), st.sampled_from((0.0, 3.0, 15.0)), st.sampled_from((0.0, 10.0)))
@settings(max_examples=200)
def test_nothing_is_confirmed_that_the_rules_text_does_not(
    history: tuple[list[Look], list[Fill]], settle_s: float, lag_s: float
) -> None:
    """However late executions become known and whatever the timing: no verdict without a look that bears it out.

    One that was given stands while nothing moves, whatever becomes known afterwards.
    """
    looks, fills = history
    timing = Timing(settle_s, lag_s, 2.0, 120.0)
    expected = verdicts_of_the_text(looks, fills, timing)
    assert all(right for verdict, right in zip(run_through(looks, fills, timing), expected, strict=True) if verdict)


def at(moment_s: float) -> Moment:
    """A reading that took no time."""
    return Moment(moment_s, moment_s)


def look(
    moment: Moment,
    before: Judgement | None = None,
    *,
    broker: str | int = 5,
    ledger: str | int = 3,
    changed: bool = False,
    motions: Sequence[Motion] = (),
    timing: Timing = TIMING,
) -> Judgement:
    """One more reading of a drift of AAPL."""
    drift = drift_of("AAPL", broker, row("AAPL", ledger))
    seen = {} if before is None else before.sightings
    return judge([drift], seen, moment, {"AAPL"} if changed else set(), {"AAPL": motions}, timing)


def test_first_sighting_is_never_a_verdict() -> None:
    """Even without any settling time one reading alone is not believed."""
    timing = Timing(0.0, 0.0, 2.0, 120.0)
    first = look(at(0), timing=timing)
    assert first.confirmed == ()
    assert look(at(0.1), first, timing=timing).confirmed
    stale = look(at(100), timing=replace(timing, broker_lag_s=10.0), motions=[Motion(99, Decimal(2))])
    assert look(at(100.1), stale, timing=timing).confirmed


@pytest.mark.parametrize(("began_s", "confirmed"), [(115.5, False), (116.0, True)])
def test_settle_counts_from_the_end_of_one_reading_to_the_beginning_of_the_other(
    began_s: float, confirmed: bool
) -> None:
    """A reading that ended at 101 is judged by one that began at 116, however long both took."""
    first = look(Moment(90, 101))
    assert bool(look(Moment(began_s, 130), first).confirmed) is confirmed


@pytest.mark.parametrize("moved", [{"broker": 6}, {"ledger": 4}, {"changed": True}])
def test_any_movement_starts_the_verdict_anew(moved: dict[str, int]) -> None:
    """Another quantity on either side, or an entry in the journal that restores it, makes a later reading count."""
    made = look(at(10), look(at(0)), **moved)  # type: ignore[arg-type]
    same = {key: value for key, value in moved.items() if key != "changed"}
    assert not look(at(24), made, **same).confirmed  # type: ignore[arg-type]
    assert look(at(25), made, **same).confirmed  # type: ignore[arg-type]
    assert look(at(24), made, **same).pending[0].since_s == 0  # type: ignore[arg-type]


def test_journal_of_another_symbol_is_no_movement() -> None:
    """Constant trading in one symbol does not hold up the verdict on another."""
    drift = drift_of("AAPL", 5, row("AAPL", 3))
    made = judge([drift], look(at(0)).sightings, at(15), {"MSFT"}, {"MSFT": [Motion(14, Decimal(1))]}, TIMING)
    assert made.confirmed == (drift,)


def test_agreement_in_between_is_forgotten() -> None:
    """A drift that went away and came back is a new one."""
    gone = judge([], look(at(0)).sightings, at(8), set(), {}, TIMING)
    assert gone == Judgement((), (), (), {})
    again = look(at(16), gone)
    assert not again.confirmed
    assert again.pending[0].since_s == 16


@pytest.mark.parametrize(
    ("execution_s", "fresh"), [(87.5, True), (88.0, False), (99.0, False), (112.0, False), (112.5, True)]
)
def test_reading_within_the_lag_of_an_execution_is_not_believed(execution_s: float, fresh: bool) -> None:
    """The answer of a reading from 100 to 110 may lag behind executions from 88 (lag, clock) to 112 (clock)."""
    motions = [Motion(execution_s, Decimal(2))]
    first = look(Moment(100, 110), motions=motions)
    assert bool(look(at(125), first, motions=motions).confirmed) is fresh


@pytest.mark.parametrize(
    ("motions", "fresh"),
    [
        ([Motion(99, Decimal(2), Decimal(5))], True),
        ([Motion(99, Decimal(2), Decimal(3))], False),
        ([Motion(98, Decimal(2), Decimal(3)), Motion(99, Decimal(2))], True),
        ([Motion(98, Decimal(2), Decimal(5)), Motion(99, Decimal(2))], False),
        ([Motion(97, Decimal(9), Decimal(9)), Motion(98, Decimal(2), Decimal(5))], True),
        ([Motion(98, Decimal(2), Decimal(5)), Motion(102, Decimal(2), Decimal(7))], False),
        ([Motion(98, Decimal(2), Decimal(5)), Motion(102.5, Decimal(2), Decimal(7))], True),
        ([Motion(50, Decimal(2), Decimal(3)), Motion(99, Decimal(2))], True),
        ([Motion(100, Decimal(2), Decimal(5))], True),
        ([Motion(102, Decimal(2), Decimal(5))], True),
        ([Motion(98, Decimal(2), Decimal(3)), Motion(100, Decimal(2))], True),
        ([Motion(98, Decimal(2), Decimal(3)), Motion(102, Decimal(2))], True),
        ([Motion(98, Decimal(2), Decimal("3.00000000000000000000000000001")), Motion(99, Decimal(2))], False),
        ([Motion(99, Decimal(2), Decimal(5)), Motion(99, Decimal(-2), Decimal(3))], False),
        ([Motion(99, Decimal(-2), Decimal(3)), Motion(99, Decimal(2), Decimal(5))], False),
    ],
)
def test_quantity_that_the_executions_say_is_fresh_at_once(motions: list[Motion], fresh: bool) -> None:
    """The newest known quantity and what was executed since prove freshness; two at one time prove nothing."""
    first = look(at(100), motions=motions)
    assert bool(look(at(115), first, motions=motions).confirmed) is fresh


def test_a_round_trip_around_a_misdated_fill_is_no_drift() -> None:
    """A fill just before a lagging reading, dated just after it by the broker's clock, and undone at the verdict."""
    bought = Motion(100.9, Decimal(2), Decimal(5))
    first = look(at(100), broker=3, ledger=5, motions=[bought])
    assert not look(at(115), first, broker=3, ledger=5, motions=[bought]).confirmed


@pytest.mark.parametrize(
    ("shown", "motions", "again_s"),
    [
        (5, [Motion(99, Decimal(2), Decimal(5))], inf),
        (3, [Motion(99, Decimal(2), Decimal(5))], 102.0),
        (3, [Motion(101, Decimal(2), Decimal(5))], 102.0),
        (3, [Motion(99, Decimal(2))], 111.0),
        (3, [Motion(95, Decimal(1)), Motion(99, Decimal(2))], 111.0),
        (3, [Motion(87, Decimal(2), Decimal(5))], inf),
        (0, [Motion(99, Decimal(-2), Decimal(0))], inf),
        (3, [], inf),
    ],
)
def test_agreement_with_a_quantity_that_may_lag_is_looked_at_again(
    shown: int, motions: list[Motion], again_s: float
) -> None:
    """Soon when it is known what has to be shown, past the lag when not, never when it is shown or the lag is over."""
    quantities = {"AAPL": Decimal(shown)} if shown else {}
    assert min(look_again(quantities, {"AAPL": motions}, at(100), TIMING).values(), default=inf) == again_s


def test_a_reading_that_evidence_does_not_reach_tells_nothing() -> None:
    """What moved around it is forgotten: it confirms nothing, and is not called more than lateness can explain."""
    first = look(at(100), look(at(99)))
    drift = drift_of("AAPL", 5, row("AAPL", 3))
    for known_since_s, confirmed in ((83.0, True), (83.5, False)):
        made = judge([drift], first.sightings, at(150), set(), {}, TIMING, known_since_s)
        assert bool(made.confirmed) is confirmed
    moved = judge([drift_of("AAPL", 6, row("AAPL", 3))], first.sightings, at(150), set(), {}, TIMING, 83.5)
    assert not moved.pending[0].in_motion


@pytest.mark.parametrize(("known_until_s", "told"), [(99.5, False), (100.0, True)])
def test_a_reading_that_evidence_does_not_reach_up_to_tells_nothing_yet(known_until_s: float, told: bool) -> None:
    """While a list of what moved was cut before it nothing is believed by it, and it is looked at again soon."""
    seen = look(at(100)).sightings
    made = judge([drift_of("AAPL", 5, row("AAPL", 3))], seen, at(116), set(), {}, TIMING, -inf, known_until_s)
    assert bool(made.confirmed) is told
    assert [pending.due_s for pending in made.pending] == ([] if told else [118.0])
    moved = judge([drift_of("AAPL", 6, row("AAPL", 3))], seen, at(116), set(), {}, TIMING, -inf, known_until_s)
    assert moved.pending[0].in_motion is told


@pytest.mark.parametrize(("fills", "ago_s"), [((), 25.0), ((80.0, 60.0), 35.0)])
def test_a_verdict_tells_since_when_there_was_something_to_find(fills: Sequence[float], ago_s: float) -> None:
    """From the newest known fill, and from the first sighting when none is known."""
    motions = [Motion(at_s, Decimal(1)) for at_s in fills]
    made = look(at(115), look(at(100), look(at(90)), broker=6, motions=motions), broker=6, motions=motions)
    assert [drift.moved_ago_s for drift in made.confirmed] == [ago_s]


def test_a_verdict_once_given_needs_no_more_evidence() -> None:
    """A drift that stays is the same verdict at every pass: what moved around it is forgotten, or told late."""
    drift = drift_of("AAPL", 5, row("AAPL", 3))
    made = look(at(116), look(at(100)))
    for second in range(400, 2000, 300):
        made = judge([drift], made.sightings, at(second), set(), {}, TIMING, second - 60.0)
        assert made.confirmed
    for motions, known_until_s in (([Motion(99.0, Decimal(2))], inf), ([], 50.0)):
        again = judge([drift], made.sightings, at(2000), set(), {"AAPL": motions}, TIMING, -inf, known_until_s)
        assert again.confirmed
    assert not judge([drift], made.sightings, at(2200), {"AAPL"}, {}, TIMING, 2140.0).confirmed


def test_a_verdict_just_given_is_not_taken_back_by_what_is_told_late() -> None:
    """The reading that proved it may not have been fresh, as it turns out; no other one is old enough yet."""
    made = look(at(116), look(at(100)))
    assert look(at(118), made, motions=[Motion(99.0, Decimal(2))]).confirmed
    assert not look(at(118), look(at(114), look(at(100))), motions=[Motion(99.0, Decimal(2))]).confirmed


def test_a_lagging_reading_makes_room_for_a_later_one() -> None:
    """After a reading that was not fresh, the next fresh one counts, and only from its own time."""
    motions = [Motion(95, Decimal(2))]
    made = look(at(108), look(at(100), motions=motions), motions=motions)
    assert not look(at(115), made, motions=motions).confirmed
    assert look(at(123), made, motions=motions).confirmed


@pytest.mark.parametrize(
    ("before", "moment", "timing", "due_s"),
    [
        ((), Moment(0, 1), TIMING, 3.0),
        ((), Moment(0, 1), Timing(1.0, 10.0, 2.0, 120.0), 2.0),
        ((0.0,), Moment(2, 3), TIMING, 15.0),
        ((0.0,), Moment(14, 17), TIMING, 17.0),
    ],
)
def test_next_look_is_when_it_can_tell_more(
    before: tuple[float, ...], moment: Moment, timing: Timing, due_s: float
) -> None:
    """First after `confirm_after`, then at the verdict; at once when the verdict fell due during the reading."""
    made = None
    for moment_s in before:
        made = look(at(moment_s), made, timing=timing)
    (pending,) = look(moment, made, timing=timing).pending
    assert pending.due_s == due_s
    assert pending.why == f"broker 5, ledger 3, next look in {due_s - moment.ended_s:.0f} s"


@pytest.mark.parametrize(("execution_s", "due_s"), [(95.0, 107.0), (88.0, 102.0)])
def test_next_look_at_a_lagging_quantity_is_past_the_lag(execution_s: float, due_s: float) -> None:
    """A quantity that may lag is looked at when it cannot any more, and never at once."""
    (pending,) = look(at(100), motions=[Motion(50, Decimal(1)), Motion(execution_s, Decimal(2))]).pending
    assert pending.due_s == due_s


@given(st.lists(st.tuples(st.integers(0, 240), st.sampled_from((None, Decimal(3), Decimal(5)))), max_size=6))
def test_looking_when_due_ends_in_a_verdict(executions: list[tuple[int, Decimal | None]]) -> None:
    """Re-checks at exactly the due moments never turn on the spot: ten of them settle whatever moved before."""
    motions = [Motion(60 + tenth / 10, Decimal(2), after) for tenth, after in executions]
    now_s, made = 84.0, look(at(84), motions=motions)
    for _ in range(10):
        if made.confirmed:
            break
        (pending,) = made.pending
        assert pending.due_s > now_s
        now_s = pending.due_s
        made = look(at(now_s), made, motions=motions)
    assert made.confirmed
    assert now_s <= 84 + TIMING.broker_lag_s + 2 + TIMING.confirm_after_s + TIMING.settle_s


@pytest.mark.parametrize("spacing_s", [1.0, 7.0, 15.5, 300.0])
def test_memory_of_a_standing_drift_is_bounded(spacing_s: float) -> None:
    """Thousands of passes over an unresolved drift keep only the oldest reading and those of two times `settle`."""
    made = None
    for count in range(3000):
        made = look(Moment(count * spacing_s, count * spacing_s + 0.5), made)
        kept = made.sightings[AAPL].readings
        assert len(kept) == len(set(kept)) <= 2 * TIMING.settle_s / spacing_s + 2
        assert bool(made.confirmed) is (count * spacing_s >= 15.5)
    assert kept[0].moment == Moment(0, 0.5)


@pytest.mark.parametrize(
    ("broker", "ledger", "certain"),
    [
        (14, 10, False),
        (15, 10, True),
        (6, 10, False),
        (5, 10, True),
    ],
    ids=["as much as late", "more than late", "as little as late", "less than late"],
)
def test_a_moving_instrument_drifts_for_certain_beyond_lateness(broker: int, ledger: int, certain: bool) -> None:
    """Outside what unbooked and unshown fills can explain it is a drift; inside it may be mere lateness."""
    fills = [Motion(85.0, Decimal(2)), Motion(86.0, Decimal(-2))]
    made = look(at(88), broker=broker, ledger=ledger, motions=fills)
    assert not made.pending[0].in_motion
    # One more share on both sides: the instrument moved, so only the rule in motion can tell.
    made = look(at(104), made, broker=broker + 1, ledger=ledger + 1, motions=fills)
    assert made.pending[0].in_motion is certain


@pytest.mark.parametrize(
    ("execution_s", "quantity", "broker", "certain"),
    [
        (90.0, 2, 5, False),
        (90.0, 1, 5, True),
        (83.0, 2, 5, True),
        (83.5, 2, 5, False),
        (88.0, -2, 5, True),
        (88.5, -2, 5, False),
        (83.0, -2, 1, True),
        (83.5, -2, 1, False),
        (88.0, 2, 1, True),
        (88.5, 2, 1, False),
        (102.0, 2, 5, False),
        (102.0, -2, 5, False),
        (102.5, 2, 5, True),
    ],
)
def test_windows_of_lateness(execution_s: float, quantity: int, broker: int, certain: bool) -> None:
    """A fill explains a reading at 100 by late booking from 85 on, by lag from 90 on, each give or take the clock."""
    motions = [Motion(execution_s, Decimal(quantity))]
    made = look(at(114), look(at(100), broker=broker, motions=motions), broker=broker, ledger=2, motions=motions)
    assert not made.pending[0].in_motion
    made = look(at(115), made, broker=broker, ledger=4, motions=motions)
    assert made.pending[0].in_motion is certain


@pytest.mark.parametrize(
    ("quantity", "difference"), [("0.5", "0.5"), ("-0.5", "-0.5"), ("-0.5", "0.5"), ("0.5", "-0.5")]
)
def test_fractions_are_late_too(quantity: str, difference: str) -> None:
    """Coins and fractional shares: a fill of less than one explains as much as it is, and no more."""
    fills = [Motion(95.0, Decimal(quantity))]
    for more, certain in (("0", False), ("0.01", True)):
        broker = 5 + Decimal(difference) * (1 + Decimal(more))
        made = look(at(100), broker=str(broker), ledger=5, motions=fills)
        made = look(at(116), made, broker=str(broker), ledger=4, motions=fills)
        assert made.pending[0].in_motion is certain


def test_a_fill_just_outside_the_window_may_have_been_inside() -> None:
    """The broker's clock is known to a second or two, and what that leaves open is never called a drift."""
    fills = [Motion(88 - 15 - 1.5, Decimal(3)), Motion(80, Decimal(-1), Decimal(13))]
    made = look(at(88), broker=13, ledger=10, motions=fills)
    made = look(at(104), made, broker=14, ledger=11, motions=fills)
    assert not made.pending[0].in_motion


def test_pending_for_too_long_is_said() -> None:
    """A drift that never rests is overdue after `pending_max`, and not before."""
    made = None
    for second in range(30, 154, 2):
        made = look(at(second), made, broker=100 + second, ledger=99 + second)
        assert made.pending[0].overdue is (second - 30 > TIMING.pending_max_s)


def test_each_drift_is_judged_by_itself() -> None:
    """One pass confirms the old drift, leaves the new one pending, and drops the one that is gone."""
    old, new = drift_of("AAPL", 5, row("AAPL", 3)), drift_of("MSFT", 1)
    gone = drift_of("BTCUSD", 1)
    first = judge([old, gone], {}, at(0), set(), {}, TIMING)
    second = judge([old, new], first.sightings, at(20), set(), {}, TIMING)
    assert second.confirmed == (old,)
    (pending,) = second.pending
    assert (pending.instrument, pending.kind) == (new.instrument, new.kind)
    assert (pending.broker, pending.ledger, pending.since_s) == (1, 0, 20)
    assert not pending.in_motion
    assert set(second.sightings) == {old.instrument, new.instrument}


def test_the_next_look_is_at_the_first_of_several_that_lag() -> None:
    """One that tells what it has to become is looked at soon, though another one needs its whole lag."""
    told, silent = Motion(99.0, Decimal(5), Decimal(5)), Motion(99.5, Decimal(3))
    moment = Moment(100.0, 100.0)
    assert look_again({}, {"AAPL": [told], "MSFT": [silent]}, moment, TIMING) == {"AAPL": 102.0, "MSFT": 111.5}
    assert look_again({}, {"AAPL": [told, silent]}, moment, TIMING) == {"AAPL": 102.0}
    assert look_again({"AAPL": Decimal(5)}, {"AAPL": [told], "MSFT": [silent]}, moment, TIMING) == {"MSFT": 111.5}


def test_what_is_said_of_a_drift_that_never_rests() -> None:
    """That it is more than lateness can explain, and for how long it has been pending."""
    sightings: Mapping[Instrument, Sighting] = {}
    for second in range(0, 140, 10):
        drift = drift_of("AAPL", 10 + second, row("AAPL", 3))
        judgement = judge([drift], sightings, Moment(second, second), {"AAPL"}, {}, TIMING)
        sightings = judgement.sightings
    (pending,) = judgement.pending
    assert (pending.in_motion, pending.overdue) == (True, True)
    assert "more than lateness can explain, while it moves" in pending.why
    assert "pending for 130 s, since it never rests" in pending.why


def test_what_it_comes_to_when_nothing_moves_any_more() -> None:
    """Every drift is confirmed and none waits; what was seen is as it was."""
    old, new = drift_of("AAPL", 5, row("AAPL", 3)), drift_of("MSFT", 1)
    judgement = judge([old, new], judge([old], {}, at(0), set(), {}, TIMING).sightings, at(20), set(), {}, TIMING)
    assert judgement.as_if_it_stays() == Judgement((old, new), (old, new), (), judgement.sightings)


def test_what_lateness_cannot_explain_is_certain_for_as_long_as_it_takes_to_settle() -> None:
    """Later readings that lateness may explain take nothing back from it, until it is two `settle` old."""
    motions, certain = {"AAPL": [Motion(14.0, Decimal(7))]}, {}
    sightings = judge([drift_of("AAPL", 10, row("AAPL", 3))], {}, at(0), set(), motions, TIMING).sightings
    for second in (15, 16, 29, 30, 31):
        moving = drift_of("AAPL", 10 + second, row("AAPL", 3 + second))
        judgement = judge([moving], sightings, at(second), {"AAPL"}, motions, TIMING)
        sightings = judgement.sightings
        (pending,) = judgement.pending
        certain[second] = pending.in_motion
    assert certain == {15: True, 16: True, 29: True, 30: True, 31: False}
