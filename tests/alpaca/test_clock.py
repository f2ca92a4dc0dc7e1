"""The broker's clock from Date headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from recond.alpaca.clock import BrokerClock

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _cut(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def test_unknown_before_any_answer() -> None:
    """Without an answer the broker's time is unknown, not the local one."""
    assert BrokerClock().at(1.0) is None


@given(
    phase=st.floats(0, 0.999),
    gaps=st.lists(st.floats(0.01, 400.0), min_size=1, max_size=30),
    delay=st.floats(0.001, 0.5),
)
def test_within_the_grain(phase: float, gaps: list[float], delay: float) -> None:
    """After any answers the error is at most half a second and half the way there and back, though dates are cut."""
    clock, now_s = BrokerClock(), 1000.0
    origin = START + timedelta(seconds=phase)
    for gap in gaps:
        now_s += gap
        clock.heard(_cut(origin + timedelta(seconds=now_s)), now_s - delay / 2, now_s + delay / 2)
        shown = clock.at(now_s)
        assert shown is not None
        assert abs((shown - origin).total_seconds() - now_s) <= 0.5 + delay / 2 + 0.001


def test_many_answers_narrow_it() -> None:
    """Answers on different parts of a second give the time much finer than one second."""
    clock, origin = BrokerClock(), START + timedelta(seconds=0.37)
    for step in range(40):
        now_s = step * 0.73
        clock.heard(_cut(origin + timedelta(seconds=now_s)), now_s - 0.01, now_s + 0.01)
    shown = clock.at(30.0)
    assert shown is not None
    assert abs((shown - origin).total_seconds() - 30.0) < 0.05


def test_a_contradiction_starts_anew() -> None:
    """When the broker's clock is set, or the machine slept, the next answer counts alone."""
    clock = BrokerClock()
    clock.heard(START, 10.0, 10.1)
    clock.heard(START + timedelta(hours=1), 11.0, 11.1)
    shown = clock.at(11.0)
    assert shown is not None
    assert abs(shown - START - timedelta(hours=1)) < timedelta(seconds=1.1)
