"""Whatever the broker answers, the ledger is never changed wrongly and the process lives."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from recond.simulator import Simulator
from tests.end_to_end.conftest import Start
from tests.end_to_end.process import Daemon, Setting, book, bot, held

# What answers GET /v2/positions, and what a person reads about it.
UNREADABLE: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("redirect", {}, "HTTP 302"),
    ("empty_body", {}, "HTTP 200"),
    ("null", {}, "list"),
    ("object", {}, "list"),
    ("html", {"status": 200}, "no readable JSON"),
    ("html", {"status": 502}, "HTTP 502"),
    ("html", {"status": 504}, "HTTP 504"),
    ("status", {"status": 401}, "HTTP 401"),
    ("status", {"status": 403}, "HTTP 403"),
    ("status", {"status": 404}, "HTTP 404"),
    ("status", {"status": 500}, "HTTP 500"),
    ("cut", {}, "the connection failed"),
    # Last, since recond then asks nothing for a while.
    ("status", {"status": 429}, "HTTP 429"),
)
# What makes one row unreadable, or several.
BROKEN: tuple[dict[str, Any], ...] = (
    {"how": "missing", "symbols": ["AAPL"]},
    {"how": "null", "symbols": ["AAPL"]},
    {"how": "missing", "field": "symbol", "symbols": ["AAPL"]},
    {"how": "garbage_symbol", "symbols": ["AAPL"]},
    {"how": "null", "every": 2},
    {"how": "missing"},
)
HARMLESS: tuple[dict[str, Any], ...] = (
    {"how": "number", "symbols": ["AAPL"]},
    {"how": "missing", "field": "side"},
    {"how": "enum", "field": "exchange"},
    {"how": "null", "field": "current_price"},
    {"how": "missing", "field": "market_value"},
    {"how": "missing", "field": "avg_entry_price"},
)


def journal(daemon: Daemon) -> list[tuple[Any, ...]]:
    """Every change of a quantity there ever was."""
    with bot(daemon.ledger) as platform:
        return platform.execute("SELECT seq, symbol, before, after FROM changes ORDER BY seq").fetchall()


async def adopted(start: Start, setting: Setting) -> Daemon:
    """A daemon whose ledger agrees with the broker."""
    daemon = await start(setting)
    assert (await daemon.reconcile())["status"] == "success"
    return daemon


async def test_answers_that_are_no_positions(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """Each is a failed pass that says why, changes nothing, makes the gate unknown, and is over when it is over."""
    daemon = await adopted(start, Setting(tmp_path, simulator))
    before = journal(daemon)
    for kind, arguments, why in UNREADABLE:
        simulator.fault("positions", kind, **arguments)
        failed = await daemon.reconcile()
        gate = await daemon.get("/api/gate")
        simulator.clear()

        assert (failed["status"], failed["brokerPositions"]) == ("failed", None), (kind, failed)
        assert why in failed["error"]["message"], (kind, arguments)
        assert failed["error"]["hint"], (kind, arguments)
        assert gate["state"] == "unknown", (kind, arguments)
        assert journal(daemon) == before, (kind, arguments)
        if arguments.get("status") != 429:
            assert (await daemon.reconcile())["status"] == "success", (kind, arguments)
    spared = await daemon.reconcile()
    assert "rate limit is used up" in spared["error"]["message"]
    assert 'recond_broker_requests_total{account="default",code="429",endpoint="positions"} 1.0' in (
        await daemon.metrics()
    )
    assert daemon.alive
    assert "Traceback" not in daemon.text


async def test_lists_that_lack_rows(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """A list without some or all of its rows closes nothing: absence is not proven, so it is held until shown again."""
    daemon = await adopted(start, Setting(tmp_path, simulator))
    before = journal(daemon)
    for kind, arguments, gone in (
        ("empty_list", {}, set(held(simulator))),
        ("drop_rows", {"every": 2}, {"AAPL271217C00250000", "MSFT", "TSLA"}),
        ("drop_rows", {"symbols": ["NVDA"]}, {"NVDA"}),
    ):
        simulator.fault("positions", kind, **arguments)
        held_back = await daemon.reconcile()
        gate = await daemon.get("/api/gate")
        simulator.clear()

        assert held_back["status"] == "partial", kind
        assert {hold["symbol"] for hold in held_back["holds"]} == gone, kind
        assert all("not shown by the broker" in hold["reason"] for hold in held_back["holds"])
        assert gate["state"] == "blocked"
        assert journal(daemon) == before, kind
        shown = await daemon.reconcile()
        assert (shown["status"], shown["holds"]) == ("success", []), kind
    assert "Traceback" not in daemon.text


async def test_rows_that_cannot_be_read(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """A broken row makes its instrument unknown and is reported; it is not changed, and the others are reconciled."""
    daemon = await adopted(start, Setting(tmp_path, simulator))
    bought = 0
    for arguments in BROKEN:
        simulator.do("trade", symbol="MSFT", side="buy", qty=1)
        bought += 1
        simulator.fault("positions", "break_rows", **arguments)
        before = book(daemon.ledger)
        partial = await daemon.reconcile()
        after = book(daemon.ledger)
        simulator.clear()

        assert partial["status"] == "partial", arguments
        assert partial["unreadable"], arguments
        broken = {row["symbol"] for row in partial["unreadable"]}
        reached = "symbols" in arguments
        assert after == ({**before, "MSFT": before["MSFT"] + 1} if reached else before), arguments
        assert not reached or "MSFT" not in broken
        healed = await daemon.reconcile()
        assert (healed["error"], healed["unreadable"]) == (None, []), arguments
        assert book(daemon.ledger) == held(simulator), arguments
    assert held(simulator)["MSFT"] == 50 + bought
    assert "Traceback" not in daemon.text


async def test_rows_that_lack_what_is_not_needed(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """A number instead of text, an unknown word, a missing price: the quantity counts, and nothing unknown is zero."""
    daemon = await adopted(start, Setting(tmp_path, simulator))
    before = journal(daemon)
    for arguments in HARMLESS:
        simulator.fault("positions", "break_rows", **arguments)
        answer = await daemon.reconcile()
        simulator.clear()

        assert (answer["status"], answer["synced"], answer["unreadable"]) == ("success", 6, []), arguments
        assert journal(daemon) == before, arguments
        for position in (await daemon.get("/api/positions"))["items"]:
            assert position["currentPrice"], arguments
            assert position["entryPrice"], arguments
            assert position["marketValue"], arguments


async def test_a_late_answer_is_not_taken_for_a_later_one(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """Answers that drip, or come late, are those of their own pass; quantities stay those of the broker."""
    daemon = await adopted(start, Setting(tmp_path, simulator))
    passes = len(daemon.runs())
    simulator.fault("positions", "drip", seconds=0.5, count=2)
    simulator.do("trade", symbol="AAPL", side="buy", qty=Decimal("0.5"))

    answers = await asyncio.gather(*(daemon.reconcile() for _ in range(5)))

    assert {answer["error"] for answer in answers} == {None}
    assert book(daemon.ledger) == held(simulator)
    forced = [run for run in daemon.runs()[passes:] if "http" in run["trigger"]]
    assert len(forced) <= 2, "requests that come while a pass is under way are answered by the same pass"
