"""A broker and a platform that behave as badly as they are known to, and the truth about both.

Owns the truth: what is held, what was booked, which drifts were made on purpose. Shares nothing with the daemon but the
values that cross its ports. Everything is drawn from one seed.
May not look at what the daemon thinks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from random import Random

from recond.core.model import (
    AccountState,
    Activities,
    Activity,
    BrokerPosition,
    Execution,
    Holdings,
    Instrument,
    Order,
)
from recond.ports import BrokerUnavailable, StreamEvent, Usage

EPOCH = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
LATE_S = 10.0
PRICE = Decimal(10)
PAGE = 100


@dataclass(frozen=True)
class Fill:
    """One execution as it really happened; `at_s` is virtual time, `told_s` when the activities have it."""

    number: int
    symbol: str
    quantity: Decimal
    at_s: float
    told_s: float
    after: Decimal


@dataclass
class Drift:
    """A difference made on purpose; `found_s` is when the daemon confirmed it, `seen_s` when it first called it one."""

    symbol: str
    kind: str
    size: Decimal
    at_s: float
    found_s: float | None = None
    seen_s: float | None = None


@dataclass
class World:
    """One account. `book` is how the platform writes to the ledger: symbol and signed quantity."""

    rng: Random
    mode: str
    book: Callable[[str, Decimal], None]
    lag_s: float = 10.0
    fills: list[Fill] = field(default_factory=list)
    truth: dict[str, list[tuple[float, Decimal]]] = field(default_factory=dict)
    shown: dict[str, float] = field(default_factory=dict)
    moved_s: dict[str, float] = field(default_factory=dict)
    drifts: list[Drift] = field(default_factory=list)
    trace: list[tuple[object, ...]] = field(default_factory=list)
    clock_wrong: timedelta = timedelta(minutes=7)
    _listeners: set[asyncio.Queue[StreamEvent | None]] = field(default_factory=set)

    # Time

    @staticmethod
    def now_s() -> float:
        return asyncio.get_running_loop().time()

    @staticmethod
    def later(delay_s: float, act: Callable[[], object]) -> None:
        """Do it after so many seconds."""
        asyncio.get_running_loop().call_later(delay_s, act)

    # What happens

    def held(self, symbol: str) -> Decimal:
        return self.truth[symbol][-1][1] if symbol in self.truth else Decimal(0)

    def hold(self, symbol: str, quantity: Decimal) -> None:
        """The broker's quantity changes, whyever."""
        self.truth.setdefault(symbol, [(-1e9, Decimal(0))]).append((self.now_s(), quantity))
        self.moved_s[symbol] = self.now_s()

    def trade(self, symbol: str, quantity: Decimal, *, booked: bool = True) -> None:
        """An execution; the platform books it late, once or in two steps, unless it is lost."""
        self.hold(symbol, self.held(symbol) + quantity)
        late = self.rng.uniform(0, LATE_S)
        fill = Fill(len(self.fills), symbol, quantity, self.now_s(), self.now_s() + late, self.held(symbol))
        self.fills.append(fill)
        self.trace.append(("fill", round(fill.at_s, 6), symbol, str(quantity)))
        if booked:
            half = Decimal(int(quantity / 2))
            parts = [quantity] if self.rng.random() < 0.8 else [half, quantity - half]
            for part in parts:
                self.later(self.rng.uniform(0, LATE_S), lambda part=part: self._book(symbol, part))  # type: ignore[misc]
        self._tell(fill)

    def _book(self, symbol: str, quantity: Decimal) -> None:
        if quantity:
            self.moved_s[symbol] = self.now_s()
            self.book(symbol, quantity)

    def _tell(self, fill: Fill) -> None:
        if self.rng.random() < (0.05 if self.mode == "lossy" else 0.0):
            return
        event = StreamEvent("fill", (self.execution(fill),), movement=True)
        copies = 2 if self.rng.random() < 0.05 else 1
        for _ in range(copies):
            self.later(self.rng.uniform(0, 2.0), lambda: self._send(event))
        self.later(0.0, lambda: self._send(StreamEvent("new")))

    def _send(self, event: StreamEvent | None) -> None:
        for queue in self._listeners:
            queue.put_nowait(event)

    def drift(self, symbol: str, kind: str) -> None:
        """Make a true difference."""
        size = Decimal(self.rng.randint(1, 9) * self.rng.choice((1, 1, 10)))
        held = self.held(symbol)
        match kind:
            case "lost booking" | "manual trade":
                self.trade(symbol, size, booked=False)
            case "phantom booking":
                self._book(symbol, size)
            case "external close" if held:
                size = -held
                self.trade(symbol, -held, booked=False)
            case "split" if held:
                size = held
                self.hold(symbol, held * 2)
            case _:
                return
        self.drifts.append(Drift(symbol, kind, size, self.now_s()))
        self.trace.append(("drift", round(self.now_s(), 6), symbol, kind, str(size)))

    def lose(self, symbol: str, quantity: Decimal) -> None:
        """An execution that the platform never books."""
        self.trade(symbol, quantity, booked=False)
        self.drifts.append(Drift(symbol, "lost booking", quantity, self.now_s()))

    def say(self, event: str) -> None:
        """An event of the stream that moves nothing."""
        self._send(StreamEvent(event))

    def outstanding(self, symbol: str) -> Drift | None:
        return next((d for d in self.drifts if d.symbol == symbol and d.found_s is None), None)

    # What is told

    def execution(self, fill: Fill) -> Execution:
        at = EPOCH + timedelta(seconds=fill.at_s)
        return Execution(
            fill.symbol,
            at,
            fill.quantity,
            f"order-{fill.number}",
            abs(fill.quantity),
            execution_id=f"e{fill.number}",
            position_quantity=fill.after,
        )

    def quantity_shown(self, symbol: str) -> Decimal:
        """The quantity some seconds ago, never older than what was shown before."""
        lag_s = self.rng.uniform(0, self.lag_s) if self.rng.random() < 0.5 else 0.0
        seen_s = max(self.shown.get(symbol, -1e9), self.now_s() - lag_s)
        self.shown[symbol] = seen_s
        return next(quantity for at_s, quantity in reversed(self.truth[symbol]) if at_s <= seen_s)


@dataclass
class SimulatedBroker:
    """The broker port over the world; fails now and then, and its clock has a grain of a second."""

    world: World
    grain_s: float = 0.0
    sent_s: list[float] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return len(self.sent_s)

    async def _request(self) -> None:
        self.sent_s.append(self.world.now_s())
        await asyncio.sleep(self.world.rng.uniform(0.02, 0.4))
        self.grain_s = self.world.rng.uniform(-0.5, 0.5)
        if self.world.rng.random() < 0.01:
            raise BrokerUnavailable("HTTP 502", hint="it passes")

    async def positions(self) -> Holdings:
        await self._request()
        world = self.world
        quantities = {symbol: world.quantity_shown(symbol) for symbol in world.truth}
        return Holdings(
            tuple(
                BrokerPosition(
                    Instrument("us_equity", symbol),
                    symbol,
                    quantity,
                    entry_price=PRICE,
                    cost_basis=PRICE * quantity,
                    price=PRICE,
                    market_value=PRICE * quantity,
                )
                for symbol, quantity in quantities.items()
                if quantity
            )
        )

    async def account(self) -> AccountState:
        await self._request()
        # As lagged as the positions were last shown, so that a flat position is borne out by the account.
        world = self.world
        held = [
            next(q for at_s, q in reversed(world.truth[symbol]) if at_s <= world.shown.get(symbol, world.now_s()))
            for symbol in world.truth
        ]
        long = sum((q * PRICE for q in held if q > 0), Decimal(0))
        short = sum((q * PRICE for q in held if q < 0), Decimal(0))
        return AccountState(
            "account",
            "ACTIVE",
            equity=Decimal(10**6),
            long_market_value=long,
            short_market_value=short,
            trading_blocked=False,
            account_blocked=False,
        )

    async def orders(self, symbols: Sequence[str], after: datetime) -> tuple[Order, ...]:
        await self._request()
        return ()

    async def order(self, order_id: str) -> Order:
        await self._request()
        raise BrokerUnavailable("HTTP 404", hint="there is no such order")

    async def activities(self, after: datetime, requests_max: int, *, bookings_only: bool = False) -> Activities:
        if bookings_only:
            await self._request()
            return Activities(())
        world, since_s = self.world, (after - EPOCH) / timedelta(seconds=1)
        recent: list[Fill] = []
        for number in range(requests_max):
            await self._request()
            told = (f for f in world.fills[-5000:] if f.told_s <= world.now_s() and f.at_s > since_s)
            recent = list(islice(told, PAGE * (number + 1)))
            if len(recent) < PAGE * (number + 1):
                break
        return Activities(
            complete=len(recent) < PAGE * requests_max,
            entries=tuple(
                Activity(
                    id=str(f.number),
                    type="FILL",
                    sub_type="fill",
                    symbol=f.symbol,
                    quantity=abs(f.quantity),
                    price=PRICE,
                    at=EPOCH + timedelta(seconds=f.at_s),
                    order_id=f"order-{f.number}",
                    side="buy" if f.quantity > 0 else "sell",
                    cum_quantity=abs(f.quantity),
                )
                for f in recent
            ),
        )

    def usage(self) -> Usage:
        return Usage(sent=self.sent)

    def broker_time(self) -> datetime | None:
        return EPOCH + timedelta(seconds=self.world.now_s() + self.grain_s) if self.sent else None


@dataclass
class SimulatedStream:
    """The stream port over the world: comes, goes, and replays nothing."""

    world: World

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        world = self.world
        await asyncio.sleep(world.rng.uniform(0.05, 1.0))
        queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
        world._listeners.add(queue)
        if world.mode == "lossy":
            world.later(world.rng.uniform(30, 600), lambda: queue.put_nowait(None))
        try:
            yield self._events(queue)
        finally:
            world._listeners.discard(queue)

    async def _events(self, queue: asyncio.Queue[StreamEvent | None]) -> AsyncIterator[StreamEvent]:
        while (event := await queue.get()) is not None:
            yield event
        raise BrokerUnavailable("the connection was lost", hint="it comes back")
