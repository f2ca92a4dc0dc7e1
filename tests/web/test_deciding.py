"""An operator decides over HTTP; a real ledger takes it down, and the test makes the passes that act on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recond.core.model import Decision
from recond.core.run import Problem, Reason, Record, RunStatus
from recond.status import AccountStatus
from tests.sqlite.passes import bot
from tests.web.house import NOW, Answer, House, a_run, house
from tests.web.test_app import fits, read_document
from tests.web.test_listings import recorded

document = read_document
RESOLVE, ACCEPT = "/api/conflicts/1/resolve", "/api/holds/1/accept"
Ending = Callable[[Decision], Decision]


async def a_pass(at: House, end: Ending | None) -> None:
    """What a pass does with the open decisions once it has been asked for; nothing when `end` is None."""
    while Reason.OPERATOR not in at.triggers["swing"].waiting:
        await asyncio.sleep(0.005)
    sequence, _ = at.triggers["swing"].take()
    reading = await at.ledger.read("swing", None)
    run = a_run(sequence, id=at.ledger.next_run_id())
    if end is not None:
        ended = tuple(replace(c, resolved_at=NOW, resolved_by="ann") for c in reading.conflicts)
        decisions = tuple(map(end, reading.decisions))
        run = await at.ledger.record(Record(replace(run, ended_conflicts=ended), ended_decisions=decisions))
    at.status.record(run)


async def decided(
    at: House, path: str, said: dict[str, Any] | None, end: Ending | None = None, *passes: Ending | None
) -> Answer:
    """The answer to a decision that these passes come to."""
    asking = asyncio.create_task(at.ask(path, "POST", json=said))
    await a_pass(at, end)
    for number, later in enumerate(passes):
        await asyncio.sleep(0.05 * number)
        at.triggers["swing"].nudge(Reason.OPERATOR)
        await a_pass(at, later)
    return await asking


def done(decision: Decision) -> Decision:
    """It was acted on."""
    return replace(decision, outcome="done")


async def test_a_decision_that_is_acted_on_is_answered_with_how_it_ended(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    """After as many passes as it takes; the row that is named and the note arrive, and null is a name."""
    async with house(tmp_path) as at:
        await recorded(at)
        said = {"resolution": "use_broker", "strategy": None, "by": "ann", "note": "seen", "brokerQuantity": 10}
        answer = await decided(at, RESOLVE, said, None, done)
        assert (answer.status, answer.json["resolvedBy"]) == (200, "ann")
        decision = answer.json["decision"]
        assert [decision[name] for name in ("by", "note", "namesRow", "strategyId", "outcome")] == [
            "ann",
            "seen",
            True,
            None,
            "done",
        ]
        assert fits(answer, document["paths"]["/api/conflicts/{id}/resolve"]["post"], document) == []
        listed = (await at.ask("/api/decisions?status=ended&conflictId=1")).json["items"]
        assert [row["id"] for row in listed] == [decision["id"]]


async def test_a_row_that_nobody_names_is_not_named(tmp_path: Path) -> None:
    """Without `strategy` the decision says nothing of whose row it is."""
    async with house(tmp_path) as at:
        await recorded(at)
        answer = await decided(at, RESOLVE, {"resolution": "use_broker"}, done)
        assert (answer.json["decision"]["namesRow"], answer.json["decision"]["by"]) == (False, "http")


@pytest.mark.parametrize(
    ("configured", "strategy", "status"),
    [
        (("mean", "trend"), "maen", 422),
        (("mean", "trend"), "trend", 202),
        (("mean", "trend"), "old", 202),
        (("mean", "trend"), None, 202),
        ((), "maen", 202),
    ],
)
async def test_a_strategy_that_is_mistyped_gets_no_row(
    tmp_path: Path, configured: tuple[str, ...], strategy: str | None, status: int
) -> None:
    """One that is neither configured nor in the ledger is refused, with those that are; without any all will do."""
    async with house(tmp_path, AccountStatus("swing", 1, "paper", strategies=configured)) as at:
        await recorded(at)
        with bot(tmp_path / "recond.db") as ledger:
            ledger.execute(
                "INSERT INTO positions (account, symbol, strategy_id, quantity) VALUES ('swing', 'X', 'old', 1)"
            )
        said = {"resolution": "use_broker", "strategy": strategy}
        if status == 202:
            assert (await decided(at, f"{RESOLVE}?wait=0", said)).status == 202
            return
        answer = await at.ask(RESOLVE, "POST", json=said)
        assert (answer.status, answer.json["hint"]) == (
            422,
            "Configured are mean, trend; one that has a row in the ledger will do too.",
        )
        assert "maen" in answer.json["detail"]
        assert (await at.ask("/api/decisions")).json["total"] == 0


async def test_a_decision_that_waits_stands(tmp_path: Path, document: dict[str, Any]) -> None:
    """202 after `wait` seconds, and a second operator is told whose decision it is, with the state as it is."""
    async with house(tmp_path) as at:
        await recorded(at)
        answer = await decided(at, f"{RESOLVE}?wait=0", {"resolution": "use_db", "by": "ann"})
        assert (answer.status, answer.json["resolvedAt"], answer.json["decision"]["endedAt"]) == (202, None, None)
        assert fits(answer, document["paths"]["/api/conflicts/{id}/resolve"]["post"], document) == []
        second = await at.ask(RESOLVE, "POST", json={"resolution": "use_broker", "by": "bob"})
        assert (second.status, second.type) == (409, "application/problem+json")
        assert "ann has decided use_db" in second.json["detail"]
        assert second.json["current"]["brokerQuantity"] == 10
        assert [row["by"] for row in (await at.ask("/api/decisions?status=open")).json["items"]] == ["ann"]
        assert at.triggers["swing"].waiting == ()


async def test_of_two_operators_at_once_one_wins(tmp_path: Path) -> None:
    """Both ask in the same moment: one decision is taken down, and the other operator is told of it."""
    async with house(tmp_path) as at:
        await recorded(at)
        asking = [
            asyncio.create_task(at.ask(f"{RESOLVE}?wait=0", "POST", json={"resolution": how, "by": who}))
            for who, how in (("ann", "use_broker"), ("bob", "use_db"))
        ]
        await a_pass(at, None)
        answers = sorted([await each for each in asking], key=lambda answer: answer.status)
        assert [answer.status for answer in answers] == [202, 409]
        winner = answers[0].json["decision"]["by"]
        assert f"{winner} has decided" in answers[1].json["detail"]
        assert [row["by"] for row in (await at.ask("/api/decisions")).json["items"]] == [winner]


async def test_a_failed_pass_ends_no_decision(tmp_path: Path) -> None:
    """The next one is waited for."""
    async with house(tmp_path) as at:
        await recorded(at)
        asking = asyncio.create_task(at.ask(ACCEPT, "POST"))
        while Reason.OPERATOR not in at.triggers["swing"].waiting:
            await asyncio.sleep(0.005)
        sequence, _ = at.triggers["swing"].take()
        at.status.record(a_run(sequence, status=RunStatus.FAILED, error=Problem("down")))
        at.triggers["swing"].nudge(Reason.OPERATOR)
        await a_pass(at, done)
        assert (await asking).json["decision"]["outcome"] == "done"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"resolution": "use_broker", "brokerQuantity": 9}, "broker 10, ledger 8"),
        ({"resolution": "use_broker", "ledgerQuantity": "8.000000001"}, "broker 10, ledger 8"),
        ({"resolution": "use_broker", "brokerQuantity": 10.000000000000000001}, ""),
    ],
)
async def test_other_quantities_than_the_present_are_told(tmp_path: Path, said: dict[str, Any], why: str) -> None:
    """Every digit counts, and the answer shows what is there now."""
    async with house(tmp_path) as at:
        await recorded(at)
        if not why:  # exact to the last digit: sent as text, since this language would round it
            body = b'{"resolution":"use_broker","brokerQuantity":10.000000000000000001}'
            answer = await at.ask(RESOLVE, "POST", data=body, headers={"Content-Type": "application/json"})
        else:
            answer = await at.ask(RESOLVE, "POST", json=said)
        assert (answer.status, answer.json["current"]["id"]) == (409, 1)
        assert why in answer.json["detail"]


async def test_a_pass_that_refuses_is_a_conflict_with_the_state(tmp_path: Path) -> None:
    """The quantities moved between the decision and the pass: 409, and what it says is what the pass said."""
    async with house(tmp_path) as at:
        await recorded(at)

        def refuse(decision: Decision) -> Decision:
            return replace(decision, outcome="refused: the quantities are others now")

        answer = await decided(at, RESOLVE, {"resolution": "use_broker"}, refuse)
        assert (answer.status, "quantities are others" in answer.json["detail"]) == (409, True)
        assert answer.json["current"]["id"] == 1
        again = await at.ask(RESOLVE, "POST", json={"resolution": "use_broker"})
        assert (again.status, "ended at" in again.json["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/conflicts/9/resolve", '{"resolution":"use_broker"}', 404),
        ("/api/holds/9/accept", "{}", 404),
        ("/api/accounts/none/repin", "{}", 404),
        (RESOLVE, "{}", 422),
        (RESOLVE, '{"resolution":"manual"}', 422),
        (RESOLVE, '{"resolution":"use_broker","resolution":"use_db"}', 422),
        (RESOLVE, '{"resolution":"use_broker","colour":"red"}', 422),
        (RESOLVE, '{"resolution":"use_broker","strategy":"  "}', 422),
        (RESOLVE, '{"resolution":"use_db","strategy":"mean"}', 422),
        (RESOLVE, '{"resolution":"use_broker","brokerQuantity":NaN}', 422),
        (RESOLVE, '{"resolution":"use_broker","brokerQuantity":1e999999}', 422),
        (RESOLVE, '{"resolution":"use_broker","note":"\\ud800"}', 422),
        (RESOLVE, '{"resolution":"use_broker","note":"a\\u0000b"}', 422),
        (RESOLVE, '{"resolution":', 422),
        (RESOLVE, "[]", 422),
        (RESOLVE, "\udcff", 422),
        (ACCEPT, '{"resolution":"use_db"}', 422),
        ("/api/accounts/swing/repin", '{"brokerAccountId":"a b"}', 422),
    ],
)
async def test_what_makes_no_sense_decides_nothing(
    tmp_path: Path, document: dict[str, Any], path: str, body: str, status: int
) -> None:
    """It is problem details, and no decision is open afterwards."""
    async with house(tmp_path) as at:
        await recorded(at)
        data, headers = body.encode(errors="surrogateescape"), {"Content-Type": "application/json"}
        answer = await at.ask(path, "POST", data=data, headers=headers)
        assert (answer.status, answer.type) == (status, "application/problem+json")
        described = path.replace("/1/", "/{id}/").replace("/9/", "/{id}/")
        described = described.replace("/swing/", "/{name}/").replace("/none/", "/{name}/")
        assert fits(answer, document["paths"][described]["post"], document) == []
        assert (await at.ask("/api/decisions")).json["total"] == 0


async def test_pages_of_other_sites_decide_nothing(tmp_path: Path) -> None:
    """The guard stands before these paths as before all others, and a form is no JSON."""
    async with house(tmp_path) as at:
        await recorded(at)
        said = {"resolution": "use_broker"}
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await at.ask(RESOLVE, "POST", json=said, headers=headers)).status == 403
        form = {"Content-Type": "text/plain"}
        assert (await at.ask(RESOLVE, "POST", data=b'{"resolution":"use_broker"}', headers=form)).status == 422
        assert (await at.ask(RESOLVE, "POST", data=b" " * 70_000)).status == 413
        assert (await at.ask("/api/decisions")).json["total"] == 0
