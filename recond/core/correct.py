"""The changes that make the ledger true: whose row, by how much, at which entry price.

Owns the rules of whose row a correction goes to: by evidence, else by the rows that there are.
May not leave rows of one instrument with opposite signs, or a sum that is not what it has to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal

from recond.core.exact import exactly
from recond.core.model import Drift, LedgerRow
from recond.core.run import Action, Correction, Explanation, Part

ZERO = Decimal(0)
PLACES = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class Share:
    """What a strategy's row should have; `entry` is None while the row keeps its own."""

    quantity: Decimal
    entry: Decimal | None = None


Shares = dict[str | None, Share]


@exactly
def correct(
    drift: Drift, explanation: Explanation, *, names_row: bool = False, strategy_id: str | None = None
) -> tuple[Correction, ...] | None:
    """The changes that make the ledger's sum what it has to be; None when it cannot be told whose row to change.

    None are needed where a split has made an accepted difference just what there is. Flat closes every row. With
    `names_row` an operator has said whose row it is. Else the parts of the explanation say it; what they leave open
    goes to the only row, or by the rule: an increase to the unattributed row, a decrease from it down to zero and then
    from the only strategy that holds the instrument.
    """
    rows = {row.strategy_id: row for row in drift.rows}
    now: Shares = {strategy: Share(row.quantity) for strategy, row in rows.items()}
    if drift.target == drift.ledger:
        return ()
    if drift.target == 0:
        return tuple(_change(drift, row, Share(ZERO), explanation) for row in drift.rows)
    shares = (
        _add(now, strategy_id, drift.target - drift.ledger, None)
        if names_row
        else _by_parts(drift, now, _adding_up(drift, explanation.parts))
    )
    scales = len(now) > 1 and any(part.ratio is not None for part in explanation.parts)
    if shares is not None and not names_row and not scales and not _is_sound(shares, drift.target):
        shares = _by_rule(now, drift.target)
    if shares is None or not _is_sound(shares, drift.target):
        return None
    return tuple(
        _change(drift, rows[strategy], share, explanation)
        if strategy in rows
        else _open(drift, strategy, share, explanation)
        for strategy, share in shares.items()
        if share.quantity != (rows[strategy].quantity if strategy in rows else ZERO)
    )


@exactly
def rename(old: Drift, new: Drift, explanation: Explanation) -> tuple[Correction, ...]:
    """The rows of the old name go on under the new one, with their id, strategy and open time."""
    return tuple(
        Correction(
            action=Action.SET,
            instrument=new.instrument,
            row=row,
            strategy_id=row.strategy_id,
            before=row.quantity,
            after=row.quantity,
            cause=explanation.cause,
            asset_id=None if new.position is None else new.position.asset_id,
            entry_price=row.entry_price,
            proven=explanation.proven,
        )
        for row in old.rows
    )


def _is_sound(shares: Shares, target: Decimal) -> bool:
    """The sum is right and no row has the other sign."""
    quantities = [share.quantity for share in shares.values()]
    return sum(quantities, ZERO) == target and all(quantity * target >= 0 for quantity in quantities)


def _adding_up(drift: Drift, parts: Sequence[Part]) -> list[Part]:
    """The parts, if they are all that the ledger lacks; what a split adds to an accepted difference it does not."""
    rest = drift.target - drift.ledger - sum((part.quantity for part in parts), ZERO)
    scaling = next((part for part in parts if part.ratio is not None), None)
    if rest and scaling is None:
        return []
    return [replace(part, quantity=part.quantity + rest) if part is scaling else part for part in parts]


def _by_parts(drift: Drift, now: Shares, parts: Sequence[Part]) -> Shares | None:
    """Each part to whose it is; what nobody owns by the rule, at the end. None when that cannot tell."""
    shares, rest = dict(now), ZERO
    owners = {row.id: row.strategy_id for row in drift.rows}
    for part in parts:
        if part.ratio is not None:
            shares = _scaled(shares, part, owners)
        elif part.row_id in owners:
            shares = _add(shares, owners[part.row_id], part.quantity, part.price)
        elif part.owned:
            shares = _add(shares, part.strategy_id, part.quantity, part.price)
        else:
            rest += part.quantity
    return _by_rule(shares, sum((s.quantity for s in shares.values()), ZERO) + rest) if rest else shares


def _add(shares: Shares, strategy: str | None, quantity: Decimal, price: Decimal | None) -> Shares:
    """So much more for the strategy; what opens its row is its price."""
    before = shares.get(strategy, Share(ZERO))
    return {**shares, strategy: Share(before.quantity + quantity, price if before.quantity == 0 else before.entry)}


def _scaled(shares: Shares, part: Part, owners: Mapping[int, str | None]) -> Shares:
    """Every row by the same ratio, cut to nine places; the largest takes what that leaves of the whole."""
    if part.ratio is None or not shares:
        return shares
    new, old = part.ratio.new, part.ratio.old
    spared = dict.fromkeys(shares, ZERO)
    for row_id, quantity in part.spared:
        if row_id in owners:
            spared[owners[row_id]] += quantity
    scaled = {
        strategy: Share(cut((share.quantity - spared[strategy]) * new / old) + spared[strategy])
        for strategy, share in shares.items()
    }
    largest = max(scaled, key=lambda strategy: (abs(scaled[strategy].quantity), strategy or ""))
    total = sum((share.quantity for share in shares.values()), part.quantity)
    rest = total - sum((share.quantity for share in scaled.values()), ZERO)
    return {**scaled, largest: Share(scaled[largest].quantity + rest)}


def cut(quantity: Decimal) -> Decimal:
    """What Alpaca counts of a quantity that has been divided: nine places."""
    return quantity.quantize(PLACES, ROUND_DOWN).normalize() + ZERO


def _by_rule(shares: Shares, target: Decimal) -> Shares | None:
    """What nothing tells whose it is, by the rows that there are."""
    if len(shares) == 1:
        return {strategy: Share(target, share.entry) for strategy, share in shares.items()}
    ledger = sum((share.quantity for share in shares.values()), ZERO)
    others: Shares = {strategy: share for strategy, share in shares.items() if strategy is not None}
    unattributed = shares[None].quantity if None in shares else ZERO
    grows = ledger * target >= 0 and abs(target) > abs(ledger)
    rest = unattributed + target - ledger
    if grows or rest * unattributed > 0 or rest == 0:
        return {None: Share(rest), **others}
    if len(others) != 1:
        return None
    ((strategy, share),) = others.items()
    return {None: Share(ZERO), strategy: Share(share.quantity + rest, share.entry)}


def _change(drift: Drift, row: LedgerRow, share: Share, explanation: Explanation) -> Correction:
    """Set one row, or close it at zero."""
    return Correction(
        action=Action.CLOSE if share.quantity == 0 else Action.SET,
        instrument=drift.instrument,
        row=row,
        strategy_id=row.strategy_id,
        before=row.quantity,
        after=share.quantity,
        cause=explanation.cause,
        asset_id=None if drift.position is None else drift.position.asset_id,
        entry_price=_entry(drift, row, share.quantity, explanation),
        proven=explanation.proven,
        reverses=tuple(p.reverses for p in explanation.parts if p.reverses is not None and p.row_id == row.id),
    )


def _entry(drift: Drift, row: LedgerRow, after: Decimal, explanation: Explanation) -> Decimal | None:
    """The row's entry price after the change.

    One that becomes the whole position, or flips, takes the broker's. Fills of its own are averaged in, and nobody's
    into the unattributed row; a split makes each share cost so much less. Else, and when it is closed, the row keeps
    its own.
    """
    shown = None if drift.position is None else drift.position.entry_price
    if shown is not None and (after == drift.broker or after * row.quantity < 0):
        return shown
    entry, quantity, keeps = row.entry_price, row.quantity, True
    for part in explanation.parts:
        if entry is None or not after:
            break
        mine = part.row_id == row.id or (part.row_id is None and part.strategy_id == row.strategy_id)
        if part.ratio is not None:
            keeps = False
            entry, quantity = entry * part.ratio.old / part.ratio.new, quantity * part.ratio.new / part.ratio.old
        elif mine and part.price is not None and part.quantity * quantity > 0:
            keeps = False
            entry = (entry * quantity + part.price * part.quantity) / (quantity + part.quantity)
            quantity += part.quantity
    return entry if entry is None or keeps else round(entry, 9)


def _open(drift: Drift, strategy_id: str | None, share: Share, explanation: Explanation) -> Correction:
    """A new row for what the ledger lacks, at the price that its own fills tell."""
    position = drift.position
    paid = share.entry if share.quantity != drift.broker else None
    return Correction(
        action=Action.OPEN,
        instrument=drift.instrument,
        row=None,
        strategy_id=strategy_id,
        before=ZERO,
        after=share.quantity,
        cause=explanation.cause,
        asset_id=None if position is None else position.asset_id,
        entry_price=paid if paid is not None else None if position is None else position.entry_price,
        proven=explanation.proven,
    )
