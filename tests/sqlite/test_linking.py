"""Evidence in the ledger: stored once, consumed once, by the correction that it explains."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from recond.core.evidence import key
from recond.core.history import Wanted
from recond.core.model import Accepted, Activity, Cause, Execution
from recond.core.run import Explanation, LateLink, Outcome, Part, Record
from recond.sqlite.ledger import SqliteLedger
from tests.sqlite.passes import NOW, a_record, an_outcome, instrument, opening, setting


def execution(order: str, told: str | None, symbol: str = "AAPL", **more: object) -> Execution:
    """A fill of three, by its order's quantity or by an execution id."""
    cum = Decimal(told) if told and told[0].isdigit() else None
    made = Execution(symbol, NOW, Decimal(3), order, cum, execution_id=None if cum is not None else told)
    return replace(made, **more)  # type: ignore[arg-type]


def activity(number: int, **more: object) -> Activity:
    """A transfer of five."""
    return replace(Activity(f"a{number}", "ACATS", None, "AAPL", Decimal(5), None, NOW), **more)  # type: ignore[arg-type]


def explained(outcome: Outcome, *parts: Part) -> Outcome:
    """The outcome with that evidence."""
    return replace(outcome, explanation=Explanation(Cause.MISSED_FILL, "a sentence", parts, proven=True))


def part(whose: str | None = None, *keys: tuple[str, str, Decimal | str | None], activities: str = "") -> Part:
    """A part with this evidence."""
    ids = tuple(activities.split())
    return Part(Cause.MISSED_FILL, Decimal(3), whose is not None, whose, executions=keys, activities=ids)


def covered(plain: sqlite3.Connection) -> dict[tuple[str, str, str, str], int | None]:
    """Which correction has each execution."""
    rows = plain.execute(
        "SELECT account, symbol, order_id, coalesce(cum_qty, execution_id, ''), covered_by FROM executions"
    )
    return {(account, symbol, order, told): by for account, symbol, order, told, by in rows}


def explains(plain: sqlite3.Connection) -> dict[str, int | None]:
    """Which correction each activity of the account explains."""
    return dict(plain.execute("SELECT id, explains FROM activities WHERE account = 'main'"))


def dump(plain: sqlite3.Connection) -> list[str]:
    """All there is."""
    return list(plain.iterdump())


async def test_evidence_is_consumed_by_the_correction_of_its_row(
    ledger: SqliteLedger, plain: sqlite3.Connection
) -> None:
    """Each key marks the execution that it names and no other one, whichever symbol, order, sum, id or account."""
    others = [execution("o1", "4"), execution("o2", "3"), execution("o1", "x8"), execution("o1", "3", "MSFT")]
    told = [execution("o1", "3"), execution("o1", "x9"), execution("o3", None)]
    await ledger.keep("main", [*others, *told])
    await ledger.keep("other", told)
    reading = await ledger.read("main", None)
    outcome = explained(
        an_outcome("AAPL", "8", opening("AAPL", "3", "mean"), opening("AAPL", "5", "trend")),
        part("trend", ("AAPL", "o1", Decimal("3.00")), activities="a1 a9"),
        part("mean", ("AAPL", "o1", "x9")),
        part("gamma", ("AAPL", "o3", None), activities="a2"),
    )
    record = replace(a_record(1, reading, outcome), activities=(activity(1), activity(2), activity(3)))
    await ledger.record(record)
    marks = {key: by for key, by in covered(plain).items() if by is not None}
    assert marks == {
        ("main", "AAPL", "o1", "3"): 2,
        ("main", "AAPL", "o1", "x9"): 1,
        ("main", "AAPL", "o3", ""): 1,
    }
    assert explains(plain) == {"a1": 2, "a2": 1, "a3": None}


async def test_evidence_is_consumed_once(ledger: SqliteLedger, plain: sqlite3.Connection) -> None:
    """Neither a later correction nor a late explanation takes over what has explained something."""
    await ledger.keep("main", [execution("o1", "3")])
    evidence = part("mean", ("AAPL", "o1", Decimal(3)), activities="a1")
    first = explained(an_outcome("AAPL", "3", opening("AAPL", "3", "mean")), evidence)
    run = await ledger.record(replace(a_record(1, await ledger.read("main", None), first), activities=(activity(1),)))
    assert (covered(plain), explains(plain)) == ({("main", "AAPL", "o1", "3"): 1}, {"a1": 1})
    reading = await ledger.read("main", None)
    second = explained(an_outcome("AAPL", "6", setting(reading.rows[0], "6")), evidence)
    late = LateLink(1, Cause.FILL, "late", evidence.executions, evidence.activities)
    again = a_record(2, reading, second)
    await ledger.record(replace(again, run=replace(again.run, late_links=(late,))))
    assert (covered(plain), explains(plain)) == ({("main", "AAPL", "o1", "3"): 1}, {"a1": 1})
    assert run.recorded


async def test_evidence_of_what_was_not_corrected_stays_free(ledger: SqliteLedger, plain: sqlite3.Connection) -> None:
    """A conflict that is left open has consumed nothing; its evidence is stored all the same."""
    open_still = explained(an_outcome("AAPL", "3"), part("mean", ("AAPL", "o1", Decimal(3)), activities="a1"))
    record = a_record(1, await ledger.read("main", None), open_still)
    await ledger.record(replace(record, activities=(activity(1),), executions=(execution("o1", "3"),)))
    assert (covered(plain), explains(plain)) == ({("main", "AAPL", "o1", "3"): None}, {"a1": None})


async def test_what_made_an_accepted_difference_explains_no_other(
    ledger: SqliteLedger, plain: sqlite3.Connection
) -> None:
    """It is no correction's, and is consumed all the same; with a correction it is that one's, as ever."""
    record = a_record(1, await ledger.read("main", None), explained(an_outcome("AAPL", "3"), part(activities="a1")))
    fills = [execution("o1", "3"), execution("o2", "3")]
    await ledger.record(replace(record, activities=(activity(1), activity(2), activity(3)), executions=tuple(fills)))
    await ledger.keep("other", fills)
    accepted = Accepted(instrument("AAPL"), Decimal(3), NOW, "ann")
    stands = replace(explained(an_outcome("AAPL", "3"), part(None, key(fills[1]), activities="a2")), accepted=accepted)
    scaled = explained(an_outcome("MSFT", "3", opening("MSFT", "3")), part(activities="a3"))
    scaled = replace(scaled, accepted=replace(accepted, instrument=instrument("MSFT")))
    await ledger.record(a_record(2, await ledger.read("main", None), stands, scaled))
    assert explains(plain) == {"a1": None, "a2": None, "a3": 1}
    history = await ledger.history("main", Wanted({"AAPL": 0}, NOW, NOW))
    assert history.consumed == {"a2", "a3"}
    told = {each.order_id: (each.covered_by, each.accepted_in) for each in history.executions}
    assert told == {"o1": (None, None), "o2": (None, 2)}
    assert [each.accepted_in for each in await ledger.executions("other", NOW)] == [None, None]
    assert plain.execute("SELECT id, accepted_in FROM activities WHERE accepted_in").fetchall() == [("a2", 2)]


async def test_both_legs_of_a_new_name_are_consumed(ledger: SqliteLedger, plain: sqlite3.Connection) -> None:
    """The old name's outcome has the corrections, and the new one's leg must not explain anything else."""
    plain.execute("INSERT INTO positions (account, symbol, quantity) VALUES ('main', 'FB', '5')")
    reading = await ledger.read("main", None)
    goes = replace(part(activities="a1"), goes_to=instrument("META"))
    comes = replace(part(activities="a2"), comes_from=instrument("FB"))
    old = explained(an_outcome("FB", "0", setting(reading.rows[0], "5", "META")), goes)
    record = a_record(1, reading, old, explained(an_outcome("META", "5"), comes), an_outcome("TSLA", "1"))
    await ledger.record(replace(record, activities=(activity(1), activity(2))))
    assert explains(plain) == {"a1": 1, "a2": 1}


async def test_a_late_explanation_is_written_once_and_ends_the_search(
    ledger: SqliteLedger, plain: sqlite3.Connection
) -> None:
    """All corrections of that run and symbol are explained by it, no quantity changes, and a second one is ignored."""
    plain.execute("INSERT INTO positions (account, symbol, quantity) VALUES ('main', 'AAPL', '1')")
    reading = await ledger.read("main", None)
    unproven = replace(setting(reading.rows[0], "3"), proven=False)
    beside = replace(opening("AAPL", "3", "mean"), proven=False)
    await ledger.record(a_record(1, reading, an_outcome("AAPL", "6", unproven, beside)))
    first = LateLink(1, Cause.TRANSFER, "explained later", (("AAPL", "o1", Decimal(3)),), ("a1",))
    for run_id, link in ((2, first), (3, replace(first, cause=Cause.FILL, text="again"))):
        record = a_record(run_id, await ledger.read("main", None))
        evidence = replace(record, activities=(activity(1),), executions=(execution("o1", "3"),))
        await ledger.record(replace(evidence, run=replace(record.run, late_links=(link,))))
        assert (covered(plain), explains(plain)) == ({("main", "AAPL", "o1", "3"): 1}, {"a1": 1})
    told = plain.execute("SELECT correction_id, run_id, cause, explanation FROM explanations").fetchall()
    assert told == [(1, 2, "transfer", "explained later")]
    history = await ledger.history("main", Wanted({"AAPL": 0}, NOW, NOW))
    assert [(c.id, c.cause, c.proven) for c in history.corrections] == [
        (1, Cause.TRANSFER, True),
        (2, Cause.TRANSFER, True),
    ]
    assert (await ledger.read("main", None)).unproven_since is None
    assert [row.quantity for row in (await ledger.read("main", None)).rows] == [3, 3]


async def test_an_activity_that_was_canceled_is_known_as_that(ledger: SqliteLedger, plain: sqlite3.Connection) -> None:
    """Told again it is one still, with its newest status, and what it explains stays."""
    first = explained(an_outcome("AAPL", "5", opening("AAPL", "5")), part(activities="a1"))
    record = replace(a_record(1, await ledger.read("main", None), first), activities=(activity(1, status="executed"),))
    await ledger.record(record)
    again = a_record(2, await ledger.read("main", None))
    await ledger.record(replace(again, activities=(activity(1, status="canceled", quantity=Decimal(9)),)))
    rows = plain.execute("SELECT status, quantity, explains FROM activities").fetchall()
    assert rows == [("canceled", "5", 1)]


async def test_recording_twice_is_recording_once_evidence_included(
    ledger: SqliteLedger, plain: sqlite3.Connection
) -> None:
    """The whole file is the same after the second time: executions, activities, links, explanations."""
    unproven = an_outcome("MSFT", "2", replace(opening("MSFT", "2"), proven=False))
    await ledger.record(a_record(1, await ledger.read("main", None), unproven))
    outcome = explained(an_outcome("AAPL", "3", opening("AAPL", "3")), part(None, ("AAPL", "o1", Decimal(3))))
    record: Record = a_record(2, await ledger.read("main", None), outcome)
    late = LateLink(1, Cause.TRANSFER, "late", (), ("a1",))
    record = replace(
        record,
        run=replace(record.run, late_links=(late,)),
        activities=(activity(1),),
        executions=(execution("o1", "3"), execution("o2", "x1", at=NOW + timedelta(seconds=1))),
    )
    await ledger.record(record)
    once = dump(plain)
    assert (covered(plain)["main", "AAPL", "o1", "3"], explains(plain)) == (2, {"a1": 1})
    await ledger.record(record)
    assert dump(plain) == once
