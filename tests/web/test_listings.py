"""What the ledger lists, over HTTP, from a real ledger."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from recond.cli import words
from recond.core.model import Cause, Drift, Hold, Kind, Resolution
from recond.core.run import Action, Correction, Explanation, Outcome, Reason, Record, RunStatus
from recond.ports import LedgerCorrupt, LedgerUnavailable, Page, PortError, Query
from tests.web.house import AAPL, COIN, NOW, House, a_conflict, a_run, house


def book(folder: Path, *rows: tuple[str, str, str | None]) -> None:
    """Rows of symbol, quantity and strategy, as a bot writes them."""
    with closing(sqlite3.connect(folder / "recond.db")) as bot, bot:
        bot.executemany(
            "INSERT INTO positions (account, symbol, quantity, strategy_id) VALUES ('swing', ?, ?, ?)", rows
        )


async def recorded(at: House) -> None:
    """One pass that opened a position, saw a conflict and put something on hold."""
    drift = Drift(COIN, Kind.MISSING_IN_LEDGER, Decimal("1E-9"), Decimal(0), None, ())
    opened = Correction(Action.OPEN, COIN, None, None, Decimal(0), Decimal("1E-9"), Cause.ADOPTION, reverses=(3, 4))
    outcomes = (
        Outcome(drift, Explanation(Cause.ADOPTION, "first contact"), Resolution.USE_BROKER, corrections=(opened,)),
        Outcome(
            replace(drift, instrument=AAPL, kind=Kind.QUANTITY, broker=Decimal(10), ledger=Decimal(8)),
            Explanation(Cause.UNEXPLAINED),
            Resolution.MANUAL,
            conflict=a_conflict(id=None),
        ),
        Outcome(
            replace(drift, kind=Kind.MISSING_AT_BROKER),
            Explanation(Cause.UNEXPLAINED),
            Resolution.USE_BROKER,
            hold=Hold(None, AAPL, "not proven", Decimal(0), Decimal(5), NOW),
        ),
    )
    reasons = (Reason.TIMER, Reason.HTTP)
    run = a_run(
        id=at.ledger.next_run_id(), reasons=reasons, status=RunStatus.PARTIAL, outcomes=outcomes, duration_s=0.00001
    )
    await at.ledger.record(Record(run))


async def test_positions_are_listed_exactly(tmp_path: Path) -> None:
    """Rows come under camelCase names, quantities as numbers with every digit."""
    async with house(tmp_path) as at:
        book(tmp_path, ("btc/usd", "0.000000001", "mean"), ("AAPL", "-12345678901234567890.123456789", None))
        answer = await at.ask("/api/positions")
        first, second = answer.json["items"]
        assert (first["symbol"], first["strategyId"], first["side"]) == ("AAPL", None, "short")
        assert (second["symbol"], second["strategyId"], second["userId"]) == ("BTCUSD", "mean", 1)
        assert b'"quantity":-12345678901234567890.123456789,' in answer.body
        assert b'"quantity":0.000000001,' in answer.body


async def test_pages_lead_through_all_rows(tmp_path: Path) -> None:
    """Following `next` shows each matching row once, and ends; filters are kept on the way."""
    async with house(tmp_path) as at:
        book(tmp_path, *((f"A{number:03}", "1", "mean") for number in range(25)), ("OTHER", "1", None))
        seen: list[str] = []
        path: str | None = "/api/positions?limit=10&strategyId=mean&status=open"
        while path:
            page = (await at.ask(path)).json
            assert (page["total"], page["limit"], page["offset"]) == (25, 10, len(seen))
            seen += [row["symbol"] for row in page["items"]]
            path = page["next"]
        assert seen == [f"A{number:03}" for number in range(25)]
        assert (await at.ask("/api/positions?offset=99")).json["items"] == []


async def test_rows_can_be_filtered(tmp_path: Path) -> None:
    """Each documented filter reaches the ledger, symbols by any of their names."""
    async with house(tmp_path) as at:
        await recorded(at)
        for query, count in (
            ("positions?symbol=btc/usd", 1),
            ("positions?symbol=AAPL", 0),
            ("positions?account=nobody", 0),
            ("positions?source=reconciliation&userId=1", 1),
            ("runs?status=partial&trigger=http", 1),
            ("runs?trigger=timer", 1),
            ("runs?trigger=time", 0),
            ("runs?trigger=start", 0),
            ("runs?status=failed", 0),
            ("conflicts?status=open&cause=unexplained&resolution=manual&kind=quantity", 1),
            ("conflicts?status=resolved", 0),
            ("corrections?cause=adoption&symbol=BTCUSD&action=open", 1),
            ("corrections?runId=99", 0),
            ("holds?status=open&assetClass=us_equity", 1),
            ("holds?status=ended", 0),
        ):
            answer = (await at.ask(f"/api/{query}")).json
            assert (answer["total"], len(answer["items"]), answer["next"]) == (count, count, None), query


async def test_what_a_correction_undoes_is_listed(tmp_path: Path) -> None:
    """All of it, with the correction and in the history of its row."""
    async with house(tmp_path) as at:
        await recorded(at)
        for path in ("corrections", "history"):
            (row,) = (await at.ask(f"/api/{path}")).json["items"]
            assert row["reverses"] == [3, 4]
        told = words.history((await at.ask("/api/history")).json)
        assert "adoption, undoing correction 3, undoing correction 4" in told


async def test_what_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    """Unknown filters and values out of bounds are 422 and say which."""
    async with house(tmp_path) as at:
        for query in (
            "limit=0",
            "limit=1001",
            "offset=-1",
            "offset=99999999999999999999",
            "colour=red",
            "status=ajar",
            "symbol=",
            "userId=-1",
        ):
            answer = await at.ask(f"/api/positions?{query}")
            assert (answer.status, answer.type) == (422, "application/problem+json"), query
            assert query.partition("=")[0] in answer.json["detail"]


async def test_a_run_is_shown_with_what_it_found_and_changed(tmp_path: Path) -> None:
    """Its drifts and corrections come with it; no float is written with an exponent."""
    async with house(tmp_path) as at:
        await recorded(at)
        answer = await at.ask("/api/runs/1")
        assert (answer.json["status"], answer.json["totalValue"]) == ("partial", Decimal("1234.50"))
        found = {(drift["symbol"], drift["kind"], drift["cause"]) for drift in answer.json["drifts"]}
        assert found == {
            ("BTCUSD", "missing_in_ledger", "adoption"),
            ("BTCUSD", "missing_at_broker", "unexplained"),
            ("AAPL", "quantity", "unexplained"),
        }
        [correction] = answer.json["corrections"]
        assert (correction["runId"], correction["after"]) == (1, Decimal("1E-9"))
        assert b'"durationS":0.00001,' in answer.body
        assert b'"after":0.000000001,' in answer.body


async def test_a_run_is_shown_whole(tmp_path: Path) -> None:
    """However much it found: more than a list gives at once."""
    async with house(tmp_path) as at:
        drift = Drift(COIN, Kind.MISSING_IN_LEDGER, Decimal(1), Decimal(0), None, ())
        found = Outcome(drift, Explanation(Cause.UNEXPLAINED), Resolution.MANUAL)
        run = a_run(id=at.ledger.next_run_id(), status=RunStatus.PARTIAL, outcomes=(found,) * 1001)
        await at.ledger.record(Record(run))
        answer = (await at.ask(f"/api/runs/{run.id}")).json
        assert (len(answer["drifts"]), answer["corrections"]) == (1001, [])


async def test_one_row_by_its_number(tmp_path: Path) -> None:
    """A number that is there is shown, one that is not is 404, and what is no number 422."""
    async with house(tmp_path) as at:
        await recorded(at)
        for what in ("runs", "conflicts"):
            assert (await at.ask(f"/api/{what}/1")).json["id"] == 1
            for number, status in (("2", 404), ("0", 422), ("x", 422), (str(2**63), 422)):
                answer = await at.ask(f"/api/{what}/{number}")
                assert (answer.status, answer.type) == (status, "application/problem+json")


class Broken:
    """A ledger that cannot be listed."""

    def __init__(self, error: PortError) -> None:
        self.error = error

    async def list(self, query: Query) -> Page:
        """Raise."""
        raise self.error


@pytest.mark.parametrize(("kind", "status"), [(LedgerUnavailable, 503), (LedgerCorrupt, 500)])
async def test_a_ledger_out_of_reach_is_a_problem_with_a_hint(
    tmp_path: Path, kind: type[PortError], status: int
) -> None:
    """What memory knows is still answered."""
    broken = Broken(kind("the ledger is locked", hint="end the transaction"))
    async with house(tmp_path, ledger=broken) as at:  # type: ignore[arg-type]
        answer = await at.ask("/api/positions")
        assert (answer.status, answer.type) == (status, "application/problem+json")
        assert (answer.json["detail"], answer.json["hint"]) == ("the ledger is locked", "end the transaction")
        assert (await at.ask("/api/positions/reconciliation-status")).status == 200
