"""The path that forces a pass and waits for what came of it.

Owns how long is waited, and for which passes.
May not run a pass: it nudges, and the result comes by way of the status. One that stops waiting stops nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from pydantic import Field

from recond.core.run import Reason, Run, RunStatus
from recond.status import Status
from recond.triggers import Triggers
from recond.web import views
from recond.web.answers import Refused, rendered
from recond.web.asked import Asked
from recond.web.shapes import Reconciliation
from recond.web.site import Site

MAX_WAIT_S = 300


class Force(Asked):
    """Which account to reconcile, and how."""

    account: str | None = None
    """Its name. Needed when there are several and `userId` does not tell."""
    user_id: int | None = None
    """The platform's number of its owner."""
    force: bool = True
    """False: no pass is made when the last success is younger than the interval."""
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_S, allow_inf_nan=False)] = 60
    """How many seconds to wait for differences that cannot be judged yet. 0: not at all."""


def add_paths(app: FastAPI, site: Site) -> None:
    """`GET` and `POST /api/positions/reconcile`."""

    @app.get("/api/positions/reconcile", operation_id="reconcileByGet", response_model=Reconciliation)
    @app.post("/api/positions/reconcile", operation_id="reconcile", response_model=Reconciliation)
    async def reconcile(asked: Annotated[Force, Query()], request: Request) -> Response:
        """Force a pass and wait for its result.

        Answered by passes that start after the request, as soon as nothing is pending any more, a pass has failed,
        or `wait` seconds have gone by; at least one pass is waited for. A failed pass is an answer with `error`.
        """
        account = site.one(asked.account, asked.user_id)
        age_s, last = site.status.success_age_s(account), site.status.accounts[account].last_run
        if not asked.force and last is not None and age_s is not None and age_s < site.status.interval_s:
            return await _answer([last], skipped=True)
        passes = await _unless_ended(
            _forced(site.status, site.triggers[account], account, asked.wait), request, site.stopping
        )
        if passes is None:
            return Response(status_code=HTTPStatus.NO_CONTENT)  # to nobody: the client has gone
        return await _answer(passes)


async def _answer(passes: Sequence[Run], *, skipped: bool = False) -> Response:
    now_s = _now_s()
    return await rendered(lambda: views.reconciliation(passes, now_s, skipped=skipped))


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _forced(status: Status, triggers: Triggers, account: str, wait_s: float) -> list[Run]:
    """The passes that answer, the oldest first; at least one."""
    deadline_s = _now_s() + wait_s
    passes = [await status.run_from(account, triggers.nudge(Reason.HTTP))]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(deadline_s):
            while passes[-1].pending and passes[-1].status is not RunStatus.FAILED:
                passes.append(await status.run_from(account, passes[-1].sequence + 1))
    return passes


async def _unless_ended(
    work: Coroutine[Any, Any, list[Run]], request: Request, stopping: asyncio.Event
) -> list[Run] | None:
    """The result of `work`, or None when the client went away first. Raises `Refused` (503) when recond stops."""
    answer, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((answer, gone, stop), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if gone.done():
            return None
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "recond is stopping", hint="Ask again when it runs.")
    finally:
        for task in (answer, gone, stop):
            task.cancel()
        await asyncio.gather(answer, gone, stop, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection; what it still sends is not looked at."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
