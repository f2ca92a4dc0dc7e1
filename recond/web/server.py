"""The HTTP server: a socket, the application behind it, and a quick end.

Owns the socket and the connections. Whoever enters it finds it listening; whoever leaves it finds all closed.
May not take a signal (uvicorn would), log requests, or outlive its context.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from recond.core.run import Preview
from recond.ports import Ledger
from recond.status import Status
from recond.triggers import Triggers
from recond.web.app import application
from recond.web.guard import bracketed, own_hosts
from recond.web.site import Site

GRACE_S = 1
PATIENCE_S = 10.0
CONNECTIONS_MAX = 400
_BACKLOG = 100  # as many are accepted in one turn of the loop, and it takes four turns to cut those that are too many
_EVERYWHERE = MappingProxyType({"0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104 - compared, not bound


class CannotListen(Exception):
    """The address cannot be listened on: why, and a hint what to do about it."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class WebServer:
    """Listens from `__aenter__` to `__aexit__`, on a port of the system's choice when `port` is 0.

    `exposition` gives the metrics, `now` the wall time (UTC). With a `token`, every caller must show it.
    `hosts` are further names (with port, unless it is the scheme's own) under which recond may be asked; `previews`
    tell for each account what a pass would do.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        status: Status,
        triggers: Mapping[str, Triggers],
        ledger: Ledger,
        exposition: Callable[[], bytes],
        token: str | None,
        hosts: Sequence[str],
        now: Callable[[], datetime],
        previews: Mapping[str, Callable[[], Coroutine[Any, Any, Preview]]],
    ) -> None:
        self._host, self._port = host, port
        self._token, self._hosts = token, tuple(hosts)
        self._site = Site(status, triggers, ledger, exposition, now, asyncio.Event(), previews)

    @property
    def url(self) -> str:
        """Where it answers on this machine, once entered."""
        return f"http://{bracketed(_EVERYWHERE.get(self._host, self._host))}:{self._port}"

    async def __aenter__(self) -> Self:
        """Bind, and begin to answer. Raises `CannotListen`."""
        bound = _bound(self._host, self._port)
        self._port = bound.getsockname()[1]
        hosts = own_hosts(self._host, self._port, self._hosts)
        self._server = _Uvicorn(
            uvicorn.Config(
                application(self._site, hosts=hosts, token=self._token),
                http=_Connection,
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                backlog=_BACKLOG,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._serving = asyncio.create_task(self._server.serve([bound]), name="http server")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Tell those who wait that recond stops, give them `GRACE_S`, then cut what is left."""
        self._site.stopping.set()
        self._server.should_exit = True
        await self._serving
        for connection in self._server.server_state.connections:
            connection.transport.abort()


class _Uvicorn(uvicorn.Server):
    """uvicorn, but signals are the daemon's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(H11Protocol):
    """A client's connection: cut when it sent no whole request for `PATIENCE_S`, and at once when there are too many.

    uvicorn waits for ever for the rest of a request, and a process may open 1,024 files at a time where nobody
    raised that: silent clients would leave none for the ledger and the broker.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._since_s = self.loop.time()
        self._look = self.loop.call_later(PATIENCE_S, self._lose_patience)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._since_s = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._look.cancel()
        super().connection_lost(exc)

    def _lose_patience(self) -> None:
        waits = self.cycle is None or self.cycle.response_complete
        left_s = self._since_s + PATIENCE_S - self.loop.time() if waits else PATIENCE_S
        if left_s > 0:
            self._look = self.loop.call_later(left_s, self._lose_patience)
        else:
            self.transport.abort()


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket: clients that come before the server has started wait for it."""
    listening: socket.socket | None = None
    try:
        # A name can mean several addresses; IPv4 first, since all that know IPv6 fall back to it.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        if listening is not None:
            listening.close()
        where = f"{bracketed(host)}:{port}"
        hint = (
            f"Another program listens there, perhaps another recond (`ss -ltnp 'sport = :{port}'` shows it); "
            "stop it, or choose another `listen` in [http]."
            if error.errno == errno.EADDRINUSE
            else "Choose another `listen` in [http]: an address of this machine, and a port above 1023."
        )
        raise CannotListen(f"cannot listen on {where}: {error.strerror}", hint=hint) from error
    return listening
