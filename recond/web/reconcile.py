"""The path that forces a pass and waits for what came of it.

Owns how long is waited, and for which passes.
May not run a pass: it nudges, and the result comes by way of the status. One that stops waiting stops nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from pydantic import Field

from recond.core.run import Reason, Run, RunStatus
from recond.status import Status
from recond.triggers import Triggers
from recond.web import views
from recond.web.answers import rendered
from recond.web.asked import Asked
from recond.web.shapes import DryRun, Reconciliation
from recond.web.site import Site
from recond.web.waiting import MAX_WAIT_S, Gone, to_nobody, unless_ended


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
    dry_run: bool = False
    """True: nothing is changed; the answer is what a pass would do now. `force` and `wait` mean nothing then."""


def add_paths(app: FastAPI, site: Site) -> None:
    """`GET` and `POST /api/positions/reconcile`."""

    @app.get("/api/positions/reconcile", operation_id="reconcileByGet", response_model=DryRun | Reconciliation)
    @app.post("/api/positions/reconcile", operation_id="reconcile", response_model=DryRun | Reconciliation)
    async def reconcile(asked: Annotated[Force, Query()], request: Request) -> Response:
        """Force a pass and wait for its result.

        Answered by passes that start after the request, as soon as nothing is pending any more, a pass has failed,
        or `wait` seconds have gone by; at least one pass is waited for. A failed pass is an answer with `error`.
        With `dryRun` nothing is forced, and the answer says what a pass would do.
        """
        account = site.one(asked.account, asked.user_id)
        age_s, last = site.status.success_age_s(account), site.status.accounts[account].last_run
        try:
            if asked.dry_run:
                preview = await unless_ended(site.previews[account](), request, site.stopping)
                now_s = _now_s()
                return await rendered(lambda: views.dry_run(preview, now_s))
            if not asked.force and last is not None and age_s is not None and age_s < site.status.interval_s:
                return await _answer([last], skipped=True)
            forced = _forced(site.status, site.triggers[account], account, asked.wait)
            passes = await unless_ended(forced, request, site.stopping)
        except Gone:
            return to_nobody()
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
