"""The simulated Alpaca as one server: REST, stream and control on a real socket.

Owns the accounts, the socket and the lifetime of everything in it. May not know what an operation does or how
an answer looks. Orders, executions and activities are kept while it runs, so memory grows with the trading;
nothing grows while nothing is traded.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from random import Random
from types import TracebackType
from typing import Self

from aiohttp import web

from recond.simulator.account import Account
from recond.simulator.books import utc_now
from recond.simulator.control import NAMES, Clear, ControlError, parsed, summary
from recond.simulator.exchange import Exchange, Timers, new_key
from recond.simulator.faults import Active, Fault, Faults
from recond.simulator.operations import Result
from recond.simulator.records import RefusedError, TradeUpdate
from recond.simulator.rest import Rest
from recond.simulator.scenarios import SCENARIOS, Scenario
from recond.simulator.stream import Stream

MAIN = "main"


class Simulator:
    """An async context manager that serves Alpaca while it is entered.

    `accounts` maps names to scenarios (a name from `SCENARIOS` or a `Scenario`); without it there is one,
    `main`, with `scenario`. `now` is the wall clock that answers carry; delays run on the loop's time.
    `rate_limit` is requests a minute and account. The same `seed` gives the same ids and keys.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        scenario: str | Scenario = "empty",
        accounts: Mapping[str, str | Scenario] | None = None,
        now: Callable[[], datetime] = utc_now,
        seed: int = 0,
        rate_limit: int = 200,
    ) -> None:
        self._host = host
        self._port = port
        self._scenarios = {name: _scenario(chosen) for name, chosen in (accounts or {MAIN: scenario}).items()}
        self._now = now
        self._seed = seed
        self._rate_limit = rate_limit
        self._exchanges: dict[str, Exchange] = {}
        self._timers = Timers()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.faults = Faults(loop.time)
        rng = self._random("faults")
        self._stream = Stream(self._by_key, lambda: len(self._exchanges), self.faults, self._timers, rng)
        for name, scenario in self._scenarios.items():
            self._exchanges[name] = self._exchange(name, scenario)
        app = web.Application(client_max_size=1 << 20)
        Rest(self._by_key, self.exchange, self.faults, self._now, rng).add_to(app)
        app.router.add_get("/stream", self._stream.serve)
        app.router.add_get("/control", self._show)
        app.router.add_post("/control/{name}", self._control)
        self._runner = web.AppRunner(
            app, handle_signals=False, shutdown_timeout=0.1, handler_cancellation=True, access_log=None
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timers.cancel()
        await self._stream.close()
        await self._runner.cleanup()

    def _random(self, purpose: str) -> Random:
        return Random(f"{self._seed}:{purpose}")  # noqa: S311  repeatable, guards nothing

    def _exchange(self, name: str, scenario: Scenario) -> Exchange:
        rng = self._random(name)

        def listen(update: TradeUpdate) -> None:
            self._stream.publish(exchange, update)

        exchange = Exchange(
            name,
            scenario,
            key=new_key(rng),
            secret=f"{rng.getrandbits(160):040x}",
            now=self._now,
            rng=rng,
            timers=self._timers,
            rate_limit=self._rate_limit,
            listen=listen,
        )
        return exchange

    def _by_key(self, key: str) -> Exchange | None:
        return next((exchange for exchange in self._exchanges.values() if exchange.key == key), None)

    # Where it is

    @property
    def rest_url(self) -> str:
        """Base address without /v2, as alpaca-py's `url_override` wants it."""
        return f"http://{self._host}:{self._port}"

    @property
    def stream_url(self) -> str:
        """Address of the account stream."""
        return f"ws://{self._host}:{self._port}/stream"

    @property
    def key(self) -> str:
        """Key id of the first account."""
        return self.exchange().key

    @property
    def secret(self) -> str:
        """Secret of the first account."""
        return self.exchange().secret

    def keys(self, name: str) -> tuple[str, str]:
        """Key id and secret of an account."""
        exchange = self.exchange(name)
        return exchange.key, exchange.secret

    def exchange(self, name: str | None = None, field: str = "account") -> Exchange:
        """An account in operation, by default the first. Raises ControlError about `field` when there is no such."""
        if name is None:
            return next(iter(self._exchanges.values()))
        if name not in self._exchanges:
            known = ", ".join(self._exchanges)
            raise ControlError([{"field": field, "message": f"{name!r}: expected one of {known}"}])
        return self._exchanges[name]

    def account(self, name: str | None = None) -> Account:
        """The books of an account, by default the first."""
        return self.exchange(name).account

    def stream_connected(self, name: str | None = None) -> bool:
        """Whether somebody listens to the account."""
        return self._stream.connected(self.exchange(name).name)

    # Making things happen

    def do(self, operation: str, **arguments: object) -> Result:
        """What `POST /control/{operation}` does. Raises ControlError and RefusedError."""
        order = parsed(operation, arguments)
        exchange = self.exchange(order.account)
        if isinstance(order, Fault):
            self.exchange(order.of, "of")
            return self._fault(order)
        if isinstance(order, Clear):
            return {"cleared": self.faults.clear(order.endpoint, order.account)}
        return order.run(exchange)

    def fault(self, endpoint: str, kind: str, **arguments: object) -> Result:
        """Switch a fault on; see `faults` for the kinds. Raises ControlError."""
        return self.do("fault", endpoint=endpoint, kind=kind, **arguments)

    def clear(self, endpoint: str | None = None) -> int:
        """Switch faults off, of one endpoint or all; returns how many."""
        return self.faults.clear(endpoint)

    def _fault(self, fault: Fault) -> Result:
        if fault.at_once:
            return {"connections": self._stream.disturb(fault)}
        active = self.faults.add(fault)
        if fault.endpoint == "stream" and fault.kind == "half_open":
            muted = self._stream.disturb(fault)
            active.left = None if active.left is None else max(0, active.left - muted)
        return {"id": active.id}

    # Control over HTTP

    async def _show(self, request: web.Request) -> web.Response:
        accounts = [summary(exchange, self._stream.connected) for exchange in self._exchanges.values()]
        faults = [self._shown(active) for active in self.faults.active()]
        return web.json_response({"accounts": accounts, "faults": faults, "operations": NAMES})

    @staticmethod
    def _shown(active: Active) -> Result:
        seconds = None if active.until is None else active.until - asyncio.get_running_loop().time()
        described = active.fault.model_dump(mode="json", exclude_defaults=True)
        return described | {"id": active.id, "left": active.left, "seconds_left": seconds}

    async def _control(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.text() or "{}", parse_float=Decimal)
        except json.JSONDecodeError as invalid:
            return _wrong([{"field": "body", "message": f"expected JSON: {invalid}"}])
        if not isinstance(body, dict):
            return _wrong([{"field": "body", "message": "expected a JSON object"}])
        try:
            return web.json_response(self.do(request.match_info["name"], **body))
        except ControlError as error:
            return _wrong(error.errors)
        except RefusedError as refused:
            return _wrong([{"field": "operation", "message": refused.message}])


def _wrong(errors: list[dict[str, str]]) -> web.Response:
    return web.json_response({"errors": errors}, status=422)


def _scenario(chosen: str | Scenario) -> Scenario:
    if isinstance(chosen, Scenario):
        return chosen
    if chosen not in SCENARIOS:
        raise ValueError(f"scenario {chosen!r}: expected one of {', '.join(SCENARIOS)}")
    return SCENARIOS[chosen]


async def serve(
    host: str, port: int, scenario: str, ready: Callable[[Simulator], None] = lambda simulator: None
) -> None:
    """Simulate until cancelled; `ready` is called once it listens. Raises OSError, ValueError for the scenario."""
    async with Simulator(host, port, scenario=scenario) as simulator:
        ready(simulator)
        await asyncio.Event().wait()
