"""What a pass costs, beside the least that the same bytes can cost.

    python bench/passes.py [--positions 1000 10000] [--passes 7]

For each size a real daemon runs in a process of its own, against an HTTP server in another one that holds an account's
answers ready as bytes, with a real ledger in a temporary folder. Printed are, as medians:

- a pass over an account on which both sides agree, from the signal that asks for it until its run is published: the
  prices of every row are refreshed. With the requests and the write transactions that it spent
- a pass that corrects every row, since every position differs by one, and the one before, which only sees the drifts
- the floor in the same run: the bytes fetched with requests, read by json.loads with Decimal, compared as dicts and
  written with one executemany by plain sqlite3; the clean pass is given as a multiple of it
- how late a task that sleeps for 1 ms came round during the passes: 99 of 100 times, and at worst. `idle` is what this
  machine does to such a task when nothing runs

Exit code 1 when something that is demanded is not so: one request and one transaction a clean pass, linear in the
number of positions, the event loop never held up for 20 ms.
"""

# ruff: noqa: T201 - it is there to print

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import requests
from structlog.typing import FilteringBoundLogger

from recond.config import load
from recond.daemon.run import serve, spare_the_loop
from recond.log import configure
from recond.simulator import Simulator, wide

BLOCKED_MAX_MS = 20.0
LINEAR_MAX = 1.3
"""Ten times the positions may take so many times ten times as long."""
TICK_S = 0.001
HEADERS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}


# The broker: bytes over HTTP, in a process of its own


def answers(folder: Path) -> None:
    """Serve the files of the folder as Alpaca's answers until the input ends; the first line printed is the port.

    `POST /drift` and `POST /agree` say which positions are held; `GET /count` tells the requests under /v2 since then.
    """
    bodies = {path.name: path.read_bytes() for path in folder.iterdir()}
    state = {"positions": "agree", "count": 0}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/count":
                self._send(str(state["count"]).encode())
                return
            state["count"] = cast("int", state["count"]) + 1
            name = path.rpartition("/")[2]
            self._send(bodies[str(state["positions"])] if name == "positions" else bodies.get(name, b"[]"))

        def do_POST(self) -> None:
            state.update(positions=self.path.strip("/"), count=0)
            self._send(b"")

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


async def account_bytes(positions: int) -> dict[str, bytes]:
    """What the simulator answers for an account of that many positions, and with one share more of each."""
    async with Simulator(scenario=wide(positions), rate_limit=10_000) as simulator:
        headers = dict(zip(HEADERS, (simulator.key, simulator.secret), strict=True))

        def get(path: str) -> bytes:
            return requests.get(f"{simulator.rest_url}/v2/{path}", headers=headers, timeout=60).content

        held, account = await asyncio.to_thread(get, "positions"), await asyncio.to_thread(get, "account")
    more = [row | {"qty": str(Decimal(row["qty"]) + 1)} for row in json.loads(held)]
    return {"agree": held, "account": account, "drift": json.dumps(more).encode()}


class Broker:
    """The server, as seen from here."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str) -> str:
        """One small request."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path)
            return connection.getresponse().read().decode()


@contextmanager
def broker(bodies: dict[str, bytes]) -> Iterator[Broker]:
    """Run the server."""
    with tempfile.TemporaryDirectory() as folder:
        for name, body in bodies.items():
            (Path(folder) / name).write_bytes(body)
        command = (sys.executable, __file__, "--serve", folder)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this file itself
            try:
                assert process.stdout is not None
                yield Broker(int(process.stdout.readline()))
            finally:
                process.kill()


# The daemon, in the process that measures


class Runs:
    """Takes the place of the daemon's logger, and gives what is logged about runs."""

    def __init__(self) -> None:
        self._runs: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.url = ""

    def info(self, event: str, **figures: Any) -> None:
        """Part of a logger."""
        self.url = figures.get("url", self.url)
        if "run" in figures:
            self._runs.put_nowait({"event": event, "at": time.perf_counter(), **figures})

    warning = error = info

    async def next(self) -> dict[str, Any]:
        """The next run."""
        run = await asyncio.wait_for(self._runs.get(), 60)
        assert run["status"] != "failed", run
        return run


class Ticker:
    """Measures how late a task comes round."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_S)
            self.late_ms.append((time.perf_counter() - began - TICK_S) * 1000)

    def taken(self) -> list[float]:
        """What was measured since the last time this was called."""
        late, self.late_ms = self.late_ms, []
        return late


CONFIG = """
[daemon]
interval = "1h"
settle = "0s"
broker_lag = "0s"
confirm_after = "100ms"
[ledger]
path = "{ledger}"
[http]
listen = "127.0.0.1:0"
[guards]
requests_per_minute = 10000
[[accounts]]
name = "default"
user_id = 1
rest_url = "{url}"
stream = false
"""


@asynccontextmanager
async def daemon(folder: Path, url: str) -> AsyncIterator[Runs]:
    """Run it as `recond run` does, but for its output."""
    file = folder / "config.toml"
    file.write_text(CONFIG.format(ledger=folder / "recond.db", url=url))
    environ = {"ALPACA_API_KEY": "key", "ALPACA_SECRET_KEY": "secret"}
    runs = Runs()
    configure("warning", "json", sys.stderr, {})
    spare_the_loop()
    serving = asyncio.create_task(serve(load(file, environ, None), cast("FilteringBoundLogger", runs)))
    try:
        yield runs
    finally:
        serving.cancel()
        await asyncio.wait({serving})


def commits(url: str) -> int:
    """How many write transactions the ledger's metric has counted."""
    text = requests.get(f"{url}/metrics", timeout=60).text
    found = re.search(r"^recond_ledger_commit_duration_seconds_count (\S+)$", text, re.MULTILINE)
    assert found is not None
    return int(float(found.group(1)))


# The measurement


@dataclass(frozen=True)
class Result:
    """Times in milliseconds."""

    positions: int
    clean: float
    floor: float
    seen: float
    corrected: float
    requests: float
    transactions: float
    late: dict[str, list[float]]


async def measure(positions: int, passes: int) -> Result:
    """All the figures for one size."""
    bodies = await account_bytes(positions)
    ticker, late = Ticker(), dict[str, list[float]]()
    with broker(bodies) as server, tempfile.TemporaryDirectory() as name:
        ticking = asyncio.create_task(ticker.run())
        await asyncio.sleep(1)
        late["idle"] = ticker.taken()
        async with daemon(Path(name), server.url) as runs:
            while not (run := await runs.next())["corrections"]:
                pass
            assert run["added"] == positions
            await clean_pass(runs, positions)

            await asyncio.to_thread(server.ask, "POST", "/agree")
            before = await asyncio.to_thread(commits, runs.url)
            ticker.taken()
            clean = [await clean_pass(runs, positions) for _ in range(passes)]
            late["clean"] = ticker.taken()
            spent = int(await asyncio.to_thread(server.ask, "GET", "/count"))
            written = await asyncio.to_thread(commits, runs.url) - before

            seen, corrected, late["drift"] = [], [], []
            for turn in ("drift", "agree", "drift"):
                await asyncio.to_thread(server.ask, "POST", f"/{turn}")
                ticker.taken()
                began = time.perf_counter()
                os.kill(os.getpid(), signal.SIGHUP)
                first, second = await runs.next(), await runs.next()
                assert (first["pending"], second["corrections"]) == (positions, positions), (first, second)
                seen.append(first["at"] - began)
                corrected.append(second["at"] - first["at"])
                late["drift"] += ticker.taken()
        ticking.cancel()
        floor = await asyncio.to_thread(floors, server.url, Path(name), passes)
    median = statistics.median
    return Result(
        positions=positions,
        clean=median(clean) * 1000,
        floor=median(floor) * 1000,
        seen=median(seen) * 1000,
        corrected=median(corrected) * 1000,
        requests=spent / passes,
        transactions=written / passes,
        late=late,
    )


def measured(positions: int, passes: int) -> Result:
    """The figures for one size, from a process that has done nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_measured, positions, passes).result()


def _measured(positions: int, passes: int) -> Result:
    return asyncio.run(measure(positions, passes))


async def clean_pass(runs: Runs, positions: int) -> float:
    """Ask for a pass and wait for its run; seconds."""
    began = time.perf_counter()
    os.kill(os.getpid(), signal.SIGHUP)
    run = await runs.next()
    assert (run["synced"], run["corrections"], run["pending"]) == (positions, 0, 0), run
    return cast("float", run["at"] - began)


def floors(url: str, folder: Path, passes: int) -> list[float]:
    """The least that can be done with the same bytes, so many times; seconds each."""
    with closing(sqlite3.connect(folder / "floor.db")) as ledger, requests.Session() as session:
        ledger.execute("PRAGMA journal_mode = wal")
        ledger.execute("CREATE TABLE book (symbol TEXT PRIMARY KEY, quantity TEXT, price TEXT, value TEXT, gain TEXT)")

        def once(compare: Callable[[dict[str, Decimal], dict[str, Decimal]], bool]) -> float:
            began = time.perf_counter()
            rows = json.loads(session.get(f"{url}/v2/positions", headers=HEADERS, timeout=60).content)
            shown = {row["symbol"]: Decimal(row["qty"]) for row in rows}
            book = {symbol: Decimal(text) for symbol, text in ledger.execute("SELECT symbol, quantity FROM book")}
            assert compare(shown, book)
            ledger.executemany(
                "INSERT INTO book VALUES (?, ?, ?, ?, ?) ON CONFLICT (symbol) DO UPDATE"
                " SET quantity = excluded.quantity, price = excluded.price, value = excluded.value,"
                " gain = excluded.gain",
                ((row["symbol"], row["qty"], *(str(Decimal(row[name])) for name in PRICES)) for row in rows),
            )
            ledger.commit()
            return time.perf_counter() - began

        once(lambda shown, book: not book)
        return [once(lambda shown, book: shown == book) for _ in range(passes)]


PRICES = ("current_price", "market_value", "unrealized_pl")


def quantile(values: list[float], share: float) -> float:
    """The value that so many of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def report(results: list[Result]) -> list[str]:
    """Print the figures; returns what is demanded and not so."""
    print(
        f"{'positions':>9} {'clean':>9} {'each':>9} {'floor':>9} {'ratio':>6} {'sees all':>9} {'corrects':>9}"
        f" {'requests':>8} {'writes':>6}"
    )
    for r in results:
        print(
            f"{r.positions:>9} {r.clean:>6.1f} ms {r.clean / r.positions * 1000:>6.1f} us {r.floor:>6.1f} ms"
            f" {r.clean / r.floor:>6.2f} {r.seen:>6.1f} ms {r.corrected:>6.1f} ms {r.requests:>8g} {r.transactions:>6g}"
        )
    print("\nthe event loop came round late by, 99 of 100 times / at worst (ms)")
    for r in results:
        shown = (f"{name} {quantile(late, 0.99):.1f} / {max(late):.1f}" for name, late in r.late.items())
        print(f"{r.positions:>9}  {'   '.join(shown)}")
    faults = []
    for r in results:
        if (r.requests, r.transactions) != (1, 1):
            faults.append(f"{r.positions}: a clean pass spent {r.requests:g} requests, {r.transactions:g} transactions")
        for name in ("clean", "drift"):
            if max(r.late[name]) >= BLOCKED_MAX_MS:
                faults.append(f"{r.positions}: passes ({name}) held up the event loop for {max(r.late[name]):.1f} ms")
    for few, many in pairwise(results):
        factor = (many.clean / few.clean) / (many.positions / few.positions)
        print(
            f"\nfrom {few.positions} to {many.positions} the time of each position changes by a factor of {factor:.2f}"
        )
        if factor > LINEAR_MAX:
            faults.append(f"not linear: a position takes {factor:.2f} times as long at {many.positions}")
    return faults


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--positions", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--passes", type=int, default=7)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        answers(asked.serve)
    faults = report([measured(positions, asked.passes) for positions in asked.positions])
    for fault in faults:
        print(f"NOT AS DEMANDED: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
