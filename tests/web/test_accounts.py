"""Which broker account each book is kept for, and pinning one anew over HTTP."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from recond.core.model import AccountState
from recond.core.run import Reason
from recond.status import AccountStatus
from tests.web.house import house
from tests.web.test_app import fits, read_document
from tests.web.test_listings import book

document = read_document


async def test_an_account_is_pinned_anew(tmp_path: Path, document: dict[str, Any]) -> None:
    """The book is closed, a pass is asked for, unless the keys open the old account still: that one must be named."""
    async with house(tmp_path, AccountStatus("swing", 1, "paper"), AccountStatus("day", 2, "live")) as at:
        book(tmp_path, ("AAPL", "5", "mean"), ("MSFT", "1", None))
        await at.ledger.pin("swing", "b-1")
        await at.ledger.pin("day", "b-2")
        state = AccountState("b-1", "ACTIVE", trading_blocked=False, account_blocked=False)
        at.make(account_state=state)
        before = (await at.ask("/api/accounts")).json["items"]
        assert [(a["account"], a["brokerAccountId"], a["gate"]) for a in before] == [
            ("day", "b-2", "unknown"),
            ("swing", "b-1", "clear"),
        ]
        taken = await at.ask("/api/accounts/swing/repin", "POST", json={"brokerAccountId": "b-2"})
        assert (taken.status, "'day' is kept for b-2" in taken.json["detail"]) == (422, True)
        slip = await at.ask("/api/accounts/swing/repin", "POST")
        assert (slip.status, slip.json["current"]["brokerAccountId"]) == (409, "b-1")
        assert "open b-1 as before" in slip.json["detail"]
        assert at.triggers["swing"].waiting == ()
        says = {"by": "ann", "note": "mine", "brokerAccountId": "b-1"}
        answer = await at.ask("/api/accounts/swing/repin", "POST", json=says)
        told = [answer.json[name] for name in ("was", "now", "closed")]
        assert (answer.status, told) == (200, ["b-1", "b-1", 2])
        assert fits(answer, document["paths"]["/api/accounts/{name}/repin"]["post"], document) == []
        assert at.triggers["swing"].waiting == (Reason.OPERATOR,)
        assert (await at.ask("/api/positions?status=open")).json["total"] == 0
        run = (await at.ask(f"/api/runs/{answer.json['runId']}")).json
        assert [c["cause"] for c in run["corrections"]] == ["ledger_edit", "ledger_edit"]
        history = (await at.ask("/api/history?symbol=AAPL")).json["items"]
        assert [(h["who"], h["after"]) for h in history] == [("recond", 0), ("platform", 5)]
        assert history[0]["explanation"] == "pinned anew to b-1 by ann; the old book was closed: mine"
        at.make(account_state=replace(state, id="b-3"))
        again = await at.ask("/api/accounts/swing/repin", "POST")
        assert [again.json[name] for name in ("was", "now", "closed")] == ["b-1", None, 0]


async def test_a_row_that_cannot_be_read_stops_a_repin(tmp_path: Path) -> None:
    """Nothing is closed: a correction must know what it closes."""
    async with house(tmp_path) as at:
        book(tmp_path, ("AAPL", "5", None), ("MSFT", "1", None))
        with closing(sqlite3.connect(tmp_path / "recond.db", isolation_level=None)) as vandal:
            vandal.execute("DROP TRIGGER positions_updated")
            vandal.execute("UPDATE positions SET quantity = 'many' WHERE symbol = 'MSFT'")
        answer = await at.ask("/api/accounts/swing/repin", "POST")
        assert (answer.status, "'many'" in answer.json["detail"]) == (422, True)
        assert (await at.ask("/api/positions?status=open")).json["total"] == 2
