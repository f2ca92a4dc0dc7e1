"""Who may ask: the check that every request passes before anything else sees it.

Owns the rules on Host, Origin, Sec-Fetch-Site, the token and the size of a body.
May not depend on what is asked for, but that /healthz needs no token.

A browser sends requests for any page that asks it to, and a name of a foreign page can be made to resolve to this
machine. So a request counts only if it names recond's own host and was not caused by another site.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recond.web.answers import Refused, problem

MAX_BODY = 64 * 1024
OPEN_PATHS = frozenset({"/healthz"})
_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


def own_hosts(host: str, port: int, further: Iterable[str]) -> frozenset[str]:
    """What a `Host` header may say, in lower case, for a server on `host` (IPv6 without brackets) and `port`."""
    names = {"localhost", "127.0.0.1", "[::1]", bracketed(host).lower()}
    own = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
    return frozenset(own | {name.lower() for name in further})


def bracketed(host: str) -> str:
    """A host as it stands in a URL."""
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


class Guard:
    """ASGI middleware: answers what is refused itself, hands the rest on, HEAD as the GET it stands for."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], token: str | None) -> None:
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        refused = self._refusal(scope["path"], Headers(scope=scope))
        if refused is not None:
            await problem(refused)(scope, receive, send_marked)
            return
        # uvicorn itself leaves out the body of an answer to HEAD.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self._app({**scope, "method": method}, receive, send_marked)

    def _refusal(self, path: str, headers: Headers) -> Refused | None:
        return _foreign(headers, self._hosts) or self._unauthorised(path, headers) or _oversized(headers)

    def _unauthorised(self, path: str, headers: Headers) -> Refused | None:
        if self._token is None or path in OPEN_PATHS:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return None
        return Refused(
            HTTPStatus.UNAUTHORIZED,
            "a token is required" if not given else "the token is not the right one",
            hint="Send the header `Authorization: Bearer TOKEN`; the command line takes it from RECOND_TOKEN.",
            headers={"WWW-Authenticate": 'Bearer realm="recond"' + (', error="invalid_token"' if given else "")},
        )


def _foreign(headers: Headers, hosts: frozenset[str]) -> Refused | None:
    """Refuse what names another host, or what a page of another site caused."""
    host = headers.get("host", "").lower()
    if host not in hosts:
        hint = f"Names are known that stand under `hosts` in [http], and {', '.join(sorted(hosts))}."
        return Refused(HTTPStatus.MISDIRECTED_REQUEST, f"the request is for {host or 'no host'!r}", hint=hint)
    origin = headers.get("origin")
    # https: a proxy in front may speak it; the host, port included, is what tells the origins apart here.
    if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
        return Refused(HTTPStatus.FORBIDDEN, f"the request comes from a page of {origin!r}", hint=_PAGES)
    site = headers.get("sec-fetch-site", "none").lower()
    if site not in ("none", "same-origin"):
        return Refused(HTTPStatus.FORBIDDEN, f"the request was caused by a page of another site ({site})", hint=_PAGES)
    return None


_PAGES = "Only recond's own pages may ask it from within a browser; type its address into the browser instead."


def _oversized(headers: Headers) -> Refused | None:
    """Refuse bodies beyond the bound, and those that do not say how long they are."""
    if "transfer-encoding" in headers:
        return Refused(HTTPStatus.LENGTH_REQUIRED, "a body must say its length", hint="Send Content-Length.")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        detail = f"the body is longer than {MAX_BODY} bytes"
        return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, hint="No request needs that much.")
    return None
