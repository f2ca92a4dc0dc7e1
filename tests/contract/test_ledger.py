"""The contract of the ledger port, asked of every adapter: what was recorded is read back, wholly or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from recond.core.model import Baseline, Cause, Conflict, Hold, LedgerReading, LedgerRow, Resolution
from recond.core.run import Problem, Record, Refresh, RunStatus
from recond.ports import Collection, Ledger, LedgerUnavailable, Query
from tests.sqlite.passes import (
    NOW,
    UPSERT,
    a_record,
    a_run,
    an_outcome,
    assert_sound,
    bot,
    closing_of,
    instrument,
    open_ledger,
    opening,
    setting,
)


@dataclass(frozen=True)
class Desk:
    """A ledger, another program that books into the account `main`, and a look at whether all is sound."""

    ledger: Ledger
    book: Callable[[str, object], object]
    give: Callable[[str, str], object]
    check: Callable[[], None]

    async def row(self, symbol: str) -> LedgerRow:
        """The only open row of the symbol."""
        [row] = [row for row in (await self.ledger.read("main", None)).rows if row.symbol == symbol]
        return row


async def sqlite_desk(path: Path, stack: ExitStack) -> AsyncIterator[Desk]:
    """The SQLite ledger."""
    async with open_ledger(path / "recond.db") as ledger:
        plain: sqlite3.Connection = stack.enter_context(bot(path / "recond.db"))
        yield Desk(
            ledger,
            lambda symbol, quantity: plain.execute(UPSERT, (symbol, quantity)),
            lambda symbol, strategy: plain.execute(
                "UPDATE positions SET strategy_id = ? WHERE symbol = ? AND status = 'open'", (strategy, symbol)
            ),
            lambda: assert_sound(plain),
        )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a test leaves open."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=[sqlite_desk])
async def desk(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> AsyncIterator[Desk]:
    """Every adapter; whatever the test did, the book must be sound afterwards."""
    async for desk in request.param(tmp_path, stack):
        yield desk
        desk.check()


def quantities(reading: LedgerReading) -> dict[tuple[str, str | None], Decimal]:
    """The open rows."""
    return {(row.symbol, row.strategy_id): row.quantity for row in reading.rows}


async def test_a_new_ledger_is_empty(desk: Desk) -> None:
    """Nothing is known, and the account is not adopted."""
    assert await desk.ledger.read("main", None) == LedgerReading(rows=(), seq=0)
    assert await desk.ledger.read("main", 0) == LedgerReading(rows=(), seq=0)


async def test_bookings_are_read(desk: Desk) -> None:
    """Exactly as booked, and `changed` names what was booked after the position asked for."""
    desk.book("AAPL", "10.000000001")
    first = await desk.ledger.read("main", None)
    desk.book("MSFT", "-3")
    second = await desk.ledger.read("main", first.seq)
    assert quantities(second) == {("AAPL", None): Decimal("10.000000001"), ("MSFT", None): Decimal(-3)}
    assert (first.changed, second.changed) == (frozenset(), frozenset({"MSFT"}))
    assert (await desk.ledger.read("main", second.seq)).changed == frozenset()
    assert (await desk.ledger.read("other", 0)).rows == ()


async def test_case_17_recording_twice_is_recording_once(desk: Desk) -> None:
    """The same record a second time makes no second correction, id or change, and returns the run that was given."""
    record = a_record(
        desk.ledger.next_run_id(), await desk.ledger.read("main", None), an_outcome("AAPL", "5", opening("AAPL", "5"))
    )
    assert (await desk.ledger.record(record)).recorded
    before = await desk.ledger.read("main", 0)
    assert await desk.ledger.record(record) == record.run
    assert await desk.ledger.read("main", 0) == before
    assert (await desk.ledger.list(Query(Collection.RUNS))).total == 1


async def test_run_ids_grow(desk: Desk) -> None:
    """No run id is given twice."""
    ids = [desk.ledger.next_run_id() for _ in range(3)]
    assert ids == sorted(set(ids))


async def test_opened_set_closed(desk: Desk) -> None:
    """The three corrections do what they say; rows of one instrument change in one run in any order."""
    for symbol in ("AAPL", "MSFT", "TSLA"):
        desk.book(symbol, "5")
    reading = await desk.ledger.read("main", None)
    rows = {row.symbol: row for row in reading.rows}
    run = await desk.ledger.record(
        a_record(
            1,
            reading,
            an_outcome("NVDA", "2", opening("NVDA", "2", "mean")),
            an_outcome("AAPL", "-7", setting(rows["AAPL"], "-7")),
            an_outcome("MSFT", "0", closing_of(rows["MSFT"])),
            an_outcome("TSLA", "9", opening("TSLA", "9"), closing_of(rows["TSLA"])),
        )
    )
    after = await desk.ledger.read("main", reading.seq)
    assert quantities(after) == {("NVDA", "mean"): 2, ("AAPL", None): -7, ("TSLA", None): 9}
    assert (await desk.row("AAPL")).entry_price == Decimal(9)
    assert (await desk.row("AAPL")).market_value == Decimal(-70)
    assert (await desk.row("TSLA")).id != rows["TSLA"].id
    [closed] = (await desk.ledger.list(Query(Collection.POSITIONS, filters={"symbol": "MSFT"}))).rows
    assert (closed["status"], closed["close_reason"]) == ("closed", "reconciliation_external_close")
    opened = (await desk.ledger.list(Query(Collection.POSITIONS, filters={"source": "reconciliation"}))).rows
    assert [(row["symbol"], row["quantity"], row["side"]) for row in opened] == [
        ("NVDA", 2, "long"),
        ("TSLA", 9, "long"),
    ]
    corrections = (await desk.ledger.list(Query(Collection.CORRECTIONS, filters={"run_id": run.id}))).rows
    assert [(row["symbol"], row["before"], row["after"]) for row in reversed(corrections)] == [
        ("NVDA", 0, 2),
        ("AAPL", 5, -7),
        ("MSFT", 5, 0),
        ("TSLA", 0, 9),
        ("TSLA", 5, 0),
    ]
    assert (await desk.ledger.list(Query(Collection.DRIFTS, filters={"run_id": run.id}))).total == 4


async def test_a_rename_moves_the_row(desk: Desk) -> None:
    """Setting a row to another symbol keeps its id and strategy, and the journal follows."""
    desk.book("FB", "5")
    desk.give("FB", "mean")
    row = await desk.row("FB")
    reading = await desk.ledger.read("main", None)
    await desk.ledger.record(a_record(1, reading, an_outcome("META", "5", setting(row, "5", "META"))))
    assert (await desk.row("META")).id == row.id
    assert quantities(await desk.ledger.read("main", None)) == {("META", "mean"): 5}


async def test_what_changed_since_the_reading_is_withheld(desk: Desk) -> None:
    """Its drift goes back to pending and its row stays; all else of the run is recorded."""
    desk.book("AAPL", "5")
    desk.book("MSFT", "5")
    reading = await desk.ledger.read("main", None)
    rows = {row.symbol: row for row in reading.rows}
    desk.book("AAPL", "6")
    outcomes = [an_outcome(symbol, "9", setting(rows[symbol], "9")) for symbol in ("AAPL", "MSFT")]
    bases = tuple(Baseline(instrument(s), Decimal(9), Decimal(9), None, NOW) for s in ("AAPL", "MSFT"))
    record = replace(a_record(1, reading, *outcomes), again_s=4.5, settled=True, baselines=bases)
    run = await desk.ledger.record(record)
    assert [(p.instrument.symbol, p.due_s) for p in run.pending] == [("AAPL", 4.5)]
    assert run.status is RunStatus.PARTIAL
    after = await desk.ledger.read("main", None)
    assert quantities(after) == {("AAPL", None): 6, ("MSFT", None): 9}
    assert list(after.baselines) == [instrument("MSFT")]
    assert not after.adopted


async def test_a_row_that_is_not_as_it_was_read_rolls_everything_back(desk: Desk) -> None:
    """A record that claims to know the journal but has an old row is refused whole."""
    desk.book("AAPL", "5")
    old = await desk.row("AAPL")
    desk.book("AAPL", "6")
    reading = await desk.ledger.read("main", None)
    outcomes = (an_outcome("NVDA", "2", opening("NVDA", "2")), an_outcome("AAPL", "9", setting(old, "9")))
    with pytest.raises(LedgerUnavailable, match="changed under"):
        await desk.ledger.record(a_record(1, reading, *outcomes))
    assert await desk.ledger.read("main", reading.seq) == reading
    assert (await desk.ledger.list(Query(Collection.RUNS))).total == 0
    assert (await desk.ledger.list(Query(Collection.CORRECTIONS))).total == 0


async def test_prices_refresh_without_movement(desk: Desk) -> None:
    """Prices of a row are written where it is still at its version; what is not known stays; nothing is journalled."""
    desk.book("AAPL", "5")
    desk.book("MSFT", "5")
    reading = await desk.ledger.read("main", None)
    desk.book("MSFT", "6")
    prices = (Decimal(9), Decimal(10), Decimal(50), Decimal(5), Decimal("0.1"))
    fresh = [Refresh(row.id, row.version, "us_equity", "id", *prices) for row in reading.rows]
    await desk.ledger.record(replace(a_record(1, reading), refreshes=tuple(fresh)))
    unknown = replace(fresh[0], entry_price=None, price=Decimal(11), market_value=None)
    await desk.ledger.record(replace(a_record(2, reading), refreshes=(unknown,)))
    aapl, msft = (await desk.ledger.list(Query(Collection.POSITIONS))).rows
    assert (aapl["entry_price"], aapl["current_price"], aapl["market_value"]) == (9, 11, 50)
    assert aapl["last_synced_at"] is not None
    assert (msft["current_price"], msft["last_synced_at"]) == (None, None)
    assert (await desk.ledger.read("main", reading.seq)).changed == {"MSFT"}


def a_conflict(symbol: str) -> Conflict:
    """A conflict seen for the first time."""
    return Conflict(
        id=None,
        instrument=instrument(symbol),
        kind=an_outcome(symbol, "5").drift.kind,
        cause=Cause.UNEXPLAINED,
        broker_quantity=Decimal("5.5"),
        ledger_quantity=Decimal(0),
        resolution=Resolution.MANUAL,
        opened_at=NOW,
        last_seen_at=NOW,
        explanation="a sentence",
        broker_value=Decimal(55),
    )


async def test_a_conflict_is_opened_seen_and_ended_once(desk: Desk) -> None:
    """It keeps its id, and is read back as it was recorded until it has ended."""
    reading = await desk.ledger.read("main", None)
    first = replace(an_outcome("AAPL", "5"), conflict=a_conflict("AAPL"))
    ended = replace(a_conflict("MSFT"), resolved_at=NOW, resolved_by="use_broker")
    run = await desk.ledger.record(a_record(1, reading, first, replace(an_outcome("MSFT", "5"), conflict=ended)))
    [opened, _] = run.conflicts
    assert opened == replace(a_conflict("AAPL"), id=opened.id)
    assert (await desk.ledger.read("main", None)).conflicts == (opened,)

    later = NOW + timedelta(minutes=5)
    seen = replace(opened, sightings=2, last_seen_at=later, broker_quantity=Decimal(6), cause=Cause.FILL)
    await desk.ledger.record(a_record(2, reading, replace(first, conflict=seen)))
    assert (await desk.ledger.read("main", None)).conflicts == (seen,)

    gone = replace(seen, resolved_at=later, resolved_by="agreement", note="by itself")
    await desk.ledger.record(Record(replace(a_run(3), ended_conflicts=(gone,))))
    assert (await desk.ledger.read("main", None)).conflicts == ()
    pages = [await desk.ledger.list(Query(Collection.CONFLICTS, filters={"status": s})) for s in ("open", "resolved")]
    assert [page.total for page in pages] == [0, 2]
    [row] = (await desk.ledger.list(Query(Collection.CONFLICTS, id=opened.id))).rows
    assert (row["sightings"], row["resolved_by"], row["note"]) == (2, "agreement", "by itself")
    assert row["broker_quantity"] == Decimal(6)


async def test_a_hold_is_opened_and_ended_once(desk: Desk) -> None:
    """It keeps its id, and is read back as it was recorded until it has ended."""
    reading = await desk.ledger.read("main", None)
    hold = Hold(None, instrument("AAPL"), "not proven", Decimal(0), Decimal(5), NOW)
    run = await desk.ledger.record(a_record(1, reading, replace(an_outcome("AAPL", "0"), hold=hold)))
    [opened] = run.open_holds
    assert (await desk.ledger.read("main", None)).holds == (opened,)
    await desk.ledger.record(a_record(2, reading, replace(an_outcome("AAPL", "0"), hold=opened)))
    assert (await desk.ledger.list(Query(Collection.HOLDS, filters={"status": "open"}))).total == 1
    ended = replace(opened, ended_at=NOW, ended_by="shown again")
    await desk.ledger.record(Record(replace(a_run(3), ended_holds=(ended,))))
    assert (await desk.ledger.read("main", None)).holds == ()
    assert (await desk.ledger.list(Query(Collection.HOLDS, filters={"status": "ended"}))).total == 1


async def test_what_is_known_of_the_account_is_kept(desk: Desk) -> None:
    """Baselines, adoption and equity are there at the next reading, and of this account only."""
    reading = await desk.ledger.read("main", None)
    baseline = Baseline(instrument("AAPL"), Decimal("5.5"), Decimal(5), Decimal("49.50"), NOW)
    record = replace(a_record(1, reading), baselines=(baseline,), settled=True, equity=Decimal("1000.25"))
    await desk.ledger.record(record)
    newer = replace(baseline, broker_quantity=Decimal(0), cost_basis=None)
    await desk.ledger.record(replace(a_record(2, reading), baselines=(newer,)))
    after = await desk.ledger.read("main", None)
    assert (after.baselines, after.adopted, after.equity) == ({newer.instrument: newer}, True, Decimal("1000.25"))
    assert (await desk.ledger.read("other", None)).adopted is False


async def test_late_runs_are_recorded_with_the_next(desk: Desk) -> None:
    """Failed runs that could not be recorded in time are, each once, with their errors."""
    lost = replace(
        a_run(1), status=RunStatus.FAILED, error=Problem("the ledger was locked", "wait"), broker_positions=None
    )
    for run_id in (2, 3):
        await desk.ledger.record(replace(a_record(run_id, await desk.ledger.read("main", None)), late=(lost,)))
    runs = (await desk.ledger.list(Query(Collection.RUNS))).rows
    assert [(run["id"], run["status"], run["error"]) for run in runs] == [
        (3, "success", None),
        (2, "success", None),
        (1, "failed", "the ledger was locked"),
    ]
    assert (runs[0]["trigger"], runs[2]["broker_positions"]) == ("timer+http", None)


async def test_an_account_is_pinned_once(desk: Desk) -> None:
    """The first broker account stays, and no two accounts get the same."""
    assert await desk.ledger.pin("main", "b-1") == {"main": "b-1"}
    assert await desk.ledger.pin("main", "b-2") == {"main": "b-1"}
    assert await desk.ledger.pin("other", "b-1") == {"main": "b-1"}
    assert await desk.ledger.pin("other", "b-2") == {"main": "b-1", "other": "b-2"}


async def test_only_what_others_changed_is_news(desk: Desk) -> None:
    """A booking is told once; recond's own corrections and prices that others write are no news."""
    assert await desk.ledger.changed_accounts() == frozenset()
    desk.book("AAPL", "5")
    assert await desk.ledger.changed_accounts() == {"main"}
    assert await desk.ledger.changed_accounts() == frozenset()
    desk.book("AAPL", "5.0")
    reading = await desk.ledger.read("main", None)
    await desk.ledger.record(a_record(1, reading, an_outcome("AAPL", "7", setting(reading.rows[0], "7"))))
    assert await desk.ledger.changed_accounts() == frozenset()
    desk.give("AAPL", "mean")
    assert await desk.ledger.changed_accounts() == {"main"}


async def test_lists_are_paged_and_filtered(desk: Desk) -> None:
    """Positions by symbol, the rest newest first; `total` counts what matches."""
    for symbol in ("MSFT", "AAPL", "TSLA"):
        desk.book(symbol, "5")
    desk.book("TSLA", "0")
    page = await desk.ledger.list(
        Query(Collection.POSITIONS, account="main", filters={"status": "open"}, limit=1, offset=1)
    )
    assert (page.total, [row["symbol"] for row in page.rows]) == (2, ["MSFT"])
    assert (await desk.ledger.list(Query(Collection.POSITIONS, account="other"))).total == 0
    assert (await desk.ledger.list(Query(Collection.POSITIONS, filters={"symbol": "aapl"}))).total == 1


@pytest.mark.parametrize("collection", Collection)
async def test_an_unknown_filter_is_refused(desk: Desk, collection: Collection) -> None:
    """With what there is instead; a name from outside never reaches a statement."""
    with pytest.raises(ValueError, match="there are"):
        await desk.ledger.list(Query(collection, filters={"id; DROP TABLE runs": 1}))
    assert (await desk.ledger.list(Query(collection))).total == 0
