"""What goes over the wire: exact JSON, and problem details for everything that is an error.

Owns the rendering of numbers and times, and the translation of every error into an answer.
May not show a traceback, or write a number with an exponent or through a float.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import simplejson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from recond.ports import LedgerUnavailable, PortError
from recond.web.shapes import Problem


class ExactJson(JSONResponse):
    """JSON in which a `Decimal` keeps every digit it has."""

    def render(self, content: object) -> bytes:
        """The bytes; `content` may hold shapes, decimals and zone-aware times anywhere."""
        text = simplejson.dumps(
            content,
            use_decimal=False,
            default=_plain,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
        return text.encode()


async def rendered(content: Callable[[], object]) -> ExactJson:
    """What `content` makes, as an answer; in a thread, for ten thousand entries would hold up the event loop."""
    return await asyncio.to_thread(lambda: ExactJson(content()))


def _plain(value: object) -> object:
    match value:
        case BaseModel():
            return value.model_dump(by_alias=True)
        case Decimal():
            return simplejson.RawJSON(format(value, "f")) if value.is_finite() else None
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        case _:
            raise TypeError(f"no JSON for {type(value).__name__}")


class Refused(Exception):
    """A request that is answered with problem details instead of what it asked for."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        hint: str = "",
        errors: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        current: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.hint, self.errors, self.headers = status, detail, hint, errors, headers
        self.current = current


def problem(refused: Refused) -> ExactJson:
    """The refusal as an answer."""
    body = Problem(
        title=refused.status.phrase,
        status=refused.status,
        detail=refused.detail,
        hint=refused.hint,
        errors=refused.errors,
        current=None if refused.current is None else dict(refused.current),
    )
    return ExactJson(
        body.model_dump(by_alias=True, exclude_none=True), refused.status, refused.headers, "application/problem+json"
    )


def install(app: FastAPI) -> None:
    """Make every error of the application an answer with problem details."""

    async def refused(_: Request, error: Exception) -> ExactJson:
        assert isinstance(error, Refused)
        return problem(error)

    async def unrouted(request: Request, error: Exception) -> ExactJson:
        assert isinstance(error, HTTPException)
        return problem(_unrouted(app, request, error))

    async def invalid(_: Request, error: Exception) -> ExactJson:
        assert isinstance(error, RequestValidationError)
        errors = tuple(_fault(fault) for fault in error.errors())
        return problem(Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(errors), hint=_SEE, errors=errors))

    async def unavailable(_: Request, error: Exception) -> ExactJson:
        assert isinstance(error, PortError)
        later = isinstance(error, LedgerUnavailable)
        status = HTTPStatus.SERVICE_UNAVAILABLE if later else HTTPStatus.INTERNAL_SERVER_ERROR
        return problem(Refused(status, error.message, hint=error.hint))

    async def unexpected(_: Request, __: Exception) -> ExactJson:
        return problem(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "recond failed to answer", hint="Its log says why."))

    for kind, handler in (
        (Refused, refused),
        (HTTPException, unrouted),
        (RequestValidationError, invalid),
        (PortError, unavailable),
        (Exception, unexpected),
    ):
        app.add_exception_handler(kind, handler)


_SEE = "GET /api/openapi.json describes every path and parameter."


def _fault(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "json_invalid":
        return f"the body is not JSON: {fault['ctx']['error']}"
    name = ".".join(map(str, fault["loc"][1:])) or str(fault["loc"][0])
    return f"{name}: {'there is no such parameter' if fault['type'] == 'extra_forbidden' else fault['msg']}"


def _unrouted(app: FastAPI, request: Request, error: HTTPException) -> Refused:
    """No such path, or not with this method; then all methods of the path are named."""
    status = HTTPStatus(error.status_code)
    path = request.url.path
    if status is HTTPStatus.NOT_FOUND:
        return Refused(status, f"there is nothing at {path}", hint=_SEE)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        methods: set[str] = set()
        for route in app.routes:
            if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
                methods |= route.methods or set()
        allow = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
        detail = f"{request.method} is not possible on {path}; {allow} is"
        return Refused(status, detail, hint=_SEE, headers={"Allow": allow})
    return Refused(status, str(error.detail), hint=_SEE, headers=error.headers)
