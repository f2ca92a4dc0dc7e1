"""What an operator asks for about an open conflict or hold, and whether it may stand.

Owns the rules by which a wish becomes a decision or is refused: that the matter is open, that the quantities are those
that the operator saw, and that of two operators one wins and the other is told.
May not act on a decision: the pass that next judges the instrument does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from recond.core.model import Decision, Instrument, Resolution

STRATEGY = re.compile(r"[ -~]*[!-~][ -~]*")
"""A strategy id as a whole, as the ledger's triggers have it."""


class Matter(StrEnum):
    """What an operator can decide about."""

    CONFLICT = "conflict"
    HOLD = "hold"


class Why(StrEnum):
    """Why a wish is refused."""

    UNKNOWN = "unknown"
    INVALID = "invalid"
    ENDED = "ended"
    MOVED = "moved"
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator wants done. Quantities are those that the operator saw; None: those of the matter as it stands.

    `strategy_id` is only meant when `names_row`; then None is the row that no strategy owns.
    """

    matter: Matter
    id: int
    resolution: Resolution
    by: str
    broker_quantity: Decimal | None = None
    ledger_quantity: Decimal | None = None
    names_row: bool = False
    strategy_id: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was decided, in a word and in a sentence."""

    why: Why
    text: str


@dataclass(frozen=True, slots=True)
class State:
    """A matter as it stands now: when and by whom it was ended, and what is decided already on its instrument."""

    instrument: Instrument
    broker_quantity: Decimal
    ledger_quantity: Decimal
    ended_at: datetime | None = None
    ended_by: str | None = None
    decision: Decision | None = None


def judge_wish(wish: Wish, state: State | None, decision_id: int, now: datetime) -> Decision | Refusal:
    """The decision, under this number, or why there is none; `state` is None when there is no such matter."""
    if state is None:
        return Refusal(Why.UNKNOWN, f"there is no {wish.matter} {wish.id}")
    fault = _fault(wish)
    if fault is not None:
        return Refusal(Why.INVALID, fault)
    about = f"{wish.matter} {wish.id} ({state.instrument.symbol})"
    if state.ended_at is not None:
        return Refusal(Why.ENDED, f"{about} ended at {_told(state.ended_at)}: {state.ended_by or 'nobody knows why'}")
    if state.decision is not None:
        other = state.decision
        text = f"{other.by} has decided {other.resolution} at {_told(other.at)}, and nothing has come of it yet"
        return Refusal(Why.DECIDED, f"{about}: {text}")
    seen = (wish.broker_quantity, wish.ledger_quantity)
    broker = state.broker_quantity if seen[0] is None else seen[0]
    ledger = state.ledger_quantity if seen[1] is None else seen[1]
    if (broker, ledger) != (state.broker_quantity, state.ledger_quantity):
        now_is = f"broker {state.broker_quantity:f}, ledger {state.ledger_quantity:f}"
        return Refusal(Why.MOVED, f"{about} has changed: {now_is}; seen was broker {broker:f}, ledger {ledger:f}")
    return Decision(
        id=decision_id,
        instrument=state.instrument,
        resolution=wish.resolution,
        broker_quantity=broker,
        ledger_quantity=ledger,
        by=wish.by,
        at=now,
        conflict_id=wish.id if wish.matter is Matter.CONFLICT else None,
        hold_id=wish.id if wish.matter is Matter.HOLD else None,
        names_row=wish.names_row,
        strategy_id=wish.strategy_id,
        note=wish.note,
    )


def _fault(wish: Wish) -> str | None:
    """What makes no sense of it, whatever the matter is like."""
    if wish.resolution is Resolution.MANUAL:
        return "a decision is use_broker or use_db"
    if wish.matter is Matter.HOLD and wish.resolution is not Resolution.USE_BROKER:
        return "a hold is accepted as it is; the ledger's quantity can only be kept in a conflict"
    if wish.names_row and (wish.matter is Matter.HOLD or wish.resolution is not Resolution.USE_BROKER):
        return "a row is only named with use_broker in a conflict"
    if wish.names_row and wish.strategy_id is not None and not STRATEGY.fullmatch(wish.strategy_id):
        return "strategy is printable ASCII text, or null for the row that no strategy owns"
    return None


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
