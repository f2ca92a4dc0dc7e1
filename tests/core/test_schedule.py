"""When the next pass begins: the budget is kept, its order of priority holds, nothing starves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.run import Reason
from recond.core.schedule import Agenda, Budget, quiet_until, retry_delay

AGENDA = Agenda(timer_s=400.0, spacing_s=2.0, budget=Budget(60), began_s=100.0)


def budget(sent: int, at_s: float = 100.0, limit: int = 60) -> Budget:
    """A budget of which so many were spent at that moment."""
    return Budget(limit).spend(sent, at_s)


@pytest.mark.parametrize(
    ("changes", "waiting", "now_s", "begins_s"),
    [
        ({}, [], 101.0, 400.0),
        ({}, [], 401.0, 401.0),
        ({}, [Reason.LEDGER], 101.0, 102.0),
        ({}, [Reason.STREAM, Reason.LEDGER], 150.0, 150.0),
        ({"recheck_s": 115.0}, [], 101.0, 115.0),
        ({"recheck_s": 100.5}, [], 101.0, 101.0),
        ({"recheck_s": 500.0}, [], 101.0, 400.0),
        ({"asked_s": 101.0}, [Reason.HTTP], 101.0, 101.0),
        ({"quiet_s": 130.0}, [Reason.LEDGER], 101.0, 130.0),
        ({"quiet_s": 450.0}, [], 101.0, 450.0),
        ({"quiet_s": 130.0, "recheck_s": 115.0}, [Reason.LEDGER], 101.0, 115.0),
        ({"quiet_s": 130.0, "asked_s": 101.0}, [Reason.HTTP], 101.0, 101.0),
        ({"quiet_s": 130.0, "asked_s": 101.0, "recheck_s": 115.0}, [Reason.HTTP], 101.0, 101.0),
    ],
)
def test_when_the_next_pass_begins(
    changes: dict[str, float], waiting: list[Reason], now_s: float, begins_s: float
) -> None:
    """Timer, spaced nudges, due re-checks and forced passes; near the broker's limit only the last two."""
    begins = replace(AGENDA, **changes).begins(waiting, now_s)  # type: ignore[arg-type]
    assert max(begins, now_s) == begins_s


@pytest.mark.parametrize(
    ("sent", "nudge", "forced", "recheck"),
    [
        (44, True, True, True),
        (45, False, True, True),
        (52, False, True, True),
        (53, False, False, True),
        (54, False, False, True),
        (55, False, False, False),
        (60, False, False, False),
    ],
)
def test_budget_is_spent_on_rechecks_first_then_forced_then_nudges(
    sent: int, nudge: bool, forced: bool, recheck: bool
) -> None:
    """As the budget of 60 runs out, nudges wait first, then forced passes; a re-check leaves what a pass may need."""
    agenda = replace(AGENDA, budget=budget(sent))
    assert (agenda.begins([Reason.LEDGER], 105.0) == 105.0) is nudge
    assert (replace(agenda, asked_s=105.0).begins([Reason.HTTP], 105.0) == 105.0) is forced
    assert (replace(agenda, recheck_s=101.0).begins([], 105.0) == 105.0) is recheck


def test_a_small_budget_is_spread() -> None:
    """With 10 a minute, of which a pass may take 4, readings are 60 / 7 s apart; forced passes wait for nothing."""
    agenda = replace(AGENDA, budget=Budget(10), recheck_s=101.0)
    assert agenda.begins([], 102.0) == 100.0 + 60 / 7
    assert replace(agenda, recheck_s=None).begins([Reason.LEDGER], 102.0) == 100.0 + 60 / 7
    assert replace(agenda, asked_s=102.0).begins([Reason.HTTP], 102.0) == 102.0


def test_what_waits_for_the_budget_begins_when_it_is_free_again() -> None:
    """Requests count for 60 seconds; a forced pass waits at most 10 for that, counted from when it was asked for."""
    agenda = replace(AGENDA, budget=budget(60))
    assert agenda.begins([Reason.LEDGER], 105.0) == 160.0
    assert replace(agenda, recheck_s=101.0).begins([], 105.0) == 160.0
    assert replace(agenda, asked_s=103.0).begins([Reason.HTTP], 105.0) == 113.0
    assert replace(agenda, asked_s=155.0).begins([Reason.HTTP], 156.0) == 160.0
    assert replace(agenda, asked_s=103.0).begins([Reason.HTTP], 120.0) == 120.0


def test_budget_forgets_after_a_minute() -> None:
    """The moments of requests are kept for 60 seconds and no longer, however many there were."""
    spent = Budget(5)
    for second in range(1000):
        spent = spent.spend(1, float(second))
        assert len(spent.sent) <= 60
    assert Budget(5).spend(2, 10.0).spend(0, 69.9).sent == (10.0, 10.0)
    assert Budget(5).spend(2, 10.0).spend(1, 70.0).sent == (70.0,)


def test_a_look_up_leaves_the_proof_and_what_is_due() -> None:
    """Of 60 one is left to the pass that looks up and 7 to later ones; one page there is always."""
    assert Budget(60).pages(2, 100.0) == 50
    assert budget(20).pages(2, 159.0) == 30
    assert budget(20).pages(2, 160.0) == 50
    assert budget(56).pages(1, 105.0) == 1


@pytest.mark.parametrize("limit", [10, 16, 20, 60, 200])
def test_a_look_up_that_waits_for_the_budget_gets_what_is_worth_it(limit: int) -> None:
    """While passes save for it the next re-check begins when its one reading leaves as many pages, and no later."""
    spent = replace(AGENDA, began_s=50.0, budget=budget(limit, limit=limit), recheck_s=101.0, saving=True)
    assert spent.begins([], 105.0) == 160.0
    for sent in range(limit):
        saving = replace(spent, budget=budget(sent, limit=limit))
        assert (saving.begins([], 105.0) == 105.0) is (limit - sent - 2 - limit // 8 >= saving.budget.worth)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_small_budget_still_lets_a_pass_begin(limit: int) -> None:
    """However small the limit and large the reserve, one pass is free when nothing was sent."""
    assert Budget(limit).free_at(1000, 3.0) == 3.0
    assert Budget(limit).spend(1, 3.0).free_at(1000, 4.0) == 63.0


def test_reasons_that_time_gives() -> None:
    """A due re-check and the timer are reasons from their very moment on."""
    agenda = replace(AGENDA, recheck_s=115.0)
    assert agenda.due(114.9) == ()
    assert agenda.due(115.0) == (Reason.RECHECK,)
    assert agenda.due(400.0) == (Reason.RECHECK, Reason.TIMER)
    assert AGENDA.due(400.0) == (Reason.TIMER,)


@pytest.mark.parametrize(
    ("failures", "delay_s"), [(0, inf), (1, 10.0), (2, 20.0), (3, 40.0), (5, 160.0), (6, 300.0), (10**9, 300.0)]
)
def test_retries_back_off_to_the_interval(failures: int, delay_s: float) -> None:
    """Ten seconds after the first failure, doubled each time, never rarer than the timer."""
    assert retry_delay(failures, 300.0) == delay_s


@dataclass
class Day:
    """One account's loop in simulated time, with requests of one to four a pass and whatever asks for passes."""

    random: Random
    limit: int
    pressure: float
    now_s: float = 0.0
    sent: list[float] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    asked: list[tuple[float, float]] = field(default_factory=list)

    def run(self, passes: int) -> None:
        """Make so many passes as the reconciler's loop makes them."""
        agenda = Agenda(300.0, 2.0, Budget(self.limit))
        for _ in range(passes):
            forced = self.random.random() < self.pressure
            waiting = [Reason.HTTP] if forced else [Reason.LEDGER] if self.random.random() < self.pressure else []
            asked_s = self.now_s if forced else None
            agenda = replace(agenda, asked_s=asked_s)
            self.now_s = max(self.now_s, agenda.begins(waiting, self.now_s))
            began_s, requests = self.now_s, self.random.randint(1, 4)
            self.began.append(began_s)
            if asked_s is not None:
                self.asked.append((asked_s, began_s))
            if agenda.budget.free_at(0, began_s) > began_s:
                requests = 0  # out of budget: the pass fails with the reason and sends nothing
            for _ in range(requests):
                self.now_s += self.random.choice((0.0, 0.1, 5.0))
                self.sent.append(self.now_s)
            self.now_s += self.random.choice((0.0, 0.1))
            due = self.random.choice((None, 0.0, 2.0, 15.0))
            agenda = replace(
                agenda,
                timer_s=began_s + 300.0,
                recheck_s=None if due is None or self.random.random() > self.pressure else self.now_s + due,
                began_s=began_s,
                budget=agenda.budget.spend(requests, self.now_s),
            )


@given(st.integers(0, 10**6), st.sampled_from((10, 20, 60, 200)), st.sampled_from((0.0, 0.5, 1.0)))
def test_never_more_requests_than_the_limit_in_any_minute(seed: int, limit: int, pressure: float) -> None:
    """Whatever asks for passes, no 60 seconds see more than `limit` requests, and the timer's pass is never late."""
    day = Day(Random(seed), limit, pressure)
    day.run(400)
    for first, moment in zip(day.sent, day.sent[limit:], strict=False):
        assert moment - first > 59.999
    assert all(later - earlier <= 300.0 + 60.0 for earlier, later in zip(day.began, day.began[1:], strict=False))
    assert all(began_s - asked_s < 10.001 for asked_s, began_s in day.asked)


def test_timer_is_reached_under_constant_nudges() -> None:
    """Nudges, re-checks and forced passes without end still make passes, each of which answers the timer."""
    day = Day(Random(1), 16, 1.0)
    day.run(2000)
    assert day.now_s > 2000
    assert max(later - earlier for earlier, later in zip(day.began, day.began[1:], strict=False)) <= 62.0


@pytest.mark.parametrize(
    ("remaining", "reset_s", "until_s"),
    [(21, 7.0, -inf), (20, 7.0, 7.0), (0, 7.0, 7.0), (None, 7.0, -inf), (20, None, -inf)],
)
def test_the_last_of_the_brokers_limit_is_left_to_the_platform(
    remaining: int | None, reset_s: float | None, until_s: float
) -> None:
    """Until it is set back; what the broker has not told holds nothing up."""
    assert quiet_until(remaining, reset_s) == until_s
