"""What is answered from memory: the status, the gate, health and metrics."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

from recond.core.model import AccountState, Hold, Instrument
from recond.core.run import RunStatus
from recond.status import AccountStatus
from tests.web.house import AAPL, COIN, NOW, a_conflict, a_failed_run, a_pending, house

STATUS = "/api/positions/reconciliation-status"
TWO = (AccountStatus("swing", 1, "paper"), AccountStatus("day", 2, "live"))


async def test_before_the_first_pass_nothing_is_claimed(tmp_path: Path) -> None:
    """There is no last run, the gate is unknown, and recond is alive but not ready."""
    async with house(tmp_path, warnings=["daemon.settle is small"]) as at:
        answer = (await at.ask(STATUS)).json
        assert (answer["lastRun"], answer["interval"], answer["warnings"]) == (
            None,
            300_000,
            ["daemon.settle is small"],
        )
        [account] = answer["accounts"]
        assert (account["lastRun"], account["lastSuccess"], account["gate"]["state"]) == (None, None, "unknown")
        assert (await at.ask("/healthz")).json == {"status": "ok"}
        ready = await at.ask("/readyz")
        assert (ready.status, ready.json["ready"]) == (503, False)
        assert ready.json["reasons"] == ["swing: no pass has succeeded yet"]


async def test_the_status_shows_every_account(tmp_path: Path) -> None:
    """Each with its last run and success, gate, open conflicts, holds, pending and the broker's account."""
    hold = Hold(3, COIN, "vanished without proof", Decimal(0), Decimal("0.5"), NOW)
    state = AccountState(id="a", status="ACTIVE", equity=Decimal("1E+5"))
    async with house(tmp_path, *TWO) as at:
        at.make(account="day", user_id=2, account_state=state)
        at.make(
            status=RunStatus.PARTIAL,
            carried_conflicts=(a_conflict(),),
            carried_holds=(hold,),
            pending=(a_pending(),),
        )
        at.make(account="day", user_id=2, status=RunStatus.PARTIAL)
        got = await at.ask(STATUS)
        assert b'"equity":100000,' not in got.body
        swing, day = got.json["accounts"]
        assert got.json["lastRun"]["account"] == "day"
        assert [c["id"] for c in swing["openConflicts"]] == [7]
        assert [(h["id"], h["symbol"], h["dbQty"]) for h in swing["holds"]] == [(3, "BTCUSD", Decimal("0.5"))]
        assert [p["symbol"] for p in swing["pending"]] == ["AAPL"]
        assert swing["gate"]["state"] == "blocked"
        assert (swing["lastSuccess"], swing["environment"]) == ("2026-01-02T03:04:06.678901Z", "paper")
        assert (day["gate"]["state"], day["environment"], day["userId"]) == ("clear", "live", 2)
        only = (await at.ask(f"{STATUS}?account=swing")).json
        assert [account["account"] for account in only["accounts"]] == ["swing"]
        assert only["lastRun"]["account"] == "swing"


async def test_a_failure_leaves_the_last_success_and_the_account_to_see(tmp_path: Path) -> None:
    """After a failed pass the status shows its error beside the last success and the account as known then."""
    async with house(tmp_path) as at:
        success = at.make(account_state=AccountState(id="a", status="ACTIVE", equity=Decimal("1E+5")))
        at.triggers["swing"].take()
        at.status.record(a_failed_run(2, account_state=success.account_state))
        got = await at.ask(STATUS)
        [account] = got.json["accounts"]
        assert account["lastRun"]["error"]["message"] == "positions: HTTP 502"
        assert account["lastSuccess"] == success.finished_at.isoformat().replace("+00:00", "Z")
        assert b'"equity":100000,' in got.body


async def test_the_gate_answers_by_status_and_reasons(tmp_path: Path) -> None:
    """200 is clear, 409 blocked, 503 unknown; a pair of coins is asked about both; without account, the worst."""
    async with house(tmp_path, *TWO) as at:
        at.make(status=RunStatus.PARTIAL, carried_conflicts=(a_conflict(),), pending=(a_pending(COIN),))
        at.make(account="day", user_id=2)
        for query, status, state, codes in (
            ("", 409, "blocked", [("swing", "conflict")]),
            ("account=day", 200, "clear", []),
            ("account=swing", 409, "blocked", [("swing", "conflict")]),
            ("account=swing&symbol=aapl", 409, "blocked", [("swing", "conflict")]),
            ("account=swing&symbol=MSFT", 200, "clear", []),
            ("account=swing&symbol=BTC/USD", 503, "unknown", [("swing", "pending")]),
            ("account=swing&symbol=ETH/BTC", 503, "unknown", [("swing", "pending")]),
            ("symbol=MSFT", 200, "clear", []),
            ("account=day&maxAge=0", 503, "unknown", [("day", "stale")]),
            ("maxAge=0&symbol=MSFT", 503, "unknown", [("swing", "stale"), ("day", "stale")]),
            ("account=day&maxAge=3600", 200, "clear", []),
        ):
            answer = await at.ask(f"/api/gate?{query}")
            assert (answer.status, answer.type, answer.json["state"]) == (status, "application/json", state), query
            assert [(reason["account"], reason["code"]) for reason in answer.json["reasons"]] == codes, query


async def test_a_gate_question_that_makes_no_sense_is_not_clear(tmp_path: Path) -> None:
    """It is a problem, never 200: a bot with a typo does not trade."""
    async with house(tmp_path) as at:
        at.make()
        twice = "symbol=AAPL&symbol=MSFT"
        for query in ("account=moon", "symbol=", "symbol=A%20B", "maxAge=-1", "maxAge=nan", "acount=swing", twice):
            answer = await at.ask(f"/api/gate?{query}")
            assert answer.status in {404, 422}, query
            assert answer.type == "application/problem+json"


async def test_ready_means_that_every_account_is_reconciled(tmp_path: Path) -> None:
    """One account without a success is enough not to be ready; a later failure alone is not."""
    async with house(tmp_path, *TWO) as at:
        at.make()
        assert (await at.ask("/readyz")).json["reasons"] == ["day: no pass has succeeded yet"]
        at.make(account="day", user_id=2)
        at.triggers["swing"].take()
        at.status.record(a_failed_run(2))
        answer = await at.ask("/readyz")
        assert (answer.status, answer.json) == (200, {"ready": True, "reasons": []})


async def test_it_is_not_ready_once_the_last_success_is_old(tmp_path: Path) -> None:
    """Two intervals without a success are too long."""
    async with house(tmp_path, interval_s=0.0) as at:
        at.make()
        assert (await at.ask("/readyz")).status == 503


async def test_metrics_come_as_they_are(tmp_path: Path) -> None:
    """In Prometheus' text format, byte by byte."""
    async with house(tmp_path) as at:
        answer = await at.ask("/metrics")
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.body == b"recond_up 1\n"


async def test_the_broker_may_call_one_instrument_by_either_name(tmp_path: Path) -> None:
    """A conflict of a coin blocks its order symbol and its position symbol alike."""
    async with house(tmp_path) as at:
        at.make(status=RunStatus.PARTIAL, carried_conflicts=(a_conflict(COIN),))
        for symbol in ("BTCUSD", "BTC/USD", "btc/usdt"):
            assert (await at.ask("/api/gate", params={"symbol": symbol})).status == 409
        assert (await at.ask("/api/gate", params={"symbol": AAPL.symbol})).status == 200


async def test_a_long_answer_holds_up_nothing_else(tmp_path: Path) -> None:
    """While ten thousand pending differences are being written out, other requests are answered."""
    many = tuple(a_pending(Instrument("us_equity", f"S{number}")) for number in range(10_000))
    async with house(tmp_path) as at:
        await at.ask("/healthz")
        at.make(status=RunStatus.PARTIAL, pending=many)
        long = asyncio.create_task(at.ask(STATUS))
        for _ in range(10):
            assert (await at.ask("/healthz")).status == 200
        assert not long.done()
        assert len((await long).json["accounts"][0]["pending"]) == 10_000
