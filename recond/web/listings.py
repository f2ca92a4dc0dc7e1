"""The paths that list what the ledger holds, page by page.

Owns which columns can be asked for, and the form of a page.
May not contain SQL, or change anything.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request, Response
from pydantic import Field

from recond.core.model import Cause, Kind, Resolution
from recond.core.run import Action, RunStatus
from recond.core.symbols import canonical_symbol
from recond.ports import Collection
from recond.ports import Query as LedgerQuery
from recond.web import views
from recond.web.answers import ExactJson, Refused, rendered
from recond.web.asked import Asked
from recond.web.rows import (
    AcceptedRow,
    ConflictRow,
    CorrectionRow,
    DecisionRow,
    HistoryRow,
    HoldRow,
    Listing,
    PositionRow,
    RunDetail,
    RunRow,
)
from recond.web.site import Site

MAX_LIMIT = 1000
_MAX_ID = 2**63 - 1
Id = Annotated[int, Path(ge=1, le=_MAX_ID)]


class Paging(Asked):
    """Which part of the rows. Every further field is a column and the value that it must have."""

    account: str | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 100
    offset: Annotated[int, Field(ge=0, le=_MAX_ID)] = 0

    def filters(self) -> dict[str, str | int]:
        """Column → value, of those that were given. Raises `Refused` (422) for what cannot be a symbol."""
        given = self.model_dump(exclude_none=True, exclude=set(Paging.model_fields))
        if "symbol" in given:
            try:
                given["symbol"] = canonical_symbol(given["symbol"])
            except ValueError as error:
                raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        return given


class Positions(Paging):
    """Which positions."""

    user_id: Annotated[int | None, Field(ge=0, le=_MAX_ID)] = None
    symbol: str | None = None
    strategy_id: str | None = None
    status: Literal["open", "closed"] | None = None
    source: Literal["platform", "reconciliation"] | None = None


class Runs(Paging):
    """Which passes."""

    status: RunStatus | None = None
    trigger: str | None = None
    user_id: Annotated[int | None, Field(ge=0, le=_MAX_ID)] = None


class Conflicts(Paging):
    """Which conflicts."""

    status: Literal["open", "resolved"] | None = None
    symbol: str | None = None
    asset_class: str | None = None
    kind: Kind | None = None
    cause: Cause | None = None
    resolution: Resolution | None = None


class Corrections(Paging):
    """Which corrections."""

    run_id: Annotated[int | None, Field(ge=1, le=_MAX_ID)] = None
    position_id: Annotated[int | None, Field(ge=1, le=_MAX_ID)] = None
    symbol: str | None = None
    strategy_id: str | None = None
    action: Action | None = None
    cause: Cause | None = None


class Holds(Paging):
    """Which holds."""

    status: Literal["open", "ended"] | None = None
    symbol: str | None = None
    asset_class: str | None = None
    reason: str | None = None


class Decisions(Paging):
    """Which decisions."""

    status: Literal["open", "ended"] | None = None
    symbol: str | None = None
    conflict_id: Annotated[int | None, Field(ge=1, le=_MAX_ID)] = None
    hold_id: Annotated[int | None, Field(ge=1, le=_MAX_ID)] = None
    by: str | None = None


class AcceptedDifferences(Paging):
    """Which accepted differences."""

    symbol: str | None = None
    by: str | None = None


class History(Paging):
    """Which changes."""

    symbol: str | None = None
    strategy_id: str | None = None
    position_id: Annotated[int | None, Field(ge=1, le=_MAX_ID)] = None


async def single(site: Site, collection: Collection, number: int) -> dict[str, Any]:
    """The row with this number. Raises `Refused` (404) when there is none."""
    page = await site.ledger.list(LedgerQuery(collection, id=number, limit=1))
    if not page.rows:
        raise Refused(HTTPStatus.NOT_FOUND, f"there is no {collection.removesuffix('s')} {number}")
    return views.rows(page)[0]


async def listing(site: Site, collection: Collection, asked: Paging, request: Request) -> Response:
    """A page of rows."""
    page = await site.ledger.list(
        LedgerQuery(collection, asked.account, filters=asked.filters(), limit=asked.limit, offset=asked.offset)
    )
    after = asked.offset + len(page.rows)
    following = request.url.include_query_params(offset=after)
    return await rendered(
        lambda: {
            "items": views.rows(page),
            "total": page.total,
            "limit": asked.limit,
            "offset": asked.offset,
            "next": f"{following.path}?{following.query}" if page.rows and after < page.total else None,
        }
    )


def add_paths(app: FastAPI, site: Site) -> None:
    """Put the paths into the application."""
    _add_books(app, site)
    _add_matters(app, site)


def _add_books(app: FastAPI, site: Site) -> None:
    """Positions, and what has been done about them."""

    async def of_run(collection: Collection, run_id: int) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        asked = LedgerQuery(collection, filters={"run_id": run_id}, limit=MAX_LIMIT)
        while True:
            page = await site.ledger.list(replace(asked, offset=len(rows)))
            rows += views.rows(page)
            if not page.rows or len(rows) >= page.total:
                return rows

    @app.get("/api/positions", response_model=Listing[PositionRow])
    async def positions(asked: Annotated[Positions, Query()], request: Request) -> Response:
        """The rows of the platform's book, by symbol, strategy and id."""
        return await listing(site, Collection.POSITIONS, asked, request)

    @app.get("/api/runs", response_model=Listing[RunRow])
    async def runs(asked: Annotated[Runs, Query()], request: Request) -> Response:
        """The recorded passes, newest first."""
        return await listing(site, Collection.RUNS, asked, request)

    @app.get("/api/runs/{id}", response_model=RunDetail)
    async def run(id: Id) -> Response:  # noqa: A002 - the name in the path
        """One recorded pass, with the differences it confirmed and what it changed."""
        row = await single(site, Collection.RUNS, id)
        row["drifts"] = await of_run(Collection.DRIFTS, id)
        row["corrections"] = await of_run(Collection.CORRECTIONS, id)
        return await rendered(lambda: row)

    @app.get("/api/corrections", response_model=Listing[CorrectionRow])
    async def corrections(asked: Annotated[Corrections, Query()], request: Request) -> Response:
        """What recond changed in the ledger, newest first."""
        return await listing(site, Collection.CORRECTIONS, asked, request)

    @app.get("/api/history", response_model=Listing[HistoryRow])
    async def history(asked: Annotated[History, Query()], request: Request) -> Response:
        """Each change of the ledger's positions, newest first, with what made it and the evidence behind that."""
        return await listing(site, Collection.HISTORY, asked, request)


def _add_matters(app: FastAPI, site: Site) -> None:
    """Conflicts and holds, and what operators have decided about them."""

    @app.get("/api/conflicts", response_model=Listing[ConflictRow])
    async def conflicts(asked: Annotated[Conflicts, Query()], request: Request) -> Response:
        """The recorded conflicts, newest first."""
        return await listing(site, Collection.CONFLICTS, asked, request)

    @app.get("/api/conflicts/{id}", response_model=ConflictRow)
    async def conflict(id: Id) -> Response:  # noqa: A002 - the name in the path
        """One conflict."""
        return ExactJson(await single(site, Collection.CONFLICTS, id))

    @app.get("/api/holds", response_model=Listing[HoldRow])
    async def holds(asked: Annotated[Holds, Query()], request: Request) -> Response:
        """What was held until more is known, newest first."""
        return await listing(site, Collection.HOLDS, asked, request)

    @app.get("/api/holds/{id}", response_model=HoldRow)
    async def hold(id: Id) -> Response:  # noqa: A002 - the name in the path
        """One hold."""
        return ExactJson(await single(site, Collection.HOLDS, id))

    @app.get("/api/decisions", response_model=Listing[DecisionRow])
    async def decisions(asked: Annotated[Decisions, Query()], request: Request) -> Response:
        """What operators have decided about conflicts and holds, newest first."""
        return await listing(site, Collection.DECISIONS, asked, request)

    @app.get("/api/accepted", response_model=Listing[AcceptedRow])
    async def accepted(asked: Annotated[AcceptedDifferences, Query()], request: Request) -> Response:
        """The differences that operators have accepted, by account and symbol."""
        return await listing(site, Collection.ACCEPTED, asked, request)
