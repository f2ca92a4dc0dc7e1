"""The real daemon as a user starts it, a child process, and what it tells over its own HTTP API.

Owns the child, from start to its certain end, and the questions that the demo asks it.
May not look into the daemon in any other way, or show it the keys but in its environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")
Json = dict[str, Any]

_ASK_EVERY_S = 0.1
_STOP_WITHIN_S = 2.0
_REAPED_WITHIN_S = 0.5
_TAIL_LINES = 12
_ANSWERS = (200, 409, 503)
# What of the user's environment would make the child another daemon than the demo's.
_NOT_FOR_THE_CHILD = ("RECOND_", "ALPACA_", "APCA_", "NOTIFY_", "WATCHDOG_", "CREDENTIALS_", "JOURNAL_")
_exact = partial(json.loads, parse_float=Decimal)


class DaemonDied(Exception):
    """The child has ended by itself."""


class NotSeen(Exception):
    """What should have come did not: what was `expected`, and what was `seen` last."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; saw {seen}")
        self.expected, self.seen = expected, seen


class NoAnswer(NotSeen):
    """recond did not answer one question; it may well answer the next."""


class Recond:
    """The running child."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, session: aiohttp.ClientSession) -> None:
        self._process, self._log, self._session = process, log, session
        self.url = ""

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def started(self, within_s: float) -> None:
        """Wait until it answers; where, it says in its log. Raises `DaemonDied` or `NotSeen`."""

        async def answers() -> bool | None:
            self.url = self._told_url()
            return True if self.url and (await self.ask("/healthz"))["status"] == "ok" else None

        await self.until(answers, "recond to answer", within_s)

    async def ask(self, path: str, **query: object) -> Json:
        """The answer's JSON. Raises `NoAnswer`, or `DaemonDied` when that is why there is none."""
        return await self._request("GET", path, query, None)

    async def decide(self, path: str, body: Json) -> Json:
        """What came of an operator's decision. Raises as `ask`."""
        return await self._request("POST", path, {}, body)

    async def _request(self, method: str, path: str, query: Mapping[str, object], body: Json | None) -> Json:
        params = {name: str(value) for name, value in query.items()}
        try:
            async with self._session.request(method, self.url + path, params=params, json=body) as response:
                answer: Json = await response.json(loads=_exact, content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _REAPED_WITHIN_S)
            self._alive()
            raise NoAnswer("an answer", f"none to {path} ({error or type(error).__name__})") from error
        if response.status not in _ANSWERS:
            raise NoAnswer("an answer", f"{response.status} to {path}: {answer.get('detail')}")
        return answer

    async def until(self, probe: Callable[[], Awaitable[T | None]], expected: str, within_s: float) -> T:
        """Ask again and again until `probe` gives something. Raises `DaemonDied`, or `NotSeen` when time is up."""
        seen = "no answer"
        try:
            async with asyncio.timeout(within_s):
                while True:
                    self._alive()
                    try:
                        found = await probe()
                        if found is not None:
                            return found
                        seen = _summary(await self.account()) if self.url else seen
                    except NoAnswer as error:
                        seen = error.seen
                    await asyncio.sleep(_ASK_EVERY_S)
        except TimeoutError:
            raise NotSeen(f"{expected} within {within_s:g} s", seen) from None

    async def account(self) -> Json:
        """What it knows now of the demo's account."""
        accounts = (await self.ask("/api/positions/reconciliation-status"))["accounts"]
        found: Json = accounts[0]
        return found

    async def run(self, number: int) -> Json:
        """A recorded pass with its drifts and corrections."""
        return await self.ask(f"/api/runs/{number}")

    async def gate(self, symbol: str | None = None) -> Json:
        """May a bot trade."""
        return await self.ask("/api/gate", **({"symbol": symbol} if symbol else {}))

    async def listed(self, what: str, **query: object) -> list[Json]:
        """The newest rows of a listing."""
        rows: list[Json] = (await self.ask(f"/api/{what}", **{"limit": 100, **query}))["items"]
        return rows

    async def ledger(self) -> dict[str, Decimal]:
        """The ledger's open positions: symbol to signed quantity, summed over strategies."""
        book: dict[str, Decimal] = {}
        for row in await self.listed("positions", status="open"):
            book[row["symbol"]] = book.get(row["symbol"], Decimal(0)) + Decimal(row["quantity"])
        return book

    def tail(self) -> list[str]:
        """The last lines of its log."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]

    def _alive(self) -> None:
        """Raise `DaemonDied` if the child has ended."""
        if self._process.returncode is not None:
            raise DaemonDied(f"Process {self.pid} ended with {self._process.returncode}")

    def _told_url(self) -> str:
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and "url" in entry:
                return str(entry["url"])
        return ""

    async def end(self) -> None:
        """Have it end as an operator would, by force if it takes too long."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_WITHIN_S)
            except TimeoutError:
                self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def recond_running(
    config: Path, log: Path, keys: tuple[str, str], session: aiohttp.ClientSession
) -> AsyncIterator[Recond]:
    """`recond run --config CONFIG`, gone when the context is left. It gets no Ctrl-C but from here."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "recond", "run", "--config", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=_environment(os.environ, keys),
            start_new_session=True,
        )
    finally:
        os.close(out)
    recond = Recond(process, log, session)
    try:
        yield recond
    finally:
        await recond.end()


def moment(text: str) -> datetime:
    """A time of the API."""
    return datetime.fromisoformat(text).astimezone(UTC)


def began(run: Json) -> datetime:
    """When a pass of the status began."""
    return moment(run["timestamp"]) - timedelta(milliseconds=run["durationMs"])


def _environment(environ: Mapping[str, str], keys: tuple[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if not name.startswith(_NOT_FOR_THE_CHILD)}
    direct = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return {**kept, **direct, "ALPACA_API_KEY": keys[0], "ALPACA_SECRET_KEY": keys[1]}


def _summary(account: Json) -> str:
    run = account["lastRun"]
    if run is None:
        return "no pass yet"
    why = f", error {run['error']['message']!r}" if run["error"] else ""
    pending = ", ".join(p["symbol"] for p in account["pending"]) or "none"
    return f"run {run['runId']} {run['status']}{why}, pending {pending}, gate {account['gate']['state']}"
