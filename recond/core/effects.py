"""What the broker says has moved an instrument: fills and account activities as effects on one quantity.

Owns which activity moves what, under which cause, and whose order a fill belongs to.
May not decide which of them explain a drift.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

from recond.core.evidence import key
from recond.core.history import Change, PastCorrection
from recond.core.model import Activity, Cause, Execution, Instrument, Key
from recond.core.symbols import canonical_symbol, option_underlying

CAUSE_OF_TYPE = MappingProxyType(
    {
        "SPLIT": Cause.SPLIT,
        "SSP": Cause.SPLIT,
        "NC": Cause.SYMBOL_CHANGE,
        "SC": Cause.SYMBOL_CHANGE,
        "MA": Cause.MERGER,
        "SPIN": Cause.SPIN_OFF,
        "SSO": Cause.SPIN_OFF,
        "DIV": Cause.STOCK_DIVIDEND,
        "REORG": Cause.REORGANISATION,
        "REO": Cause.REORGANISATION,
        "VOF": Cause.REORGANISATION,
        "MEM": Cause.REORGANISATION,
        "FIMAT": Cause.REORGANISATION,
        "OPEXP": Cause.OPTION_EXPIRY,
        "OPEXC": Cause.OPTION_EXERCISE,
        "OPXRC": Cause.OPTION_EXERCISE,
        "OPASN": Cause.OPTION_ASSIGNMENT,
        "OPCA": Cause.OPTION_ADJUSTMENT,
        "ACATS": Cause.TRANSFER,
        "JNLS": Cause.TRANSFER,
        "FOPT": Cause.TRANSFER,
        "OCT": Cause.TRANSFER,
        "TRANS": Cause.TRANSFER,
        "CFEE": Cause.CRYPTO_FEE,
    }
)
"""Types of activities that move a quantity (Alpaca's, an open set); OPTRD takes the cause of its contract's leg."""
CASH_ONLY = frozenset(
    {
        "MISC", "ACATC", "CGD", "CSD", "CSW", "DIVCGL", "DIVCGS", "DIVFEE", "DIVFT", "DIVNRA", "DIVROC", "DIVTW",
        "DIVTXEX", "FEE", "INT", "INTNRA", "INTTW", "JNL", "JNLC", "OPCSH", "PTC", "PTR", "WH", "FXTRD", "SWP", "CIL",
    }
)  # fmt: skip
S = TypeVar("S", Execution, Change, PastCorrection)
LEGS_OF_SUB_TYPE = MappingProxyType({"SNC": 2, "SCNC": 2, "SMA": 2, "SCMA": 2, "USPLIT": 3})
"""How many legs that move something a group of this kind has at least."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that moved one instrument at the broker by `quantity`, signed.

    `at` is when; for what only has a day, its midnight. `whose` is the strategy of the order when `owned`. `ratio` is
    what a split added and took away. `legs` and `legs_wanted` tell whether the group it belongs to is whole.
    """

    cause: Cause
    quantity: Decimal
    at: datetime
    label: str
    owned: bool = False
    whose: str | None = None
    order_id: str | None = None
    price: Decimal | None = None
    executions: tuple[Key, ...] = ()
    activities: tuple[str, ...] = ()
    ratio: tuple[Decimal, Decimal] | None = None
    group: str | None = None
    delivered_by: str | None = None
    legs: int = 1
    legs_wanted: int = 0


def owner(execution: Execution, strategies: Mapping[str, str]) -> tuple[Cause, str | None]:
    """The cause that a missing booking of this fill has, and the strategy whose order it was.

    `strategies` maps a strategy to the prefix of its orders' client_order_id. Without any, and while the order is not
    known, nobody can tell whose a fill is.
    """
    if execution.strategy_id is not None:
        return Cause.MISSED_FILL, execution.strategy_id
    if not strategies or execution.client_order_id is None:
        return Cause.FILL, None
    mine = [each for each, prefix in strategies.items() if execution.client_order_id.startswith(prefix)]
    return (Cause.MISSED_FILL, mine[0]) if mine else (Cause.EXTERNAL_TRADE, None)


def fills(executions: Iterable[Execution], symbol: str, strategies: Mapping[str, str]) -> tuple[Effect, ...]:
    """The fills of the symbol that have explained nothing yet, in the order of their time; busts and corrections too.

    What takes another execution back is left out while that one is not known: by its id, or as the only fill of the
    order of which nobody has told the id. It counts from what an earlier one has left of it: told twice it takes
    nothing back twice.
    """
    known = sorted((e for e in executions if e.symbol == symbol), key=lambda e: (e.at, _words(key(e))))
    first = {each.execution_id: each for each in known if each.execution_id is not None and each.previous_id is None}
    now = {id_: (each, each.quantity) for id_, each in first.items()}
    nameless: dict[str, list[Execution]] = {}
    for each in known:
        if each.execution_id is None and each.previous_id is None:
            nameless.setdefault(each.order_id, []).append(each)
    effects = []
    for execution in known:
        quantity, before, id_ = execution.quantity, None, execution.previous_id
        if id_ is not None:
            if id_ not in now:
                only = [each for each in nameless.get(execution.order_id, ()) if each.at <= execution.at]
                if len(only) != 1:
                    continue
                nameless[execution.order_id].remove(only[0])
                now[id_] = only[0], only[0].quantity
            before, left = now[id_]
            now[id_] = before, quantity
            if execution.execution_id is not None:
                now[execution.execution_id] = before, quantity
            quantity -= left
        if (execution.covered_by, execution.accepted_in) != (None, None) or not quantity:
            continue
        told = execution if before is None or (before.strategy_id, before.client_order_id) == (None, None) else before
        cause, whose = owner(told, strategies)
        label = f"{quantity:f} in order {execution.order_id}"
        if before is not None:
            cause = Cause.BUST_OR_CORRECT
            label = f"{quantity:f} by a bust or correction in order {execution.order_id}"
        effects.append(
            Effect(
                cause=cause,
                quantity=quantity,
                at=execution.at,
                label=label,
                owned=whose is not None,
                whose=whose,
                order_id=execution.order_id,
                price=execution.price if before is None else None,  # taken back, it is no price paid
                executions=(key(execution),),
            )
        )
    return tuple(effects)


def by_symbol(entries: Iterable[S]) -> dict[str, list[S]]:
    """Executions, changes or corrections by what they moved."""
    grouped: dict[str, list[S]] = {}
    for entry in entries:
        grouped.setdefault(entry.symbol, []).append(entry)
    return grouped


def by_root(activities: Iterable[Activity]) -> dict[str, list[Activity]]:
    """What is no fill, in whole groups, by the root of each symbol in them: `bookings` need no more than its root's."""
    found: dict[str, list[Activity]] = {}
    for group in _groups(entry for entry in activities if entry.type != "FILL"):
        for symbol in {root(canonical_symbol(entry.symbol)) for entry in group if entry.symbol is not None}:
            found.setdefault(symbol, []).extend(group)
    return found


def root(symbol: str) -> str:
    """What contracts and their shares have in common: the underlying; a symbol's own when it is no contract's."""
    return option_underlying(symbol) or symbol


def bookings(
    activities: Sequence[Activity], instrument: Instrument, used: Set[str] = frozenset()
) -> tuple[Effect, ...]:
    """What activities other than fills did to the instrument: one effect for each group, or entry without one.

    A group whose legs on the instrument add up to nothing (another CUSIP) did nothing to it. Of what is `used` nothing
    is left to explain, though it tells that its group is there.
    """
    effects = []
    for group in _groups(activities):
        moving = [entry for entry in group if moves(entry)]
        legs = sorted((entry for entry in moving if concerns(entry, instrument, group)), key=_by_time)
        quantity = sum((entry.quantity for entry in legs if entry.quantity is not None), Decimal(0))
        if not quantity or any(entry.id in used for entry in legs):
            continue
        first = legs[0]
        if first.at is None:
            continue
        cause = _cause(first, (*moving, *activities))
        kinds = "/".join(dict.fromkeys(" ".join(filter(None, (entry.type, entry.sub_type))) for entry in legs))
        unknown = ", which recond does not know" if cause is Cause.UNEXPLAINED else ""
        effects.append(
            Effect(
                cause=cause,
                quantity=quantity,
                at=max(entry.at for entry in legs if entry.at is not None),
                label=f"{quantity:f} by {kinds}{unknown}",
                price=next((entry.price for entry in reversed(legs) if entry.price), None),
                activities=tuple(sorted(entry.id for entry in legs)),
                ratio=_added_and_taken(legs) if cause is Cause.SPLIT else None,
                group=first.group_id,
                legs=len(moving),
                legs_wanted=_legs_wanted(group),
            )
        )
    return tuple(sorted(effects, key=in_time))


def in_lots(booked: Iterable[Effect]) -> list[tuple[Effect, ...]]:
    """Each booking, and those of one cause and day that are booked lot by lot together."""
    days: dict[object, list[Effect]] = {}
    single = []
    for effect in booked:
        single.append((effect,))
        days.setdefault((effect.cause, effect.at.date(), effect.quantity > 0), []).append(effect)
    return single + [tuple(lots) for lots in days.values() if len(lots) > 1]


def waited_for(activities: Iterable[Activity]) -> frozenset[str]:
    """The symbols in groups of which a leg that moves something is still to come, though only cash may have come."""
    return frozenset(
        canonical_symbol(entry.symbol)
        for group in _groups(activities)
        if sum(map(moves, group)) < _legs_wanted(group)
        for entry in group
        if entry.symbol is not None
    )


def _groups(activities: Iterable[Activity]) -> Collection[list[Activity]]:
    """The entries of each group, those without one by themselves."""
    groups: dict[str, list[Activity]] = {}
    for entry in activities:
        groups.setdefault(entry.group_id or entry.id, []).append(entry)
    return groups.values()


def _legs_wanted(group: Iterable[Activity]) -> int:
    """How many legs that move something the group has when it is whole, as far as its kinds tell."""
    return max(LEGS_OF_SUB_TYPE.get(entry.sub_type or "", 0) for entry in group)


def in_time(effect: Effect) -> tuple[datetime, tuple[str, ...], list[tuple[str, ...]]]:
    """What sorts effects by their time, and those of one time always the same way."""
    return effect.at, effect.activities, [_words(each) for each in effect.executions]


def _words(which: Key) -> tuple[str, ...]:
    """A key as text: numbers and text cannot be sorted together."""
    return tuple(map(str, which))


def _by_time(entry: Activity) -> tuple[bool, datetime | None, str]:
    """The order in which legs were booked, those without a time at the end."""
    return entry.at is None, entry.at, entry.id


def moves(entry: Activity) -> bool:
    """Whether an activity that is no fill moved a quantity, by its type and its quantity.

    A dividend tells of the shares that earned it, though nothing moved, unless it is paid in shares.
    """
    if entry.type == "FILL" or not entry.quantity or (entry.status or "").lower() == "canceled":
        return False
    if entry.type == "DIV":
        return entry.sub_type == "SDIV" and not entry.net_amount
    return entry.type not in CASH_ONLY


def concerns(entry: Activity, instrument: Instrument, group: Sequence[Activity]) -> bool:
    """Whether the leg is the instrument's; one without a symbol may be a contract's on what its group names."""
    if entry.symbol is not None:
        return canonical_symbol(entry.symbol) == instrument.symbol
    underlying = option_underlying(instrument.symbol)
    return underlying is not None and any(each.symbol == underlying for each in group)


def _added_and_taken(legs: Sequence[Activity]) -> tuple[Decimal, Decimal] | None:
    """What the legs of a split added and what they took away, unsigned; None when one of them is not there."""
    positive = sum((e.quantity for e in legs if e.quantity is not None and e.quantity > 0), Decimal(0))
    negative = -sum((e.quantity for e in legs if e.quantity is not None and e.quantity < 0), Decimal(0))
    return (positive, negative) if positive and negative else None


def _cause(entry: Activity, others: Sequence[Activity]) -> Cause:
    """The cause of a leg; shares that a contract delivered have the contract's."""
    if entry.sub_type == "USPLIT":
        return Cause.REORGANISATION
    if entry.type != "OPTRD":
        return CAUSE_OF_TYPE.get(entry.type.partition(".")[0], Cause.UNEXPLAINED)
    for other in others:
        same_group = entry.group_id is not None and other.group_id == entry.group_id
        same_contract = other.symbol is not None and option_underlying(other.symbol) == entry.symbol
        if other.type in ("OPEXC", "OPXRC", "OPASN") and (same_group or same_contract):
            return CAUSE_OF_TYPE[other.type]
    return Cause.OPTION_EXERCISE
