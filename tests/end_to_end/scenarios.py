"""What happens to an account, and what recond has to make of it: one account for each row of the table.

Owns the playing of all scenarios at once: one simulated Alpaca, one real daemon, an account for each. What a scenario
does goes through the simulator's control and through plain SQL, as a platform writes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from recond.simulator import Scenario, Simulator
from tests.end_to_end.process import Daemon, Setting, bot

D = Decimal
STRATEGIES = ("mean", "trend", "slow")
PRICES = {
    "AAPL": D(100),
    "MSFT": D(50),
    "NEWCO": D(20),
    "BTCUSD": D(50000),
    "AAPL300118C00090000": D(12),
    "AAPL300118P00090000": D(8),
}
JUDGED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Playing(Setting):
    """One daemon for all accounts, with the three strategies' prefixes, in times that make a scenario take seconds."""

    policies: Mapping[str, str] = field(default_factory=dict)
    streaming: tuple[str, ...] = ()

    def write(self) -> Path:
        """The configuration as a file."""
        path = super().write()
        text = path.read_text()
        prefixes = ", ".join(f'{name} = "{name}-"' for name in STRATEGIES)
        for name in self.accounts:
            more = f"strategies = {{ {prefixes} }}"
            if name in self.policies:
                more += f"\npolicy = {{ {self.policies[name]} }}"
            account = f'name = "{name}"\n'
            begin = text.index(account)
            head, tail = text[:begin], text[begin + len(account) :]
            if name in self.streaming:
                assert self.simulator is not None
                tail = tail.replace("stream = false", f'stream = true\nstream_url = "{self.simulator.stream_url}"', 1)
            text = f"{head}{account}{more}\n{tail}"
        path.write_text(text)
        return path


@dataclass
class Stage:
    """One account: its broker, its rows, and what recond says of it."""

    name: str
    simulator: Simulator
    daemon: Daemon
    orders: int = 0

    def do(self, operation: str, **arguments: object) -> Any:
        """Make something happen at the broker."""
        return self.simulator.do(operation, account=self.name, **arguments)

    def trade(
        self, symbol: str, quantity: str | int | Decimal, strategy: str | None, price: str | int | None = None
    ) -> None:
        """An order of a strategy, or of somebody else, filled at once; nobody books it."""
        self.orders += 1
        moved = D(quantity)
        self.do(
            "trade",
            symbol=symbol,
            side="buy" if moved > 0 else "sell",
            qty=abs(moved),
            price=None if price is None else D(price),
            client_order_id=f"{strategy or 'app'}-{self.name}-{self.orders}",
        )

    def book(self, symbol: str, quantity: str | int | Decimal, strategy: str | None) -> None:
        """The platform adds so much to its row."""
        with bot(self.daemon.ledger) as ledger:
            ledger.execute("BEGIN IMMEDIATE")
            found = ledger.execute(
                "SELECT id, quantity FROM positions WHERE account = ? AND symbol = ? AND strategy_id IS ?"
                " AND status = 'open'",
                (self.name, symbol, strategy),
            ).fetchone()
            if found is None:
                ledger.execute(
                    "INSERT INTO positions (account, symbol, strategy_id, quantity, entry_price)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (self.name, symbol, strategy, f"{D(quantity):f}", f"{PRICES.get(symbol, D(10)):f}"),
                )
            else:
                row, held = found
                ledger.execute("UPDATE positions SET quantity = ? WHERE id = ?", (f"{D(held) + D(quantity):f}", row))
            ledger.execute("COMMIT")

    def bought(self, symbol: str, quantity: str | int | Decimal, strategy: str | None = "mean") -> None:
        """A strategy's order, filled and booked."""
        self.trade(symbol, quantity, strategy)
        held = self.simulator.account(self.name).positions[symbol].qty if symbol.endswith("USD") else D(quantity)
        self.book(symbol, held if symbol.endswith("USD") else quantity, strategy)

    async def settled(self, what: str = "agreement") -> None:
        """Wait until recond has judged everything and finds nothing open."""

        async def good() -> bool:
            answer = await self.daemon.reconcile(account=self.name, wait=5)
            return bool(answer["status"] == "success")

        await self.until(good, what)

    async def until(self, good: Callable[[], Awaitable[bool]], what: str) -> None:
        """Ask again until it is so."""
        try:
            async with asyncio.timeout(JUDGED_WITHIN_S):
                while not await good():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            answer = await self.daemon.reconcile(account=self.name, wait=0)
            seen = f"it found {await self.drifts()} and says {answer}"
            raise AssertionError(f"{self.name}: waited {JUDGED_WITHIN_S:g} s for {what}; {seen}") from None

    async def accept_differences(self, count: int) -> None:
        """An operator lets the ledger stand in all of the open conflicts, which are so many."""
        conflicts = (await self.daemon.get("/api/conflicts", account=self.name, status="open"))["items"]
        assert len(conflicts) == count
        for conflict in conflicts:
            body = {"resolution": "use_db", "by": "ann", "note": "my own"}
            async with self.daemon.session.post(f"/api/conflicts/{conflict['id']}/resolve", json=body) as answer:
                assert answer.status == 200, await answer.text()

    async def drifts(self) -> list[dict[str, Any]]:
        """What was confirmed, oldest first."""
        with bot(self.daemon.ledger) as ledger:
            rows = ledger.execute(
                "SELECT symbol, kind, cause, resolution, explanation FROM drifts WHERE account = ? ORDER BY id",
                (self.name,),
            ).fetchall()
        return [dict(zip(("symbol", "kind", "cause", "resolution", "explanation"), row, strict=True)) for row in rows]

    async def found(self, *causes: str) -> None:
        """Wait until drifts of these causes are confirmed."""

        async def good() -> bool:
            await self.daemon.reconcile(account=self.name, wait=2)
            return set(causes) <= {drift["cause"] for drift in await self.drifts()}

        await self.until(good, f"drifts of {', '.join(causes)}")

    def rows(self) -> dict[tuple[str, str | None], Decimal]:
        """The open rows: symbol and strategy → quantity."""
        with bot(self.daemon.ledger) as ledger:
            rows = ledger.execute(
                "SELECT symbol, strategy_id, quantity FROM positions WHERE account = ? AND status = 'open'",
                (self.name,),
            ).fetchall()
        return {(symbol, strategy): D(quantity) for symbol, strategy, quantity in rows}

    def entries(self) -> dict[tuple[str, str | None], Decimal]:
        """The open rows: symbol and strategy → entry price."""
        with bot(self.daemon.ledger) as ledger:
            rows = ledger.execute(
                "SELECT symbol, strategy_id, entry_price FROM positions WHERE account = ? AND status = 'open'",
                (self.name,),
            ).fetchall()
        return {(symbol, strategy): D(price or 0) for symbol, strategy, price in rows}

    def explained_later(self) -> list[str]:
        """The causes that later evidence gave to corrections."""
        with bot(self.daemon.ledger) as ledger:
            return [
                cause
                for (cause,) in ledger.execute(
                    "SELECT e.cause FROM explanations AS e JOIN corrections AS c ON c.id = e.correction_id"
                    " WHERE c.account = ? ORDER BY e.id",
                    (self.name,),
                )
            ]

    async def gate(self, symbol: str | None = None) -> str:
        """May it be traded."""
        query = {"account": self.name} | ({"symbol": symbol} if symbol else {})
        return str((await self.daemon.get("/api/gate", **query))["state"])


Play = Callable[[Stage], Awaitable[None]]


async def play(
    folder: Path,
    table: Mapping[str, Play],
    policies: Mapping[str, str],
    starts: Mapping[str, Scenario] | None = None,
    streaming: tuple[str, ...] = (),
) -> dict[str, BaseException | None]:
    """Play every scenario of the table at once; what went wrong in each, None for nothing.

    An account begins as `starts` has it, else without positions. The stream is on for those named as `streaming`, by
    default for every second one.
    """
    accounts = {**dict.fromkeys(table, Scenario(D(1_000_000), prices=PRICES)), **(starts or {})}
    async with Simulator(accounts=accounts, rate_limit=1_000_000) as simulator:
        times = {"settle": "2s", "broker_lag": "500ms", "confirm_after": "500ms", "settle_corporate": "12s"}
        names = tuple(table)
        setting = Playing(
            folder, simulator, accounts=names, daemon=times, policies=policies, streaming=streaming or names[::2]
        )
        daemon = Daemon(setting)
        try:
            await daemon.ready()

            async def one(name: str, scenario: Play) -> None:
                stage = Stage(name, simulator, daemon)
                await stage.settled("its first pass")
                await scenario(stage)

            ended = await asyncio.gather(*(one(*each) for each in table.items()), return_exceptions=True)
            assert daemon.alive, daemon.text[-5000:]
            return dict(zip(table, ended, strict=True))
        finally:
            await daemon.close()
