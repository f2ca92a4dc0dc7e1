"""What the ledger remembers for an explanation: others' changes, its own corrections, fills, used activities."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from recond.core.history import History, Wanted
from recond.core.model import Activity, Cause, Execution
from recond.core.run import Explanation, Part
from recond.sqlite.keeping import NEWEST_MAX
from recond.sqlite.ledger import AccountEntry, SqliteLedger
from recond.sqlite.remembering import _ENTRIES_BACK
from tests.sqlite.passes import NOW, UPSERT, a_record, an_outcome, bot, opening, setting


async def test_changes_are_others_and_after_the_position_of_their_symbol(
    ledger: SqliteLedger, plain: sqlite3.Connection
) -> None:
    """In the journal's order, with row and strategy; recond's own, other symbols' and other accounts' are not told."""
    for symbol, quantity in (("AAPL", "1"), ("MSFT", "1"), ("AAPL", "3"), ("TSLA", "1"), ("MSFT", "4")):
        plain.execute(UPSERT, (symbol, quantity))
    plain.execute("INSERT INTO positions (account, symbol, quantity) VALUES ('other', 'AAPL', '9')")
    reading = await ledger.read("main", None)
    rows = {row.symbol: row for row in reading.rows}
    await ledger.record(a_record(1, reading, an_outcome("AAPL", "7", setting(rows["AAPL"], "7"))))
    plain.execute("UPDATE positions SET strategy_id = 'mean' WHERE symbol = 'AAPL' AND account = 'main'")
    history = await ledger.history("main", Wanted({"AAPL": 1, "MSFT": 0}, NOW, NOW))
    told = [(c.symbol, c.strategy_id, c.before, c.after, c.quantity) for c in history.changes]
    assert told == [
        ("MSFT", None, 0, 1, 1),
        ("AAPL", None, 1, 3, 2),
        ("MSFT", None, 1, 4, 3),
        ("AAPL", None, 7, 0, -7),
        ("AAPL", "mean", 0, 7, 7),
    ]
    assert {c.position_id for c in history.changes if c.symbol == "AAPL"} == {rows["AAPL"].id}
    assert [c.seq for c in history.changes] == sorted(c.seq for c in history.changes)
    assert await ledger.history("main", Wanted({}, NOW, NOW)) == History()


async def test_earlier_changes_are_told_where_they_are_wanted(ledger: SqliteLedger, plain: sqlite3.Connection) -> None:
    """Of these symbols, from that moment on, each once and recond's own never; of the others none."""
    for symbol in ("AAPL", "MSFT", "TSLA"):
        plain.execute(UPSERT, (symbol, "1"))
    reading = await ledger.read("main", None)
    rows = {row.symbol: row for row in reading.rows}
    await ledger.record(a_record(1, reading, an_outcome("AAPL", "7", setting(rows["AAPL"], "7"))))
    for symbol in ("MSFT", "AAPL"):
        plain.execute("UPDATE positions SET quantity = quantity + 2 WHERE symbol = ?", (symbol,))
    [second] = plain.execute("SELECT at FROM changes WHERE seq = 5").fetchone()
    at, since = datetime.fromisoformat(second).replace(tzinfo=UTC), {"AAPL": 4, "MSFT": 9, "TSLA": 9}
    old, millisecond = at - timedelta(days=1), timedelta(milliseconds=1)
    for earlier, told in (
        ({}, [("AAPL", 2)]),
        ({"AAPL": old}, [("AAPL", 1), ("AAPL", 2)]),
        ({"MSFT": at, "AAPL": at}, [("MSFT", 2), ("AAPL", 2)]),
        ({"MSFT": at + millisecond, "AAPL": at + timedelta(days=1)}, [("AAPL", 2)]),
    ):
        history = await ledger.history("main", Wanted(since, NOW, NOW, earlier))
        assert [(c.symbol, c.quantity) for c in history.changes] == told, earlier


async def test_earlier_changes_are_looked_for_in_the_last_of_the_journal_only(
    ledger: SqliteLedger, plain: sqlite3.Connection
) -> None:
    """However much was booked since, the search has an end."""
    plain.execute(UPSERT, ("AAPL", "1"))
    [at] = plain.execute("SELECT at FROM changes").fetchone()
    old = datetime.fromisoformat(at).replace(tzinfo=UTC)
    for back, told in ((_ENTRIES_BACK, [1]), (_ENTRIES_BACK + 1, [])):
        history = await ledger.history("main", Wanted({"AAPL": back}, NOW, NOW, {"AAPL": old}))
        assert [c.quantity for c in history.changes] == told


async def test_corrections_say_what_is_known_of_them_by_now(ledger: SqliteLedger) -> None:
    """Whether they were proven when they were made, and undone since."""
    reading = await ledger.read("main", None)
    unproven = replace(opening("MSFT", "2"), proven=False, cause=Cause.UNEXPLAINED)
    proven = replace(opening("AAPL", "5", "mean"), cause=Cause.MISSED_FILL)
    await ledger.record(a_record(1, reading, an_outcome("AAPL", "5", proven), an_outcome("MSFT", "2", unproven)))
    reading = await ledger.read("main", None)
    assert reading.unproven_since is None  # they were made long ago, by the clock that does not stand still
    rows = {row.symbol: row for row in reading.rows}
    undoing = replace(setting(rows["AAPL"], "3"), reverses=(9, 1))
    await ledger.record(a_record(2, reading, an_outcome("AAPL", "3", undoing)))
    history = await ledger.history("main", Wanted({"AAPL": 0, "MSFT": 0}, NOW, NOW))
    assert [(c.id, c.run_id, c.instrument.symbol, c.strategy_id, c.quantity) for c in history.corrections] == [
        (1, 1, "AAPL", "mean", 5),
        (2, 1, "MSFT", None, 2),
        (3, 2, "AAPL", "mean", -2),
    ]
    assert [(c.cause, c.proven, c.reversed) for c in history.corrections] == [
        (Cause.MISSED_FILL, True, True),
        (Cause.UNEXPLAINED, False, False),
        (Cause.UNEXPLAINED, True, False),
    ]
    assert {c.position_id for c in history.corrections} == {row.id for row in rows.values()}
    later = NOW + timedelta(microseconds=1)
    assert (await ledger.history("main", Wanted({"AAPL": 0}, NOW, later))).corrections == ()
    assert (await ledger.history("other", Wanted({"AAPL": 0}, NOW, NOW))).corrections == ()
    assert len((await ledger.history("main", Wanted({"MSFT": 0}, NOW, NOW))).corrections) == 1


async def test_executions_are_told_from_the_moment_on(ledger: SqliteLedger) -> None:
    """With all that is known of them, of these symbols and this account only."""
    told = Execution(
        "AAPL", NOW, Decimal(0), "o1", None, Decimal(10), "x2", None, "mean", "mean-1", previous_id="x1"
    )  # fmt: skip
    before = replace(told, at=NOW - timedelta(microseconds=1), order_id="o2", execution_id="x0", previous_id=None)
    await ledger.keep("main", [told, before, replace(told, symbol="MSFT")])
    await ledger.keep("other", [replace(told, order_id="o3")])
    history = await ledger.history("main", Wanted({"AAPL": 0}, NOW, NOW))
    assert history.executions == (told,)


async def test_of_a_symbol_with_very_many_executions_the_newest_are_told(ledger: SqliteLedger) -> None:
    """Each symbol for itself: one that is traded all day does not take another's place, or the pass's time."""
    first = Execution("AAPL", NOW, Decimal(1), "o", None, Decimal(10))
    many = [replace(first, order_id=f"o{n}", at=NOW + timedelta(seconds=n)) for n in range(NEWEST_MAX + 5)]
    await ledger.keep("main", [*many, replace(first, symbol="MSFT")])
    told = (await ledger.history("main", Wanted({"AAPL": 0, "MSFT": 0}, NOW, NOW))).executions
    assert {e for e in told if e.symbol == "AAPL"} == set(many[5:])
    assert len(told) == NEWEST_MAX + 1
    named, bust = (
        replace(many[1], execution_id="x1"),
        replace(first, order_id="b", quantity=Decimal(0), previous_id="x1"),
    )
    await ledger.keep("main", [named, replace(bust, execution_id="x2", at=NOW + timedelta(days=1))])
    told = (await ledger.history("main", Wanted({"AAPL": 0}, NOW, NOW))).executions
    assert named in told, "what is taken back is told, though it is not among the newest"
    assert len(told) == len(set(told)) == NEWEST_MAX + 1


async def test_what_a_bust_takes_back_is_told_however_old(ledger: SqliteLedger) -> None:
    """All of the chain that it ends, and what `amended` names; without one of them nothing that old."""
    old = NOW - timedelta(days=30)
    bought = Execution("AAPL", old, Decimal(5), "o1", Decimal(5), Decimal(10), "x1")
    made = Execution("AAPL", old + timedelta(days=1), Decimal(4), "o1", execution_id="x2", previous_id="x1")
    other = Execution("AAPL", old, Decimal(7), "o2", Decimal(7), Decimal(10), "y1")
    bust = Execution("AAPL", NOW, Decimal(0), "o1", execution_id="x3", previous_id="x2")
    nameless = [Execution("AAPL", old, Decimal(1), order, Decimal(1), Decimal(10)) for order in ("o3", "o4")]
    again = Execution("AAPL", NOW, Decimal(0), "o3", execution_id="z3", previous_id="z2")
    await ledger.keep("main", [bought, made, other, *nameless])
    await ledger.keep("other", [replace(bought, order_id="o9")])

    async def told(*amended: str, symbol: str = "AAPL") -> set[Execution]:
        since = {symbol: 0}
        history = await ledger.history("main", Wanted(since, NOW, NOW, amended=frozenset(amended)))
        assert len(set(history.executions)) == len(history.executions)
        return set(history.executions)

    assert await told() == set()
    assert await told("y1") == {bought, made, other}
    await ledger.keep("main", [bust])
    assert await told() == {bought, made, bust}
    assert await told("x1", symbol="MSFT") == set()
    await ledger.keep("main", [again])
    assert await told() == {bought, made, bust, nameless[0], again}


async def test_used_activities_are_told_whatever_their_symbol(ledger: SqliteLedger) -> None:
    """An activity may be of a group with others; those of another account are another account's."""
    entries = [Activity(f"a{n}", "ACATS", None, "AAPL", Decimal(5), None, NOW) for n in range(2)]
    why = Explanation(Cause.TRANSFER, "t", (Part(Cause.TRANSFER, Decimal(5), activities=("a0",)),), proven=True)
    outcome = replace(an_outcome("AAPL", "5", opening("AAPL", "5")), explanation=why)
    await ledger.record(replace(a_record(1, await ledger.read("main", None), outcome), activities=tuple(entries)))
    for account, used in (("main", {"a0"}), ("other", set())):
        history = await ledger.history(account, Wanted({"TSLA": 0}, NOW, NOW))
        assert history.consumed == used


async def test_what_is_unproven_is_looked_for_for_some_days(path: Path) -> None:
    """The oldest such correction of the last days counts, until a late explanation names it or its days are over."""
    with bot(path.parent / "clock.db") as clock:
        [now] = clock.execute("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')").fetchone()
    today = NOW.fromisoformat(f"{now}+00:00")
    moment = [today - timedelta(days=3, hours=23)]
    entries = [AccountEntry("main", 7, "paper"), AccountEntry("other", 8, "live")]
    async with SqliteLedger(path, entries, now=lambda: moment[0]) as ledger:
        assert (await ledger.read("main", None)).unproven_since is None
        for run_id, (symbol, at, proven) in enumerate(
            (
                ("AAPL", today - timedelta(days=4, seconds=1), False),
                ("MSFT", today - timedelta(days=3, hours=23), True),
                ("TSLA", today - timedelta(days=3, hours=22), False),
                ("NVDA", today - timedelta(days=1), False),
            ),
            start=1,
        ):
            moment[0] = at
            made = replace(opening(symbol, "5"), proven=proven)
            await ledger.record(a_record(run_id, await ledger.read("main", None), an_outcome(symbol, "5", made)))
        reading, other = await ledger.read("main", None), await ledger.read("other", None)
        oldest = today - timedelta(days=3, hours=22)
        assert (reading.unproven_since, reading.unproven.keys()) == (oldest, {"TSLA", "NVDA"})
        assert (other.unproven_since, other.unproven.keys()) == (None, frozenset())
