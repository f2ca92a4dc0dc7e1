"""Forcing a pass over HTTP: which passes answer, how long is waited, and what is said."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recond.core.model import Kind, Unreadable
from recond.core.run import Reason, RunStatus
from recond.status import AccountStatus
from tests.web.house import COIN, NOW, a_conflict, a_failed_run, a_pending, a_run, house, until
from tests.web.test_app import fits, read_document

document = read_document

PATH = "/api/positions/reconcile"


async def test_only_a_pass_that_started_after_the_request_answers(tmp_path: Path) -> None:
    """The pass under way when the request comes does not answer it; the next one does."""
    async with house(tmp_path) as at:
        under_way, _ = at.triggers["swing"].take()
        asking = asyncio.create_task(at.ask(PATH, "POST"))
        await at.asked()
        at.status.record(a_run(under_way))
        await asyncio.sleep(0.05)
        assert not asking.done()
        later = at.make()
        answer = await asking
        assert (answer.status, answer.json["runId"]) == (200, later.id)
        assert later.sequence == under_way + 1


async def test_the_answer_has_its_documented_form(tmp_path: Path) -> None:
    """Every field of the contract is there under its name."""
    async with house(tmp_path) as at:
        answer = await at.answer(PATH, [a_run(added=1)], "GET")
        assert answer.type == "application/json"
        assert answer.json == {
            "timestamp": "2026-01-02T03:04:06.678901Z",
            "status": "success",
            "brokerPositions": 3,
            "dbPositions": 3,
            "synced": 3,
            "added": 1,
            "removed": 0,
            "conflicts": [],
            "totalValue": Decimal("1234.50"),
            "runId": 101,
            "account": "swing",
            "userId": 1,
            "skipped": False,
            "passes": 1,
            "trigger": "http",
            "pending": [],
            "unreadable": [],
            "holds": [],
            "error": None,
            "durationMs": 250,
            "recorded": True,
        }


async def test_quantities_are_exact_on_the_wire(tmp_path: Path) -> None:
    """Numbers are written with every digit and without an exponent; what is unknown is null."""
    conflict = a_conflict(
        COIN,
        broker_quantity=Decimal("1E-9"),
        ledger_quantity=Decimal("-12345678901234567890.123456789"),
        broker_value=Decimal("1E+3"),
        ledger_value=None,
    )
    run = a_run(status=RunStatus.PARTIAL, carried_conflicts=(conflict,), total_value=Decimal("0.10"))
    async with house(tmp_path) as at:
        body = (await at.answer(PATH, [run])).body
    assert b'"brokerQty":0.000000001,"dbQty":-12345678901234567890.123456789,' in body
    assert b'"brokerValue":1000,"dbValue":null,' in body
    assert b'"totalValue":0.10,' in body


async def test_it_waits_until_nothing_is_pending_and_counts_all_passes(tmp_path: Path) -> None:
    """Passes go on until none is pending; opened, closed and conflicts are those of all, the rest is the last one's."""
    pending = a_run(1, status=RunStatus.PARTIAL, added=2, removed=1, synced=0, pending=(a_pending(),))
    seen = a_conflict(kind=Kind.QUANTITY)
    resolved = replace(seen, resolved_at=NOW, resolved_by="agreement")
    runs = [
        pending,
        replace(pending, added=1, removed=0, carried_conflicts=(seen,)),
        a_run(3, removed=4, ended_conflicts=(resolved, a_conflict(COIN, resolved_at=NOW))),
    ]
    async with house(tmp_path) as at:
        answer = (await at.answer(PATH, runs)).json
    assert (answer["passes"], answer["added"], answer["removed"], answer["synced"]) == (3, 3, 5, 3)
    assert [(c["symbol"], c["resolved"], c["resolvedBy"]) for c in answer["conflicts"]] == [("AAPL", True, "agreement")]
    assert (answer["status"], answer["pending"]) == ("partial", [])


async def test_without_waiting_the_first_pass_answers(tmp_path: Path) -> None:
    """With wait=0 the first pass that started after the request answers, whatever is pending."""
    run = a_run(status=RunStatus.PARTIAL, pending=(a_pending(),), unknown=(Unreadable(None, "row 3: no symbol"),))
    async with house(tmp_path) as at:
        answer = (await at.answer(f"{PATH}?wait=0", [run])).json
    assert (answer["status"], answer["passes"]) == ("partial", 1)
    assert answer["unreadable"] == [{"symbol": None, "problem": "row 3: no symbol"}]
    [pending] = answer["pending"]
    assert (pending["symbol"], pending["kind"], pending["inMotion"], pending["recheckInMs"]) == (
        "AAPL",
        "quantity",
        False,
        0,
    )


async def test_the_wait_ends(tmp_path: Path) -> None:
    """What is still pending when the time is up is said to be."""
    run = a_run(status=RunStatus.PARTIAL, pending=(a_pending(),))
    async with house(tmp_path) as at:
        began_s = asyncio.get_running_loop().time()
        answer = await at.answer(f"{PATH}?wait=0.3", [run])
        assert asyncio.get_running_loop().time() - began_s >= 0.3
    assert len(answer.json["pending"]) == 1


async def test_a_failed_pass_is_an_answer(tmp_path: Path) -> None:
    """It comes at once, as 200 with the error and its hint; counts of what could not be read are null."""
    async with house(tmp_path) as at:
        answer = await at.answer(PATH, [a_failed_run(pending=(a_pending(),))])
    assert (answer.status, answer.json["status"]) == (200, "failed")
    assert answer.json["error"] == {"message": "positions: HTTP 502", "hint": "the broker is down"}
    assert answer.json["brokerPositions"] is answer.json["totalValue"] is None


async def test_a_hundred_requests_are_one_pass(tmp_path: Path) -> None:
    """Requests that come before a pass starts are all answered by that one."""
    async with house(tmp_path) as at:
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(at.ask(PATH, "POST")) for _ in range(100)]
            waiters = at.status._waiters["swing"]
            await until(lambda: len(waiters) == 100)
            at.make()
        assert {task.result().json["runId"] for task in asking} == {101}
    assert at.taken == [1]


async def test_an_unforced_request_is_skipped_after_a_recent_success(tmp_path: Path) -> None:
    """force=false makes no pass while the last success is younger than the interval, and gives the last result."""
    async with house(tmp_path) as at:
        last = at.make(synced=5)
        answer = (await at.ask(f"{PATH}?force=false")).json
        assert (answer["skipped"], answer["runId"], answer["synced"]) == (True, last.id, 5)
        assert at.triggers["swing"].waiting == ()
        answer = (await at.answer(PATH, [a_run()])).json
        assert answer["skipped"] is False


@pytest.mark.parametrize("before", ["nothing", "a failure", "an old success"])
async def test_an_unforced_request_is_served_without_a_recent_success(tmp_path: Path, before: str) -> None:
    """force=false makes a pass when there was none yet, none that succeeded, or none within the interval."""
    async with house(tmp_path, interval_s=0.0 if before == "an old success" else 300.0) as at:
        if before != "nothing":
            at.triggers["swing"].take()
            at.status.record(a_failed_run() if before == "a failure" else a_run())
        assert (await at.answer(f"{PATH}?force=false", [a_run(5)])).json["skipped"] is False


async def test_a_client_that_goes_away_disturbs_nothing(tmp_path: Path) -> None:
    """Its request leaves no task and no waiter, and others are answered as before."""
    async with house(tmp_path) as at:
        await at.ask("/healthz")
        staying = asyncio.create_task(at.ask(PATH, "POST"))
        await at.asked()
        before = len(asyncio.all_tasks())
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(f"POST {PATH} HTTP/1.1\r\nHost: {at.web.url[7:]}\r\nContent-Length: 5\r\n\r\nab".encode())
            await writer.drain()
            await until(lambda: len(at.status._waiters["swing"]) == 2)
            writer.close()
            await until(lambda: len(at.status._waiters["swing"]) == 1)
        await until(lambda: len(asyncio.all_tasks()) <= before)
        run = at.make()
        assert (await staying).json["runId"] == run.id


THREE = (AccountStatus("swing", 1, "paper"), AccountStatus("day", 2, "paper"), AccountStatus("night", 2, "live"))


async def test_which_account_is_meant_must_be_clear(tmp_path: Path) -> None:
    """An unknown account is 404, one that is not told 400, nonsense 422; none of them nudges a pass."""
    async with house(tmp_path, *THREE) as at:
        for query, status, says in (
            ("", 400, "swing, day, night"),
            ("?account=moon", 404, "'moon'"),
            ("?userId=9", 404, "9"),
            ("?userId=2", 400, "day, night"),
            ("?account=swing&userId=2", 400, "another user id"),
            ("?account=swing&userId=x", 422, "userId"),
            ("?account=swing&wait=301", 422, "wait"),
            ("?account=swing&wait=nan", 422, "wait"),
            ("?account=swing&froce=false", 422, "froce"),
        ):
            answer = await at.ask(PATH + query, "POST")
            assert (answer.status, answer.type) == (status, "application/problem+json"), query
            assert says in answer.json["detail"]
        assert not any(triggers.waiting for triggers in at.triggers.values())


async def test_an_account_is_found_by_name_or_owner(tmp_path: Path) -> None:
    """Only the account that is meant is nudged."""
    async with house(tmp_path, *THREE) as at:
        for query, account in (("account=night", "night"), ("userId=1", "swing"), ("account=day&userId=2", "day")):
            asking = asyncio.create_task(at.ask(f"{PATH}?{query}", "POST"))
            await at.asked(account)
            assert [name for name, triggers in at.triggers.items() if triggers.waiting] == [account]
            assert at.triggers[account].waiting == (Reason.HTTP,)
            at.make(account=account, user_id=2)
            assert (await asking).json["account"] == account


async def test_a_dry_run_says_what_would_be_done(tmp_path: Path, document: dict[str, Any]) -> None:
    """The shape of a pass and more; no pass is asked for."""
    async with house(tmp_path) as at:
        answer = await at.ask("/api/positions/reconcile?dryRun=true", "POST")
        assert fits(answer, document["paths"]["/api/positions/reconcile"]["post"], document) == []
        told = [answer.json[name] for name in ("dryRun", "runId", "recorded", "status")]
        assert told == [True, 0, False, "partial"]
        [correction] = answer.json["corrections"]
        assert [correction[n] for n in ("symbol", "strategy", "before", "after", "cause", "wouldBe")] == [
            "AAPL",
            "mean",
            Decimal(8),
            Decimal(10),
            "missed_fill",
            "if_it_stays",
        ]
        assert at.triggers["swing"].waiting == ()
