"""The real daemon as a child process, as its operator has it: a configuration file, keys, signals, its output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

import recond
from recond.simulator import Simulator

PATIENCE_S = 20.0
"""Any single thing a test waits for; it takes a fraction of that on an idle machine."""
RUN = (sys.executable, "-m", "recond", "run", "--config")


@dataclass(frozen=True)
class Setting:
    """A configuration: one account for each name in `accounts`, all at the simulator or at `rest_url`."""

    folder: Path
    simulator: Simulator | None = None
    rest_url: str = ""
    accounts: tuple[str | None, ...] = (None,)
    """Names of the simulator's accounts, each the name of one of recond's too; None is its first, `default`."""
    daemon: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, str] = field(default_factory=dict)
    ledger: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the ledger is."""
        return self.ledger or self.folder / "recond.db"

    def write(self) -> Path:
        """The configuration as a file."""
        times = {
            "interval": "1h",
            "settle": "200ms",
            "broker_lag": "0s",
            "confirm_after": "100ms",
            "log_format": "json",
            **self.daemon,
        }
        lines = ["[daemon]", *(f'{key} = "{value}"' for key, value in times.items())]
        lines += ["[ledger]", f'path = "{self.path}"', "[http]", 'listen = "127.0.0.1:0"']
        lines += ["[guards]", "requests_per_minute = 10000"]
        lines += ["[policy]", *(f'{key} = "{value}"' for key, value in self.policy.items())]
        url = self.rest_url or (self.simulator.rest_url if self.simulator else "http://127.0.0.1:9")
        for number, name in enumerate(self.accounts, 1):
            word = name or "default"
            lines += ["[[accounts]]", f'name = "{word}"', f"user_id = {number}", f'rest_url = "{url}"']
            lines += ["stream = false", f'key_env = "{word.upper()}_KEY"', f'secret_env = "{word.upper()}_SECRET"']
        config = self.folder / "config.toml"
        config.write_text("\n".join(lines))
        return config

    def variables(self) -> dict[str, str]:
        """The environment of the daemon: nothing of this process but where programs are."""
        keys: dict[str, str] = {}
        for name in self.accounts if self.simulator else ():
            exchange = self.simulator.exchange(name)
            word = (name or "default").upper()
            keys |= {f"{word}_KEY": exchange.key, f"{word}_SECRET": exchange.secret}
        where = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(Path(recond.__file__).parents[1])}
        return {**where, **keys, **self.environ}


class Child:
    """A child in a process group of its own; its output goes to a file."""

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str], **options: Any) -> None:
        number = len(list(folder.glob("output-*"))) + 1
        self.output = folder / f"output-{number}"
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def text(self) -> str:
        """All that it has said."""
        return self.output.read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, Any]]:
        """Its log, line by line; a line that is being written is left out."""
        whole = self.text.rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def runs(self) -> list[dict[str, Any]]:
        """The lines about passes."""
        return [line for line in self.lines() if "run" in line]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def ended(self, within_s: float = PATIENCE_S) -> int:
        """Its exit code; fails when it does not end in time."""
        await until(lambda: not self.alive, within_s, lambda: f"pid {self.pid} to end:\n{self.text}")
        return self._process.wait()

    def kill(self) -> None:
        """End it and all that it started, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Daemon(Child):
    """A running `recond run`."""

    def __init__(self, setting: Setting, **options: Any) -> None:
        super().__init__((*RUN, str(setting.write())), setting.folder, setting.variables(), **options)
        self.ledger = setting.path
        self._session: aiohttp.ClientSession | None = None

    async def ready(self) -> None:
        """Wait until it answers; fails with its output when it ends before."""
        await until(lambda: self._url() or not self.alive, what=lambda: f"an answer from recond:\n{self.text}")
        assert self._url(), f"recond ended with {self._process.wait()}:\n{self.text}"
        # A connection for each request: aiohttp does not repeat a POST when the daemon has just closed an idle one.
        self._session = aiohttp.ClientSession(self._url(), connector=aiohttp.TCPConnector(force_close=True))
        assert await self.get("/healthz") == {"status": "ok"}

    def _url(self) -> str | None:
        return next((line["url"] for line in self.lines() if "url" in line), None)

    @property
    def url(self) -> str:
        """Where it answers."""
        url = self._url()
        assert url, "not ready"
        return str(url)

    @property
    def session(self) -> aiohttp.ClientSession:
        """For requests of any kind to its address."""
        assert self._session is not None, "not ready"
        return self._session

    async def get(self, path: str, **query: str | int) -> Any:
        """The JSON that it answers."""
        async with self.session.get(path, params=query) as answer:
            return json.loads(await answer.text(), parse_float=Decimal)

    async def metrics(self) -> str:
        """The exposition."""
        async with self.session.get("/metrics") as answer:
            return await answer.text()

    async def reconcile(self, **query: str | int) -> Any:
        """Force a pass and wait for its result."""
        async with self.session.post("/api/positions/reconcile", params=query) as answer:
            assert answer.status == 200, await answer.text()
            return json.loads(await answer.text(), parse_float=Decimal)

    async def close(self) -> None:
        """End it, whatever it does."""
        self.kill()
        if self._session is not None:
            await self._session.close()


async def until(
    condition: Callable[[], object], within_s: float = PATIENCE_S, what: Callable[[], str] = lambda: "it"
) -> None:
    """Wait until the condition holds; fails after `within_s`, saying what was waited for."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline_s, f"waited {within_s:g} s for {what()}"
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def bot(ledger: Path) -> Iterator[sqlite3.Connection]:
    """A connection as a bot has it."""
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        yield connection


def book(ledger: Path) -> dict[str, Decimal]:
    """Symbol → quantity of the open positions in the ledger."""
    with bot(ledger) as connection:
        rows = connection.execute("SELECT symbol, quantity FROM positions WHERE status = 'open'").fetchall()
    return {symbol: Decimal(quantity) for symbol, quantity in rows}


def held(simulator: Simulator, account: str | None = None) -> dict[str, Decimal]:
    """Symbol → quantity of what the account holds."""
    return {symbol: position.qty for symbol, position in simulator.account(account).positions.items()}
