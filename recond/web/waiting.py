"""Keeping a client waiting for what takes a while.

Owns that a wait ends with the client or with recond.
May not know what is waited for. One that stops waiting stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request, Response

from recond.web.answers import Refused

MAX_WAIT_S = 300

T = TypeVar("T")


class Gone(Exception):
    """The client has closed the connection; there is nobody to answer."""


def to_nobody() -> Response:
    """The answer that nobody reads."""
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def unless_ended(work: Coroutine[Any, Any, T], request: Request, stopping: asyncio.Event) -> T:
    """The result of `work`. Raises `Gone` when the client went away first, `Refused` (503) when recond stops."""
    answer, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((answer, gone, stop), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if gone.done():
            raise Gone
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "recond is stopping", hint="Ask again when it runs.")
    finally:
        for task in (answer, gone, stop):
            task.cancel()
        await asyncio.gather(answer, gone, stop, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection; what it still sends is not looked at."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
