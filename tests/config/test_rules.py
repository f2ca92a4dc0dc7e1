"""The grammar of durations and decimals."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.config import rules


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("15s", 15),
        ("90d", 7776000),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("1m1ms", 60.001),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_exactly(text: str, seconds: float) -> None:
    """Units may follow each other from the greatest to the smallest."""
    assert rules.seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5M", "30m1h", "5mm", "1m1m", "-5m", "1e3s", "\u0665m", "5m\n"])
def test_what_is_not_a_duration_is_none(text: str) -> None:
    """Anything else is not guessed at."""
    assert rules.seconds_in(text) is None


@given(st.integers(0, 10_000_000))
def test_any_whole_number_of_milliseconds_can_be_written(count: int) -> None:
    """Days, hours, minutes, seconds and milliseconds add up to what was split."""
    rest, text = count, ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        text, rest = f"{text}{rest // size}{unit}", rest % size
    assert rules.seconds_in(text) == count / 1000


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-9, max_value=9))
def test_a_decimal_is_exact_as_text_and_as_number(value: Decimal) -> None:
    """What was written is what arrives, whether TOML string or TOML number."""
    parse = rules.decimal("any", lambda _: True)
    assert parse(value) == parse(str(value)) == value


@pytest.mark.parametrize("value", ["nan", "inf", "1_000", "", " 1", "0x1", "1e999", None, True, [], float("inf")])
def test_what_is_not_a_decimal_is_refused(value: object) -> None:
    """Neither NaN nor blanks, nor a truth value that Python counts as 1."""
    with pytest.raises(ValueError, match="any"):
        rules.decimal("any", lambda _: True)(value)
