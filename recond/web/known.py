"""The paths that answer from memory: status, gate, health, metrics.

Owns what each answer means as an HTTP status.
May not read the ledger or the broker: these answers must come when both are out of reach.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated

from fastapi import FastAPI, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field

from recond.core.gate import GateState
from recond.core.symbols import coins_of
from recond.status import GATE_AGE_INTERVALS
from recond.web import views
from recond.web.answers import ExactJson, Refused, rendered
from recond.web.asked import Asked
from recond.web.shapes import GateView, Health, Readiness, StatusView
from recond.web.site import Site

_GATE = MappingProxyType({GateState.CLEAR: HTTPStatus.OK, GateState.BLOCKED: HTTPStatus.CONFLICT})


class WhichAccount(Asked):
    """One account, or all."""

    account: str | None = None
    """Only this one."""


class GateQuestion(WhichAccount):
    """What is to be traded."""

    symbol: Annotated[str | None, Field(min_length=1)] = None
    """Only what speaks against this symbol (`AAPL`, `BTC/USD`) and its account; also what is pending there."""
    max_age: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """How many seconds old the last success may be; two intervals unless given."""


def add_paths(app: FastAPI, site: Site) -> None:
    """Put the paths into the application."""

    @app.get("/api/positions/reconciliation-status", response_model=StatusView)
    async def reconciliation_status(asked: Annotated[WhichAccount, Query()]) -> Response:
        """What is known now of every account, from memory."""
        known, now, now_s = site.status, site.now(), asyncio.get_running_loop().time()
        names = list(known.accounts) if asked.account is None else [site.named(asked.account)]
        accounts = [(known.accounts[name], known.gate(name)) for name in names]
        return await rendered(
            lambda: views.status(accounts, interval_s=known.interval_s, warnings=known.warnings, now=now, now_s=now_s)
        )

    gate_answers: dict[int | str, dict[str, object]] = {
        HTTPStatus.CONFLICT: {"model": GateView, "description": "blocked: do not trade"},
        HTTPStatus.SERVICE_UNAVAILABLE: {"model": GateView, "description": "unknown: do not trade"},
    }

    @app.get("/api/gate", response_model=GateView, response_description="clear", responses=gate_answers)
    async def gate(asked: Annotated[GateQuestion, Query()]) -> Response:
        """May the bot trade? 200 only when it may. Of all accounts unless one is named, of all symbols likewise."""
        names = list(site.status.accounts) if asked.account is None else [site.named(asked.account)]
        symbols = (None,) if asked.symbol is None else _symbols(asked.symbol)
        gates = {name: [site.status.gate(name, symbol, asked.max_age) for symbol in symbols] for name in names}
        answer = views.gate(gates, site.now(), account=asked.account, symbol=asked.symbol)
        return ExactJson(answer, _GATE.get(answer.state, HTTPStatus.SERVICE_UNAVAILABLE))

    @app.get("/healthz", response_model=Health)
    async def healthz() -> Response:
        """The process is alive and its event loop turns; says nothing about broker or ledger. Needs no token."""
        return ExactJson(Health())

    unready: dict[int | str, dict[str, object]] = {HTTPStatus.SERVICE_UNAVAILABLE: {"model": Readiness}}

    @app.get("/readyz", response_model=Readiness, responses=unready)
    async def readyz() -> Response:
        """Ready: each account had a pass that did not fail within the last two intervals."""
        reasons = views.readiness(site.status, GATE_AGE_INTERVALS * site.status.interval_s)
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return ExactJson(Readiness(ready=not reasons, reasons=reasons), status)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """All metrics in Prometheus' text format. Needs the token, if one is set, like everything else."""
        return Response(site.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _symbols(text: str) -> tuple[str, ...]:
    """What a trade of this symbol moves: of a pair of coins, both."""
    try:
        return coins_of(text)
    except ValueError as error:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
