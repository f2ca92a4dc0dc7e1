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

from recond.core.evidence import key
from recond.core.model import (
    Accepted,
    Activity,
    Baseline,
    Cause,
    Conflict,
    Decision,
    Execution,
    Hold,
    LedgerReading,
    LedgerRow,
    Resolution,
)
from recond.core.repin import Repin, Repinned
from recond.core.run import LateLink, Part, Problem, Record, Refresh, RunStatus
from recond.core.wish import Matter, Refusal, Why, Wish
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
    assert (await desk.ledger.list(Query(collection))).total == (2 if collection is Collection.ACCOUNTS else 0)


async def opened_conflict(desk: Desk, symbol: str = "AAPL") -> int:
    """The id of a conflict that a pass has opened: broker 5.5, ledger 0."""
    outcome = replace(an_outcome(symbol, "5.5"), conflict=a_conflict(symbol), resolution=Resolution.MANUAL)
    reading = await desk.ledger.read("main", None)
    run = await desk.ledger.record(a_record(desk.ledger.next_run_id(), reading, outcome))
    [conflict] = run.conflicts
    assert conflict.id is not None
    return conflict.id


async def test_a_decision_is_read_until_something_comes_of_it(desk: Desk) -> None:
    """It is what the wish says with the quantities of the conflict; once a pass has acted on it, it is over."""
    number = await opened_conflict(desk)
    wish = Wish(Matter.CONFLICT, number, Resolution.USE_BROKER, "ann", names_row=True, strategy_id=None, note="seen")
    decided = await desk.ledger.decide(wish)
    assert isinstance(decided, Decision)
    assert (decided.broker_quantity, decided.ledger_quantity, decided.conflict_id) == (Decimal("5.5"), 0, number)
    reading = await desk.ledger.read("main", None)
    assert reading.decisions == (decided,)
    assert (await desk.ledger.read("other", None)).decisions == ()
    [row] = (await desk.ledger.list(Query(Collection.DECISIONS, filters={"status": "open"}))).rows
    assert (row["account"], row["by"], row["names_row"], row["note"]) == ("main", "ann", True, "seen")
    done = replace(decided, outcome="done")
    outcome = replace(an_outcome("AAPL", "5.5", opening("AAPL", "5.5")), decision=done)
    await desk.ledger.record(a_record(desk.ledger.next_run_id(), reading, outcome))
    assert (await desk.ledger.read("main", None)).decisions == ()
    [row] = (await desk.ledger.list(Query(Collection.DECISIONS, id=decided.id))).rows
    assert (row["outcome"], row["ended_at"] is not None) == ("done", True)


async def test_of_two_operators_one_wins(desk: Desk) -> None:
    """The second is told whose decision it is, also about a hold on the instrument; another instrument is free."""
    first, second = await opened_conflict(desk), await opened_conflict(desk, "MSFT")
    reading = await desk.ledger.read("main", None)
    hold = Hold(None, instrument("AAPL"), "not proven", Decimal(0), Decimal(5), NOW)
    record = a_record(desk.ledger.next_run_id(), reading, replace(an_outcome("AAPL", "0"), hold=hold))
    [held] = (await desk.ledger.record(record)).open_holds
    assert held.id is not None
    wish = Wish(Matter.CONFLICT, first, Resolution.USE_DB, "ann")
    assert isinstance(await desk.ledger.decide(wish), Decision)
    for again in (replace(wish, by="bob"), Wish(Matter.HOLD, held.id, Resolution.USE_BROKER, "bob")):
        refused = await desk.ledger.decide(again)
        assert isinstance(refused, Refusal)
        assert (refused.why, "ann has decided use_db" in refused.text) == (Why.DECIDED, True)
    assert isinstance(await desk.ledger.decide(replace(wish, id=second, by="bob")), Decision)


async def test_a_decision_that_cannot_stand_leaves_nothing(desk: Desk) -> None:
    """About another quantity, an ended matter or none at all: refused, and nothing is open afterwards."""
    number = await opened_conflict(desk)
    wish = Wish(Matter.CONFLICT, number, Resolution.USE_BROKER, "ann", broker_quantity=Decimal(5))
    whys = [await desk.ledger.decide(each) for each in (wish, replace(wish, id=99), replace(wish, matter=Matter.HOLD))]
    reading = await desk.ledger.read("main", None)
    [conflict] = reading.conflicts
    ended = replace(conflict, resolved_at=NOW, resolved_by="agreement")
    await desk.ledger.record(Record(replace(a_run(desk.ledger.next_run_id()), ended_conflicts=(ended,))))
    whys.append(await desk.ledger.decide(replace(wish, broker_quantity=None)))
    assert [each.why for each in whys if isinstance(each, Refusal)] == [
        Why.MOVED,
        Why.UNKNOWN,
        Why.UNKNOWN,
        Why.ENDED,
    ]
    assert (await desk.ledger.list(Query(Collection.DECISIONS))).total == 0


async def test_a_repin_closes_the_book_and_forgets_the_account(desk: Desk) -> None:
    """Every row is closed by a correction of one run, open matters end, what was known is gone; a pass in flight fails.

    What it read before the repin is not written, not even about an instrument that the ledger never had.
    """
    for symbol in ("AAPL", "MSFT"):
        desk.book(symbol, "5")
    desk.give("MSFT", "mean")
    await desk.ledger.pin("main", "b-1")
    await desk.ledger.pin("other", "b-2")
    number = await opened_conflict(desk, "TSLA")
    await desk.ledger.decide(Wish(Matter.CONFLICT, number, Resolution.USE_BROKER, "bob"))
    before = await desk.ledger.read("main", None)
    baseline = Baseline(instrument("AAPL"), Decimal(5), Decimal(5), None, NOW)
    accepted = Accepted(instrument("NVDA"), Decimal(1), NOW, "bob")
    outcome = replace(an_outcome("NVDA", "1"), accepted=accepted, resolution=Resolution.USE_DB)
    known = replace(a_record(desk.ledger.next_run_id(), before, outcome), settled=True, equity=Decimal(9))
    await desk.ledger.record(replace(known, quiet=True, read_at=NOW, baselines=(baseline,)))
    in_flight = a_record(desk.ledger.next_run_id(), before, an_outcome("AMZN", "2", opening("AMZN", "2")))

    assert isinstance(await desk.ledger.repin(Repin("main", "ann", broker_account_id="b-2")), Refusal)
    done = await desk.ledger.repin(Repin("main", "ann", note="paper reset"))
    assert isinstance(done, Repinned)
    assert (done.was, done.now, done.closed, done.conflicts, done.holds) == ("b-1", None, 2, 1, 0)
    after = await desk.ledger.read("main", None)
    assert after == LedgerReading(rows=(), seq=after.seq, repins=1)
    made = (await desk.ledger.list(Query(Collection.CORRECTIONS, filters={"run_id": done.run_id}))).rows
    assert {(r["symbol"], r["strategy_id"], r["before"], r["after"], r["action"]) for r in made} == {
        ("AAPL", None, Decimal(5), Decimal(0), "close"),
        ("MSFT", "mean", Decimal(5), Decimal(0), "close"),
    }
    closed = (await desk.ledger.list(Query(Collection.POSITIONS, filters={"status": "closed"}))).rows
    assert {row["close_reason"] for row in closed} == {"reconciliation_repin"}
    [conflict] = (await desk.ledger.list(Query(Collection.CONFLICTS))).rows
    assert conflict["resolved_by"] == "repin by ann"
    [run] = (await desk.ledger.list(Query(Collection.RUNS, id=done.run_id))).rows
    assert (run["trigger"], "by ann; the old book was closed: paper reset" in str(run["hint"])) == ("operator", True)
    with pytest.raises(LedgerUnavailable, match="pinned anew"):
        await desk.ledger.record(replace(in_flight, repins=before.repins))
    assert (await desk.ledger.read("main", None)) == after
    assert await desk.ledger.pin("main", None) == {"other": "b-2"}
    assert await desk.ledger.pin("main", "b-3") == {"main": "b-3", "other": "b-2"}


async def test_the_history_leads_from_a_quantity_to_what_made_it(desk: Desk) -> None:
    """Newest first: recond's change with its run, cause, explanations and evidence, and before it the platform's."""
    desk.book("AAPL", "5")
    desk.book("MSFT", "1")
    reading = await desk.ledger.read("main", None)
    fill = Execution("AAPL", NOW, Decimal(2), "order", Decimal(2), price=Decimal("9.5"), client_order_id="x-1")
    fee = Activity("a-1", "CFEE", None, "AAPL", Decimal(1), None, NOW)
    part = Part(Cause.EXTERNAL_TRADE, Decimal(2), executions=(key(fill),))
    change = an_outcome("AAPL", "8", setting(await desk.row("AAPL"), "8"), cause=Cause.EXTERNAL_TRADE)
    change = replace(change, explanation=replace(change.explanation, parts=(part,)))
    made_so = replace(change.corrections[0], proven=False, cause=Cause.EXTERNAL_TRADE, reverses=(3, 4))
    change = replace(change, corrections=(made_so,))
    await desk.ledger.record(replace(a_record(1, reading, change), executions=(fill,)))
    [made] = (await desk.ledger.list(Query(Collection.CORRECTIONS))).rows
    assert (made["later_cause"], made["reverses"]) == (None, [3, 4])
    link = LateLink(int(str(made["id"])), Cause.CRYPTO_FEE, "explained later", activities=("a-1",))
    await desk.ledger.record(Record(replace(a_run(2), late_links=(link,)), activities=(fee,)))

    page = await desk.ledger.list(Query(Collection.HISTORY, account="main", filters={"symbol": "AAPL"}))
    newest, oldest = page.rows
    told = [newest[name] for name in ("who", "before", "after", "cause", "proven", "run_id", "trigger", "explanation")]
    assert told == ["recond", 5, 8, "external_trade", False, 1, "timer+http", "a sentence"]
    assert (newest["later_cause"], newest["later_explanation"]) == ("crypto_fee", "explained later")
    [execution], [activity] = newest["executions"], newest["activities"]  # type: ignore[misc]
    assert [execution[name] for name in ("order_id", "price", "client_order_id")] == ["order", Decimal("9.5"), "x-1"]
    assert (activity["id"], activity["type"]) == ("a-1", "CFEE")
    told = [oldest[name] for name in ("who", "before", "after", "cause", "executions", "reverses")]
    assert (told, newest["reverses"]) == (["platform", 0, 5, None, [], []], [3, 4])
    assert (await desk.ledger.list(Query(Collection.HISTORY, account="other"))).total == 0
    [made] = (await desk.ledger.list(Query(Collection.CORRECTIONS))).rows
    assert (made["later_cause"], made["proven"]) == ("crypto_fee", False)


async def test_only_what_is_old_and_idle_is_forgotten(desk: Desk) -> None:
    """Runs, drifts and evidence go, bit by bit; what corrected the ledger, what it rests on and what is open stay."""
    old, new = NOW - timedelta(days=91), NOW - timedelta(days=89)
    used, unused = (Execution("AAPL", old, Decimal(2), order, Decimal(2)) for order in ("used", "unused"))
    recent = Execution("AAPL", new, Decimal(2), "recent", Decimal(2))
    why, noise = (Activity(name, "CFEE", None, "AAPL", Decimal(1), None, old) for name in ("why", "noise"))
    reading = await desk.ledger.read("main", None)
    part = Part(Cause.FILL, Decimal(2), executions=(key(used),), activities=("why",))
    made = an_outcome("AAPL", "2", opening("AAPL", "2"))
    made = replace(made, explanation=replace(made.explanation, parts=(part,)))
    ended = replace(a_conflict("MSFT"), resolved_at=old, resolved_by="policy")
    seen = [
        replace(an_outcome("MSFT", "5"), conflict=ended),
        replace(an_outcome("TSLA", "5"), conflict=replace(a_conflict("TSLA"), opened_at=old)),
    ]
    for number, at, outcomes in ((1, old, [made]), (2, old, seen), (3, old, []), (4, new, [])):
        run = replace(a_run(number, *outcomes), started_at=at, finished_at=at)
        executions, activities = ((used, unused, recent), (why, noise)) if number == 1 else ((), ())
        await desk.ledger.record(Record(run, seq=reading.seq, executions=executions, activities=activities))
    counts = [await desk.ledger.forget(NOW - timedelta(days=90), 2) for _ in range(5)]
    # Two drifts and two runs, an execution, an activity and a conflict.
    assert counts == [2, 2, 2, 1, 0]
    assert [r["id"] for r in (await desk.ledger.list(Query(Collection.RUNS))).rows] == [4, 1]
    assert [r["symbol"] for r in (await desk.ledger.list(Query(Collection.DRIFTS))).rows] == ["AAPL"]
    assert [r["symbol"] for r in (await desk.ledger.list(Query(Collection.CONFLICTS))).rows] == ["TSLA"]
    assert {e.order_id for e in await desk.ledger.executions("main", old)} == {"used", "recent"}
    [entry] = (await desk.ledger.list(Query(Collection.HISTORY))).rows
    assert [each["id"] for each in entry["activities"]] == ["why"]  # type: ignore[attr-defined]
    assert (entry["cause"], entry["explanation"]) == ("unexplained", "a sentence")
