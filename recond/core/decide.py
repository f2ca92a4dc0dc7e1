"""What is done about a confirmed drift.

Owns the policy table, what an operator's decision means, and the life of a conflict from one sighting to the next.
May not change anything that is unproven, or act on a decision that was made about other quantities.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from recond.core.correct import correct, cut, rename
from recond.core.exact import exactly
from recond.core.model import Accepted, Cause, Conflict, Decision, Drift, Hold, Kind, Resolution
from recond.core.run import Correction, Explanation, Outcome

BY_POLICY = "policy"
SEVERAL_OWNERS = "several strategies hold it and nothing tells whose it is: name the row"
TOO_LONG = "a row would need more digits than the ledger takes: set the rows of this symbol to fewer digits"
DONE, MOVED, HELD, UNCLEAR = "done", "refused: the quantities are others now", "refused: it is on hold", "refused"
QUANTITY_LENGTH_MAX = 40
"""Characters of a quantity in the ledger, which refuses a longer one and with it all else that a pass has to write."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done by cause; causes that are not named get the default. `use_db` is an operator's answer only."""

    default: Resolution
    causes: Mapping[Cause, Resolution]

    def of(self, *causes: Cause) -> Resolution:
        """The resolution for drifts of these causes: the strictest of theirs."""
        found = [self.causes.get(cause, self.default) for cause in causes]
        return Resolution.MANUAL if Resolution.MANUAL in found else found[0]


@dataclass(frozen=True, slots=True)
class Matters:
    """What is open on an instrument before it is decided about.

    `doubt` says why the broker's answer must not be acted on yet. `partner` is the drift of the other name, when the
    instrument has changed its name.
    """

    doubt: str | None = None
    conflict: Conflict | None = None
    hold: Hold | None = None
    decision: Decision | None = None
    partner: Drift | None = None


def decide(drift: Drift, explanation: Explanation, policy: Policy, matters: Matters, now: datetime) -> Outcome:
    """Decide about one confirmed drift.

    A drift of kind `quantity` is always a conflict, resolved at once or not; any other only when it stays unresolved. A
    doubt opens no conflict, but one that is open already stays open through it, and so does a decision about it. An
    operator's decision goes before the policy, if it was made about these very quantities. What is left to an operator
    stays so while its quantities stay.
    """
    decision, doubt = matters.decision, matters.doubt or explanation.wait
    if decision is not None and (decision.broker_quantity, decision.ledger_quantity) != (drift.broker, drift.ledger):
        outcome = _by_policy(drift, explanation, policy, matters, doubt, now)
        waits = doubt is not None and decision.hold_id is None  # for what can be believed
        return outcome if waits else replace(outcome, decision=_ended(decision, MOVED))
    if decision is not None and decision.hold_id is not None:
        outcome = _by_policy(drift, explanation, policy, matters, None, now)
        return replace(outcome, decision=_ended(decision, DONE))
    if decision is None or doubt is not None:
        outcome = _by_policy(drift, explanation, policy, matters, doubt, now)
        return outcome if decision is None else replace(outcome, decision=_ended(decision, HELD))
    return _by_operator(drift, explanation, matters, decision, now)


def _by_policy(
    drift: Drift, explanation: Explanation, policy: Policy, matters: Matters, doubt: str | None, now: datetime
) -> Outcome:
    """What the account's policy says for the cause, or a hold while there is a doubt."""
    conflict = matters.conflict if matters.conflict and matters.conflict.kind is drift.kind else None
    if doubt is not None:
        held = Outcome(drift, explanation, Resolution.MANUAL, hold=_held(drift, doubt, matters.hold, now))
        return held if conflict is None else replace(held, conflict=_conflict(held, conflict, now))
    corrections: tuple[Correction, ...] = ()
    resolution = policy.of(*explanation.causes)
    # Later passes know an open conflict by its cause alone, so that has to be the one by which this was decided.
    explanation = replace(explanation, cause=next(c for c in explanation.causes if policy.of(c) is resolution))
    if conflict is not None and (conflict.broker_quantity, conflict.ledger_quantity) == (drift.broker, drift.ledger):
        resolution = Resolution.MANUAL  # it is an operator's, whatever is known of it since
    accepted = _accepted_now(drift, explanation, now)
    if resolution is Resolution.USE_BROKER:
        drift = drift if accepted is None else replace(drift, accepted=accepted.difference)
        corrections, unclear = _corrections(drift, explanation, matters)
        if unclear:
            resolution, accepted = Resolution.MANUAL, None
            told = unclear in explanation.text  # by an earlier sighting
            text = explanation.text if told else f"{explanation.text}; {unclear}".lstrip("; ")
            explanation = replace(explanation, text=text)
    outcome = Outcome(drift, explanation, resolution, corrections=corrections)
    if resolution is Resolution.USE_BROKER:
        outcome = replace(outcome, accepted=accepted)
    if drift.kind is Kind.QUANTITY or resolution is not Resolution.USE_BROKER:
        return replace(outcome, conflict=_conflict(outcome, conflict, now))
    return outcome


def _by_operator(
    drift: Drift, explanation: Explanation, matters: Matters, decision: Decision, now: datetime
) -> Outcome:
    """What an operator has decided about a conflict, whatever the policy says."""
    if decision.resolution is Resolution.USE_DB:
        accepted = Accepted(drift.instrument, drift.difference, now, decision.by, decision.note)
        outcome = Outcome(drift, explanation, Resolution.USE_DB, accepted=accepted, decision=_ended(decision, DONE))
    else:
        # What was accepted before is not what the operator has seen and decided now.
        drift = replace(drift, accepted=Decimal(0))
        corrections, unclear = _corrections(drift, explanation, matters, decision)
        if unclear:
            refused = Outcome(drift, explanation, Resolution.MANUAL, decision=_ended(decision, f"{UNCLEAR}: {unclear}"))
            return replace(refused, conflict=_conflict(refused, matters.conflict, now))
        done = _ended(decision, DONE)
        outcome = Outcome(drift, explanation, Resolution.USE_BROKER, corrections=corrections, decision=done)
    conflict = _conflict(outcome, matters.conflict, now)
    note = decision.note or conflict.note
    return replace(outcome, conflict=replace(conflict, resolved_at=now, resolved_by=decision.by, note=note))


def _corrections(
    drift: Drift, explanation: Explanation, matters: Matters, decision: Decision | None = None
) -> tuple[tuple[Correction, ...], str]:
    """The corrections, or why there can be none."""
    if matters.partner is not None and decision is None:
        return rename(drift, matters.partner, explanation), ""  # the new name has no rows yet
    if decision is None and SEVERAL_OWNERS in explanation.text and drift.target:
        return (), SEVERAL_OWNERS  # as an earlier pass found that knew the parts
    names_row = decision is not None and decision.names_row
    strategy = None if decision is None else decision.strategy_id
    corrections = correct(drift, explanation, names_row=names_row, strategy_id=strategy)
    if corrections is None:
        return (), SEVERAL_OWNERS if not names_row else "the row named would get the other sign, or none of it is left"
    if any(len(f"{correction.after:f}") > QUANTITY_LENGTH_MAX for correction in corrections):
        return (), TOO_LONG
    return corrections, ""


@exactly
def _accepted_now(drift: Drift, explanation: Explanation, now: datetime) -> Accepted | None:
    """An accepted difference that a split has scaled with all else; None when nothing changes it."""
    ratio = next((part.ratio for part in explanation.parts if part.ratio is not None), None)
    if not drift.accepted or ratio is None:
        return None
    scaled = cut(drift.accepted * ratio.new / ratio.old)
    return Accepted(drift.instrument, scaled, now, BY_POLICY, "scaled by a split")


def _ended(decision: Decision, outcome: str) -> Decision:
    return replace(decision, outcome=outcome)


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


def stranded(decision: Decision, ignore: Set[str]) -> Decision:
    """A decision about what has ended by itself, or is nobody's to decide any more."""
    ignored = decision.instrument.symbol in ignore
    return replace(decision, outcome="refused: its symbol is ignored now" if ignored else "it ended by itself")
