"""Closing a book whose account is another one now, so that the new account can be met afresh.

Owns what an operator says with it, what came of it, and the corrections that close the rows.
May not pretend to know why: the rows are closed because an operator said so, which no execution is behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from recond.core.model import Cause, Instrument, LedgerRow
from recond.core.run import Action, Correction
from recond.core.symbols import asset_class_of


@dataclass(frozen=True, slots=True)
class Repin:
    """Which account to pin anew, and who says so. `broker_account_id` None: whatever its keys open next."""

    account: str
    by: str
    note: str | None = None
    broker_account_id: str | None = None

    @property
    def text(self) -> str:
        """It in a sentence, for the run."""
        to = f" to {self.broker_account_id}" if self.broker_account_id else ""
        return f"pinned anew{to} by {self.by}; the old book was closed{f': {self.note}' if self.note else ''}"


@dataclass(frozen=True, slots=True)
class Repinned:
    """What came of it: the run, the pins before and after (None: none), and how much was closed and ended."""

    run_id: int
    was: str | None
    now: str | None
    closed: int
    conflicts: int
    holds: int


def closings(rows: Sequence[LedgerRow]) -> tuple[Correction, ...]:
    """A correction for each row that closes it."""
    return tuple(
        Correction(
            action=Action.CLOSE,
            instrument=Instrument(row.asset_class or asset_class_of(row.symbol), row.symbol),
            row=row,
            strategy_id=row.strategy_id,
            before=row.quantity,
            after=Decimal(0),
            cause=Cause.LEDGER_EDIT,
        )
        for row in rows
    )
