"""The end of a pass: what is in doubt is held, two names are done together, and an operator is heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from recond.core.absence import Guards
from recond.core.conclude import withhold
from recond.core.decide import Policy
from recond.core.diff import diff
from recond.core.judge import Judgement, Timing
from recond.core.model import (
    Accepted,
    AccountState,
    Baseline,
    BrokerPosition,
    Cause,
    Conflict,
    Decision,
    Drift,
    Hold,
    Holdings,
    Instrument,
    Kind,
    LedgerReading,
    LedgerRow,
    Resolution,
    Unreadable,
)
from recond.core.rules import Rules
from recond.core.run import Action, Explanation, Part, Reason, Record, Run, RunStatus
from recond.core.weigh import Both, explained_at_last, news, undrifting, weigh
from tests.core.strategies import CLASSES, NOW, TOLERANCE, ZERO, drift_of, position, row

WHY = Explanation(Cause.UNEXPLAINED, "nothing known")
HEADER = Run(7, "main", 1, 4, (Reason.TIMER,), NOW, NOW, 0.5, RunStatus.FAILED)
RULES = Rules(
    account="main",
    user_id=1,
    environment="paper",
    interval_s=300.0,
    timing=Timing(settle_s=15.0, broker_lag_s=10.0, confirm_after_s=2.0, pending_max_s=120.0),
    tolerance=TOLERANCE,
    ignore=frozenset(),
    policy=Policy(Resolution.USE_BROKER, {}),
    guards=Guards(vanish_min=3, vanish_fraction=Decimal("0.5")),
    requests_per_minute=60,
)


def instrument(symbol: str) -> Instrument:
    """The instrument of a symbol of these tests."""
    return Instrument(CLASSES[symbol], symbol)


def proof(*shown: BrokerPosition) -> AccountState:
    """An account whose market value is that of these positions."""
    value = sum((p.market_value for p in shown if p.market_value is not None), Decimal(0))
    return AccountState("id", "ACTIVE", equity=Decimal(5000), long_market_value=value, short_market_value=Decimal(0))


def concluded(
    shown: Sequence[BrokerPosition],
    rows: Sequence[LedgerRow],
    *,
    why: Mapping[str, Explanation] | None = None,
    account: AccountState | None = None,
    unconfirmed: str = "",
    brief: str = "",
    long: str = "",
    rules: Rules = RULES,
    **known: object,
) -> Record:
    """The end of a pass that confirmed all drifts but that of one symbol; the account bears out what is shown."""
    reading = LedgerReading(tuple(rows), seq=9, **known)  # type: ignore[arg-type]
    holdings = Holdings(tuple(shown))
    comparison = diff(holdings, reading.rows, (), TOLERANCE, frozenset(), reading.accepted)
    confirmed = tuple(d for d in comparison.drifts if d.instrument.symbol != unconfirmed)
    _quiet, gone = undrifting(reading, comparison, rules.ignore)
    judgement = Judgement(comparison.drifts, confirmed, (), {})
    believed = frozenset(each for each in gone if each.symbol == long)
    both = Both(holdings, reading, comparison, judgement, gone, frozenset({brief} - {""}), believed)
    explained = {d.instrument: (why or {}).get(d.instrument.symbol, WHY) for d in confirmed}
    return weigh(HEADER, both, explained, account or proof(*shown), 50.0, NOW, rules)


def held(record: Record) -> dict[str, str]:
    """Why instruments are held."""
    return {hold.instrument.symbol: hold.reason for hold in record.run.open_holds}


def made(record: Record) -> list[tuple[str, str, str | None, Decimal]]:
    """The corrections in short."""
    return [(c.action, c.instrument.symbol, c.strategy_id, c.after) for c in record.run.corrections]


def test_each_drift_is_decided_about_with_what_is_open_on_it() -> None:
    """Its own conflict, hold and decision, and nobody else's; what is decided is added up."""
    at, one = NOW, Decimal(1)
    conflict = Conflict(
        5, instrument("AAPL"), Kind.QUANTITY, Cause.FILL, one, one, Resolution.MANUAL, at, at, sightings=2
    )  # fmt: skip
    hold = Hold(6, instrument("MSFT"), "old", Decimal(0), one, at)
    record = concluded(
        [position("AAPL", 7)],
        [row("AAPL", 5), row("MSFT", 1, row_id=2)],
        account=AccountState("id", "ACTIVE"),
        conflicts=(conflict,),
        holds=(hold,),
        rules=replace(RULES, policy=Policy(Resolution.MANUAL, {})),
    )
    assert [(c.id, c.sightings, c.broker_quantity) for c in record.run.conflicts] == [(5, 3, 7)]
    assert [(h.id, h.reason != "old") for h in record.run.open_holds] == [(6, True)]
    assert (record.again_s, record.seq, record.read_at) == (52.0, 9, NOW)


def test_absence_that_nothing_proves_is_held() -> None:
    """The account's own figures prove it, evidence makes them needless, and looks do not."""
    rows = [row("AAPL", 5, market_value=50)]
    assert made(concluded([], rows)) == [(Action.CLOSE, "AAPL", None, 0)]
    wrong = proof(position("AAPL", 5))
    assert "the account says 50.00 is held" in held(concluded([], rows, account=wrong))["AAPL"]
    part = Part(Cause.TRANSFER, Decimal(-5), activities=("a",))
    told = Explanation(Cause.TRANSFER, "t", (part,), proven=True)
    assert not held(concluded([], rows, why={"AAPL": told}, account=wrong))
    assert held(concluded([], rows, why={"AAPL": replace(told, proven=False)}, account=wrong))


def test_open_positions_are_those_of_the_ledger() -> None:
    """Three of seven are not half of them: what agrees and what drifts counts, what only the broker has does not."""
    gone = [row("AAPL", 1), row("MSFT", 1, row_id=2), row("BRK.B", 1, row_id=3)]
    there = position("BTCUSD", 1)
    few = concluded([there], [*gone, row("BTCUSD", 1, row_id=4)], account=proof(there))
    assert len(held(few)) == 3
    quotas = replace(RULES, guards=Guards(vanish_min=3, vanish_fraction=Decimal("0.8")))
    many = concluded([there], [*gone, row("BTCUSD", 1, row_id=4)], account=proof(there), rules=quotas)
    assert not held(many)
    drifting = concluded([there], [*gone, row("BTCUSD", 2, row_id=4)], account=proof(there), rules=quotas)
    assert not held(drifting)
    foreign = concluded([there], gone, account=proof(there), rules=quotas)
    assert len(held(foreign)) == 3


def test_contracts_past_their_last_day_may_all_go_at_once() -> None:
    """Equity falls with them and nothing is wrong; what vanished beside them is held all the same when it is many."""
    symbols = "AAPL", "MSFT", "BRK.B", "BTCUSD"
    rows = [row(s, 1, row_id=n, market_value=900) for n, s in enumerate(symbols)]
    expired = Explanation(Cause.OPTION_EXPIRY, "suspected", (Part(Cause.OPTION_EXPIRY, Decimal(-1)),))
    fallen = Decimal(5000 + 3600)
    assert not held(concluded([], rows, why=dict.fromkeys(symbols, expired), equity=fallen))
    assert len(held(concluded([], rows, equity=fallen))) == 4
    one_of_them = dict.fromkeys(symbols[1:], expired)
    assert not held(concluded([], rows, why=one_of_them, equity=fallen))


def test_a_row_that_somebody_took_away_is_held_and_not_opened_again() -> None:
    """It says which row; accepted, each is entered anew for the strategy that had it."""
    shown, lost = [position("AAPL", 5)], (row("AAPL", 3, "alpha", row_id=12), row("AAPL", 2, row_id=13))
    record = concluded(shown, [], lost=lost)
    assert made(record) == []
    assert "ledger row 13 with 2 is gone, though nobody closed it" in held(record)["AAPL"]
    assert not held(concluded(shown, [], lost=(row("MSFT", 5),)))
    (hold,) = record.run.open_holds
    accepted = Decision(
        1, hold.instrument, Resolution.USE_BROKER, Decimal(5), Decimal(0), "ann", NOW, hold_id=6
    )  # fmt: skip
    again = concluded(shown, [], lost=lost, holds=(replace(hold, id=6),), decisions=(accepted,))
    assert made(again) == [(Action.OPEN, "AAPL", "alpha", 3), (Action.OPEN, "AAPL", None, 2)]
    assert [h.ended_by for h in again.run.ended_holds] == ["accepted by ann"]
    (outcome,) = again.run.outcomes
    assert (outcome.explanation.cause, outcome.explanation.proven) == (Cause.LEDGER_EDIT, False)
    assert outcome.explanation.text == "somebody took away row 12 with 3, row 13 with 2"


def test_a_row_without_which_both_sides_agree_is_given_up() -> None:
    """Not on an answer that may be an older one, and not where they differ."""
    lost = row("AAPL", 5, "alpha", row_id=12), row("MSFT", 5, "alpha", row_id=13)
    shown, rows = [position("AAPL", 5), position("MSFT", 7)], [row("AAPL", 5, "beta"), row("MSFT", 6, row_id=2)]
    assert concluded(shown, rows, lost=lost).given_up == {"AAPL"}
    assert concluded(shown, rows, lost=lost, brief="AAPL").given_up == set()
    assert concluded(shown, rows).given_up == set()
    hold = Hold(6, instrument("AAPL"), "gone", Decimal(5), ZERO, NOW)
    flat = concluded([], [], lost=lost, holds=(hold,), long="AAPL")
    assert [each.ended_by for each in flat.run.ended_holds] == ["agreement"]
    assert flat.given_up == {"AAPL"}, "the broker holds none of it any more either"


def test_what_is_gone_explains_nothing_that_it_does_not_add_up_to() -> None:
    """Nor what is explained already, nor what another symbol's rows had."""
    shown, fill = [position("AAPL", 5)], Explanation(Cause.FILL, "t", (Part(Cause.FILL, Decimal(5)),), proven=True)
    four, five, others = ((row(s, q, "alpha", row_id=12),) for s, q in (("AAPL", 4), ("AAPL", 5), ("MSFT", 5)))
    left = [row("AAPL", 1, "beta")]
    for rows, lost, why, cause in (
        ([], five, {}, Cause.LEDGER_EDIT),
        ([], four, {}, Cause.UNEXPLAINED),
        (left, four, {}, Cause.LEDGER_EDIT),
        (left, five, {}, Cause.UNEXPLAINED),
        ([], others, {}, Cause.UNEXPLAINED),
        ([], five, {"AAPL": fill}, Cause.FILL),
    ):
        (outcome,) = concluded(shown, rows, lost=lost, why=why).run.outcomes
        assert outcome.explanation.cause is cause


# A new name


def renamed(*, proven: bool = True) -> dict[str, Explanation]:
    """AAPL is called MSFT now."""
    goes = Part(Cause.SYMBOL_CHANGE, Decimal(-5), activities=("a",), goes_to=instrument("MSFT"))
    comes = Part(Cause.SYMBOL_CHANGE, Decimal(5), activities=("b",), comes_from=instrument("AAPL"))
    return {
        "AAPL": Explanation(Cause.SYMBOL_CHANGE, "t", (goes,), proven=proven),
        "MSFT": Explanation(Cause.SYMBOL_CHANGE, "t", (comes,), proven=proven),
    }


SHOWN, ROWS = [position("MSFT", 5)], [row("AAPL", 3, "alpha"), row("AAPL", 2, "beta", row_id=2)]


def test_a_new_name_takes_the_rows_over() -> None:
    """All rows, and both baselines follow; nothing is opened or closed."""
    record = concluded(SHOWN, ROWS, why=renamed())
    assert made(record) == [(Action.SET, "MSFT", "alpha", 3), (Action.SET, "MSFT", "beta", 2)]
    assert [c.row for c in record.run.corrections] == ROWS
    assert {b.instrument.symbol: (b.broker_quantity, b.ledger_quantity) for b in record.baselines} == {
        "AAPL": (0, 0),
        "MSFT": (5, 5),
    }
    assert (record.run.added, record.run.removed, record.run.status) == (0, 0, RunStatus.SUCCESS)


def test_a_doubt_about_one_name_holds_both() -> None:
    """The old one's absence, and a row of the new one that somebody took away."""
    absent = concluded(SHOWN, ROWS, why=renamed(proven=False), account=proof(position("AAPL", 500)))
    lost = concluded(SHOWN, ROWS, why=renamed(), lost=(row("MSFT", 1, row_id=12),))
    for record, first, other in ((absent, "AAPL", "MSFT"), (lost, "MSFT", "AAPL")):
        assert made(record) == []
        assert held(record)[other] == f"{first} is held: {held(record)[first]}"


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT"])
@pytest.mark.parametrize("more", [{}, {"hold_id": 6}, {"broker_quantity": Decimal(9)}])
def test_an_operators_word_about_one_name_parts_the_two(symbol: str, more: dict[str, object]) -> None:
    """Whatever comes of the decision, the position is not entered under the new name and renamed to it as well."""
    broker = Decimal(0 if symbol == "AAPL" else 5)
    said = Decision(1, instrument(symbol), Resolution.USE_BROKER, broker, 5 - broker, "ann", NOW, conflict_id=5)
    decision = replace(said, **more)  # type: ignore[arg-type]
    record = concluded(SHOWN, ROWS, why=renamed(), decisions=(decision,))
    assert sorted(made(record), key=str) == [
        (Action.CLOSE, "AAPL", "alpha", 0),
        (Action.CLOSE, "AAPL", "beta", 0),
        (Action.OPEN, "MSFT", None, 5),
    ]


def test_a_name_whose_other_one_is_not_there_has_no_partner() -> None:
    """Its drift was not confirmed: the old rows close and nothing is renamed."""
    record = concluded(SHOWN, ROWS, why=renamed(), unconfirmed="MSFT")
    assert [action for action, *_ in made(record)] == [Action.CLOSE, Action.CLOSE]


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT"])
def test_both_names_are_withheld_when_one_was_changed(symbol: str) -> None:
    """Half a rename would double the position or lose it."""
    other = [position("BRK.B", 1)]
    record = concluded([*SHOWN, *other], ROWS, why=renamed())
    kept = withhold(record, frozenset({symbol}))
    assert [p.instrument.symbol for p in kept.run.pending] == ["MSFT", "AAPL"]
    assert made(kept) == [(Action.OPEN, "BRK.B", None, 1)]
    assert [b.instrument.symbol for b in kept.baselines] == ["BRK.B"]
    assert len(made(withhold(record, frozenset({"BRK.B"})))) == 2


def test_baselines_and_equity_reach_the_proof() -> None:
    """Three that vanish at once take an equity from before, and a worth, which the baseline may tell alone."""
    rows = [row(s, 1, row_id=n, entry_price=None) for n, s in enumerate(("AAPL", "MSFT", "BRK.B"))]
    bases = {
        each: Baseline(each, Decimal(1), Decimal(1), Decimal(8), NOW)
        for each in map(instrument, ("AAPL", "MSFT", "BRK.B"))
    }
    assert "no equity is known" in held(concluded([], rows, baselines=bases))["AAPL"]
    assert not held(concluded([], rows, baselines=bases, equity=Decimal(5001)))
    assert "what they were worth" in held(concluded([], rows, equity=Decimal(5001)))["AAPL"]


def test_the_makers_drift_is_what_was_compared() -> None:
    """A pass without any drift writes no outcome."""
    record = concluded([position("AAPL", 5)], [row("AAPL", 5)])
    outcomes: tuple[Drift, ...] = tuple(o.drift for o in record.run.outcomes)
    assert (outcomes, record.run.synced, record.run.status) == ((), 1, RunStatus.SUCCESS)


def test_what_is_explained_and_left_open_is_no_news() -> None:
    """Unless it was held or decided about meanwhile, is another drift now, or all is explained anew."""
    shown, rows = [position("AAPL", 5)], (row("AAPL", 3),)
    (drift,) = diff(Holdings(tuple(shown)), rows, (), TOLERANCE, frozenset(), {}).drifts
    five, three = Decimal(5), Decimal(3)
    conflict = Conflict(
        1, drift.instrument, Kind.QUANTITY, Cause.FILL, five, three, Resolution.MANUAL, NOW, NOW
    )  # fmt: skip
    hold = Hold(6, drift.instrument, "old", five, three, NOW)
    decision = Decision(1, drift.instrument, Resolution.USE_DB, five, three, "ann", NOW, conflict_id=1)

    def told(*, anew: bool = False, conflict: Conflict = conflict, **known: object) -> bool:
        reading = LedgerReading(rows, seq=9, conflicts=(conflict,), **known)  # type: ignore[arg-type]
        return news((drift,), reading, anew=anew) == (drift,)

    assert not told()
    assert told(anew=True)
    assert told(holds=(hold,))
    assert told(decisions=(decision,))
    assert told(conflict=replace(conflict, broker_quantity=Decimal(6)))
    assert told(conflict=replace(conflict, ledger_quantity=Decimal(2)))
    assert told(conflict=replace(conflict, kind=Kind.MISSING_IN_LEDGER))


def test_what_explained_a_conflict_explains_it_while_it_is_open() -> None:
    """It may be too old to be found again; that must not give the drift to the policy for what nothing explains."""
    aapl, msft = instrument("AAPL"), instrument("MSFT")
    conflict = Conflict(
        1, aapl, Kind.QUANTITY, Cause.TRANSFER, Decimal(5), ZERO, Resolution.MANUAL, NOW, NOW, explanation="two"
    )  # fmt: skip
    was, lost = Explanation(Cause.TRANSFER, "two"), Explanation(Cause.UNEXPLAINED, "nothing")
    told = Explanation(Cause.MISSED_FILL, "a fill", proven=True)
    reading = LedgerReading((), seq=9, conflicts=(conflict,))
    drifts = drift_of("AAPL", 8, row("AAPL", 3)), drift_of("MSFT", 1)
    assert explained_at_last(drifts, reading, {msft: lost}) == {aapl: was, msft: lost}
    assert explained_at_last(drifts, reading, {aapl: lost, msft: lost}) == {aapl: was, msft: lost}
    assert explained_at_last(drifts[:1], reading, {aapl: told}) == {aapl: told}


def test_what_explained_a_conflict_explains_no_more_than_it_did() -> None:
    """What differs more since then is nothing that is known, and both of it count for what is done."""
    aapl = instrument("AAPL")
    conflict = Conflict(
        1, aapl, Kind.QUANTITY, Cause.TRANSFER, Decimal(15), Decimal(10), Resolution.MANUAL, NOW, NOW, explanation="two"
    )  # fmt: skip
    drift, lost = drift_of("AAPL", 90, row("AAPL", 10)), Explanation(Cause.UNEXPLAINED, "nothing", wait="a leg")
    (now,) = explained_at_last((drift,), LedgerReading((), seq=9, conflicts=(conflict,)), {aapl: lost}).values()
    assert [(part.cause, part.quantity) for part in now.parts] == [(Cause.TRANSFER, 5), (Cause.UNEXPLAINED, 75)]
    assert (now.causes, now.proven) == ((Cause.UNEXPLAINED, Cause.TRANSFER), False)
    assert (now.text, now.wait) == ("nothing; before that 5: two", "a leg")
    unknown = replace(conflict, cause=Cause.UNEXPLAINED)
    (still,) = explained_at_last((drift,), LedgerReading((), seq=9, conflicts=(unknown,)), {aapl: lost}).values()
    assert still is lost


@pytest.mark.parametrize("matter", ["conflict", "hold", "accepted"])
def test_one_answer_without_the_position_ends_nothing_that_is_open_on_it(matter: str) -> None:
    """The ledger is flat, and so is the broker's answer: only the account's own figures make that an agreement."""
    aapl, five = instrument("AAPL"), Decimal(5)
    conflict = Conflict(5, aapl, Kind.MISSING_IN_LEDGER, Cause.FILL, five, ZERO, Resolution.MANUAL, NOW, NOW)
    decision = Decision(1, aapl, Resolution.USE_BROKER, five, ZERO, "ann", NOW, conflict_id=5)
    known: dict[str, object] = {
        "conflict": {"conflicts": (conflict,), "decisions": (decision,)},
        "hold": {"holds": (Hold(6, aapl, "lost", five, ZERO, NOW),)},
        "accepted": {"accepted": {aapl: Accepted(aapl, five, NOW, "ann")}},
    }[matter]  # type: ignore[assignment]
    known["baselines"] = {aapl: Baseline(aapl, five, ZERO, Decimal(40), NOW)}

    def after(account: AccountState | None, *shown: BrokerPosition, **rules: object) -> tuple[int, bool, int]:
        own = tuple(row(p.instrument.symbol, p.quantity) for p in shown)
        record = concluded(shown, own, account=account, rules=replace(RULES, **rules), **known)  # type: ignore[arg-type]
        run = record.run
        flat = [b for b in record.baselines if b.instrument == aapl]
        return len(run.open_conflicts) + len(run.open_holds) + len(run.accepted), record.settled, len(flat)

    assert after(proof(position("AAPL", 5))) == (1, False, 0)
    assert after(replace(proof(), long_market_value=None)) == (1, False, 0)
    assert after(proof()) == (0, True, 1)
    assert after(proof(position("AAPL", 5)), ignore=frozenset({"AAPL"}))[0] == (1 if matter == "accepted" else 0)
    other = position("MSFT", 300)
    assert after(proof(other, position("AAPL", 2)), other) == (1, False, 0)
    assert after(proof(other, position("AAPL", 1)), other) == (0, True, 1)


def test_what_has_not_drifted_for_a_moment_only_ends_nothing() -> None:
    """A fill that is not booked yet may make up for it: what is open stays, and that moment is no agreement."""
    aapl = instrument("AAPL")
    conflict = Conflict(5, aapl, Kind.QUANTITY, Cause.FILL, Decimal(7), Decimal(5), Resolution.MANUAL, NOW, NOW)
    decision = Decision(1, aapl, Resolution.USE_BROKER, Decimal(7), Decimal(5), "ann", NOW, conflict_id=5)
    both = [position("AAPL", 5), position("MSFT", 1)], [row("AAPL", 5), row("MSFT", 1, row_id=2)]

    def after(brief: str, **known: object) -> tuple[int, int, list[str], bool]:
        record = concluded(*both, brief=brief, **known)  # type: ignore[arg-type]
        ended = len(record.run.ended_conflicts) + len(record.ended_accepted) + len(record.ended_decisions)
        stays = len(record.run.open_conflicts) + len(record.run.accepted)
        return stays, ended, [b.instrument.symbol for b in record.baselines], record.settled

    for known, count in (
        ({"conflicts": (conflict,), "decisions": (decision,)}, 2),
        ({"accepted": {aapl: Accepted(aapl, Decimal(2), NOW, "ann")}}, 1),
    ):
        assert after("AAPL", **known) == (1, 0, ["MSFT"], False)
        assert after("", **known) == (0, count, ["AAPL", "MSFT"], True)


def test_what_is_flat_for_long_ends_though_another_position_has_no_value() -> None:
    """That may stay unknown for ever; an account that says otherwise, or nothing, is not overruled."""
    aapl, other = instrument("AAPL"), replace(position("MSFT", 1), market_value=None, price=None)
    conflict = Conflict(5, aapl, Kind.MISSING_IN_LEDGER, Cause.FILL, Decimal(5), ZERO, Resolution.MANUAL, NOW, NOW)

    def left(long: str, account: AccountState, *shown: BrokerPosition) -> int:
        rows = [row(p.instrument.symbol, p.quantity) for p in shown]
        record = concluded(shown, rows, account=account, long=long, conflicts=(conflict,))
        return len(record.run.open_conflicts)

    assert left("", proof(), other) == 1
    assert left("AAPL", proof(), other) == 0
    assert left("AAPL", proof(position("AAPL", 5))) == 1
    assert left("AAPL", replace(proof(), long_market_value=None)) == 1


def test_what_may_end_is_what_is_open_and_drifts_no_more() -> None:
    """A difference that is there as accepted does not end, nor what drifts, is unreadable or ignored."""
    aapl, msft = instrument("AAPL"), instrument("MSFT")
    accepted = {each: Accepted(each, Decimal(2), NOW, "ann") for each in (aapl, msft)}
    held = Hold(6, instrument("BRK.B"), "lost", Decimal(1), ZERO, NOW)

    def found(aapl_shown: int, bad: str = "", ignored: str = "", *, gone: bool = False) -> tuple[list[str], list[str]]:
        shown = [] if gone else [position("AAPL", aapl_shown), position("MSFT", 3)]
        rows = () if gone else (row("AAPL", 5), row("MSFT", 1, row_id=2))
        holdings = Holdings(
            tuple(p for p in shown if p.instrument.symbol != bad), (Unreadable(bad, "?"),) if bad else ()
        )
        reading = LedgerReading(rows, seq=9, accepted=accepted, holds=(held,))
        ignore = frozenset({ignored})
        quiet, out = undrifting(reading, diff(holdings, rows, (), TOLERANCE, ignore, accepted), ignore)
        return sorted(each.symbol for each in quiet), sorted(each.symbol for each in out)

    assert found(5) == (["AAPL"], ["BRK.B"])
    assert found(7) == ([], ["BRK.B"])
    assert found(6) == ([], ["BRK.B"])
    assert found(5, bad="AAPL") == ([], ["BRK.B"])
    assert found(5, ignored="AAPL") == ([], ["BRK.B"])
    assert found(5, gone=True) == (["AAPL", "MSFT"], ["AAPL", "BRK.B", "MSFT"])
    nameless = Holdings((position("AAPL", 5),), (Unreadable(None, "?"),))
    reading = LedgerReading((row("AAPL", 5),), seq=9, accepted=accepted, holds=(held,))
    quiet, out = undrifting(reading, diff(nameless, reading.rows, (), TOLERANCE, frozenset(), accepted), frozenset())
    assert ({each.symbol for each in quiet}, out) == ({"AAPL"}, frozenset()), "it may be any that is not shown"
