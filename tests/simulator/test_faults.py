"""Which faults apply, and for how long."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from recond.simulator.faults import Fault, Faults


class Clock:
    """Seconds, set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_count_a_duration_and_until_cleared() -> None:
    """Each kind of lifetime ends when it should."""
    clock = Clock()
    faults = Faults(clock)
    faults.add(Fault(endpoint="positions", kind="hang", count=2))
    faults.add(Fault(endpoint="positions", kind="null", duration=10))
    faults.add(Fault(endpoint="positions", kind="cut"))

    def taken() -> list[str]:
        return [fault.kind for fault in faults.take("positions", "main")]

    assert taken() == ["hang", "null", "cut"]
    assert taken() == ["hang", "null", "cut"]
    assert taken() == ["null", "cut"]
    clock.now = 10.0
    assert taken() == ["cut"]
    assert faults.clear("orders") == 0
    assert faults.clear("positions") == 1
    assert taken() == []


def test_endpoint_and_account_choose() -> None:
    """`all` means every REST endpoint and not the stream; an account's fault leaves the others alone."""
    faults = Faults(Clock())
    faults.add(Fault(endpoint="all", kind="status", account="a"))
    assert faults.take("clock", "a")
    assert not faults.take("clock", "b")
    assert not faults.take("stream", "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"endpoint": "positions", "kind": "explode"}, "expected one of break_rows, cut"),
        ({"endpoint": "positions", "kind": "half_open"}, "expected one of"),
        ({"endpoint": "positions", "kind": "hang", "status": 500}, "hang does not take status"),
        ({"endpoint": "positions", "kind": "hang", "count": 0}, "greater than or equal to 1"),
        ({"endpoint": "positions", "kind": "partial", "share": "1.1"}, "less than or equal to 1"),
        ({"endpoint": "positions", "kind": "other_account"}, "needs of: expected the name"),
        ({"endpoint": "moon", "kind": "hang"}, "'positions'"),
    ],
)
def test_a_wrong_fault_says_what_is_expected(arguments: dict[str, object], message: str) -> None:
    """Kind, parameters, lifetime and endpoint are checked, with the choices named."""
    with pytest.raises(ValidationError, match=message):
        Fault.model_validate(arguments)
