"""One blocking GET at a time through alpaca-py's `TradingClient`, with the deadlines that it lacks.

Owns the two private attributes of alpaca-py that this needs (`_session`, `_retry`), the headers of an answer, and
what a status code means. Every failure of the libraries ends here, as words in an `Answer`.
May not show the keys: the libraries' errors hold the request and what the server echoed, so none leaves this file.
"""

from __future__ import annotations

import json
import re
import socket
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from recond.alpaca.wire import Unusable

T = TypeVar("T")

# Routers forget connections that are idle for minutes; what is sent on a forgotten one is never answered.
_IDLE_MAX_S = 15.0
_BLANKS = re.compile(r"[ \t\n\r]*")
_REFUSED = frozenset({"401", "403"})
_HINTS = MappingProxyType(
    {
        "200": "what answered is not Alpaca's API as recond knows it; is the address right, is a proxy in between?",
        "401": "the key or the secret is wrong, or they were revoked (a paper reset does that too)",
        "403": "the key is wrong, or paper and live are mixed up",
        "404": "is the address of the API right?",
        "429": "something else uses up this account's requests; recond goes on by itself after the pause",
        "error": "is the network, the proxy, the address of the API in order?",
        "timeout": "the broker or the network is slow; recond goes on by itself",
    }
)
_HINT = "the broker has trouble; recond goes on by itself when it is over (see status.alpaca.markets)"


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What became of one request.

    `value` is what was asked for, or None with the `problem` and a `hint`. `code` is the status as text, `timeout`
    or `error`. `refused` means that trying again without an operator will not help. `limit_reset` is epoch seconds.
    """

    code: str
    value: T | None = None
    problem: str = ""
    request_id: str | None = None
    date: datetime | None = None
    limit_remaining: int | None = None
    limit_reset: int | None = None

    @property
    def refused(self) -> bool:
        """Whether only an operator can help; all other failures may pass by themselves."""
        return self.code in _REFUSED

    @property
    def hint(self) -> str:
        """What an operator can do about the problem."""
        return _HINTS.get(self.code, _HINT)


def exact_json(content: bytes) -> object:
    """The JSON value of an answer, each number a `Decimal` of its very digits (NaN where it is out of all bounds).

    A list is read row by row: ten thousand rows in one call would keep the interpreter's lock, and with it the event
    loop, for the whole time. Raises `ValueError`, or `RecursionError` when nested beyond reason.
    """
    text = content.decode("utf-8-sig")
    decoder = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_number, strict=False)
    at = _after_blanks(text, 0)
    if not text.startswith("[", at):
        value, at = decoder.raw_decode(text, at)
    else:
        value, at = [], _after_blanks(text, at + 1)
        closed = text.startswith("]", at)
        while not closed:
            row, at = decoder.raw_decode(text, at)
            value.append(row)
            at = _after_blanks(text, at)
            closed = text.startswith("]", at)
            if not closed:
                if not text.startswith(",", at):
                    raise ValueError("the list is cut off")
                at = _after_blanks(text, at + 1)
        at += 1
    if _after_blanks(text, at) != len(text):
        raise ValueError("there is more after the value")
    return value


def _after_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return at if match is None else match.end()


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


class _ExactResponse(requests.Response):
    """An answer whose numbers keep their digits."""

    def json(self, **kwargs: Any) -> Any:
        return exact_json(self.content)


class _KeysInHeaders(AuthBase):
    """Leaves a request as it is; that there is an auth at all keeps requests from reading ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Adapter(HTTPAdapter):
    """Puts the deadline on every request, keeps the answer's head, and can cut its connections."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        self._timeout = timeout
        self._connections: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        self.response: requests.Response | None = None
        super().__init__(pool_connections=1, pool_maxsize=1)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.response = super().send(request, *args, **{**kwargs, "timeout": self._timeout})
        return self.response

    def build_response(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().build_response(*args, **kwargs)
        response.__class__ = _ExactResponse
        response.encoding = "utf-8"  # else requests guesses it, which takes seconds on a long answer
        return response

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        connection_class = type(pool).ConnectionCls

        def connect(*connect_args: Any, **connect_kwargs: Any) -> HTTPConnection:
            connection: HTTPConnection = connection_class(*connect_args, **connect_kwargs)
            self._connections.add(connection)
            return connection

        pool.ConnectionCls = connect
        return pool

    def cut(self) -> None:
        """End a request that another thread waits for, as if the network had gone."""
        for connection in list(self._connections):
            if isinstance(connection.sock, socket.socket):
                with suppress(OSError):
                    # Not the method of an SSLSocket: that one would pull its state away under the other thread.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


class Rest:
    """The HTTP client of one account. One `get` at a time; `abandon` may be called from another thread meanwhile."""

    def __init__(self, key: str, secret: str, *, base_url: str, timeout_s: tuple[float, float]) -> None:
        """`timeout_s` bounds connecting and the silence between two bytes.

        Raises `ValueError` for keys that cannot be sent, `RuntimeError` when alpaca-py has changed inside.
        """
        for name, text in (("key", key), ("secret", secret)):
            if not text or not text.isascii() or not text.isprintable() or " " in text:
                raise ValueError(f"the {name} is empty, or holds blanks or letters that no Alpaca key has")
        self._keys = (key, secret)
        self._adapter = _Adapter(timeout_s)
        self._client = TradingClient(key, secret, raw_data=True, url_override=base_url.rstrip("/"))
        self._session = _take_over(self._client, self._adapter)
        self._used_s = time.monotonic()

    def get(self, path: str, params: Mapping[str, str], read: Callable[[object], T]) -> Answer[T]:
        """Send one request and have its body read; `read` may raise `Unusable`. Raises nothing itself.

        A list is emptied afterwards, row by row: ten thousand rows freed at once would keep the interpreter's lock.
        """
        if time.monotonic() - self._used_s > _IDLE_MAX_S:
            self._session.close()
        try:
            body = self._client.get(path, dict(params))
            response = self._adapter.response
            status = 0 if response is None else response.status_code
            # alpaca-py takes redirects and all 2xx for success, and an empty body for None.
            if status != 200:
                return self._answer("expected status 200")
            answer = self._answer(value=read(body))
            while isinstance(body, list) and body:
                body.pop()
            return answer
        except requests.Timeout:
            return self._answer("no answer in time", code="timeout")
        except APIError as error:
            return self._answer(_message_in(str(error)))
        except Unusable as error:
            return self._answer(str(error))
        except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
            return self._answer(f"the connection failed ({type(error).__name__}: {error})", code="error")
        except (ValueError, RecursionError) as error:
            return self._answer(f"the answer is no readable JSON ({type(error).__name__})")
        finally:
            self._adapter.response = None
            self._used_s = time.monotonic()

    def abandon(self) -> None:
        """Cut a request under way, if any, and close what is open."""
        self._adapter.cut()
        self._session.close()

    def _answer(self, problem: str = "", *, code: str | None = None, value: T | None = None) -> Answer[T]:
        response = self._adapter.response
        if response is None:
            return Answer(code or "error", problem=self._without_keys(problem))
        headers = response.headers
        return Answer(
            code=code or str(response.status_code),
            value=value,
            problem=self._without_keys(problem),
            request_id=self._without_keys(headers.get("X-Request-ID", "")) or None,
            date=_date(headers.get("Date", "")),
            limit_remaining=_count(headers.get("X-RateLimit-Remaining", "")),
            limit_reset=_count(headers.get("X-RateLimit-Reset", "")),
        )

    def _without_keys(self, text: str) -> str:
        for key in self._keys:
            text = text.replace(key, "***")
        return "".join(character for character in text[:300] if character.isprintable())


def _take_over(client: TradingClient, adapter: HTTPAdapter) -> requests.Session:
    session = getattr(client, "_session", None)
    if not isinstance(session, requests.Session) or not isinstance(getattr(client, "_retry", None), int):
        raise RuntimeError(
            f"alpaca-py {version('alpaca-py')} lacks the attributes _session and _retry that recond needs to set"
            " deadlines; install the version that recond's requirements name"
        )
    client._retry = 0  # three more tries with 3 s of sleep each would hide what the broker said
    session.auth = _KeysInHeaders()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _message_in(body: str) -> str:
    try:
        value = exact_json(body.encode())
    except (ValueError, RecursionError):
        return "the answer is no JSON"
    message = value.get("message") if isinstance(value, dict) else None
    return f"the broker says {message!r}" if isinstance(message, str) else "the answer has no message"


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return at if 2000 < at.year < 2200 else None


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) else None
