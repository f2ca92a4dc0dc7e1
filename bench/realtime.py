"""What recond sees, and when, of an account that is traded all the time, in real time.

    python bench/realtime.py [--minutes 5] [--fills 20] [--symbols 100] [--lag 0] [--no-stream] [--requests 60]
    python bench/realtime.py --half-open 50

A simulated Alpaca in a process of its own, `recond run` as its operator starts it with the default times (but for an
interval of a minute), and a platform that trades all symbols at that rate and books each fill 0 to 10 s late, out of
order, with plain sqlite3. Meanwhile 20 symbols rest but for one drift each: a trade from elsewhere, an order of the
platform's that it never books, a position closed from elsewhere. With `--lag` every answer about positions is up to so
many seconds old, each by its own chance. Printed are

- false alarms: whatever recond confirmed, corrected or held without an injected drift, and symbols it called moving
- the drifts it confirmed, and the time from the change at the broker until the verdict is in the ledger
- what it spent: passes, requests, processor time

With `--half-open` so many accounts have a stream each, which goes silent at a random moment without being closed; then
there is a trade that nobody tells of. Printed is when the silence was reported, and when the drift was in the ledger.

Exit code 1 when something that is demanded is not so.
"""

# ruff: noqa: T201 - it is there to print

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

import recond
from recond.simulator import Simulator, wide

REQUESTS = 60
SETTLE_S, CONFIRM_AFTER_S, INTERVAL_S, SLACK_S = 15.0, 2.0, 60.0, 2.0
LATE_MAX_S = 10.0
DRIFTS = 20
SILENCE_MAX_S = 30.0
LOOK_S = 0.1


# The broker, in a process of its own


async def simulate(accounts: int, positions: int) -> None:
    """Serve that many accounts until the input ends; the first line printed says where, and their keys."""
    names = [f"a{number}" for number in range(accounts)]
    async with Simulator(accounts={name: wide(positions) for name in names}) as simulator:
        keys = {name: simulator.keys(name) for name in names}
        print(json.dumps({"rest": simulator.rest_url, "stream": simulator.stream_url, "keys": keys}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


@dataclass
class Broker:
    """The simulated Alpaca, as seen from here."""

    rest: str
    stream: str
    keys: dict[str, tuple[str, str]]
    session: aiohttp.ClientSession

    async def do(self, operation: str, **arguments: object) -> None:
        """Make something happen."""
        async with self.session.post(f"{self.rest}/control/{operation}", json=arguments) as answer:
            assert answer.status == 200, await answer.text()

    async def held(self, account: str) -> dict[str, Decimal]:
        """What an account holds."""
        async with self.session.get(f"{self.rest}/control") as answer:
            accounts = (await answer.json())["accounts"]
        [positions] = [each["positions"] for each in accounts if each["name"] == account]
        return {symbol: Decimal(quantity) for symbol, quantity in positions.items()}


@contextmanager
def child(*command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A child process that does not outlive this one."""
    with subprocess.Popen((sys.executable, *command), text=True, **options) as process:  # noqa: S603 - own
        try:
            yield process
        finally:
            process.terminate()


@asynccontextmanager
async def broker(accounts: int, positions: int) -> AsyncIterator[Broker]:
    """Run the simulated Alpaca."""
    command = (__file__, "--simulate", str(accounts), str(positions))
    with child(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        async with aiohttp.ClientSession() as session:
            yield Broker(said["rest"], said["stream"], said["keys"], session)


# The daemon, in a process of its own


@dataclass
class Daemon:
    """A running `recond run`."""

    pid: int
    ledger: Path
    output: Path
    session: aiohttp.ClientSession

    async def accounts(self) -> list[dict[str, Any]]:
        """What it says of its accounts."""
        async with self.session.get("/api/positions/reconciliation-status") as answer:
            return list((await answer.json())["accounts"])

    async def counter(self, name: str) -> float:
        """The sum of all series of one counter."""
        async with self.session.get("/metrics") as answer:
            found = re.findall(rf"^{name}{{[^}}]*}} (\S+)$", await answer.text(), re.MULTILINE)
        return sum(map(float, found))

    def cpu_s(self) -> float:
        """The processor time that it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rows(self, sql: str, *parameters: object) -> list[Any]:
        """What the ledger answers."""
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True, timeout=30)) as ledger:
            return ledger.execute(sql, parameters).fetchall()


@asynccontextmanager
async def daemon(
    folder: Path, alpaca: Broker, *, interval: str, stream: bool = True, requests: int = REQUESTS
) -> AsyncIterator[Daemon]:
    """Run recond with its defaults, but for what is given."""
    ledger, output = folder / "recond.db", folder / "recond.log"
    lines = ["[daemon]", f'interval = "{interval}"', 'log_format = "json"']
    lines += ["[guards]", f"requests_per_minute = {requests}"]
    lines += ["[ledger]", f'path = "{ledger}"', "[http]", 'listen = "127.0.0.1:0"']
    for number, name in enumerate(alpaca.keys, 1):
        lines += ["[[accounts]]", f'name = "{name}"', f"user_id = {number}", f"stream = {str(stream).lower()}"]
        lines += [f'rest_url = "{alpaca.rest}"', f'stream_url = "{alpaca.stream}"']
        lines += [f'key_env = "KEY_{number}"', f'secret_env = "SECRET_{number}"']
    config = folder / "config.toml"
    config.write_text("\n".join(lines))
    environ = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(Path(recond.__file__).parents[1])}
    for number, (key, secret) in enumerate(alpaca.keys.values(), 1):
        environ |= {f"KEY_{number}": key, f"SECRET_{number}": secret}
    with (
        output.open("wb") as file,
        child("-m", "recond", "run", "--config", str(config), stdout=file, env=environ) as process,
    ):
        await until(lambda: '"url"' in output.read_text(), 30, f"an address of recond in {output}")
        [url] = [line["url"] for line in said(output) if "url" in line]
        async with aiohttp.ClientSession(url) as session:
            yield Daemon(process.pid, ledger, output, session)
        assert process.poll() is None, output.read_text()[-4000:]


def said(output: Path) -> list[dict[str, Any]]:
    """The lines of a log."""
    whole = output.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


async def until(condition: Callable[[], object], within_s: float, what: str) -> None:
    """Wait until the condition holds."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        await asyncio.sleep(LOOK_S)


# The platform


class Platform:
    """Books what it traded, as bots do, with a connection and a thread of its own."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = sqlite3.connect(ledger, isolation_level=None, check_same_thread=False, timeout=30)
        self._ledger.execute("PRAGMA wal_autocheckpoint = 0")
        self._thread = ThreadPoolExecutor(1)
        self.latest_s = 0.0
        self.bookings: set[asyncio.Task[None]] = set()

    def book_late(self, account: str, symbol: str, quantity: int, late_s: float) -> None:
        """Book it after so many seconds."""

        async def later() -> None:
            began_s = time.monotonic()
            await asyncio.sleep(late_s)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._book, account, symbol, quantity)
            self.latest_s = max(self.latest_s, time.monotonic() - began_s)

        task = asyncio.create_task(later())
        self.bookings.add(task)
        task.add_done_callback(self.bookings.discard)

    def _book(self, account: str, symbol: str, quantity: int) -> None:
        ledger = self._ledger
        ledger.execute("BEGIN IMMEDIATE")
        found = ledger.execute(
            "SELECT id, quantity FROM positions WHERE account = ? AND symbol = ? AND status = 'open'", (account, symbol)
        ).fetchone()
        if found is None:
            sql = "INSERT INTO positions (account, symbol, quantity) VALUES (?, ?, ?)"
            ledger.execute(sql, (account, symbol, str(quantity)))
        else:
            after = f"{Decimal(found[1]) + quantity:f}"
            ledger.execute("UPDATE positions SET quantity = ? WHERE id = ?", (after, found[0]))
        ledger.execute("COMMIT")

    async def close(self) -> None:
        """Book everything, then close."""
        await asyncio.gather(*self.bookings)
        self._thread.shutdown()
        self._ledger.close()


# Constant trading


@dataclass
class Drift:
    """One injected drift; the moments are monotonic."""

    kind: str
    symbol: str
    made_s: float = 0.0
    found_s: float = 0.0

    async def make(self, alpaca: Broker, held: Decimal) -> None:
        """Let it happen."""
        what: dict[str, object] = {"side": "buy", "qty": 7}
        if self.kind == "closed elsewhere":
            what = {"side": "sell" if held > 0 else "buy", "qty": str(abs(held))}
        elif self.kind == "booking lost":
            what["client_order_id"] = f"bench-lost-{self.symbol}"
        self.made_s = time.monotonic()
        await alpaca.do("trade", symbol=self.symbol, **what)


@dataclass
class Seen:
    """What was seen from outside while the account was traded."""

    drifts: dict[str, Drift]
    last_run: int
    false: list[str] = field(default_factory=list)
    moving: Counter[str] = field(default_factory=Counter)
    spent: list[tuple[float, float]] = field(default_factory=list)

    async def verdicts(self, running: Daemon) -> None:
        """Look for verdicts in the ledger for ever."""
        while True:
            rows = running.rows(
                "SELECT run_id, symbol, cause FROM drifts WHERE run_id > ? ORDER BY run_id", self.last_run
            )
            for run, symbol, cause in rows:
                self.last_run, drift = run, self.drifts.get(symbol)
                if drift is None or not drift.made_s:
                    self.false.append(f"{symbol} ({cause}) in run {run}")
                elif not drift.found_s:
                    drift.found_s = time.monotonic()
            await asyncio.sleep(LOOK_S)

    async def statuses(self, running: Daemon) -> None:
        """Ask for the status for ever, once a second."""
        while True:
            for account in await running.accounts():
                moving = {pending["symbol"] for pending in account["pending"] if pending["inMotion"]}
                self.moving.update(moving - self.drifts.keys())
            self.spent.append((time.monotonic(), await running.counter("recond_broker_requests_total")))
            await asyncio.sleep(1)

    def most_in_a_minute(self) -> float:
        """The most requests in any 60 seconds."""
        return max(
            late - early for at, early in self.spent for then, late in self.spent if 0 <= then - at <= INTERVAL_S + 0.5
        )


async def trade(
    alpaca: Broker, platform: Platform, symbols: Sequence[str], rate: float, seconds: float, random: Random
) -> int:
    """Fill so many orders a second, each booked late; returns how many it were."""
    began_s, number = time.monotonic(), 0
    while time.monotonic() < began_s + seconds:
        symbol, quantity = random.choice(symbols), random.choice((-5, -3, -2, -1, 1, 2, 3, 5))
        side = "buy" if quantity > 0 else "sell"
        await alpaca.do("trade", symbol=symbol, side=side, qty=abs(quantity), client_order_id=f"bench-{number}")
        platform.book_late("a0", symbol, quantity, random.uniform(0, LATE_MAX_S))
        number += 1
        await asyncio.sleep(max(0.0, began_s + number / rate - time.monotonic()))
    return number


async def inject(alpaca: Broker, drifts: Sequence[Drift], seconds: float, random: Random) -> None:
    """Let the drifts happen, one after the other, at random moments."""
    began_s, held = time.monotonic(), await alpaca.held("a0")
    moments = sorted(random.uniform(2, max(3.0, seconds - 30)) for _ in drifts)
    for drift, moment in zip(drifts, moments, strict=True):
        await asyncio.sleep(max(0.0, began_s + moment - time.monotonic()))
        await drift.make(alpaca, held[drift.symbol])


async def constant_trading(asked: argparse.Namespace, folder: Path) -> list[str]:
    """Trade, inject and watch; prints the figures and returns what is demanded and not so."""
    random = Random(asked.seed)  # noqa: S311 - repeatable, guards nothing
    seconds, stream = asked.minutes * 60, not asked.no_stream
    bound_s = SETTLE_S + CONFIRM_AFTER_S + SLACK_S + asked.lag + (0 if stream else INTERVAL_S)
    async with (
        broker(1, asked.symbols + DRIFTS) as alpaca,
        daemon(folder, alpaca, interval=f"{INTERVAL_S:.0f}s", stream=stream, requests=asked.requests) as running,
    ):
        held = await alpaca.held("a0")
        agreeing = "SELECT 1 FROM runs WHERE synced = ?"
        await until(lambda: running.rows(agreeing, len(held)), 30 + INTERVAL_S, "the adoption")
        if asked.lag:
            await alpaca.do("fault", endpoint="positions", kind="lag", seconds=asked.lag, random=True)
        symbols = list(held)
        random.shuffle(symbols)
        kinds = ("traded elsewhere", "booking lost", "closed elsewhere")
        drifts = [Drift(kinds[number % 3], symbol) for number, symbol in enumerate(symbols[:DRIFTS])]
        [(last_run,)] = running.rows("SELECT max(id) FROM runs")
        seen = Seen({drift.symbol: drift for drift in drifts}, last_run)
        platform, began_s, cpu_s = Platform(running.ledger), time.monotonic(), running.cpu_s()
        watching = [asyncio.create_task(seen.verdicts(running)), asyncio.create_task(seen.statuses(running))]
        fills, _ = await asyncio.gather(
            trade(alpaca, platform, symbols[DRIFTS:], asked.fills, seconds, random),
            inject(alpaca, drifts, seconds, random),
        )
        took_s, cpu_s = time.monotonic() - began_s, running.cpu_s() - cpu_s
        spent = seen.spent[-1][1] - seen.spent[0][1]
        [(passes,)] = running.rows("SELECT count(*) FROM runs WHERE id > ?", last_run)
        await platform.close()
        try:
            await until(lambda: all(drift.found_s for drift in drifts), bound_s + 10, "the last verdicts")
        except TimeoutError as error:
            print(error)
        await asyncio.sleep(SETTLE_S + asked.lag + 5)
        book = "SELECT symbol, quantity FROM positions WHERE status = 'open'"
        equal = {symbol: Decimal(quantity) for symbol, quantity in running.rows(book)} == await alpaca.held("a0")
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        corrected = {symbol for (symbol,) in running.rows("SELECT symbol FROM corrections WHERE run_id > ?", last_run)}
        held_back = running.rows("SELECT symbol, reason FROM holds")
        open_conflicts = running.rows("SELECT symbol FROM conflicts WHERE resolved_at IS NULL")
        missed = await running.counter("recond_missed_events_total")
        faults = [f"false verdict: {each}" for each in seen.false]
        faults += [f"corrected without a drift: {symbol}" for symbol in corrected - seen.drifts.keys()]
        faults += [f"held: {symbol}: {why}" for symbol, why in held_back if symbol not in seen.drifts]
        faults += [f"open conflict: {symbol}" for (symbol,) in open_conflicts if symbol not in seen.drifts]
        faults += [f"called moving {times} times: {symbol}" for symbol, times in seen.moving.items()]
        faults += [f"not found: {drift.kind}, {drift.symbol}" for drift in drifts if not drift.found_s]
        faults += [] if equal else ["the ledger is not equal to the broker in the end"]

    found_s = sorted(drift.found_s - drift.made_s for drift in drifts if drift.found_s)
    print(
        f"{fills} fills in {took_s:.0f} s ({fills / took_s:.1f}/s) of {asked.symbols} symbols,"
        f" booked late by at most {platform.latest_s:.1f} s; lag {asked.lag:g} s; stream {'on' if stream else 'off'}"
    )
    print(
        f"false alarms {len(seen.false)}, symbols called moving without a drift {len(seen.moving)},"
        f" holds on drifts {len(held_back)}"
    )
    print(f"drifts confirmed {len(found_s)} of {len(drifts)}; ledger equal to the broker when quiet: {equal}")
    print(
        f"detection p50 {quantile(found_s, 0.5):.1f} s, p95 {quantile(found_s, 0.95):.1f} s,"
        f" max {max(found_s, default=0.0):.1f} s; demanded p95 at most {bound_s:g} s"
    )
    for kind in kinds:
        times = (f"{drift.found_s - drift.made_s:.1f}" for drift in drifts if drift.kind == kind)
        print(f"  {kind}: {' '.join(times)}")
    print(
        f"spent a minute: {passes / took_s * 60:.1f} passes, {spent / took_s * 60:.1f} requests (most in 60 s"
        f" {seen.most_in_a_minute():.0f} of {asked.requests}); recond used {cpu_s / took_s:.0%} of a core;"
        f" missed events {missed:.0f}"
    )
    if seen.most_in_a_minute() > asked.requests:
        faults.append(f"more than {asked.requests} requests in a minute")
    if quantile(found_s, 0.95) > bound_s:
        faults.append(f"detection p95 is above {bound_s:g} s")
    return faults


# Sockets on which nothing comes any more


async def silences(asked: argparse.Namespace, folder: Path) -> list[str]:
    """Mute each account's stream at a random moment; prints the figures and returns what is demanded and not so."""
    random = Random(asked.seed)  # noqa: S311 - repeatable, guards nothing
    async with (
        broker(asked.half_open, 3) as alpaca,
        daemon(folder, alpaca, interval="1h") as running,
    ):
        count = "SELECT count(*) FROM positions WHERE status = 'open'"
        await until(lambda: running.rows(count) == [(3 * asked.half_open,)], 120, "the adoption")
        [(last_run,)] = running.rows("SELECT max(id) FROM runs")
        muted: dict[str, tuple[float, float]] = {}

        async def mute(account: str) -> None:
            await asyncio.sleep(random.uniform(0, 40))
            muted[account] = time.time(), time.monotonic()
            await alpaca.do("fault", endpoint="stream", kind="half_open", account=account, count=1)
            await alpaca.do("trade", account=account, symbol="AAAAA", side="buy", qty=5)

        found: dict[str, float] = {}

        def all_found() -> bool:
            for (account,) in running.rows("SELECT DISTINCT account FROM drifts WHERE run_id > ?", last_run):
                found.setdefault(account, time.monotonic())
            return len(found) == asked.half_open

        injecting = asyncio.gather(*map(mute, alpaca.keys))
        try:
            await until(all_found, 40 + SILENCE_MAX_S + SETTLE_S + 30, "the last drift of a gap")
        except TimeoutError as error:
            print(error)
        await injecting
        lost = [line for line in said(running.output) if "stream lost" in line["event"] and line["account"] in muted]
        reported_s = sorted(
            datetime.fromisoformat(line["timestamp"]).timestamp() - muted[line["account"]][0] for line in lost
        )
    found_s = sorted(at_s - muted[account][1] for account, at_s in found.items())
    print(
        f"{len(muted)} streams went silent; reported {len(reported_s)}: p50 {quantile(reported_s, 0.5):.1f} s,"
        f" max {max(reported_s, default=0.0):.1f} s; demanded {SILENCE_MAX_S:g} s"
    )
    print(
        f"drifts of the gaps found {len(found_s)}: p50 {quantile(found_s, 0.5):.1f} s,"
        f" max {max(found_s, default=0.0):.1f} s after the silence began"
    )
    faults = [] if len(reported_s) == len(found_s) == asked.half_open else ["not all were reported once and found"]
    return faults if max(reported_s, default=0.0) <= SILENCE_MAX_S else [*faults, "a silence was reported too late"]


def quantile(values: Sequence[float], share: float) -> float:
    """The least of the sorted values that so large a share of them does not exceed (nearest rank); 0 of none."""
    return values[max(0, ceil(len(values) * share) - 1)] if values else 0.0


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--fills", type=float, default=20, help="a second, over all symbols")
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--lag", type=float, default=0, help="seconds that answers about positions are old, at most")
    parser.add_argument("--no-stream", action="store_true")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="recond's budget a minute")
    parser.add_argument("--half-open", type=int, default=0, metavar="STREAMS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--simulate", type=int, nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.simulate:
        asyncio.run(simulate(*asked.simulate))
        return 0
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        work = silences if asked.half_open else constant_trading
        faults = asyncio.run(work(asked, Path(folder)))
    print(f"load of the machine before {before[0]:.1f}, after {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for fault in faults:
        print(f"NOT AS DEMANDED: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
