"""The paths on which an operator decides about a conflict or a hold.

Owns what an operator says, and what the answer means as an HTTP status.
May not judge it or act on it: the ledger takes it down, the next pass acts on it, and this waits for what comes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI, Query, Request, Response
from pydantic import Field

from recond.core.decide import DONE
from recond.core.model import Resolution
from recond.core.run import Reason
from recond.core.wish import Matter, Refusal, Why, Wish
from recond.ports import Collection
from recond.ports import Query as LedgerQuery
from recond.web.answers import ExactJson, Refused
from recond.web.asked import Asked
from recond.web.bodies import Line, Quantity, Said
from recond.web.listings import Id, single
from recond.web.rows import DecidedConflict, DecidedHold
from recond.web.site import Site
from recond.web.waiting import MAX_WAIT_S, Gone, to_nobody, unless_ended

_COLLECTION = MappingProxyType({Matter.CONFLICT: Collection.CONFLICTS, Matter.HOLD: Collection.HOLDS})


class Waiting(Asked):
    """How long to wait."""

    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_S, allow_inf_nan=False)] = 60
    """How many seconds to wait until something has come of the decision; at least one pass is waited for."""


class Decided(Said):
    """Who decides, and what was seen."""

    by: Line = "http"
    note: Line | None = None
    broker_quantity: Quantity | None = None
    """As it was seen; refused when it is another one now. Left out: whatever it is now."""
    ledger_quantity: Quantity | None = None


class Resolve(Decided):
    """What to do about a conflict."""

    resolution: Literal["use_broker", "use_db"]
    """use_broker: the ledger is corrected. use_db: it stands, and just this difference is accepted."""
    strategy: str | None = None
    """Whose row to change; null is the row that no strategy owns. Left out: nobody says whose."""


class Accept(Decided):
    """Take what is held as it is, without proof."""

    resolution: Literal["use_broker"] = "use_broker"
    """There is no other way to take it."""


_UNSAID = Accept()
_LOOK = "Nothing was changed. Look at it again and decide anew."
_PENDING = "pending still: the decision stands, and a later pass acts on it"


def add_paths(app: FastAPI, site: Site) -> None:
    """Put the paths into the application."""

    async def decided(wish: Wish, wait_s: float, request: Request) -> Response:
        collection = _COLLECTION[wish.matter]
        account = site.named(str((await single(site, collection, wish.id))["account"]))
        await _must_have(site, account, wish.strategy_id)
        decision = await site.ledger.decide(wish)
        if isinstance(decision, Refusal):
            raise refused(decision, await single(site, collection, wish.id))
        try:
            row = await unless_ended(_outcome(site, account, decision.id, wait_s), request, site.stopping)
        except Gone:
            return to_nobody()
        current = await single(site, collection, wish.id)
        if row["outcome"] not in (None, DONE):
            detail = f"{wish.matter} {wish.id} ({current['symbol']}): {row['outcome']}"
            raise Refused(HTTPStatus.CONFLICT, detail, hint=_LOOK, current=current)
        status = HTTPStatus.ACCEPTED if row["endedAt"] is None else HTTPStatus.OK
        return ExactJson({**current, "decision": row}, status)

    @app.post(
        "/api/conflicts/{id}/resolve",
        response_model=DecidedConflict,
        responses={HTTPStatus.ACCEPTED: {"model": DecidedConflict, "description": _PENDING}},
    )
    async def resolve(
        id: Id,  # noqa: A002 - the name in the path
        said: Annotated[Resolve, Body()],
        asked: Annotated[Waiting, Query()],
        request: Request,
    ) -> Response:
        """Decide about an open conflict, and wait for what comes of it.

        200: done. 202: pending still; the decision stands. 409: refused, with the conflict as it is now.
        """
        named = "strategy" in said.model_fields_set
        resolution = Resolution(said.resolution)
        wish = Wish(Matter.CONFLICT, id, resolution, **_seen(said), names_row=named, strategy_id=said.strategy)
        return await decided(wish, asked.wait, request)

    @app.post(
        "/api/holds/{id}/accept",
        response_model=DecidedHold,
        responses={HTTPStatus.ACCEPTED: {"model": DecidedHold, "description": _PENDING}},
    )
    async def accept(
        id: Id,  # noqa: A002 - the name in the path
        asked: Annotated[Waiting, Query()],
        request: Request,
        said: Annotated[Accept, Body()] = _UNSAID,
    ) -> Response:
        """Accept what is held, just as it is and once: the account's policy does the rest.

        200: done. 202: pending still; the decision stands. 409: refused, with the hold as it is now.
        """
        return await decided(Wish(Matter.HOLD, id, Resolution.USE_BROKER, **_seen(said)), asked.wait, request)


async def _must_have(site: Site, account: str, strategy: str | None) -> None:
    """A strategy that is mistyped would get a row of its own. Raises `Refused` (422) for one that nobody knows."""
    configured = site.status.accounts[account].strategies
    if strategy is None or not configured or strategy in configured:
        return
    query = LedgerQuery(Collection.POSITIONS, account=account, filters={"strategy_id": strategy}, limit=1)
    if not (await site.ledger.list(query)).total:
        detail = f"strategy {strategy!r}: account {account} has none of this name"
        hint = f"Configured are {', '.join(configured)}; one that has a row in the ledger will do too."
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, detail, hint=hint)


def _seen(said: Decided) -> dict[str, Any]:
    """What a wish takes over from a body as it is."""
    names = ("by", "note", "broker_quantity", "ledger_quantity")
    return {name: getattr(said, name) for name in names}


def refused(refusal: Refusal, current: Mapping[str, object]) -> Refused:
    """The refusal as an answer, with what it is about as it stands now."""
    status = HTTPStatus.UNPROCESSABLE_ENTITY if refusal.why is Why.INVALID else HTTPStatus.CONFLICT
    return Refused(status, refusal.text, hint=_LOOK, current=current)


async def _outcome(site: Site, account: str, decision_id: int, wait_s: float) -> dict[str, Any]:
    """The decision once something has come of it, or as it is after `wait_s`; at least one pass is waited for."""
    deadline_s = asyncio.get_running_loop().time() + wait_s
    run = await site.status.run_from(account, site.triggers[account].nudge(Reason.OPERATOR))
    while True:
        row = await single(site, Collection.DECISIONS, decision_id)
        if row["endedAt"] is not None:
            return row
        try:
            async with asyncio.timeout_at(deadline_s):
                run = await site.status.run_from(account, run.sequence + 1)
        except TimeoutError:
            return row
