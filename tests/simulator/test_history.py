"""Looking back."""

from __future__ import annotations

from recond.simulator.history import KEPT_SECONDS, History


def test_the_past_is_rebuilt_by_undoing() -> None:
    """A view shows what was there at its time: changed, new and removed keys alike, of its own kind only."""
    now = 0.0
    history = History(lambda: now)
    current = {"A": 1, "B": 2}
    now = 1.0
    history.changed("positions", "A", 1)
    current["A"] = 10
    history.changed("orders", "B", 99)
    now = 2.0
    history.changed("positions", "C", None)
    current["C"] = 3
    now = 3.0
    history.changed("positions", "B", 2)
    del current["B"]
    now = 4.0
    assert history.as_of("positions", current, 0) is current
    assert history.as_of("positions", current, 1.5) == {"A": 10, "B": 2, "C": 3}
    assert history.as_of("positions", current, 2.5) == {"A": 10, "B": 2}
    assert history.as_of("positions", current, 3.5) == {"A": 1, "B": 2}


def test_memory_is_bounded_by_age() -> None:
    """Entries older than the kept time are forgotten."""
    now = 0.0
    history = History(lambda: now)
    for step in range(1000):
        now = float(step)
        history.changed("cash", "cash", step)
    assert len(history._log) == KEPT_SECONDS + 1
