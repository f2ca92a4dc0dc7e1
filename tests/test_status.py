"""What is known now, who waits for what is next, and that neither disturbs the other."""

from __future__ import annotations

import asyncio

import pytest

from recond.core.gate import GateState
from recond.core.model import AccountState
from recond.core.run import Problem, Reason, Run, RunStatus
from recond.status import AccountStatus, Status
from tests.core.strategies import NOW

pytestmark = pytest.mark.looptime

GOOD = AccountState("id", "ACTIVE", trading_blocked=False, account_blocked=False)


def run(sequence: int, status: RunStatus = RunStatus.SUCCESS, account: str = "one") -> Run:
    """A run with that number."""
    error = Problem("down") if status is RunStatus.FAILED else None
    return Run(sequence, account, 1, sequence, (Reason.TIMER,), NOW, NOW, 0.1, status, account_state=GOOD, error=error)


def status() -> Status:
    """Two accounts of which nothing is known."""
    return Status([AccountStatus("one", 1, "paper"), AccountStatus("two", 2, "live")], interval_s=300.0)


async def test_only_runs_from_that_number_on_answer() -> None:
    """Who asked for pass 3 is not answered by pass 2 or by another account's, but by 3, or later if 3 never shows."""
    known = status()
    third = asyncio.create_task(known.run_from("one", 3))
    second = asyncio.create_task(known.run_from("one", 2))
    await asyncio.sleep(0)
    known.record(run(9, account="two"))
    known.record(run(2))
    await asyncio.sleep(1.0)
    assert await second == run(2)
    assert not third.done()
    known.record(run(4))
    assert await third == run(4)


async def test_run_that_is_there_already_answers_at_once() -> None:
    """A run that was published before somebody waited for it is not waited for again; a failed one is an answer too."""
    known = status()
    known.record(run(5, RunStatus.FAILED))
    assert await asyncio.wait_for(known.run_from("one", 5), 1.0) == run(5, RunStatus.FAILED)
    assert await asyncio.wait_for(known.run_from("one", 2), 1.0) == run(5, RunStatus.FAILED)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(known.run_from("one", 6), 1.0)


@pytest.mark.parametrize("yields", [0, 1, 2])
async def test_client_that_goes_away_disturbs_nothing(yields: int) -> None:
    """Waiters cancelled before, just before or after their run is published neither raise nor keep others waiting."""
    known = status()
    waiters = [asyncio.create_task(known.run_from("one", 1)) for _ in range(100)]
    await asyncio.sleep(1.0)
    for waiter in waiters[::2]:
        waiter.cancel()
    for _ in range(yields):
        await asyncio.sleep(0)
    known.record(run(1))
    answers = await asyncio.gather(*waiters, return_exceptions=True)
    assert answers[1::2] == [run(1)] * 50
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    known.record(run(2))


async def test_waiters_leave_nothing_behind() -> None:
    """Ten thousand requests that were answered or given up leave no waiter in memory."""
    known = status()
    for sequence in range(100):
        waiters = [asyncio.create_task(known.run_from("one", sequence + 1)) for _ in range(100)]
        await asyncio.sleep(0)
        for waiter in waiters[:50]:
            waiter.cancel()
        known.record(run(sequence + 1))
        await asyncio.gather(*waiters, return_exceptions=True)
    assert not any(known._waiters.values())


async def test_success_is_a_pass_that_did_not_fail() -> None:
    """Its age grows from its publication on; a failed pass is the last run but not the last success."""
    known = status()
    assert known.success_age_s("one") is None
    known.record(run(1, RunStatus.PARTIAL))
    await asyncio.sleep(50.0)
    known.record(run(2, RunStatus.FAILED))
    await asyncio.sleep(10.0)
    assert known.success_age_s("one") == pytest.approx(60.0)
    account = known.accounts["one"]
    assert (account.last_run, account.success_at) == (run(2, RunStatus.FAILED), run(1, RunStatus.PARTIAL).finished_at)
    assert known.accounts["two"] == AccountStatus("two", 2, "live")
    assert list(known.accounts) == ["one", "two"]


async def test_gate_opens_with_a_success_and_closes_with_its_age() -> None:
    """Nothing known is unknown; a success clears for twice the interval or as long as asked; a failure closes."""
    known = status()
    assert known.gate("one").state is GateState.UNKNOWN
    known.record(run(1))
    assert (known.gate("one").state, known.gate("two").state) == (GateState.CLEAR, GateState.UNKNOWN)
    await asyncio.sleep(599.0)
    assert known.gate("one").state is GateState.CLEAR
    assert known.gate("one", "AAPL").state is GateState.CLEAR
    assert known.gate("one", "AAPL", max_age_s=598.0).state is GateState.UNKNOWN
    await asyncio.sleep(2.0)
    assert known.gate("one").state is GateState.UNKNOWN
    assert known.gate("one", max_age_s=700.0).state is GateState.CLEAR
    known.record(run(2, RunStatus.FAILED))
    assert known.gate("one", max_age_s=700.0).state is GateState.UNKNOWN


async def test_warnings_are_kept_for_the_pages() -> None:
    """What the configuration warned of is known as long as the process lives."""
    known = Status([AccountStatus("one", 1, "paper")], interval_s=1.0, warnings=["settle is small"])
    assert known.warnings == ("settle is small",)
