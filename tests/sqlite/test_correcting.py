"""Corrections in the ledger: new names, and rows that somebody took away past the triggers."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from recond.core.judge import Timing
from recond.core.run import Reason, Run
from recond.core.schedule import Budget
from recond.evidence import Evidence
from recond.ports import Collection, Query
from recond.reconcile import Reconciler
from recond.sqlite.ledger import SqliteLedger
from recond.triggers import Triggers
from tests.fakes import FakeBroker, rules
from tests.sqlite.passes import (
    NOW,
    a_record,
    an_outcome,
    assert_sound,
    bot,
    closing_of,
    held,
    opening,
    replayed,
    setting,
)

PASSES_MAX = 20


async def test_a_new_name_keeps_the_row(ledger: SqliteLedger, plain: sqlite3.Connection) -> None:
    """Id, strategy, open time and quantity stay; the journal tells its end there and its beginning here."""
    plain.execute(
        "INSERT INTO positions (account, strategy_id, symbol, quantity, opened_at)"
        " VALUES ('main', 'mean', 'FB', '5', '2025-01-02T03:04:05Z')"
    )
    reading = await ledger.read("main", None)
    await ledger.record(a_record(1, reading, an_outcome("FB", "0", setting(reading.rows[0], "5", "META"))))
    columns = "id, symbol, strategy_id, quantity, status, source, opened_at, version, asset_id"
    assert plain.execute(f"SELECT {columns} FROM positions").fetchall() == [
        (1, "META", "mean", "5", "open", "platform", "2025-01-02T03:04:05Z", 2, "id-META")
    ]
    entries = plain.execute("SELECT position_id, symbol, before, after, correction_id FROM changes").fetchall()
    assert entries == [(1, "FB", "0", "5", None), (1, "FB", "5", "0", 1), (1, "META", "0", "5", 1)]
    assert_sound(plain)


async def test_names_that_are_exchanged_find_their_place(ledger: SqliteLedger, plain: sqlite3.Connection) -> None:
    """A row that closes frees its name for the one that is renamed to it, in one run."""
    plain.execute("INSERT INTO positions (account, symbol, quantity) VALUES ('main', 'FB', '5'), ('main', 'META', '1')")
    reading = await ledger.read("main", None)
    rows = {row.symbol: row for row in reading.rows}
    goes, closed = setting(rows["FB"], "5", "META"), closing_of(rows["META"])
    outcomes = an_outcome("FB", "0", goes), an_outcome("META", "5", closed)
    await ledger.record(a_record(1, reading, *outcomes))
    assert held(plain) == {("main", "META", None): 5}
    assert_sound(plain)


async def test_what_a_correction_undoes_and_whether_it_is_proven_is_written_down(
    ledger: SqliteLedger, plain: sqlite3.Connection
) -> None:
    """Both are there for good, as the core said."""
    await ledger.record(a_record(1, await ledger.read("main", None), an_outcome("AAPL", "5", opening("AAPL", "5"))))
    reading = await ledger.read("main", None)
    undoing = replace(setting(reading.rows[0], "3"), proven=False, reverses=(1, 9))
    await ledger.record(a_record(2, reading, an_outcome("AAPL", "3", undoing)))
    assert plain.execute("SELECT id, proven, reverses FROM corrections ORDER BY id").fetchall() == [
        (1, 1, None),
        (2, 0, "[1, 9]"),
    ]


class Desk:
    """The whole pass over a real ledger, with a broker that holds five AAPL, and a bot whose triggers can be off."""

    def __init__(self, ledger: SqliteLedger, plain: sqlite3.Connection) -> None:
        self.ledger, self.plain, self.sequence = ledger, plain, 0
        self.broker = FakeBroker({"AAPL": Decimal(5), "MSFT": Decimal(3)})
        timing = Timing(settle_s=0.01, broker_lag_s=0.01, confirm_after_s=0.01, pending_max_s=60.0)
        self.reconciler = Reconciler(
            replace(rules(), account="main", timing=timing),
            self.broker,
            ledger,
            Evidence("main", ledger, horizon_s=90.0, late_s=30.0),
            Triggers(),
            (),
            now=lambda: NOW,
            jitter=lambda: 1.0,
            came_round=lambda: None,
            round_s=1.0,
        )

    async def settled(self) -> Run:
        """Passes until nothing is pending."""
        for _ in range(PASSES_MAX):
            self.sequence += 1
            run = await self.reconciler.run_pass(self.sequence, (Reason.HTTP,), Budget(1000))
            assert run.error is None
            if not run.pending:
                return run
        raise AssertionError("still pending")

    def take_away(self, symbol: str) -> None:
        """Delete the rows of the symbol as a program does that has dropped the triggers."""
        triggers = self.plain.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'positions'"
        ).fetchall()
        for name, _ in triggers:
            self.plain.execute(f"DROP TRIGGER {name}")
        self.plain.execute("DELETE FROM positions WHERE symbol = ?", (symbol,))
        for _, sql in triggers:
            self.plain.execute(sql)

    def accept(self, hold_id: int) -> None:
        """What an operator's word writes."""
        self.plain.execute(
            "INSERT INTO decisions (account, symbol, asset_class, hold_id, resolution, broker_quantity,"
            " ledger_quantity, names_row, by, at) SELECT account, symbol, asset_class, id, 'use_broker',"
            " broker_quantity, ledger_quantity, 0, 'ann', opened_at FROM holds WHERE id = ?",
            (hold_id,),
        )


@pytest.fixture
async def desk(ledger: SqliteLedger, path: Path) -> AsyncIterator[Desk]:
    """A desk at which both sides agree on five AAPL and three MSFT."""
    with bot(path) as plain:
        sql = "INSERT INTO positions (account, strategy_id, symbol, quantity) VALUES ('main', 'mean', ?, ?)"
        plain.executemany(sql, [("AAPL", "5"), ("MSFT", "3")])
        desk = Desk(ledger, plain)
        assert (await desk.settled()).synced == 2
        yield desk


async def test_rows_that_were_taken_away_are_held_until_an_operator_accepts_it(desk: Desk) -> None:
    """They are not opened again by themselves, pass after pass; accepted, the journal gives the positions exactly."""
    desk.take_away("AAPL")
    for _ in range(3):
        run = await desk.settled()
        assert [hold.reason[:20] for hold in run.open_holds] == ["ledger row 1 with 5 "]
        assert run.corrections == ()
    reading = await desk.ledger.read("main", None)
    assert [(row.id, row.symbol, row.strategy_id, row.quantity) for row in reading.lost] == [(1, "AAPL", "mean", 5)]
    assert replayed(desk.plain) != held(desk.plain)

    (hold,) = run.open_holds
    assert hold.id is not None
    desk.accept(hold.id)
    run = await desk.settled()
    assert [(c.action, c.after) for c in run.corrections] == [("open", 5)]
    assert [ended.ended_by for ended in run.ended_holds] == ["accepted by ann"]
    later = "FROM changes AS c JOIN baselines AS b ON b.symbol = c.symbol AND c.seq > b.seq WHERE correction_id IS NULL"
    assert desk.plain.execute(f"SELECT count(*) {later}").fetchone() == (0,), "the ledger did not move since"
    assert replayed(desk.plain) == held(desk.plain) == {("main", "AAPL", "mean"): 5, ("main", "MSFT", "mean"): 3}
    assert (await desk.ledger.read("main", None)).lost == ()
    assert (await desk.ledger.list(Query(Collection.CORRECTIONS))).total == 1
    again = await desk.settled()
    assert (again.status, again.corrections, again.synced) == ("success", (), 2)


async def test_rows_that_were_taken_away_and_put_back_are_no_matter_any_more(desk: Desk) -> None:
    """The hold ends by itself, and nothing was changed."""
    desk.plain.execute("CREATE TEMP TABLE aside AS SELECT * FROM positions WHERE symbol = 'AAPL'")
    desk.take_away("AAPL")
    assert len((await desk.settled()).open_holds) == 1
    triggers = desk.plain.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'positions'"
    ).fetchall()
    columns = ", ".join(d[0] for d in desk.plain.execute("SELECT * FROM aside").description if d[0] != "quantity_value")
    for name, _ in triggers:
        desk.plain.execute(f"DROP TRIGGER {name}")
    desk.plain.execute(f"INSERT INTO positions ({columns}) SELECT {columns} FROM aside")
    for _, sql in triggers:
        desk.plain.execute(sql)
    run = await desk.settled()
    assert (run.open_holds, run.corrections, [h.ended_by for h in run.ended_holds]) == ((), (), ["agreement"])
    assert_sound(desk.plain)


async def test_a_row_that_was_taken_away_and_sold_at_the_broker_changes_nothing_by_itself(desk: Desk) -> None:
    """Both sides are flat then: there is no drift, and the other rows go on."""
    desk.take_away("AAPL")
    del desk.broker.held["AAPL"]
    run = await desk.settled()
    assert (run.corrections, run.synced, run.open_holds) == ((), 1, ())


async def test_a_lost_row_that_was_held_stands_in_nobodys_way_once_both_sides_agree(desk: Desk) -> None:
    """Sold at the broker meanwhile: the journal closes it with the hold, and a bot can book the symbol again."""
    desk.take_away("AAPL")
    assert len((await desk.settled()).open_holds) == 1
    del desk.broker.held["AAPL"]
    run = await desk.settled()
    assert ([h.ended_by for h in run.ended_holds], run.corrections) == (["agreement"], ())
    assert (await desk.ledger.read("main", None)).lost == ()
    desk.plain.execute(
        "INSERT INTO positions (account, strategy_id, symbol, quantity) VALUES ('main', 'mean', 'AAPL', 4)"
    )
    assert replayed(desk.plain) == held(desk.plain) == {("main", "AAPL", "mean"): 4, ("main", "MSFT", "mean"): 3}
