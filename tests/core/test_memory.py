"""What one pass leaves for the next."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import inf

from recond.core.judge import Judgement, Moment, Sighting, Timing
from recond.core.memory import Memory
from recond.core.model import Cause, Hold, Instrument, Kind, Resolution, Unreadable
from recond.core.run import Action, Correction, Explanation, Outcome, Pending, Problem, RunStatus
from tests.core.strategies import NOW, drift_of, row
from tests.core.test_conclude import HEADER
from tests.fakes import rules

AAPL, MSFT = Instrument("us_equity", "AAPL"), Instrument("us_equity", "MSFT")
SEEN = Sighting(0.0, 0.0, ())
RULES = rules()
LATE = replace(RULES, timing=Timing(15.0, 10.0, 2.0, 120.0), settle_corporate_s=600.0)
GOOD = replace(HEADER, status=RunStatus.SUCCESS)


def test_what_was_seen_before_a_correction_is_forgotten() -> None:
    """Of the corrected instrument only."""
    drift = drift_of("AAPL", 5)
    opened = Correction(Action.OPEN, AAPL, None, None, Decimal(0), Decimal(5), Cause.UNEXPLAINED)
    run = replace(GOOD, outcomes=(Outcome(drift, Explanation(Cause.UNEXPLAINED), Resolution.USE_BROKER, (opened,)),))
    assert set(Memory(sightings={AAPL: SEEN, MSFT: SEEN}).after(run).sightings) == {MSFT}


def test_failures_are_counted_in_a_row() -> None:
    """A failed pass, an open hold or an unreadable row counts and one without begins anew; each waits the longer."""
    hold = Hold(1, AAPL, "not shown", Decimal(0), Decimal(5), NOW)
    memory = Memory()
    for run in (HEADER, replace(GOOD, carried_holds=(hold,)), replace(GOOD, unknown=(Unreadable("AAPL", "odd"),))):
        memory = memory.after(run)
    assert memory.failures == 3
    assert memory.recheck_s(100.0, RULES) == 140.0
    assert memory.recheck_s(100.0, replace(RULES, interval_s=30.0)) == 130.0
    assert memory.after(GOOD).failures == 0
    assert memory.after(GOOD).recheck_s(100.0, RULES) == Memory().recheck_s(100.0, RULES) == inf


def test_the_earliest_of_what_is_due_counts() -> None:
    """Something pending, or what the broker may not have shown yet."""
    pending = Pending(AAPL, Kind.QUANTITY, Decimal(1), Decimal(2), 0.0, 7.0, "young")
    memory = Memory(again_s=9.0).after(replace(GOOD, pending=(pending, replace(pending, due_s=8.0))))
    assert memory.recheck_s(0.0, RULES) == 7.0
    assert replace(memory, again_s=6.0).recheck_s(0.0, RULES) == 6.0


def test_what_the_stream_may_have_lost_is_asked_for_again() -> None:
    """Soon, while the last pass could not ask for all of it; a pass that failed has a time of its own."""
    gap = Memory().after(replace(GOOD, evidence_gap=True))
    assert gap.recheck_s(100.0, RULES) == 102.0
    assert Memory().after(replace(HEADER, evidence_gap=True, error=Problem("down"))).recheck_s(100.0, RULES) == 110.0


def test_a_position_that_is_newly_missed_puts_the_account_in_doubt() -> None:
    """Once, unless the account was read within the time to settle; what only the broker has says nothing of that."""
    gone, here = drift_of("AAPL", 0, row("AAPL", 5)), drift_of("MSFT", 5)
    memory = Memory(account_read_s=100.0)
    assert memory.doubts_account([here, gone], 115.0, 15.0)
    assert not memory.doubts_account([here, gone], 114.9, 15.0)
    assert not memory.doubts_account([here], 115.0, 15.0)
    assert not replace(memory, sightings={AAPL: SEEN}).doubts_account([here, gone], 115.0, 15.0)
    assert Memory().doubts_account([gone], 0.0, 15.0)


def quiet(
    memory: Memory, calm: set[Instrument], began_s: float, *pending: Pending, gone: frozenset[Instrument] = frozenset()
) -> tuple[Memory, frozenset[str], frozenset[Instrument]]:
    """The memory after a reading of half a second that began then."""
    judgement, moment = Judgement((), (), pending, {}), Moment(began_s, began_s + 0.5)
    return replace(memory, again_s=inf).without_drift(calm, gone, judgement, moment, LATE)


def test_that_there_is_no_drift_is_believed_after_the_worst_lateness_of_either_side() -> None:
    """From the first reading without one on; one that is certain begins it anew, one that may be lateness does not."""
    for late in (Timing(15.0, 10.0, 2.0, 120.0), Timing(10.0, 15.0, 2.0, 120.0)):
        first = Memory(again_s=90.0).without_drift(
            {AAPL, MSFT}, set(), Judgement((), (), (), {}), Moment(99.0, 100.0), replace(LATE, timing=late)
        )
        assert (first[1], first[0].again_s) == ({"AAPL", "MSFT"}, 90.0)
    memory, brief, _ = quiet(first[0], {AAPL, MSFT}, 114.9)
    assert (brief, memory.again_s) == ({"AAPL", "MSFT"}, 115.0)
    later, brief, _ = quiet(memory, {AAPL}, 115.0)
    assert (brief, later.again_s) == (frozenset(), inf)
    later, brief, _ = quiet(later, {AAPL, MSFT}, 116.0)
    assert (brief, later.again_s) == ({"MSFT"}, 131.5), "it was neither calm nor pending in between"
    drift = Pending(AAPL, Kind.QUANTITY, Decimal(1), Decimal(2), 0.0, 7.0, "young")
    for in_motion, known in ((False, frozenset()), (True, {"AAPL"})):
        between, brief, _ = quiet(memory, set(), 115.0, replace(drift, in_motion=in_motion))
        assert brief == frozenset()
        assert quiet(between, {AAPL}, 117.0)[1] == known


def test_what_is_gone_for_long_is_told() -> None:
    """For as long as the legs of a corporate action may take."""
    memory, brief, long = quiet(Memory(), set(), 100.0, gone=frozenset({AAPL}))
    assert (brief, long) == (frozenset(), frozenset())
    assert quiet(memory, set(), 700.0, gone=frozenset({AAPL}))[2] == frozenset()
    assert quiet(memory, set(), 700.5, gone=frozenset({AAPL}))[2] == {AAPL}


def test_the_account_is_read_and_drifts_are_explained_anew_every_quarter_of_an_hour() -> None:
    """And at once at first; that one was done late makes the other one no later."""
    assert Memory().account_s == Memory().explain_s == -inf
    memory = Memory(account_read_s=7.0, explained_s=8.0)
    assert (memory.account_s, memory.explain_s) == (907.0, 908.0)
    assert memory.explained_at(20.0, 15.0) == 20.0
    assert Memory(explained_s=Memory().explained_at(20.0, 15.0)).explain_s == 35.0
