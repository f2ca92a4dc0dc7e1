"""What is done about a confirmed drift.

Owns the policy table and the rules of whose row a correction goes to.
May not change anything that is unproven, leave rows of one instrument with opposite signs, or a sum that is
not the broker's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from recond.core.exact import exactly
from recond.core.model import Cause, Conflict, Drift, Hold, Kind, LedgerRow, Resolution
from recond.core.run import Action, Correction, Explanation, Outcome

BY_POLICY = "policy"
SEVERAL_OWNERS = "several strategies hold it and nothing tells whose it is: name the row"
TOO_LONG = "a row would need more digits than the ledger takes: set the rows of this symbol to fewer digits"
QUANTITY_LENGTH_MAX = 40
"""Characters of a quantity in the ledger, which refuses a longer one and with it all else that a pass has to write."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done by cause; causes that are not named get the default. `use_db` is an operator's answer only."""

    default: Resolution
    causes: Mapping[Cause, Resolution]

    def of(self, cause: Cause) -> Resolution:
        """The resolution for drifts of this cause."""
        return self.causes.get(cause, self.default)


def decide(
    drift: Drift,
    explanation: Explanation,
    policy: Policy,
    doubt: str | None,
    conflict: Conflict | None,
    hold: Hold | None,
    now: datetime,
) -> Outcome:
    """Decide about one confirmed drift.

    `doubt` says why the broker's answer must not be acted on yet; `conflict` and `hold` are those that are open on
    the instrument. A drift of kind `quantity` is always a conflict, resolved at once or not; any other only when
    it stays unresolved. A doubt opens no conflict, but one that is open already stays open through it.
    """
    if doubt is not None:
        held = Outcome(drift, explanation, Resolution.MANUAL, hold=_held(drift, doubt, hold, now))
        known = conflict is not None and conflict.kind is drift.kind
        return replace(held, conflict=_conflict(held, conflict, now)) if known else held
    corrections: tuple[Correction, ...] | None = ()
    resolution = policy.of(explanation.cause)
    if resolution is Resolution.USE_BROKER:
        corrections = correct(drift, explanation.cause)
        unclear = SEVERAL_OWNERS if corrections is None else ""
        if any(len(f"{correction.after:f}") > QUANTITY_LENGTH_MAX for correction in corrections or ()):
            corrections, unclear = None, TOO_LONG
        if unclear:
            resolution = Resolution.MANUAL
            explanation = replace(explanation, text=f"{explanation.text}; {unclear}".lstrip("; "))
    outcome = Outcome(drift, explanation, resolution, corrections=corrections or ())
    if drift.kind is Kind.QUANTITY or resolution is not Resolution.USE_BROKER:
        return replace(outcome, conflict=_conflict(outcome, conflict, now))
    return outcome


@exactly
def correct(drift: Drift, cause: Cause) -> tuple[Correction, ...] | None:
    """The changes that make the ledger's sum the broker's; None when it cannot be told whose row to change.

    Flat closes every row, one row is set, several follow the rule: an increase goes to the unattributed row, a
    decrease is taken from it down to zero and then from the only strategy that holds the instrument.
    """
    if drift.broker == 0:
        return tuple(_change(drift, row, Decimal(0), cause) for row in drift.rows)
    if len(drift.rows) == 1:
        return (_change(drift, drift.rows[0], drift.broker, cause),)
    targets = _share_out(drift)
    if targets is None or any(quantity * drift.broker < 0 for quantity in targets.values()):
        return None
    quantities = {row.strategy_id: row for row in drift.rows}
    return tuple(
        _change(drift, quantities[strategy], quantity, cause)
        if strategy in quantities
        else _open(drift, strategy, quantity, cause)
        for strategy, quantity in targets.items()
        if strategy not in quantities or quantities[strategy].quantity != quantity
    )


def _share_out(drift: Drift) -> dict[str | None, Decimal] | None:
    """The quantity that each strategy's row should have; None when no evidence says whose."""
    targets = {row.strategy_id: row.quantity for row in drift.rows}
    unattributed = targets.pop(None, Decimal(0))
    grows = drift.ledger * drift.broker >= 0 and abs(drift.broker) > abs(drift.ledger)
    rest = unattributed + drift.difference
    if grows or rest * unattributed > 0 or (rest == 0 and unattributed != 0):
        return {None: rest, **targets}
    if len(targets) != 1:
        return None
    ((strategy, quantity),) = targets.items()
    emptied: dict[str | None, Decimal] = {None: Decimal(0)} if unattributed else {}
    return {**emptied, strategy: quantity + rest}


def _change(drift: Drift, row: LedgerRow, after: Decimal, cause: Cause) -> Correction:
    """Set one row, or close it at zero. One that becomes the whole position, or flips, takes the broker's entry."""
    follows = after == drift.broker or after * row.quantity < 0
    entry = drift.position.entry_price if drift.position is not None and follows else None
    return Correction(
        action=Action.CLOSE if after == 0 else Action.SET,
        instrument=drift.instrument,
        row=row,
        strategy_id=row.strategy_id,
        before=row.quantity,
        after=after,
        cause=cause,
        asset_id=None if drift.position is None else drift.position.asset_id,
        entry_price=entry if entry is not None else row.entry_price,
    )


def _open(drift: Drift, strategy_id: str | None, quantity: Decimal, cause: Cause) -> Correction:
    """A new row for what the ledger lacks."""
    position = drift.position
    return Correction(
        action=Action.OPEN,
        instrument=drift.instrument,
        row=None,
        strategy_id=strategy_id,
        before=Decimal(0),
        after=quantity,
        cause=cause,
        asset_id=None if position is None else position.asset_id,
        entry_price=None if position is None else position.entry_price,
    )


def _conflict(outcome: Outcome, before: Conflict | None, now: datetime) -> Conflict:
    """The conflict of an outcome: the one that is open already, seen again, or a new one."""
    drift, position = outcome.drift, outcome.drift.position
    price = None if position is None else position.price
    settled = outcome.resolution is Resolution.USE_BROKER
    fresh = Conflict(
        id=None,
        instrument=drift.instrument,
        kind=drift.kind,
        cause=outcome.explanation.cause,
        broker_quantity=drift.broker,
        ledger_quantity=drift.ledger,
        resolution=outcome.resolution,
        opened_at=now,
        last_seen_at=now,
        explanation=outcome.explanation.text,
        broker_value=None if position is None else position.market_value,
        ledger_value=None if price is None else drift.ledger * price,
        resolved_at=now if settled else None,
        resolved_by=BY_POLICY if settled else None,
    )
    if before is None or before.kind is not drift.kind:
        return fresh
    return replace(fresh, id=before.id, opened_at=before.opened_at, sightings=before.sightings + 1, note=before.note)


def _held(drift: Drift, doubt: str, before: Hold | None, now: datetime) -> Hold:
    """The hold that is open already, with today's reason, or a new one."""
    hold = before or Hold(None, drift.instrument, doubt, drift.broker, drift.ledger, opened_at=now)
    return replace(hold, reason=doubt, broker_quantity=drift.broker, ledger_quantity=drift.ledger)
