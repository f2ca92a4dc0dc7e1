"""What the ledger remembers of an instrument: what others changed, what recond corrected, and how it is asked.

Owns these values; all are frozen. Units are those of `recond.core.model`.
May not hold behaviour beyond what follows from a value's own fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from recond.core.model import Cause, Execution, Instrument


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the ledger's journal that is not recond's own: what somebody changed in a row."""

    seq: int
    position_id: int
    symbol: str
    strategy_id: str | None
    before: Decimal
    after: Decimal
    at: datetime

    @property
    def quantity(self) -> Decimal:
        """What it added, signed."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class PastCorrection:
    """What recond did to a row before. `proven` is False while no evidence says why; `reversed` once it was undone."""

    id: int
    run_id: int
    position_id: int
    instrument: Instrument
    strategy_id: str | None
    before: Decimal
    after: Decimal
    cause: Cause
    at: datetime
    proven: bool = True
    reversed: bool = False

    @property
    def symbol(self) -> str:
        """What it moved."""
        return self.instrument.symbol

    @property
    def quantity(self) -> Decimal:
        """What it added, signed."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of the ledger's memory, by symbol: others' changes `since` a position in the journal.

    `earlier` are moments from which on those before that position are wanted too, as far back as the ledger looks.
    `executed` and `corrected` say from when on executions and corrections are, of a symbol with very many executions
    the newest. `amended` are execution ids.
    """

    since: Mapping[str, int]
    executed: datetime
    corrected: datetime
    earlier: Mapping[str, datetime] = field(default_factory=dict)
    amended: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class History:
    """What the ledger remembers of some instruments: see `recond.ports.Ledger.history`."""

    changes: tuple[Change, ...] = ()
    corrections: tuple[PastCorrection, ...] = ()
    executions: tuple[Execution, ...] = ()
    consumed: frozenset[str] = frozenset()
