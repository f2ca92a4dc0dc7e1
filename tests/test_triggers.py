"""Nudges coalesce: a burst is one pass, and one that comes during a pass is exactly one more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from recond.core.run import Reason
from recond.triggers import Triggers

pytestmark = pytest.mark.looptime

Passes = list[tuple[int, tuple[Reason, ...]]]


@asynccontextmanager
async def passing(triggers: Triggers, duration_s: float) -> AsyncIterator[Passes]:
    """A loop that makes passes of that duration for as long as something waits for one."""
    passes: Passes = []

    async def loop() -> None:
        while True:
            while not triggers.waiting:
                await triggers.wait(3600.0)
            passes.append(triggers.take())
            await asyncio.sleep(duration_s)

    task = asyncio.create_task(loop())
    try:
        yield passes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_burst_is_one_pass() -> None:
    """A thousand nudges for two reasons are one pass that knows each reason once, first come first."""
    triggers = Triggers()
    async with passing(triggers, 10.0) as passes:
        await asyncio.sleep(1.0)
        for _ in range(1000):
            triggers.nudge(Reason.STREAM)
            triggers.nudge(Reason.HTTP)
        await asyncio.sleep(100.0)
    assert passes == [(1, (Reason.STREAM, Reason.HTTP))]


async def test_case_1_nudge_during_a_pass_is_exactly_one_more() -> None:
    """What comes while a pass reads may not be in what it read: one more pass follows, and only one."""
    triggers = Triggers()
    async with passing(triggers, 10.0) as passes:
        triggers.nudge(Reason.TIMER)
        for _ in range(50):
            await asyncio.sleep(0.1)
            triggers.nudge(Reason.LEDGER)
        await asyncio.sleep(100.0)
    assert passes == [(1, (Reason.TIMER,)), (2, (Reason.LEDGER,))]


async def test_number_of_the_answering_pass() -> None:
    """A nudge is answered by a pass that starts after it, never by the one under way."""
    triggers = Triggers()
    assert triggers.nudge(Reason.HTTP) == 1
    assert triggers.nudge(Reason.SIGHUP) == 1
    assert triggers.waiting == (Reason.HTTP, Reason.SIGHUP)
    assert triggers.take() == (1, (Reason.HTTP, Reason.SIGHUP))
    assert triggers.waiting == ()
    assert triggers.nudge(Reason.HTTP) == 2
    assert triggers.take() == (2, (Reason.HTTP,))
    assert triggers.take() == (3, ())


async def test_waiting_ends_with_time_or_with_the_next_nudge() -> None:
    """An old nudge does not end a wait, the next one does at once, and without any the time does."""
    triggers = Triggers()
    loop = asyncio.get_running_loop()
    triggers.nudge(Reason.LEDGER)
    began_s = loop.time()
    await triggers.wait(30.0)
    assert loop.time() - began_s == pytest.approx(30.0)
    loop.call_later(7.0, triggers.nudge, Reason.LEDGER)
    await triggers.wait(30.0)
    assert loop.time() - began_s == pytest.approx(37.0)


async def test_cancelled_wait_loses_nothing() -> None:
    """A loop that is stopped while it waits leaves the reasons for whoever goes on."""
    triggers = Triggers()
    waiting = asyncio.create_task(triggers.wait(30.0))
    await asyncio.sleep(1.0)
    triggers.nudge(Reason.SIGHUP)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert triggers.take() == (1, (Reason.SIGHUP,))
