"""What an operator may decide: about what is open, as it was seen, and only one at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from recond.core.model import Decision, Instrument, Resolution
from recond.core.wish import Matter, Refusal, State, Why, Wish, judge_wish
from tests.core.strategies import NOW

AAPL = Instrument("us_equity", "AAPL")
OPEN = State(AAPL, Decimal(10), Decimal(8))
WISH = Wish(Matter.CONFLICT, 7, Resolution.USE_BROKER, "ann")


def refused(wish: Wish, state: State | None = OPEN) -> tuple[Why, str]:
    """Why the wish is refused."""
    found = judge_wish(wish, state, 1, NOW)
    assert isinstance(found, Refusal)
    return found.why, found.text


def test_a_wish_without_quantities_means_the_matter_as_it_stands() -> None:
    """The decision has the quantities of the state, who, when, and which matter; 8.0 is 8."""
    decision = judge_wish(replace(WISH, note="checked"), OPEN, 3, NOW)
    expected = Decision(
        3, AAPL, Resolution.USE_BROKER, Decimal(10), Decimal(8), "ann", NOW, conflict_id=7, note="checked"
    )
    assert decision == expected
    seen = replace(WISH, broker_quantity=Decimal("10.0"), ledger_quantity=Decimal("8.00"), note="checked")
    assert judge_wish(seen, OPEN, 3, NOW) == expected
    hold = judge_wish(replace(WISH, matter=Matter.HOLD), OPEN, 3, NOW)
    assert isinstance(hold, Decision)
    assert (hold.hold_id, hold.conflict_id) == (7, None)


@pytest.mark.parametrize("seen", [(Decimal(9), None), (None, Decimal(10)), (Decimal(8), Decimal(10))])
def test_other_quantities_than_the_present_are_refused(seen: tuple[Decimal | None, Decimal | None]) -> None:
    """Either side that is another one refuses it, and the present quantities are told."""
    why, text = refused(replace(WISH, broker_quantity=seen[0], ledger_quantity=seen[1]))
    assert why is Why.MOVED
    assert "has changed: broker 10, ledger 8; seen" in text


def test_what_is_unknown_or_over_or_decided_is_refused() -> None:
    """With what became of it, or whose decision it is and since when; an ended matter is not called decided."""
    assert refused(WISH, None)[0] is Why.UNKNOWN
    other = Decision(2, AAPL, Resolution.USE_DB, Decimal(10), Decimal(8), "bob", NOW - timedelta(minutes=1))
    why, text = refused(WISH, replace(OPEN, decision=other))
    assert (why, "bob has decided use_db at " in text) == (Why.DECIDED, True)
    why, text = refused(WISH, replace(OPEN, decision=other, ended_at=NOW, ended_by="agreement"))
    assert (why, "agreement" in text) == (Why.ENDED, True)


@pytest.mark.parametrize(
    "wish",
    [
        replace(WISH, resolution=Resolution.MANUAL),
        replace(WISH, matter=Matter.HOLD, resolution=Resolution.USE_DB),
        replace(WISH, matter=Matter.HOLD, names_row=True),
        replace(WISH, resolution=Resolution.USE_DB, names_row=True, strategy_id="mean"),
        replace(WISH, names_row=True, strategy_id=""),
        replace(WISH, names_row=True, strategy_id="  "),
        replace(WISH, names_row=True, strategy_id="mean\n"),
        replace(WISH, names_row=True, strategy_id="zeta\u0301"),
    ],
)
def test_what_makes_no_sense_is_refused(wish: Wish) -> None:
    """Manual is no decision, a hold takes no other answer, and a row is named with use_broker by a printable name."""
    assert refused(wish)[0] is Why.INVALID


@pytest.mark.parametrize("strategy", [None, "mean", "a b", "~"])
def test_a_row_is_named(strategy: str | None) -> None:
    """The name goes into the decision; None is the row that nobody owns."""
    decision = judge_wish(replace(WISH, names_row=True, strategy_id=strategy), OPEN, 3, NOW)
    assert isinstance(decision, Decision)
    assert (decision.names_row, decision.strategy_id) == (True, strategy)
