"""SIGKILL at random moments, while passes and a bot write: what was written is whole, what was said is there.

The normal run kills 25 times. For the 200 of a release:

    RECOND_KILLS=200 .venv/bin/pytest tests/end_to_end/test_kill.py -s --timeout=1800

`-s` shows how many kills fell into a pass. `RECOND_SEED` repeats the random choices of a run, as far as they decide.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from recond.simulator import Simulator, wide
from tests.end_to_end.process import PATIENCE_S, Setting, bot, held, until

KILLS = int(os.environ.get("RECOND_KILLS", "25"))
SEED = int(os.environ.get("RECOND_SEED", "0"))
Rows = list[dict[str, Any]]
TIMES = {"interval": "1s", "settle": "0s", "confirm_after": "100ms", "pending_max": "1s"}
ACCOUNT = wide(40)
SHARED = frozenset(list(ACCOUNT.positions)[:10])
"""Held by two strategies. These stay long: whose row it is when a position turns round would be for an operator."""
UPSERT = (
    "INSERT INTO positions (account, symbol, strategy_id, quantity) VALUES ('default', ?, 'mean', ?)"
    " ON CONFLICT (account, symbol, coalesce(strategy_id, '')) WHERE status = 'open'"
    " DO UPDATE SET quantity = excluded.quantity"
)


class Forked:
    """Daemons that are started at once, one after the other, by a process that has imported everything."""

    def __init__(self, setting: Setting) -> None:
        self._folder = setting.folder
        self._process = subprocess.Popen(
            (sys.executable, str(Path(__file__).with_name("zygote.py")), str(setting.write())),
            env={**setting.variables(), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        self._pid = 0
        self._starts = 0

    async def start(self) -> None:
        """Start the next daemon."""
        self._starts += 1
        self._pid = int(await self._ask(f"start {self._output()}"))

    async def kill(self) -> None:
        """Kill it; fails when it has ended by itself."""
        os.kill(self._pid, signal.SIGKILL)
        status = int(await self._ask("wait"))
        assert status == signal.SIGKILL, f"it had ended with {status}:\n{self._output().read_text()[-4000:]}"

    async def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        return await asyncio.wait_for(asyncio.to_thread(self._process.stdout.readline), PATIENCE_S)

    def _output(self) -> Path:
        return self._folder / f"output-{self._starts}"

    def said(self) -> list[dict[str, Any]]:
        """The passes that the daemon running now, or last, has told of."""
        whole = self._output().read_text().rpartition("\n")[0] if self._output().exists() else ""
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{") and '"run"' in line]

    def end(self) -> None:
        """End everything."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


class Bot:
    """A platform that changes quantities in the ledger all the time, and remembers what it has committed."""

    def __init__(self, ledger: Path, random: Random) -> None:
        self._ledger, self._random = ledger, random
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._work)
        self.committed: set[int] = set()
        """The numbers of its own changes in the journal."""
        self.failed: list[str] = []

    def __enter__(self) -> Bot:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Finish what it is writing, and close the ledger."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        with bot(self._ledger) as ledger:
            while not self._stop.wait(self._random.uniform(0.005, 0.06)):
                try:
                    self._write(ledger)
                except sqlite3.Error as error:
                    self.failed.append(str(error))

    def _write(self, ledger: sqlite3.Connection) -> None:
        ledger.execute("BEGIN IMMEDIATE")
        [[before]] = ledger.execute("SELECT coalesce(max(seq), 0) FROM changes")
        rows = ledger.execute("SELECT id, symbol, quantity FROM positions WHERE status = 'open'").fetchall()
        if rows:
            row_id, symbol, quantity = self._random.choice(rows)
            if symbol in SHARED:
                ledger.execute(UPSERT, (symbol, str(self._random.randint(1, 9))))
            else:
                ledger.execute("UPDATE positions SET quantity = ? WHERE id = ?", (f"{Decimal(quantity) + 7:f}", row_id))
        [[after]] = ledger.execute("SELECT coalesce(max(seq), 0) FROM changes")
        ledger.execute("COMMIT")
        self.committed.update(range(before + 1, after + 1))


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The ledger as it is at one moment."""
    with bot(path) as ledger:
        ledger.execute("BEGIN")
        yield ledger


async def trade(simulator: Simulator, random: Random) -> None:
    """Change the account all the time: quantities, sides, positions that come and go."""
    account = simulator.account()
    while True:
        for symbol in random.sample(list(ACCOUNT.positions), 4):
            side = 1 if symbol in SHARED else random.choice((1, 1, 1, -1))
            now = account.positions[symbol].qty if symbol in account.positions else 0
            simulator.do("silent", symbol=symbol, qty=random.choice((0, 1, 2, 3, 50, 999)) * side - now)
        await asyncio.sleep(random.uniform(0.02, 0.1))


def check(path: Path, said: Sequence[Mapping[str, Any]], platform: set[int]) -> None:
    """Everything that must hold of a ledger whenever it is looked at.

    `said` are the lines that recond has written about passes, `platform` the changes that the platform has committed.
    """
    with reading(path) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        runs = rows(ledger, "SELECT * FROM runs")
        drifts = rows(ledger, "SELECT * FROM drifts")
        corrections = rows(ledger, "SELECT * FROM corrections")
        changes = rows(ledger, "SELECT * FROM changes ORDER BY seq")
        positions = rows(ledger, "SELECT * FROM positions")
        conflicts = rows(ledger, "SELECT * FROM conflicts")
        baselines = rows(ledger, "SELECT * FROM baselines")
        leftovers = ledger.execute("SELECT count(*) FROM being_written").fetchall()
    assert leftovers == [(0,)]
    assert {change["seq"] for change in changes if change["correction_id"] is None} == platform
    check_corrections(corrections, changes)
    check_replay(changes, positions)
    check_runs(runs, drifts, corrections, conflicts, baselines)
    recorded = {run["id"]: run for run in runs}
    made = Counter(correction["run_id"] for correction in corrections)
    for line in said:
        run = recorded[line["run"]]
        assert (run["status"], run["added"], run["removed"]) == (line["status"], line["added"], line["removed"])
        assert made[run["id"]] == line["corrections"]


def rows(ledger: sqlite3.Connection, sql: str) -> Rows:
    """The rows by column."""
    cursor = ledger.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def check_corrections(corrections: Rows, changes: Rows) -> None:
    """Each correction is one change of a row, and each change by recond is a correction."""
    columns = ("position_id", "version", "account", "symbol", "strategy_id", "before", "after", "at")
    by_recond = [change for change in changes if change["correction_id"] is not None]
    assert len(by_recond) == len(corrections)
    made = {change["correction_id"]: change for change in by_recond}
    for correction in corrections:
        change = made[correction["id"]]
        assert [change[column] for column in columns] == [correction[column] for column in columns]


def check_replay(changes: Rows, positions: Rows) -> None:
    """The changes, one after the other, lead to the positions as they are."""
    quantities: dict[int, Decimal] = {}
    versions: Counter[int] = Counter()
    for change in changes:
        row = change["position_id"]
        assert quantities.get(row, Decimal(0)) == Decimal(change["before"]), change
        versions[row] += 1
        assert change["version"] == versions[row], change
        quantities[row] = Decimal(change["after"])
    for position in positions:
        assert Decimal(position["quantity"]) == quantities[position["id"]], position
        assert position["version"] == versions[position["id"]], position
        assert (position["status"] == "closed") == (quantities[position["id"]] == 0), position
    assert len(positions) == len(quantities)


def check_runs(runs: Rows, drifts: Rows, corrections: Rows, conflicts: Rows, baselines: Rows) -> None:
    """A run has all that it counts, and nothing belongs to a run that is not there."""
    assert {row["run_id"] for row in (*drifts, *corrections)} <= {run["id"] for run in runs}
    moved: dict[tuple[int, str], Decimal] = {}
    # A baseline has the broker's time of the reading, which is known to within a second.
    read = {run["id"]: datetime.fromisoformat(run["started_at"]) - timedelta(seconds=1) for run in runs}
    latest: dict[str, datetime] = {}
    for correction in corrections:
        key = correction["run_id"], correction["symbol"]
        moved[key] = moved.get(key, Decimal(0)) + Decimal(correction["after"]) - Decimal(correction["before"])
        latest[correction["symbol"]] = read[correction["run_id"]]
    counted: Counter[tuple[int, str]] = Counter()
    for drift in drifts:
        difference = Decimal(drift["broker_quantity"]) - Decimal(drift["ledger_quantity"])
        corrected = moved.pop((drift["run_id"], drift["symbol"]), None)
        assert corrected == (difference if drift["resolution"] == "use_broker" else None), drift
        if corrected is not None:
            counted[drift["run_id"], drift["kind"]] += 1
    assert not moved, "corrections without a drift"
    for run in runs:
        assert run["added"] == counted[run["id"], "missing_in_ledger"], run
        assert run["removed"] == counted[run["id"], "missing_at_broker"], run
    assert sum(run["conflicts"] for run in runs) == sum(conflict["sightings"] for conflict in conflicts)
    agreed = {baseline["symbol"]: datetime.fromisoformat(baseline["at"]) for baseline in baselines}
    assert all(agreed[symbol] >= at for symbol, at in latest.items())


async def moment(simulator: Simulator, daemon: Forked, random: Random) -> bool:
    """Wait for a moment to kill at: any, or one after a pass has begun; returns whether it is within a pass."""
    if random.random() < 0.3:
        await asyncio.sleep(random.uniform(0, 0.6))
        return False
    simulator.fault("positions", "lag", seconds=0, count=1)  # only to see that positions have been asked for
    await until(lambda: not simulator.faults.active())
    told = len(daemon.said())
    await asyncio.sleep(random.uniform(0, 0.05))
    return len(daemon.said()) == told


@pytest.mark.timeout(60 + 10 * KILLS)
async def test_killed_at_random_moments(tmp_path: Path) -> None:
    """After each SIGKILL the next start finds a sound ledger, no half-recorded run, and every change accounted for."""
    random = Random(SEED)
    platform: set[int] = set()
    within, corrected = 0, 0
    async with Simulator(scenario=ACCOUNT, rate_limit=10_000_000) as simulator:
        setting = Setting(tmp_path, simulator, daemon=TIMES)
        daemon = Forked(setting)
        trading = asyncio.create_task(trade(simulator, random))
        try:
            await daemon.start()
            await until(lambda: any(run["corrections"] for run in daemon.said()))
            for kill in range(KILLS):
                with Bot(setting.path, random) as its_bot:
                    within += await moment(simulator, daemon, random)
                    if kill % 2:
                        its_bot.stop()  # then nobody is left who has the ledger open
                    await daemon.kill()
                    said = daemon.said()
                    await daemon.start()
                    await until(daemon.said)
                assert its_bot.failed == []
                platform |= its_bot.committed
                check(setting.path, said, platform)
                corrected += sum(run["corrections"] > 0 for run in said)
            trading.cancel()
            await until(lambda: daemon.said()[-1]["status"] == "success")
        finally:
            trading.cancel()
            daemon.end()
        check(setting.path, daemon.said(), platform)
        assert whole_book(setting.path) == held(simulator)
    print(f"{KILLS} kills, {within} or more within a pass; {corrected} passes had corrected something")  # noqa: T201


def whole_book(ledger: Path) -> dict[str, Decimal]:
    """Symbol → quantity over all strategies."""
    with bot(ledger) as platform:
        found = platform.execute("SELECT symbol, quantity FROM positions WHERE status = 'open'").fetchall()
    return {symbol: sum(Decimal(q) for name, q in found if name == symbol) for symbol, _ in found}  # type: ignore[misc]
