"""A server over a real status, real triggers and a real ledger, whose passes the test makes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from recond.core.model import Cause, Conflict, Drift, Instrument, Kind, LedgerRow, Resolution
from recond.core.run import (
    Action,
    Correction,
    Explanation,
    Outcome,
    Pending,
    Preview,
    Problem,
    Reason,
    Run,
    RunStatus,
)
from recond.ports import Ledger
from recond.sqlite.ledger import AccountEntry, SqliteLedger
from recond.status import AccountStatus, Status
from recond.triggers import Triggers
from recond.web import WebServer

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
AAPL, COIN = Instrument("us_equity", "AAPL"), Instrument("crypto", "BTCUSD")
DEADLINE_S = 10.0


def a_run(sequence: int = 1, account: str = "swing", user_id: int = 1, **changes: Any) -> Run:
    """A pass in which everything agreed, unless changed."""
    run = Run(
        id=100 + sequence,
        account=account,
        user_id=user_id,
        sequence=sequence,
        reasons=(Reason.HTTP,),
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=sequence),
        duration_s=0.25,
        status=RunStatus.SUCCESS,
        broker_positions=3,
        db_positions=3,
        synced=3,
        total_value=Decimal("1234.50"),
    )
    return replace(run, **changes)


def a_failed_run(sequence: int = 1, **changes: Any) -> Run:
    """A pass that could not read the broker."""
    problem = Problem("positions: HTTP 502", "the broker is down")
    return a_run(
        sequence,
        status=RunStatus.FAILED,
        error=problem,
        broker_positions=None,
        db_positions=None,
        synced=0,
        total_value=None,
        **changes,
    )


def a_conflict(instrument: Instrument = AAPL, **changes: Any) -> Conflict:
    """An open conflict."""
    conflict = Conflict(
        id=7,
        instrument=instrument,
        kind=Kind.QUANTITY,
        cause=Cause.UNEXPLAINED,
        broker_quantity=Decimal(10),
        ledger_quantity=Decimal(8),
        resolution=Resolution.MANUAL,
        opened_at=NOW,
        last_seen_at=NOW,
    )
    return replace(conflict, **changes)


def a_pending(instrument: Instrument = AAPL, since_s: float = 0.0, due_s: float = 0.0) -> Pending:
    """A difference that cannot be judged yet."""
    return Pending(instrument, Kind.QUANTITY, Decimal(10), Decimal(8), since_s, due_s, "too young to judge")


async def a_preview() -> Preview:
    """A dry run that sees a difference which cannot be judged yet, and what would be done about it."""
    row = LedgerRow(1, "AAPL", None, "mean", Decimal(8), 1)
    drift = Drift(AAPL, Kind.QUANTITY, Decimal(10), Decimal(8), None, (row,))
    change = Correction(Action.SET, AAPL, row, "mean", Decimal(8), Decimal(10), Cause.MISSED_FILL)
    outcome = Outcome(drift, Explanation(Cause.MISSED_FILL, "a fill"), Resolution.USE_BROKER, (change,))
    return Preview(a_run(0, id=0, status=RunStatus.PARTIAL, pending=(a_pending(),)), (outcome,))


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; fail when it does not within `DEADLINE_S`."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Answer:
    """What came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def type(self) -> str:
        """The media type."""
        return self.headers["Content-Type"].partition(";")[0]

    @property
    def json(self) -> Any:
        """The body, numbers exact."""
        return json.loads(self.body, parse_float=Decimal)


@dataclass
class House:
    """The server and everything behind it."""

    web: WebServer
    status: Status
    triggers: dict[str, Triggers]
    client: aiohttp.ClientSession
    ledger: SqliteLedger
    taken: list[int] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.web.url.rpartition(":")[2])

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Answer:
        """One request over a socket."""
        async with asyncio.timeout(DEADLINE_S):
            async with self.client.request(method, self.web.url + path, allow_redirects=False, **options) as got:
                return Answer(got.status, dict(got.headers), await got.read())

    async def asked(self, account: str = "swing") -> None:
        """Return once a request has asked for a pass."""
        await until(lambda: Reason.HTTP in self.triggers[account].waiting)

    def make(self, *, account: str = "swing", user_id: int = 1, **changes: Any) -> Run:
        """Make one pass that starts and ends now."""
        sequence, _ = self.triggers[account].take()
        self.taken.append(sequence)
        run = a_run(sequence, account, user_id, **changes)
        self.status.record(run)
        return run

    async def answer(self, path: str, passes: Iterable[Run], method: str = "POST") -> Answer:
        """Ask for a pass; those given are made once it has been asked for, numbered as they come."""
        asking = asyncio.create_task(self.ask(path, method))
        await self.asked()
        for run in passes:
            sequence, _ = self.triggers["swing"].take()
            self.status.record(replace(run, sequence=sequence))
            # Lets the waiter see each pass on its own, as passes that do real work do.
            await asyncio.sleep(0.01)
        return await asking


@asynccontextmanager
async def house(
    folder: Path,
    *accounts: AccountStatus,
    ledger: Ledger | None = None,
    interval_s: float = 300.0,
    host: str = "127.0.0.1",
    token: str | None = None,
    hosts: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> AsyncIterator[House]:
    """A listening server; without accounts there is one, `swing`."""
    known = accounts or (AccountStatus("swing", 1, "paper"),)
    status = Status(known, interval_s=interval_s, warnings=warnings)
    triggers = {account.name: Triggers() for account in known}
    entries = [AccountEntry(account.name, account.user_id, account.environment) for account in known]
    async with (
        SqliteLedger(folder / "recond.db", entries, now=lambda: NOW) as sqlite,
        aiohttp.ClientSession() as client,
    ):
        web = WebServer(
            host,
            0,
            status=status,
            triggers=triggers,
            ledger=ledger or sqlite,
            exposition=lambda: b"recond_up 1\n",
            token=token,
            hosts=hosts,
            now=lambda: NOW,
            previews={account.name: a_preview for account in known},
        )
        async with web:
            yield House(web, status, triggers, client, sqlite)
