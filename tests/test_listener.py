"""What asks for passes from outside, on virtual time, over fakes of the ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from recond.core.model import Execution
from recond.core.run import Reason
from recond.listener import BUSY, listen, watch_ledger
from recond.ports import BrokerBusy, BrokerRefused, BrokerUnavailable, LedgerUnavailable, StreamEvent
from recond.triggers import Triggers
from tests.fake_stream import FakeStream
from tests.fakes import FakeLedger

pytestmark = pytest.mark.looptime

LOST = BrokerUnavailable("the connection ended", hint="recond connects again")
OTHER = BrokerUnavailable("HTTP 502", hint="maintenance?")
TAKEN = BrokerBusy("HTTP 429", hint="switch the stream off")
REFUSED = BrokerRefused("the keys are wrong", hint="look at the keys")


def fill(number: int) -> StreamEvent:
    """A fill of one share."""
    at = datetime(2026, 1, 2, 15, tzinfo=UTC)
    execution = Execution("AAPL", at, Decimal(1), "order", Decimal(number), execution_id=f"execution-{number}")
    return StreamEvent("fill", (execution,), movement=True)


class World:
    """A listener on a fake stream, and what it said and kept. `chance` is what its random numbers are."""

    def __init__(self, stream: FakeStream, chance: float = 0.5) -> None:
        self.stream, self.chance = stream, chance
        self.triggers = Triggers()
        self.states: list[str] = []
        self.names: list[str] = []
        self.kept: list[Execution] = []
        self.waiting_when_kept: list[tuple[Reason, ...]] = []

    def keep(self, executions: Sequence[Execution]) -> None:
        """Take over executions."""
        self.kept.extend(executions)
        self.waiting_when_kept.append(self.triggers.waiting)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the listener; it must be running still at the end."""
        task: asyncio.Task[None] = asyncio.create_task(
            listen(
                "default",
                self.stream,
                self.triggers,
                keep=self.keep,
                on_state=self.states.append,
                on_event=self.names.append,
                random=lambda: self.chance,
            )
        )
        try:
            yield task
            assert not task.done(), "the listener ended"
        finally:
            task.cancel()
            await asyncio.wait([task])

    def waits(self) -> list[float]:
        """The times between the attempts to connect."""
        moments = self.stream.attempts
        return [round(after - before, 3) for before, after in pairwise(moments)]


async def test_a_connection_asks_for_a_pass() -> None:
    """Each connection, the first and every other, asks for a pass that looks into the gap before it."""
    world = World(FakeStream())
    async with world.listening():
        await asyncio.sleep(0.1)
        assert world.triggers.take()[1] == (Reason.RECONNECT,)
        world.stream.tell(LOST)
        await asyncio.sleep(1)
        assert world.triggers.take()[1] == (Reason.RECONNECT,)
        assert world.states == ["connecting", "connected", "lost: the connection ended", "connected"]


async def test_events_are_counted_kept_and_told() -> None:
    """Every event is counted; executions are kept before a pass is asked for; what moves nothing asks for none."""
    world = World(FakeStream())
    async with world.listening():
        await asyncio.sleep(0.1)
        world.triggers.take()
        world.stream.tell(StreamEvent("new"), StreamEvent("canceled"))
        await asyncio.sleep(0.1)
        assert world.triggers.waiting == ()
        world.stream.tell(fill(1), StreamEvent("garbage", movement=True), fill(2))
        await asyncio.sleep(0.1)
        assert world.triggers.waiting == (Reason.STREAM,)
    assert world.names == ["new", "canceled", "fill", "garbage", "fill"]
    assert [execution.execution_id for execution in world.kept] == ["execution-1", "execution-2"]
    assert world.waiting_when_kept[0] == ()


async def test_what_was_told_before_the_end_is_kept() -> None:
    """Events that were there when the connection ended are not lost, and a burst asks for one pass."""
    world = World(FakeStream())
    async with world.listening():
        await asyncio.sleep(0.1)
        world.stream.tell(*map(fill, range(1000)), LOST)
        await asyncio.sleep(0.1)
        assert len(world.kept) == 1000
        assert world.triggers.take() == (1, (Reason.RECONNECT, Reason.STREAM))


async def test_attempts_become_rare() -> None:
    """The wait doubles from one second to sixty, all of it by chance, and the same failure is reported once."""
    world = World(FakeStream(fails=[LOST] * 9), chance=0.999)
    with capture_logs() as logs:
        async with world.listening():
            await asyncio.sleep(400)
    assert world.waits() == [0.999, 1.998, 3.996, 7.992, 15.984, 31.968, 59.94, 59.94, 59.94]
    assert world.states == ["connecting", "lost: the connection ended", "connected"]
    assert [(line["log_level"], line["account"]) for line in logs] == [("warning", "default"), ("info", "default")]
    assert logs[0]["hint"] == LOST.hint


async def test_the_wait_is_by_chance() -> None:
    """With the smallest chance there is no wait, with one half half of it: clients do not come back all at once."""
    for chance, wait in ((0.0, 0.0), (0.5, 0.5)):
        world = World(FakeStream(fails=[LOST]), chance)
        async with world.listening():
            await asyncio.sleep(5)
        assert world.waits() == [wait]


async def test_a_connection_that_lived_starts_anew() -> None:
    """Connections that die young make attempts rarer; after one that lived the next attempt is soon again."""
    world = World(FakeStream(), chance=1.0)
    lives = [1, 1, 1, 1, 31, 1]
    async with world.listening():
        for life in lives:
            await asyncio.sleep(life)
            world.stream.tell(LOST)
            await asyncio.sleep(0.01)
            while not world.stream.open:
                await asyncio.sleep(0.01)
    waits = [wait - life for wait, life in zip(world.waits(), lives, strict=True)]
    assert waits == pytest.approx([1, 2, 4, 8, 1, 2], abs=0.1)


async def test_a_taken_slot_is_left_alone() -> None:
    """While somebody else has the stream, attempts are at least 90 s apart and become rarer up to ten minutes."""
    world = World(FakeStream(fails=[TAKEN] * 5), chance=0.0)
    async with world.listening():
        await asyncio.sleep(3000)
    assert world.waits() == [90, 180, 360, 600, 600]
    assert world.states == ["connecting", BUSY, "connected"]


async def test_a_failure_of_another_kind_starts_anew() -> None:
    """The waits of a taken slot and of a broken connection do not add up; each new reason is reported."""
    world = World(FakeStream(fails=[LOST, OTHER, OTHER, TAKEN, LOST]), chance=0.999)
    async with world.listening():
        await asyncio.sleep(300)
    waits = world.waits()
    assert waits[:3] == [0.999, 1.998, 3.996]
    assert 90 <= waits[3] < 100
    assert waits[4] == 0.999
    assert [state.split(":")[0] for state in world.states] == [
        "connecting",
        "lost",
        "lost",
        "busy",
        "lost",
        "connected",
    ]


async def test_refused_keys_are_not_hammered() -> None:
    """Keys that the broker refuses are reported once and tried every ten minutes."""
    world = World(FakeStream(fails=[REFUSED] * 6))
    with capture_logs() as logs:
        async with world.listening():
            await asyncio.sleep(5 * 600 + 1)
    assert world.waits() == [600] * 5
    assert world.states == ["connecting", "refused: the keys are wrong"]
    assert [line["hint"] for line in logs] == ["look at the keys"]


async def test_the_end_closes_the_connection() -> None:
    """A listener that is told to stop leaves no connection open, whether it waits for an event or for an attempt."""
    for fails in ([], [TAKEN]):
        world = World(FakeStream(fails=list(fails)))
        async with world.listening() as task:
            await asyncio.sleep(1)
            assert world.stream.open == 1 - len(fails)
        assert task.cancelled()
        assert world.stream.open == 0


class Watched(FakeLedger):
    """A ledger of which others change one account once and one that is not configured, and that is locked at first."""

    def __init__(self) -> None:
        super().__init__(fails=[LedgerUnavailable("locked", hint="wait")])
        self.changes = [frozenset({"gone"}), frozenset({"a", "gone"})]

    async def changed_accounts(self) -> frozenset[str]:
        self._fail()
        return self.changes.pop() if self.changes else frozenset()


async def test_somebody_else_writing_to_the_ledger_asks_for_a_pass() -> None:
    """The account whose rows changed is nudged, once, though the ledger was locked and others' books changed."""
    triggers = {"a": Triggers(), "b": Triggers()}
    task = asyncio.create_task(watch_ledger(Watched(), triggers))
    await asyncio.sleep(1)
    assert triggers["a"].take() == (1, (Reason.LEDGER,))
    await asyncio.sleep(5)
    assert triggers["a"].waiting == triggers["b"].waiting == ()
    task.cancel()
    await asyncio.wait([task])
