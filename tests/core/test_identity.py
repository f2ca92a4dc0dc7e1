"""The keys must open the account that the book was kept for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recond.core.identity import identity_problem
from recond.core.model import AccountState

STATE = AccountState("b-1", "ACTIVE", number="PA1")


def test_the_account_that_was_met_first_is_the_one() -> None:
    """Whatever others are pinned to."""
    assert identity_problem("default", "paper", STATE, {"default": "b-1", "other": "b-2"}) is None


@pytest.mark.parametrize("environment", ["paper", "live"])
def test_another_account_is_refused_with_the_way_out(environment: str) -> None:
    """The hint names the command; that a reset looks like this is said of paper accounts only."""
    problem = identity_problem("default", environment, replace(STATE, number="1"), {"default": "b-0"})
    assert problem is not None
    assert ("b-0" in problem.message, "b-1" in problem.message) == (True, True)
    assert "`recond accounts repin default`" in problem.hint
    assert ("reset" in problem.hint) == (environment == "paper")


@pytest.mark.parametrize("pins", [{"other": "b-1"}, {"other": "b-1", "default": "b-2"}])
def test_two_books_of_one_account_are_refused(pins: dict[str, str]) -> None:
    """Also when this one was kept for something else before: pinning it anew would not help."""
    problem = identity_problem("default", "paper", STATE, pins)
    assert problem is not None
    assert ("same broker account" in problem.message, "repin" in problem.hint) == (True, False)


def test_a_paper_account_is_not_live() -> None:
    """Keys of a paper account in a live configuration are refused."""
    problem = identity_problem("default", "live", STATE, {"default": "b-1"})
    assert problem is not None
    assert "paper account PA1" in problem.message
