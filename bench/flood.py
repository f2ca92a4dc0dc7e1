"""What a flood of events does to the evidence, the event loop and the memory.

    python bench/flood.py [--rate 10000] [--seconds 30] [--fills 0.5] [--locked]

A server in a process of its own tells so many events a second; that share of them are fills, each of an order of its
own, the others `new`. Here AlpacaStream, the listener, the evidence and a real ledger take them, set up as the daemon
does it. With `--locked` yet another process holds the ledger's write lock during all of it. Printed are

- the rate that was reached, and what the ledger has in the end: each fill once, or a gap that recond knows of. Then the
  fills are handed over as REST would, in look-ups of as many entries as one has, until the gap is closed
- the processor time that recond took, which tells how much of it a busy machine has to leave
- how late a task that sleeps for 1 ms came round: 99 of 100 times, and at worst
- the memory before, after two thirds and at the end; write transactions, and fills in each

Exit code 1 when something that is demanded is not so.
"""

# ruff: noqa: T201, ASYNC110 - it is there to print, and looks from outside

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from recond.alpaca.stream import AlpacaStream
from recond.core.model import Activities, Activity
from recond.daemon.run import spare_the_loop
from recond.evidence import Evidence
from recond.listener import listen
from recond.metrics import Metrics
from recond.simulator import Simulator
from recond.sqlite.ledger import AccountEntry, SqliteLedger
from recond.triggers import Triggers

LAG_MAX_MS = 50.0
GROWTH_MAX = 1.05
"""The memory at the end, as a multiple of that after two thirds, when a flood has told as many fills as are kept
in mind. While the ledger is locked more waits, up to a bound."""
HORIZON_S = 60.0
SYMBOLS = 100
TICK_S = 0.001
LOOK_UP = 5_000
"""Activities that one look-up reads at most."""
AUTHORIZED = {"stream": "authorization", "data": {"action": "authenticate", "status": "authorized"}}
LISTENING = {"stream": "listening", "data": {"streams": ["trade_updates"]}}


# The server, in a process of its own


async def tell(rate: int, seconds: float, fills: float) -> None:
    """Serve one connection with the events; the first line printed is the port, the second what was told."""
    new, fill = await frames()
    done = asyncio.Event()

    async def talk(connection: ServerConnection) -> None:
        for answer in (AUTHORIZED, LISTENING):
            await connection.recv()
            await connection.send(json.dumps(answer))
        began_s, began_at, number = time.monotonic(), datetime.now(UTC), 0
        while number < rate * seconds:
            due = min(int((time.monotonic() - began_s) * rate) + 1, int(rate * seconds))
            told = bytearray()
            for each in range(number, due):
                at = f"{began_at + timedelta(seconds=each / rate):%Y-%m-%dT%H:%M:%S.%fZ}".encode()
                frame = (fill if is_fill(each, fills) else new).replace(b"#TIME", at)
                frame = frame.replace(b"#NUMBER", b"%08d" % each).replace(b"#SYMBOL", b"S%02d" % (each % SYMBOLS))
                told += b"\x82\x7e" + struct.pack("!H", len(frame)) + frame
            connection.transport.write(told)
            number = due
            await asyncio.sleep(0.01)
            while connection.transport.get_write_buffer_size() > 1 << 22:
                await asyncio.sleep(0.01)
        print(json.dumps({"began": began_at.isoformat(), "seconds": time.monotonic() - began_s}), flush=True)
        await connection.wait_closed()
        done.set()

    async with serve(talk, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await done.wait()


def is_fill(number: int, fills: float) -> bool:
    """Whether the event of that number is a fill, of which there is to be that share."""
    return int((number + 1) * fills) > int(number * fills)


async def frames() -> list[bytes]:
    """The two events of a trade of one share, with places for what differs from one to the next."""
    async with Simulator(scenario="demo") as simulator, connect(simulator.stream_url) as socket:
        await socket.send(json.dumps({"action": "auth", "key": simulator.key, "secret": simulator.secret}))
        await socket.recv()
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        await socket.recv()
        simulator.do("trade", symbol="AAPL", side="buy", qty=1)
        events = [json.loads(await socket.recv()) for _ in range(2)]
    for event in events:
        data = event["data"]
        data |= {"timestamp": "#TIME", "at": "#TIME", "execution_id": "5eed0000-0000-4000-8000-0000#NUMBER"}
        data["order"] |= {"id": "0bde0000-0000-4000-8000-0000#NUMBER", "symbol": "#SYMBOL"}
    return [json.dumps(event).encode() for event in events]


@contextmanager
def child(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A child process that does not outlive this one."""
    with subprocess.Popen((sys.executable, *command), text=True, stdout=subprocess.PIPE) as process:  # noqa: S603 - own
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline()


LOCK = """
import sqlite3, sys, time
ledger = sqlite3.connect(sys.argv[1], isolation_level=None)
ledger.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
ledger.execute("ROLLBACK")
"""


# Here


class Ticker:
    """Measures how late a task comes round, and the memory of this process once a second."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.memory_mb: list[float] = []

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self.memory_mb.append(memory_mb())
            second_s = time.monotonic() + 1
            while (began_s := time.monotonic()) < second_s:
                await asyncio.sleep(TICK_S)
                self.late_ms.append((time.monotonic() - began_s - TICK_S) * 1000)


def memory_mb() -> float:
    """What this process holds in memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found.group(1)) / 1024


@asynccontextmanager
async def running(*tasks: Any) -> AsyncIterator[None]:
    """Run what never ends meanwhile."""
    started = [asyncio.create_task(task) for task in tasks]
    try:
        yield
        for task in started:
            assert not task.done(), task
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


async def flood(asked: argparse.Namespace, folder: Path) -> list[str]:
    """Take the flood; prints the figures and returns what is demanded and not so."""
    commits: list[float] = []
    names: dict[str, int] = {}
    states: list[str] = []
    ticker, path = Ticker(), folder / "recond.db"

    metrics = Metrics(CollectorRegistry(), ["default"], version="")

    def count(name: str) -> None:
        metrics.stream_event("default", name)
        names[name] = names.get(name, 0) + 1

    entries = [AccountEntry("default", 1, "paper")]
    sends = (__file__, "--tell", str(asked.rate), str(asked.seconds), str(asked.fills))
    async with SqliteLedger(path, entries, now=lambda: datetime.now(UTC), on_commit=commits.append) as ledger:
        evidence = Evidence("default", ledger, horizon_s=HORIZON_S, late_s=15.0)
        with child(*sends) as server, child("-c", LOCK, str(path), str(asked.seconds if asked.locked else 0)) as locker:
            stream = AlpacaStream("key", "secret", url=f"ws://127.0.0.1:{int(line_of(server))}/stream")
            assert line_of(locker) == "locked\n"
            before_mb, began_s, cpu_s = memory_mb(), time.monotonic(), time.process_time()
            commits.clear()
            hears = listen(
                "default",
                stream,
                Triggers(),
                keep=evidence.add,
                on_state=states.append,
                on_event=count,
                random=random.random,
            )
            async with running(hears, evidence.write(), ticker.run()):
                told = json.loads(await asyncio.to_thread(line_of, server))
                while sum(names.values()) < int(asked.rate * asked.seconds) and len(states) == 2:
                    await asyncio.sleep(0.05)
                took_s, waiting, late_ms = time.monotonic() - began_s, evidence.waiting, sorted(ticker.late_ms)
                memory, cpu_s = list(ticker.memory_mb), time.process_time() - cpu_s
                while evidence.waiting:
                    await asyncio.sleep(0.05)
                stored, distinct = rows_in(path)
                written, gap = len(commits), evidence.gap_since
                after_mb = memory_mb()
                told_by_rest = activities(asked, datetime.fromisoformat(told["began"]))
                look_ups = await close_gap(evidence, told_by_rest) if gap else 0
                closed_stored, closed_distinct = rows_in(path)

    fills, lag_ms = len(told_by_rest), late_ms[int(len(late_ms) * 0.99)]
    events = sum(names.values())
    print(
        f"{events} events, {fills} of them fills, in {took_s:.1f} s: {events / took_s:.0f}/s (the server was done after"
        f" {told['seconds']:.1f} s); ledger {'locked' if asked.locked else 'free'}"
    )
    print(f"in the ledger {stored} fills, {distinct} different; {waiting} waited at the end; gap {gap or 'none'}")
    if gap:
        print(f"after {look_ups} look-ups {closed_stored} fills, {closed_distinct} different; gap {evidence.gap_since}")
    print(f"{cpu_s / events * 1e6:.0f} µs of a processor for each event, {cpu_s / took_s:.0%} of a core")
    print(f"event loop late by p99 {lag_ms:.1f} ms, max {late_ms[-1]:.1f} ms")
    full, end = memory[len(memory) * 2 // 3], memory[-1]
    print(f"memory {before_mb:.0f} MB before, {full:.0f} after 2/3, {end:.0f} at the end, {after_mb:.0f} when stored")
    print(f"{written} write transactions, {stored / max(1, written):.0f} fills in each")
    faults = [] if states == ["connecting", "connected"] else [f"the stream was {states}"]
    if not gap and not stored == distinct == fills:
        faults.append(f"{fills - distinct} fills are missing, and no gap is known")
    if gap and (evidence.gap_since or closed_distinct < fills or closed_stored != closed_distinct):
        faults.append("the gap was not closed, or closed with fills missing")
    if lag_ms > LAG_MAX_MS:
        faults.append(f"the event loop was late by {lag_ms:.0f} ms")
    if end > full * GROWTH_MAX and not asked.locked:
        faults.append("the memory grew in the last third")
    return faults


def rows_in(path: Path) -> tuple[int, int]:
    """How many fills the ledger has, and how many different ones."""
    with closing(sqlite3.connect(path, timeout=30)) as ledger:
        [row] = ledger.execute("SELECT count(*), count(DISTINCT order_id) FROM executions")
    return int(row[0]), int(row[1])


def activities(asked: argparse.Namespace, began_at: datetime) -> list[Activity]:
    """All fills as the activities tell them, the oldest first."""
    return [
        Activity(
            id=f"{number:08d}",
            type="FILL",
            sub_type=None,
            symbol=f"S{number % SYMBOLS:02d}",
            quantity=Decimal(1),
            price=Decimal("230.1"),
            at=began_at + timedelta(seconds=number / asked.rate),
            order_id=f"0bde0000-0000-4000-8000-0000{number:08d}",
            side="buy",
            cum_quantity=Decimal(1),
        )
        for number in range(int(asked.rate * asked.seconds))
        if is_fill(number, asked.fills)
    ]


async def close_gap(evidence: Evidence, told: Sequence[Activity]) -> int:
    """Look up as passes do, a few times more than are enough for everything at most; returns how many times."""
    look_ups = 0
    while evidence.gap_since is not None and look_ups < len(told) // LOOK_UP + 3:
        look_ups += 1
        since = evidence.look_back(datetime.now(UTC) + timedelta(minutes=1))
        found = [activity for activity in told if activity.at is not None and activity.at > since]
        evidence.looked_up(Activities(tuple(found[:LOOK_UP]), complete=len(found) < LOOK_UP))
        while evidence.waiting:
            await asyncio.sleep(0.05)
    return look_ups


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--fills", type=float, default=0.5, help="the share of the events")
    parser.add_argument("--locked", action="store_true", help="while another process holds the ledger's lock")
    parser.add_argument("--tell", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.tell:
        rate, seconds, fills = asked.tell
        asyncio.run(tell(int(rate), float(seconds), float(fills)))
        return 0
    before = os.getloadavg()
    spare_the_loop()
    with tempfile.TemporaryDirectory() as folder:
        faults = asyncio.run(flood(asked, Path(folder)))
    print(f"load of the machine before {before[0]:.1f}, after {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for fault in faults:
        print(f"NOT AS DEMANDED: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
