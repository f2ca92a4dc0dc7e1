"""The `trade_updates` websocket: authentication, listening, one connection per account, and its faults.

Owns the frames, the slot of each account and everything that can go wrong on this socket. An event without a
listener is lost, as at Alpaca; the last 1,000 events per account are kept for the fault `replay`.
May not change an account.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from aiohttp import WSMsgType, web

from recond.simulator.exchange import Exchange, Timers
from recond.simulator.faults import Fault, Faults
from recond.simulator.records import Order, OrderRequest, TradeUpdate
from recond.simulator.wire import update_json

TRADE_UPDATES = "trade_updates"
_KEPT_EVENTS = 1000
_MOST_QUEUED = 200_000  # frames to one client; a slower one is cut off
_DEPRECATED = (
    "this authentication format is being deprecated. Please use the format: "
    '{"action": "auth", "key": "x", "secret": "x"}'
)


class Connection:
    """One socket. `exchange` is set once authorized; `mute` means that nothing passes any more."""

    def __init__(self, request: web.Request, websocket: web.WebSocketResponse) -> None:
        self.request = request
        self.websocket = websocket
        self.exchange: Exchange | None = None
        self.refused = False
        self.listening = False
        self.mute = False
        self.held: bytes | None = None  # an event waiting to be overtaken
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_QUEUED)

    def send(self, frame: Mapping[str, Any] | bytes) -> None:
        """Queue a frame; one that does not fit cuts the client off."""
        if self.mute:
            return
        try:
            self._frames.put_nowait(frame if isinstance(frame, bytes) else json.dumps(frame).encode())
        except asyncio.QueueFull:
            self.cut()

    def finish(self) -> None:
        """Close once everything queued is sent."""
        try:
            self._frames.put_nowait(None)
        except asyncio.QueueFull:
            self.cut()

    def cut(self) -> None:
        """End the connection without a close frame."""
        if self.request.transport is not None:
            self.request.transport.abort()

    async def pump(self) -> None:
        """Write what is queued until `finish`; ends early when the client is gone."""
        with contextlib.suppress(ConnectionError):
            while (frame := await self._frames.get()) is not None:
                if not self.mute:
                    await self.websocket.send_bytes(frame)
            await self.websocket.close()


class Stream:
    """Serves `/stream`. `by_key` finds an account; `accounts` says how many slots there are."""

    def __init__(
        self,
        by_key: Callable[[str], Exchange | None],
        accounts: Callable[[], int],
        faults: Faults,
        timers: Timers,
        rng: Random,
    ) -> None:
        self._by_key = by_key
        self._accounts = accounts
        self._faults = faults
        self._timers = timers
        self._rng = rng
        self._connections: list[Connection] = []
        self._lingering: list[str | None] = []
        self._events: dict[str, deque[bytes]] = {}
        self._floods: set[asyncio.Task[None]] = set()

    def connected(self, name: str) -> bool:
        """Whether somebody listens to this account."""
        return any(
            connection.listening and connection.exchange is not None and connection.exchange.name == name
            for connection in self._connections
        )

    async def close(self) -> None:
        """End every connection and flood; a muted one without a word."""
        for task in self._floods:
            task.cancel()
        for connection in self._connections:
            if connection.mute:
                connection.cut()
        await asyncio.gather(*(c.websocket.close(code=1001) for c in self._connections if not c.mute))

    # One connection

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handle an upgrade: 429 while the account's slot is taken, else talk until the client goes."""
        exchange = self._by_key(request.headers.get("APCA-API-KEY-ID", ""))
        name = exchange.name if exchange else None
        if self._full(name) or self._faults.take("stream", name, "refuse"):
            return web.Response(status=429, text="too many connections")
        websocket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, timeout=1.0)
        await websocket.prepare(request)
        connection = Connection(request, websocket)
        self._connections.append(connection)
        pump = asyncio.create_task(connection.pump())
        try:
            await self._talk(connection)
        finally:
            pump.cancel()
            self._connections.remove(connection)
            self._linger(connection)
        return websocket

    def _full(self, name: str | None) -> bool:
        """Whether no slot is free: of the named account, or, as the key comes only later, of any."""
        if name is not None and self._taken(name):
            return True
        waiting = sum(1 for c in self._connections if not c.refused)
        return waiting + len(self._lingering) >= self._accounts()

    def _taken(self, name: str) -> bool:
        held = [c.exchange.name for c in self._connections if c.exchange is not None]
        return name in held or name in self._lingering

    def _linger(self, connection: Connection) -> None:
        name = connection.exchange.name if connection.exchange else None
        for fault in self._faults.take("stream", name, "linger"):
            self._lingering.append(name)
            self._timers.after(fault.seconds, lambda: self._lingering.remove(name))

    async def _talk(self, connection: Connection) -> None:
        websocket = connection.websocket
        while True:
            message = await websocket.receive()
            if message.type in (WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return
            if connection.mute:
                if message.type == WSMsgType.CLOSE:
                    await asyncio.Event().wait()  # unanswered; cancelled when the client drops the connection
                continue
            if message.type == WSMsgType.CLOSE:
                await websocket.close()
                return
            if message.type == WSMsgType.PING:
                await websocket.pong(message.data)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._understand(connection, message.data)

    def _understand(self, connection: Connection, data: str | bytes) -> None:
        try:
            frame = json.loads(data)
            action, arguments = frame["action"], frame.get("data") or {}
            if action == "auth":
                self._authenticate(connection, frame["key"], frame["secret"], None)
            elif action == "authenticate":
                self._authenticate(connection, arguments["key_id"], arguments["secret_key"], _DEPRECATED)
            elif action == "listen":
                self._listen(connection, [str(stream) for stream in arguments["streams"]])
            else:
                _fail(connection, f"unknown action {action}")
        except (ValueError, KeyError, TypeError, AttributeError):
            _fail(connection, "invalid message")

    def _authenticate(self, connection: Connection, key: str, secret: str, message: str | None) -> None:
        exchange = self._by_key(str(key))
        name = exchange.name if exchange else None
        refuse = self._faults.take("stream", name, "unauthorized")
        if exchange is None or secret != exchange.secret or refuse:
            connection.refused = True
            connection.send(_authorization("authenticate", "unauthorized", "access key verification failed"))
            return
        if connection.exchange is None and self._taken(exchange.name):
            connection.refused = True
            _fail(connection, "connection limit exceeded")
            return
        connection.exchange = exchange
        connection.refused = False
        self._acknowledge(connection, "no_auth", "slow_auth", _authorization("authenticate", "authorized", message))

    def _listen(self, connection: Connection, streams: list[str]) -> None:
        exchange = connection.exchange
        if exchange is None:
            connection.send(_authorization("listen", "unauthorized", None))
            return
        granted = [TRADE_UPDATES] if TRADE_UPDATES in streams else []
        if self._faults.take("stream", exchange.name, "ack_without"):
            granted = []
        connection.listening = bool(granted)
        acknowledgement = {"stream": "listening", "data": {"streams": granted}}
        self._acknowledge(connection, "no_ack", "slow_ack", acknowledgement)
        for fault in self._faults.take("stream", exchange.name, "replay"):
            for frame in list(self._events.get(exchange.name, ()))[-fault.last :]:
                connection.send(frame)
        if self._faults.take("stream", exchange.name, "half_open"):
            self._timers.after(0.05, lambda: setattr(connection, "mute", True))

    def _acknowledge(self, connection: Connection, none: str, slow: str, frame: Mapping[str, Any]) -> None:
        """Send an acknowledgement unless the fault `none` is on, late when `slow` is."""
        name = connection.exchange.name if connection.exchange else None
        if self._faults.take("stream", name, none):
            return
        wait = sum(fault.seconds for fault in self._faults.take("stream", name, slow))
        self._timers.after(wait, lambda: connection.send(frame))

    # Events

    def publish(self, exchange: Exchange, update: TradeUpdate) -> None:
        """Send a trade update to whoever listens to this account, as its faults allow."""
        frame = json.dumps(update_json(update)).encode()
        self._events.setdefault(exchange.name, deque(maxlen=_KEPT_EVENTS)).append(frame)
        for connection in self._connections:
            if connection.exchange is exchange and connection.listening:
                self._pass(connection, frame)

    def _pass(self, connection: Connection, frame: bytes) -> None:
        assert connection.exchange is not None
        taken = self._faults.take("stream", connection.exchange.name, "delay", "drop", "duplicate", "reorder")
        hit = {fault.kind: fault for fault in taken if self._rng.random() < fault.chance}
        if "drop" in hit:
            return
        wait = hit["delay"].wait(self._rng) if "delay" in hit else 0.0
        for _ in range(2 if "duplicate" in hit else 1):
            self._timers.after(wait, lambda: self._emit(connection, frame, hold="reorder" in hit))

    def _emit(self, connection: Connection, frame: bytes, *, hold: bool) -> None:
        if hold and connection.held is None:
            connection.held = frame
            self._timers.after(1.0, lambda: self._release(connection, frame))
            return
        connection.send(frame)
        self._release(connection, connection.held)

    def _release(self, connection: Connection, frame: bytes | None) -> None:
        if frame is not None and connection.held is frame:
            connection.held = None
            connection.send(frame)

    # Faults that are done at once

    def disturb(self, fault: Fault) -> int:
        """Do an at-once fault to every open connection it names, or mute them; returns how many those were."""
        chosen = [c for c in self._connections if c.exchange is not None and fault.account in (None, c.exchange.name)]
        for connection in chosen:
            self._disturb(connection, fault)
        return len(chosen)

    def _disturb(self, connection: Connection, fault: Fault) -> None:
        count = fault.count or 1
        if fault.kind == "half_open":
            connection.mute = True
        elif fault.kind == "cut":
            connection.cut()
        elif fault.kind == "close":
            connection.finish()
        elif fault.kind == "error":
            _fail(connection, "internal server error")
        elif fault.kind == "flood":
            task = asyncio.create_task(self._flood(connection, fault))
            self._floods.add(task)
            task.add_done_callback(self._floods.discard)
        else:
            for _ in range(count):
                connection.send(self._odd_frame(connection, fault))

    def _odd_frame(self, connection: Connection, fault: Fault) -> bytes:
        if fault.kind == "garbage":
            return b'{"stream": "trade_updates", "data": {\xff\xfe'
        frame: dict[str, Any] = {"stream": TRADE_UPDATES, "data": None}
        if fault.kind == "unknown_stream":
            frame = {"stream": "weather_updates", "data": {"event": "rain"}}
        elif fault.kind in ("unknown_event", "huge"):
            event = "teleported" if fault.kind == "unknown_event" else "new"
            frame = self._made_up(connection, event)
        if fault.kind == "huge":
            frame["data"]["padding"] = "x" * fault.size
        return json.dumps(frame).encode()

    def _made_up(self, connection: Connection, event: str) -> dict[str, Any]:
        """A whole frame of an event about an order that nobody placed."""
        assert connection.exchange is not None
        account = connection.exchange.account
        now = account.now()
        order_id, execution_id, event_id = (str(UUID(int=self._rng.getrandbits(128), version=4)) for _ in range(3))
        order = Order(
            order_id,
            order_id,
            "AAPL",
            account.asset_id("AAPL"),
            "us_equity",
            OrderRequest("AAPL", "buy", Decimal(1)),
            status="new",
            qty=Decimal(1),
            created_at=now,
            updated_at=now,
        )
        return update_json(TradeUpdate(event, now, order, event_id, execution_id))

    async def _flood(self, connection: Connection, fault: Fault) -> None:
        """`new` events, each with ids of its own, at `rate` a second."""
        total, slice_size = fault.count or 10_000, 100
        loop = asyncio.get_running_loop()
        started = loop.time()
        for sent in range(0, total, slice_size):
            for _ in range(min(slice_size, total - sent)):
                connection.send(self._made_up(connection, "new"))
            due = started + (sent + slice_size) / fault.rate if fault.rate else 0.0
            await asyncio.sleep(max(0.0, due - loop.time()))


def _authorization(action: str, status: str, message: str | None) -> dict[str, Any]:
    data = {"action": action, "status": status}
    return {"stream": "authorization", "data": data if message is None else data | {"message": message}}


def _fail(connection: Connection, message: str) -> None:
    """An error frame, then close."""
    connection.send({"action": "error", "data": {"error_message": message}})
    connection.finish()
