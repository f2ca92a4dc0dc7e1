"""Whether keys open the account that a book was kept for."""

from __future__ import annotations

import pytest

from recond.core.identity import mismatch
from recond.core.model import AccountState

LIVE, PAPER = AccountState("id-1", "ACTIVE", number="123"), AccountState("id-1", "ACTIVE", number="PA123")


@pytest.mark.parametrize(
    ("environment", "state", "pins", "expected"),
    [
        ("live", LIVE, {"a": "id-1"}, None),
        ("live", AccountState("id-1", "ACTIVE"), {"a": "id-1", "b": "id-2"}, None),
        ("paper", PAPER, {"a": "id-1"}, None),
        ("paper", LIVE, {"a": "id-1"}, None),
        ("live", PAPER, {"a": "id-1"}, "is configured as live"),
        ("paper", PAPER, {"a": "id-2"}, "was kept for broker account id-2"),
        ("paper", PAPER, {"a": "id-2", "b": "id-1"}, "was kept for broker account id-2"),
        ("paper", PAPER, {"b": "id-1"}, "the same broker account as those of 'b'"),
        ("paper", PAPER, {}, "was kept for broker account None"),
    ],
)
def test_only_the_account_met_first_will_do(
    environment: str, state: AccountState, pins: dict[str, str], expected: str | None
) -> None:
    """Another account, one that another book has, and paper instead of live are refused, each with its reason."""
    problem = mismatch("a", environment, state, pins)
    assert (problem is None) == (expected is None)
    assert problem is None or (expected or "") in problem.message
