"""The stream port over Alpaca's `trade_updates` websocket: connect, authenticate, listen, notice when it is dead.

Owns the one connection, the deadline of each step, the pings, and what each way to fail means to the port.
May not try again, let the library's errors through, or show the keys: its errors and its debug log hold what was
sent and what the server echoed, so errors are retold here and its logger is off.

The library stops reading the socket while 16 frames wait to be taken, so that a flood waits at the server. Pongs wait
with it: whoever takes no event for `ping_timeout_s` may lose the connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from itertools import count
from typing import NoReturn
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidProxy, InvalidStatus, WebSocketException
from websockets.frames import CloseCode

from recond.alpaca.updates import TRADE_UPDATES, Authorization, Failure, Listening, Message, message_of
from recond.ports import BrokerBusy, BrokerRefused, BrokerUnavailable, StreamEvent

_MESSAGE_BYTES_MAX = 1 << 20  # an order of four legs takes 6,000
_EARLY_MAX = 10_000
_CLOSE_TIMEOUT_S = 1.0
_BREATH = 16  # messages that are there already are handed over without the event loop coming round; a fill takes 0.1 ms
_AGAIN = "recond connects again by itself"
_TAKEN = "Alpaca allows one stream per account: switch this one off (`stream = false`) if the platform needs it"


class AlpacaStream:
    """The stream of one account; implements `recond.ports.Stream`.

    `connect_timeout_s` bounds the way to the upgraded connection, `ack_timeout_s` each of the two answers. A peer
    that is gone without a word is noticed after `ping_interval_s + ping_timeout_s` and one second for closing.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        url: str,
        connect_timeout_s: float = 10.0,
        ack_timeout_s: float = 10.0,
        ping_interval_s: float = 15.0,
        ping_timeout_s: float = 10.0,
    ) -> None:
        self._key = key
        self._secret = secret
        self._url = url
        self._connect_timeout_s = connect_timeout_s
        self._ack_timeout_s = ack_timeout_s
        self._ping_interval_s = ping_interval_s
        self._ping_timeout_s = ping_timeout_s

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        """Connect, authenticate, listen; leaving takes two seconds at most, whatever the server does."""
        websocket = await self._open()
        try:
            early = await self._listen(websocket)
            async with aclosing(self._events(websocket, early)) as events:
                yield events
        finally:
            await _close(websocket)

    async def _open(self) -> ClientConnection:
        silent = logging.Logger("websockets")  # noqa: LOG001 - one of `getLogger` could be switched on from outside
        silent.disabled = True
        opening = connect(
            self._url,
            compression=None,
            open_timeout=self._connect_timeout_s,
            ping_interval=self._ping_interval_s,
            ping_timeout=self._ping_timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            max_size=_MESSAGE_BYTES_MAX,
            logger=silent,
        )
        try:
            websocket = await opening
        except InvalidStatus as error:
            self._rejected(error.response.status_code)
        except TimeoutError:
            self._fail(f"no connection within {self._connect_timeout_s:g} s", "is the network, or a proxy, in order?")
        except InvalidProxy as error:  # its text names the proxy, password included
            self._fail(f"the proxy that the environment names cannot be used ({error.msg})", "see HTTPS_PROXY")
        except (OSError, WebSocketException, ImportError) as error:
            self._fail(f"no connection ({type(error).__name__}: {error})", "is the address, the network in order?")
        except (ValueError, EOFError) as error:  # their text may be a part of an address with a password
            self._fail(f"no connection ({type(error).__name__})", "is the address right, of the stream and of a proxy?")
        if opening.uri != self._url:
            websocket.transport.abort()
            self._fail("redirected to another address, which gets no keys", "is the address of the stream right?")
        return websocket

    async def _listen(self, websocket: ClientConnection) -> list[StreamEvent]:
        """Authenticate and subscribe; returns the events that came before the server confirmed it."""
        early: list[StreamEvent] = []
        keys = {"action": "auth", "key": self._key, "secret": self._secret}
        await self._ask(websocket, keys, Authorization, early)
        await self._ask(websocket, {"action": "listen", "data": {"streams": [TRADE_UPDATES]}}, Listening, early)
        return early

    async def _ask(
        self,
        websocket: ClientConnection,
        request: Mapping[str, object],
        answer: type[Authorization | Listening],
        early: list[StreamEvent],
    ) -> None:
        try:
            async with asyncio.timeout(self._ack_timeout_s):
                await websocket.send(json.dumps(request))
                while not isinstance(message := await self._receive(websocket), answer):
                    if isinstance(message, StreamEvent):
                        early.append(message)
                    if len(early) > _EARLY_MAX:
                        self._fail(f"{_EARLY_MAX} messages before the answer to {request['action']!r}", _AGAIN)
        except TimeoutError:
            self._fail(f"no answer to {request['action']!r} within {self._ack_timeout_s:g} s", _AGAIN)
        except ConnectionClosed as error:
            self._lost(error)

    async def _events(self, websocket: ClientConnection, early: list[StreamEvent]) -> AsyncGenerator[StreamEvent, None]:
        for event in early:
            yield event
        try:
            for number in count(1):
                message = await self._receive(websocket)
                if isinstance(message, StreamEvent):
                    yield message
                if number % _BREATH == 0:
                    await asyncio.sleep(0)
        except ConnectionClosed as error:
            if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
                yield StreamEvent("garbage", movement=True)
            self._lost(error)

    async def _receive(self, websocket: ClientConnection) -> Message:
        # As bytes: a text frame that is no UTF-8 would end the connection, and here it is garbage like any other.
        message = message_of(await websocket.recv(decode=False))
        match message:
            case Authorization(granted=False, text=text):
                raise BrokerRefused(
                    self._about(f"the broker refuses the keys ({text})"),
                    hint="the keys are wrong, revoked (a paper reset does that too), or not of this environment",
                )
            case Listening(granted=False):
                self._fail(f"the server does not grant {TRADE_UPDATES}", "may this account trade at all?")
            case Failure(text=text) if "connection limit" in text.lower():
                raise BrokerBusy(self._about(f"the server says {text!r}"), hint=_TAKEN)
            case Failure(text=text):
                self._fail(f"the server says {text!r}", _AGAIN)
        return message

    def _rejected(self, status: int) -> NoReturn:
        problem = f"the upgrade was answered with HTTP {status}"
        if status == 429:
            raise BrokerBusy(self._about(problem), hint=_TAKEN) from None
        self._fail(problem, "is the address of the stream right, is the broker in maintenance, is a proxy in between?")

    def _lost(self, error: ConnectionClosed) -> NoReturn:
        ended, said = error.rcvd, error.sent
        if said is not None and not error.rcvd_then_sent:
            self._fail(f"the connection was given up ({said.reason or said.code})", _AGAIN)
        by = "without a word" if ended is None else f"with code {ended.code} {ended.reason}".rstrip()
        self._fail(f"the connection ended {by}", _AGAIN)

    def _fail(self, problem: str, hint: str) -> NoReturn:
        raise BrokerUnavailable(self._about(problem), hint=hint) from None

    def _about(self, problem: str) -> str:
        """The problem with its place, without the keys: a server may echo what it got."""
        for secret in (self._key, self._secret):
            problem = problem.replace(secret, "***")
        return f"stream of {urlsplit(self._url).hostname}: {ascii(problem[:300])[1:-1]}"


async def _close(websocket: ClientConnection) -> None:
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S + 0.5):
            await websocket.close()
    except TimeoutError:
        return
    finally:
        websocket.transport.abort()
