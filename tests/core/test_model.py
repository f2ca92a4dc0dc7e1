"""What follows from a value's own fields."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from recond.core.decide import Matters, Policy, decide
from recond.core.model import Cause, Hold, Resolution
from recond.core.run import Explanation, Reason, Run, RunStatus
from tests.core.strategies import NOW, drift_of, row

RUN = Run(1, "default", 1, 1, (Reason.RECHECK, Reason.HTTP), NOW, NOW, 0.1, RunStatus.PARTIAL)
WHY = Explanation(Cause.UNEXPLAINED)


def test_difference_is_broker_minus_ledger() -> None:
    """A ledger that claims more than the broker holds differs by a negative quantity."""
    assert drift_of("AAPL", -2, row("AAPL", 3)).difference == Decimal(-5)


@pytest.mark.parametrize(
    ("broker", "ledger", "accepted", "target"),
    [
        (12, 10, 0, 12),
        (0, 5, 0, 0),
        (12, 5, 5, 7),
        (-12, -5, -5, -7),
        (12, 20, -5, 17),
        (12, 0, 10, 2),
        (3, 5, 5, 3),
        (5, 3, 5, 5),
        (0, 5, 5, 0),
        (8, 0, 10, 8),
        (20, 0, 20, 0),
        (20, 10, 10, 10),
        (12, -5, 15, -3),
        (-12, 5, -15, 3),
        (20, -5, 15, 5),
    ],
)
def test_what_is_accepted_stays_out_of_the_ledger(broker: int, ledger: int, accepted: int, target: int) -> None:
    """But for an acceptance that would empty the rows or turn their sign: then the broker's quantity is what counts."""
    rows = (row("AAPL", ledger),) if ledger else ()
    assert replace(drift_of("AAPL", broker, *rows), accepted=Decimal(accepted)).target == target


def test_trigger_names_every_reason() -> None:
    """The reasons of a run are one text, in the order given."""
    assert RUN.trigger == "recheck+http"


def test_a_run_tells_what_was_opened_what_is_open_and_what_was_changed() -> None:
    """Resolved conflicts are opened but not open, carried ones open but not opened; corrections are of all outcomes."""
    manual, by_broker = Policy(Resolution.MANUAL, {}), Policy(Resolution.USE_BROKER, {})
    left = decide(drift_of("AAPL", 5, row("AAPL", 3)), WHY, manual, Matters(), NOW)
    done = decide(drift_of("MSFT", 5, row("MSFT", 3)), WHY, by_broker, Matters(), NOW)
    opened = decide(drift_of("BTCUSD", 5), WHY, by_broker, Matters(), NOW)
    held = decide(drift_of("BRK.B", 0, row("BRK.B", 3)), WHY, manual, Matters("doubt", None, None), NOW)
    assert left.conflict is not None
    assert done.conflict is not None
    again = replace(left.conflict, sightings=2)
    carried_hold = Hold(9, held.drift.instrument, "doubt", Decimal(0), Decimal(3), NOW)
    run = replace(RUN, outcomes=(left, done, opened, held), carried_conflicts=(again,), carried_holds=(carried_hold,))
    assert run.conflicts == run.opened_conflicts == (left.conflict, done.conflict)
    assert run.open_conflicts == (left.conflict, again)
    assert run.open_holds == (held.hold, carried_hold)
    assert run.corrections == (*done.corrections, *opened.corrections)
    seen_again = replace(run, outcomes=(replace(left, conflict=again),))
    assert seen_again.opened_conflicts == ()
