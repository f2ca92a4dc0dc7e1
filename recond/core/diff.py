"""Both sides of one reading, compared.

Owns the union of instruments: each gets exactly one outcome (agrees, drifts, or is unknown).
May not believe or explain a difference; that needs more than one reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from recond.core.exact import exactly
from recond.core.model import Accepted, BrokerPosition, Drift, Holdings, Instrument, Kind, LedgerRow, Unreadable
from recond.core.symbols import asset_class_of

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Agreement:
    """One instrument on which both sides agree; `position` is None when both are flat.

    `accepted` is the difference (broker minus ledger) that an operator has accepted, and that there still is.
    """

    instrument: Instrument
    position: BrokerPosition | None
    rows: tuple[LedgerRow, ...]
    accepted: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every instrument of either side, each in exactly one of the three."""

    agreements: tuple[Agreement, ...]
    drifts: tuple[Drift, ...]
    unknown: tuple[Unreadable, ...]


@exactly
def diff(
    holdings: Holdings,
    rows: tuple[LedgerRow, ...],
    unreadable_rows: tuple[Unreadable, ...],
    tolerance: Mapping[str, Decimal],
    ignore: Set[str],
    accepted: Mapping[Instrument, Accepted] = MappingProxyType({}),
) -> Comparison:
    """Compare the union of both sides.

    `tolerance` maps an asset class to the largest difference that is none; a class that is not named has zero.
    It never hides a whole position or a change of sign. Symbols in `ignore` are left out altogether. A row that
    could not be read makes its symbol unknown. One whose symbol could not be read may be any: a broker's makes
    unknown what the broker does not show, and a ledger's, which may stand beside others of its symbol, every
    instrument that does not agree. No two outcomes have the same symbol, but for rows that are unknown. A difference
    that is just the `accepted` one is none.
    """
    positions = {p.instrument: p for p in holdings.positions if p.instrument.symbol not in ignore}
    books = _books(rows, {p.symbol: p for p in positions}, ignore)
    unknown = tuple(u for u in (*holdings.unreadable, *unreadable_rows) if u.symbol not in ignore)
    unread = {u.symbol for u in unknown}
    lost_position = any(u.symbol is None for u in holdings.unreadable)
    lost_row = any(u.symbol is None for u in unreadable_rows)

    agreements: list[Agreement] = []
    drifts: list[Drift] = []
    doubtful: list[Unreadable] = []
    for instrument in dict.fromkeys((*positions, *books)):
        position, book = positions.get(instrument), books.get(instrument, ())
        if instrument.symbol in unread:
            continue
        broker = ZERO if position is None else position.quantity
        ledger = sum((row.quantity for row in book), ZERO)
        allowed = tolerance.get(instrument.asset_class, ZERO)
        known = accepted[instrument].difference if instrument in accepted else ZERO
        agree = _agree(broker, ledger, allowed)
        if (position is None and lost_position) or (lost_row and not agree):
            side = "ledger" if lost_row else "broker"
            doubtful.append(Unreadable(instrument.symbol, f"may be the {side}'s row whose symbol was not readable"))
        elif agree or (known and abs(broker - ledger - known) <= allowed):
            agreements.append(Agreement(instrument, position, book, ZERO if agree else known))
        else:
            drifts.append(Drift(instrument, _kind(position, book), broker, ledger, position, book, known))
    return Comparison(tuple(agreements), tuple(drifts), (*unknown, *doubtful))


def settled_quantities(
    holdings: Holdings, comparison: Comparison, ignore: frozenset[str]
) -> tuple[dict[str, Decimal], frozenset[str]]:
    """The broker's quantities by symbol, and the symbols that need no look at what it may not show yet."""
    shown = {position.instrument.symbol: position.quantity for position in holdings.positions}
    return shown, ignore.union(drift.instrument.symbol for drift in comparison.drifts)


def _books(
    rows: tuple[LedgerRow, ...], shown: Mapping[str, Instrument], ignore: Set[str]
) -> dict[Instrument, tuple[LedgerRow, ...]]:
    """The open rows by instrument. A symbol is one instrument: the broker's class beats what the rows say of it."""
    said = {row.symbol: Instrument(row.asset_class, row.symbol) for row in rows if row.asset_class is not None}
    books: dict[Instrument, tuple[LedgerRow, ...]] = {}
    for row in rows:
        if row.symbol not in ignore:
            known = shown.get(row.symbol) or said.get(row.symbol)
            instrument = known or Instrument(asset_class_of(row.symbol), row.symbol)
            books[instrument] = (*books.get(instrument, ()), row)
    return books


def _agree(broker: Decimal, ledger: Decimal, tolerance: Decimal) -> bool:
    """Whether the difference is none, or within tolerance of a position that both sides have on the same side."""
    return broker == ledger or (broker * ledger > 0 and abs(broker - ledger) <= tolerance)


def _kind(position: BrokerPosition | None, book: tuple[LedgerRow, ...]) -> Kind:
    """The kind of a difference."""
    if not book:
        return Kind.MISSING_IN_LEDGER
    return Kind.MISSING_AT_BROKER if position is None else Kind.QUANTITY
