"""A book that is closed because its account is another one now."""

from __future__ import annotations

from decimal import Decimal

from recond.core.model import Cause, LedgerRow
from recond.core.repin import Repin, closings
from recond.core.run import Action


def test_every_row_is_closed_as_it_is() -> None:
    """Each row from its own quantity to zero, under its strategy; a class that nobody told follows from the symbol."""
    rows = (
        LedgerRow(1, "AAPL", None, "mean", Decimal("-2.5"), 3),
        LedgerRow(2, "BTCUSD", "crypto", None, Decimal("0.000000001"), 1),
    )
    told = [
        (c.action, c.instrument.asset_class, c.row, c.strategy_id, c.before, c.after, c.cause, c.proven)
        for c in closings(rows)
    ]
    assert told == [
        (Action.CLOSE, "us_equity", rows[0], "mean", Decimal("-2.5"), 0, Cause.LEDGER_EDIT, True),
        (Action.CLOSE, "crypto", rows[1], None, Decimal("0.000000001"), 0, Cause.LEDGER_EDIT, True),
    ]


def test_the_run_says_who_and_why() -> None:
    """The new id and the note are told when they were given."""
    assert Repin("a", "ann").text == "pinned anew by ann; the old book was closed"
    assert Repin("a", "ann", "reset", "b-2").text == "pinned anew to b-2 by ann; the old book was closed: reset"
