"""The executions in the ledger, as the real daemon gets them: each once, from whoever tells, whatever happens."""

from __future__ import annotations

import signal
from pathlib import Path

from recond.simulator import Simulator
from tests.end_to_end.conftest import Start
from tests.end_to_end.process import book, bot, held, until
from tests.end_to_end.streaming import Streaming, executions, settled


def buy(simulator: Simulator) -> str:
    """A trade from elsewhere; the id of its order."""
    return str(simulator.do("trade", symbol="AAPL", side="buy", qty=1)["order"]["id"])


async def test_a_gap_is_filled_from_the_activities(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """What happened while the stream was gone is in the ledger like all else, though only REST has told of it."""
    daemon = await start(Streaming(tmp_path, simulator))
    await settled(daemon)
    told = buy(simulator)
    await until(lambda: executions(daemon) == [told])
    simulator.fault("stream", "cut")
    in_the_gap = [buy(simulator) for _ in range(3)]

    await until(lambda: executions(daemon) == [told, *in_the_gap])

    with bot(daemon.ledger) as platform:
        by_stream = platform.execute("SELECT order_id FROM executions WHERE execution_id IS NOT NULL").fetchall()
    assert by_stream == [(told,)]


async def test_a_killed_daemon_has_its_evidence_back(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """After SIGKILL nothing is lost, and what the stream replays and REST repeats is not stored a second time."""
    setting = Streaming(tmp_path, simulator)
    first = await start(setting)
    await settled(first)
    orders = [buy(simulator) for _ in range(5)]
    await until(lambda: executions(first) == orders)
    first.signal(signal.SIGKILL)
    await first.ended()
    orders.append(buy(simulator))
    simulator.fault("stream", "replay", last=50)
    simulator.fault("stream", "duplicate")

    second = await start(setting)
    await settled(second)
    orders.append(buy(simulator))
    await until(lambda: executions(second) == orders)
    await until(lambda: book(second.ledger) == held(simulator))

    metrics = await second.metrics()
    assert 'recond_stream_events_total{account="default",event="fill"} 8.0' in metrics, "6 replayed, 1 told twice"
    assert executions(second) == orders


async def test_an_event_that_never_came_is_counted(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """A fill that REST tells and the connected stream did not is counted as missed, and kept; one it told is not."""
    daemon = await start(Streaming(tmp_path, simulator))
    await settled(daemon)
    told = buy(simulator)
    await until(lambda: book(daemon.ledger) == held(simulator))
    simulator.fault("stream", "drop", count=2)
    lost = buy(simulator)
    await daemon.reconcile()

    await until(lambda: executions(daemon) == [told, lost])

    assert 'recond_missed_events_total{account="default"} 1.0' in await daemon.metrics()
    assert book(daemon.ledger) == held(simulator)
