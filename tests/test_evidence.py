"""The executions of one account, in memory and on their way to the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from math import inf

import pytest

from recond import evidence as module
from recond.core.judge import Moment, Timing
from recond.core.model import Activities, Activity, Execution
from recond.evidence import Evidence
from recond.ports import LedgerUnavailable
from tests.fakes import FakeLedger

pytestmark = pytest.mark.looptime

NOW = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)


def execution(number: int, *, seconds_ago: float = 0.0, symbol: str = "AAPL") -> Execution:
    """The number-th fill of one order."""
    at = NOW - timedelta(seconds=seconds_ago)
    return Execution(symbol, at, Decimal(1), "order", Decimal(number), execution_id=f"e{number}")


def activity(number: int) -> Activity:
    """The same fill as the activities tell it."""
    return Activity(
        f"id{number}", "FILL", "fill", "AAPL", Decimal(1), Decimal(5), NOW,
        order_id="order", side="buy", cum_quantity=Decimal(number),
    )  # fmt: skip


async def test_evidence_is_written_once_in_groups_and_survives_a_restart() -> None:
    """A thousand fills told three times over make a handful of writes, and the next process knows them again."""
    ledger = FakeLedger()
    evidence = Evidence("default", ledger, horizon_s=100.0, late_s=20.0)
    writing = asyncio.create_task(evidence.write())
    for _ in range(3):
        for number in range(1000):
            evidence.add([execution(number)])
    await asyncio.sleep(2)
    assert len(ledger.kept) == 1000
    assert evidence.waiting == 0
    writing.cancel()
    again = Evidence("default", ledger, horizon_s=100.0, late_s=20.0)
    await again.load(NOW)
    assert again.add(execution(number) for number in range(1000)) == 0
    assert len(again.motions(["AAPL"], NOW, 50.0)["AAPL"]) == 1000


async def test_a_locked_ledger_loses_nothing() -> None:
    """What cannot be written now waits, what comes meanwhile joins it, and all of it is written later."""
    ledger = FakeLedger(fails=[LedgerUnavailable("locked", hint="wait")] * 10)
    evidence = Evidence("default", ledger, horizon_s=100.0, late_s=20.0)
    writing = asyncio.create_task(evidence.write())
    for number in range(30):
        evidence.add([execution(number)])
        await asyncio.sleep(1)
    await asyncio.sleep(10)
    assert {e.execution_id for e in ledger.kept} == {f"e{number}" for number in range(30)}
    assert (evidence.waiting, evidence.gap_since) == (0, None)
    writing.cancel()


async def test_more_than_fits_is_a_gap_that_rest_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bound the evidence forgets the oldest, says from when on it may be incomplete, and asks for it."""
    monkeypatch.setattr(module, "KNOWN_MAX", 10)
    evidence = Evidence("default", FakeLedger(), horizon_s=100.0, late_s=20.0)
    evidence.add(execution(number, seconds_ago=50 - number) for number in range(12))
    assert len(evidence.motions(["AAPL"], NOW, 50.0)["AAPL"]) == 10
    assert evidence.gap_since == NOW - timedelta(seconds=50)
    assert evidence.look_back(NOW) == NOW - timedelta(seconds=110)
    evidence.looked_up(Activities((), complete=False))
    assert evidence.gap_since is not None
    evidence.look_back(NOW)
    evidence.looked_up(Activities(()))
    assert evidence.gap_since is None


async def test_what_waited_for_too_long_is_written_when_rest_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the ledger is locked only so much waits; the rest counts for verdicts, is a gap, and is stored by REST."""
    monkeypatch.setattr(module, "WAITING_MAX", 10)
    ledger = FakeLedger(fails=[LedgerUnavailable("locked", hint="wait")] * 2)
    evidence = Evidence("default", ledger, horizon_s=100.0, late_s=20.0)
    writing = asyncio.create_task(evidence.write())
    evidence.add(execution(number) for number in range(1, 16))
    assert len(evidence.motions(["AAPL"], NOW, 50.0)["AAPL"]) == 15
    told = Activities(tuple(activity(number) for number in range(1, 16)))
    evidence.look_back(NOW)
    evidence.looked_up(told)
    assert evidence.gap_since == NOW, "there was no room for it yet"
    await asyncio.sleep(10)
    assert len(ledger.kept) == 10
    evidence.look_back(NOW)
    evidence.looked_up(told)
    await asyncio.sleep(1)
    assert sorted(e.cum_quantity or 0 for e in ledger.kept) == list(range(1, 16))
    assert evidence.gap_since is None
    writing.cancel()


async def test_a_list_that_was_cut_short_is_read_on_from_there() -> None:
    """However long a gap's list is, each look-up tells more of it; until its end is read the rest of the gap stays."""
    evidence = Evidence("default", FakeLedger(), horizon_s=100.0, late_s=20.0)
    evidence.came(NOW - timedelta(hours=1))
    assert evidence.look_back(NOW) == NOW - timedelta(hours=1, seconds=60)
    for minute in (10, 20, 30):
        at = NOW - timedelta(minutes=60 - minute)
        evidence.looked_up(Activities((replace(activity(minute), at=at),), complete=False))
        assert at - timedelta(seconds=1) < evidence.look_back(NOW) < at
        assert evidence.gap_since == evidence.look_back(NOW)
        assert evidence.known_until_s(NOW, 3600.0, asked=True) == pytest.approx(minute * 60 - 2, abs=0.01)
    evidence.looked_up(Activities((activity(40),)))
    assert evidence.gap_since is None
    assert {e.cum_quantity for e in evidence._waiting.values()} == {10, 20, 30, 40}


async def test_an_unreadable_entry_does_not_keep_a_gap_open() -> None:
    """A list that has ended closes the gap, for verdicts to go on."""
    evidence = Evidence("default", FakeLedger(), horizon_s=100.0, late_s=20.0)
    evidence.came(NOW - timedelta(minutes=5))
    evidence.look_back(NOW)
    evidence.looked_up(Activities((activity(1),), unreadable=1))
    assert evidence.gap_since is None
    assert evidence.known_until_s(NOW, 100.0, asked=True) == inf
    assert evidence.look_back(NOW) == NOW - timedelta(seconds=20), "what was told is not asked for again"
    evidence.came(NOW)
    evidence.look_back(NOW)
    evidence.looked_up(Activities((), complete=False, unreadable=1))
    assert evidence.gap_since is not None, "a list that was cut keeps it"


async def test_a_list_that_was_cut_near_its_end_is_read_again_where_late_bookings_come() -> None:
    """What is dated before the cut may be booked after it, so the next look-up begins that much earlier."""
    evidence = Evidence("default", FakeLedger(), horizon_s=90.0, late_s=20.0)
    evidence.look_back(NOW)
    told = replace(activity(1), at=NOW - timedelta(seconds=5))
    evidence.looked_up(Activities((told,), complete=False))
    assert evidence.look_back(NOW + timedelta(seconds=60)) == NOW - timedelta(seconds=20)
    assert evidence.gap_since is None, "REST alone told less than it could, and nothing is lost"
    evidence.looked_up(Activities((), complete=False))
    assert evidence.look_back(NOW + timedelta(seconds=70)) == NOW - timedelta(seconds=20)
    assert evidence.known_until_s(NOW, 100.0, asked=True) == 78.0, "what could not be read is not known"


async def test_it_is_known_until_when_everything_was_told() -> None:
    """Nothing before REST was asked; all when it just was; else what cannot be booked any more since it was."""
    evidence = Evidence("default", FakeLedger(), horizon_s=90.0, late_s=20.0)
    assert evidence.known_until_s(NOW, 100.0, asked=False) == -inf
    evidence.look_back(NOW)
    evidence.looked_up(Activities(()))
    assert evidence.known_until_s(NOW, 100.0, asked=True) == inf
    assert evidence.known_until_s(NOW + timedelta(seconds=7), 107.0, asked=False) == 80.0
    evidence.went(NOW + timedelta(seconds=7))
    assert evidence.known_until_s(NOW + timedelta(seconds=9), 109.0, asked=True) == 105.0
    assert evidence.known_until_s(NOW + timedelta(seconds=9), 109.0, asked=False) == 80.0, "not asked, in a gap too"


async def test_what_rest_tells_of_more_than_fits_closes_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of a long gap is read once, though what it tells makes the evidence forget what it told before."""
    monkeypatch.setattr(module, "KNOWN_MAX", 2)
    evidence = Evidence("default", FakeLedger(), horizon_s=90.0, late_s=20.0)
    evidence.came(NOW - timedelta(hours=1))
    for minute in (10, 20, 30):
        evidence.look_back(NOW)
        told = [replace(activity(n), at=NOW - timedelta(minutes=60 - n)) for n in range(minute - 9, minute + 1)]
        evidence.looked_up(Activities(tuple(told), complete=minute == 30))
    assert evidence.gap_since is None


async def test_what_rest_has_told_is_not_asked_for_again() -> None:
    """The next look-up begins where the last one did not see late bookings yet."""
    evidence = Evidence("default", FakeLedger(), horizon_s=90.0, late_s=20.0)
    assert evidence.look_back(NOW) == NOW - timedelta(seconds=90)
    evidence.looked_up(Activities(()))
    later = NOW + timedelta(seconds=10)
    assert evidence.look_back(later) == NOW - timedelta(seconds=20)


async def test_an_outage_is_asked_for_from_where_rest_has_told() -> None:
    """Look-ups while the stream is away are not made again when it is back."""
    evidence = Evidence("default", FakeLedger(), horizon_s=90.0, late_s=20.0)
    evidence.went(NOW - timedelta(hours=2))
    evidence.look_back(NOW - timedelta(minutes=1))
    evidence.looked_up(Activities(()))
    evidence.came(NOW)
    assert evidence.gap_since == NOW - timedelta(minutes=1)


async def test_a_backlog_is_written_in_portions() -> None:
    """After a lock of the ledger what waited is handed on in groups, one right after the other."""
    ledger = FakeLedger()
    evidence = Evidence("default", ledger, horizon_s=100.0, late_s=20.0)
    evidence.add(execution(number) for number in range(3 * module.WRITE_MAX))
    writing = asyncio.create_task(evidence.write())
    await asyncio.sleep(module.WRITE_EVERY_S / 2)
    assert len(ledger.kept) >= 2 * module.WRITE_MAX
    await asyncio.sleep(module.WRITE_EVERY_S)
    assert (len(ledger.kept), evidence.waiting) == (3 * module.WRITE_MAX, 0)
    writing.cancel()


async def test_a_gap_reaches_back_to_when_the_stream_left() -> None:
    """What happened while it was away is asked for once it is back; a gap that opens during the question stays."""
    evidence = Evidence("default", FakeLedger(), horizon_s=100.0, late_s=20.0)
    evidence.came(NOW - timedelta(hours=2))
    evidence.look_back(NOW - timedelta(hours=2))
    evidence.looked_up(Activities(()))
    left = NOW - timedelta(hours=1)
    evidence.went(left)
    evidence.look_back(left)
    evidence.looked_up(Activities(()))
    evidence.came(NOW)
    assert evidence.gap_since == left
    assert evidence.look_back(NOW) == left - timedelta(seconds=60)
    evidence.open_gap(left - timedelta(hours=1))
    evidence.looked_up(Activities(()))
    assert evidence.gap_since == left - timedelta(hours=1)


async def test_what_the_connected_stream_did_not_tell_is_counted() -> None:
    """A fill first seen by REST is a missed event only while the stream was connected without a gap."""
    evidence = Evidence("default", FakeLedger(), horizon_s=100.0, late_s=20.0)
    evidence.look_back(NOW)
    assert evidence.looked_up(Activities((activity(1),))) == 0
    evidence.came(NOW)
    evidence.look_back(NOW)
    assert evidence.looked_up(Activities((activity(2),))) == 0
    evidence.add([execution(3)])
    assert evidence.looked_up(Activities((activity(1), activity(2), activity(3), activity(4)))) == 1


async def test_in_a_flood_the_broker_is_looked_at_again_without_asking_why() -> None:
    """Few fills are compared with what is shown; of many the newest are, and of very many none."""
    evidence, moment = Evidence("default", FakeLedger(), horizon_s=100.0, late_s=20.0), Moment(50.0, 51.0)
    timing = Timing(settle_s=15.0, broker_lag_s=10.0, confirm_after_s=2.0, pending_max_s=120.0)
    look = partial(evidence.not_shown, {}, frozenset(), moment, timing, NOW, 51.0)
    evidence.add(execution(number, seconds_ago=30) for number in range(200))
    assert (evidence.flooded, *look()) == (False, frozenset(), inf)
    evidence.add([execution(200, seconds_ago=30)])
    assert (evidence.flooded, *look()) == (True, frozenset(), 53.0)
    evidence.add([replace(execution(201, seconds_ago=3), symbol="MSFT")])
    assert look() == ({"MSFT"}, 53.0)
    assert evidence.not_shown({}, frozenset({"MSFT"}), moment, timing, NOW, 51.0) == (frozenset(), 53.0)
    evidence.add(replace(execution(n, seconds_ago=3), symbol="TSLA") for n in range(202, 202 + module.MOTIONS_MAX + 1))
    assert look() == (frozenset(), 53.0)


async def test_what_is_older_than_the_horizon_is_forgotten() -> None:
    """Memory holds what a verdict can look back to, and no more."""
    evidence = Evidence("default", FakeLedger(), horizon_s=100.0, late_s=20.0)
    evidence.add(execution(number, seconds_ago=200 - number) for number in range(150))
    assert len(evidence.motions(["AAPL"], NOW, 0.0)["AAPL"]) == 50
    assert evidence.motions(["MSFT"], NOW, 0.0) == {}
