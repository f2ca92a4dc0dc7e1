"""The paths about whole accounts: which broker account each book is kept for, and pinning one anew.

Owns what an operator says when an account is another one now, and the refusal when it is not.
May not close a book itself: the ledger does, in one transaction.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Body, FastAPI, Response
from pydantic import Field

from recond.core.repin import Repin
from recond.core.run import Reason, RunStatus
from recond.core.wish import Refusal
from recond.ports import Collection
from recond.ports import Query as LedgerQuery
from recond.web import views
from recond.web.answers import ExactJson, Refused
from recond.web.bodies import Line, Said
from recond.web.deciding import refused
from recond.web.shapes import PinnedAccounts, RepinView
from recond.web.site import Site


class RepinSaid(Said):
    """Who says that the account is another one now."""

    by: Line = "http"
    note: Line | None = None
    broker_account_id: Annotated[str, Field(pattern=r"^[!-~]{1,100}$")] | None = None
    """The new one, as it was seen; left out: whatever the keys open next, unless they open the old one still."""


_UNSAID = RepinSaid()


def add_paths(app: FastAPI, site: Site) -> None:
    """Put the paths into the application."""

    @app.get("/api/accounts", response_model=PinnedAccounts)
    async def accounts() -> Response:
        """Every account that has a book, and which broker account that is kept for."""
        return ExactJson(views.pinned(await _accounts(site), site.status))

    @app.post("/api/accounts/{name}/repin", response_model=RepinView)
    async def repin(name: str, said: Annotated[RepinSaid, Body()] = _UNSAID) -> Response:
        """Close the account's whole book, each row with a correction, and meet the account afresh.

        For a paper account that was reset, or an account that is meant to be another one from now on. While its keys
        open the account that the book is kept for, that one has to be named.
        """
        site.named(name)
        opened = _opened(site, name)
        kept = next((row for row in await _accounts(site) if row["name"] == name and row["brokerAccountId"]), None)
        if said.broker_account_id is None and kept is not None and kept["brokerAccountId"] == opened:
            raise Refused(
                HTTPStatus.CONFLICT,
                f"the keys of account {name!r} open {opened} as before, for which its book is kept",
                hint=f"To close the book all the same name that account: --to {opened}, over HTTP brokerAccountId.",
                current=kept,
            )
        done = await site.ledger.repin(Repin(name, said.by, said.note, said.broker_account_id))
        if isinstance(done, Refusal):
            raise refused(done, next(row for row in await _accounts(site) if row["name"] == name))
        site.triggers[name].nudge(Reason.OPERATOR)
        return ExactJson(
            RepinView(
                account=name,
                run_id=done.run_id,
                was=done.was,
                now=done.now,
                closed=done.closed,
                conflicts=done.conflicts,
                holds=done.holds,
            )
        )


async def _accounts(site: Site) -> list[dict[str, Any]]:
    return views.rows(await site.ledger.list(LedgerQuery(Collection.ACCOUNTS, limit=1000)))


def _opened(site: Site, account: str) -> str | None:
    """The broker account that the last pass has seen behind the keys; None when it failed."""
    run = site.status.accounts[account].last_run
    return None if run is None or run.status is RunStatus.FAILED or run.account_state is None else run.account_state.id
