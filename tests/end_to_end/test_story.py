"""What recond is for, over real sockets, a real file and the real process."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from recond.simulator import Simulator
from tests.end_to_end.conftest import Start
from tests.end_to_end.process import Daemon, Setting, book, bot, held

D = Decimal


async def row(daemon: Daemon, symbol: str) -> dict[str, Any]:
    """The newest row of a symbol."""
    page = await daemon.get("/api/positions", symbol=symbol)
    return max(page["items"], key=lambda item: item["id"])


async def test_seed_behaviours(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """Each thing that can differ between broker and ledger ends as it must, and an outage changes nothing."""
    daemon = await start(Setting(tmp_path, simulator))

    first = await daemon.reconcile()
    assert (first["status"], first["brokerPositions"]) == ("success", 6)
    assert first["added"] + first["synced"] == 6, first  # by the pass at the start, which this one may have joined
    assert book(daemon.ledger) == held(simulator)

    # Opened externally: it is added, and nobody's.
    simulator.do("trade", symbol="AMZN", side="buy", qty=D("7.5"))
    opened = await daemon.reconcile()
    assert (opened["status"], opened["added"], opened["removed"], opened["conflicts"]) == ("success", 1, 0, [])
    new = await row(daemon, "AMZN")
    assert (new["quantity"], new["source"], new["strategyId"]) == (D("7.5"), "reconciliation", None)
    assert (new["side"], new["entryPrice"], new["userId"]) == ("long", D("221.30"), 1)

    # Closed externally: it is closed, with the reason.
    simulator.do("trade", symbol="MSFT", side="sell", qty=50)
    closed = await daemon.reconcile()
    assert (closed["status"], closed["added"], closed["removed"], closed["conflicts"]) == ("success", 0, 1, [])
    gone = await row(daemon, "MSFT")
    assert (gone["status"], gone["quantity"]) == ("closed", 0)
    assert gone["closeReason"] == "reconciliation_external_close"

    # Mismatch, which the platform caused: a conflict, resolved with what the broker says. TSLA is short.
    with bot(daemon.ledger) as platform:
        platform.execute("UPDATE positions SET quantity = '20' WHERE symbol = 'TSLA'")
    differing = await daemon.reconcile()
    assert differing["status"] == "partial"
    [conflict] = differing["conflicts"]
    assert (conflict["symbol"], conflict["kind"]) == ("TSLA", "quantity")
    assert (conflict["brokerQty"], conflict["dbQty"]) == (-20, 20)
    assert (conflict["resolution"], conflict["resolved"]) == ("use_broker", True)
    restored = await row(daemon, "TSLA")
    assert (restored["quantity"], restored["side"], restored["entryPrice"]) == (-20, "short", 361)

    # Match: nothing changes but the prices.
    simulator.do("price", symbol="NVDA", price=D("180.25"))
    with bot(daemon.ledger) as platform:
        before = platform.execute("SELECT id, symbol, quantity, version FROM positions ORDER BY id").fetchall()
        matching = await daemon.reconcile()
        after = platform.execute("SELECT id, symbol, quantity, version FROM positions ORDER BY id").fetchall()
    assert before == after
    assert (matching["status"], matching["synced"], matching["conflicts"]) == ("success", 6, [])
    assert (matching["added"], matching["removed"]) == (0, 0)
    fresh = await row(daemon, "NVDA")
    assert (fresh["currentPrice"], fresh["marketValue"], fresh["unrealizedPl"]) == (D("180.25"), 21630, D("1464"))
    assert matching["totalValue"] == sum(item["marketValue"] for item in await open_rows(daemon))

    # Broker down: failed, with the reason; the ledger keeps every byte; the gate does not know.
    simulator.fault("all", "status", status=503)
    rows = await open_rows(daemon)
    down = await daemon.reconcile()
    assert (down["status"], down["brokerPositions"], down["added"], down["removed"]) == ("failed", None, 0, 0)
    assert "HTTP 503" in down["error"]["message"]
    assert await open_rows(daemon) == rows
    assert (await daemon.get("/api/gate"))["state"] == "unknown"

    # It comes back, and so does recond, with nobody's help.
    simulator.clear()
    assert (await daemon.reconcile())["status"] == "success"
    assert (await daemon.get("/api/gate"))["state"] == "clear"

    # Skipped when the last success is recent, not when forced.
    asked = await daemon.reconcile(force="false")
    assert asked["skipped"]
    forced = await daemon.reconcile(force="true")
    assert not forced["skipped"]
    assert forced["runId"] == asked["runId"] + 1

    # And all of it can be looked up.
    with bot(daemon.ledger) as platform:
        statuses = platform.execute("SELECT status FROM runs ORDER BY id DESC LIMIT 3").fetchall()
    assert statuses == [("success",), ("success",), ("failed",)]
    corrections = (await daemon.get("/api/corrections"))["items"]
    assert [(c["symbol"], c["before"], c["after"]) for c in corrections[:3]] == [
        ("TSLA", 20, -20),
        ("MSFT", 50, 0),
        ("AMZN", 0, D("7.5")),
    ]


async def open_rows(daemon: Daemon) -> list[dict[str, Any]]:
    """The open positions."""
    return list((await daemon.get("/api/positions", status="open"))["items"])


async def test_two_accounts_one_hangs(start: Start, tmp_path: Path) -> None:
    """A broker that never answers for one account delays no pass of another in the same process."""
    async with Simulator(accounts={"slow": "demo", "quick": "demo"}) as simulator:
        simulator.fault("all", "hang", account="slow")
        daemon = await start(Setting(tmp_path, simulator, accounts=("slow", "quick")))
        await daemon.reconcile(account="quick")
        simulator.do("trade", account="quick", symbol="AAPL", side="buy", qty=1)

        answer = await daemon.reconcile(account="quick")

        assert [(c["symbol"], c["resolved"]) for c in answer["conflicts"]] == [("AAPL", True)]
        assert {run["account"] for run in daemon.runs()} == {"quick"}
        status = await daemon.get("/api/positions/reconciliation-status")
        assert [(account["account"], account["gate"]["state"]) for account in status["accounts"]] == [
            ("slow", "unknown"),
            ("quick", "clear"),
        ]
        assert len(book(daemon.ledger)) == 6
