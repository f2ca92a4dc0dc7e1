"""What a pass adds up to: the run's figures, its status, and what is withheld at the last moment.

Owns the arithmetic of a `Run`. Status words are those of the public contract (`success`, `partial`, `failed`).
May not decide anything about an instrument: that has happened before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from recond.core.decide import stranded
from recond.core.diff import Agreement, Comparison
from recond.core.exact import exactly
from recond.core.model import (
    Accepted,
    Baseline,
    Conflict,
    Hold,
    Holdings,
    Instrument,
    Kind,
    LedgerReading,
    Resolution,
)
from recond.core.run import AcceptedNow, Action, Outcome, Pending, Problem, Record, Refresh, Run, RunStatus

MONEY_PLACES = Decimal("0.000000001")


@exactly
def conclude(
    header: Run,
    holdings: Holdings,
    reading: LedgerReading,
    comparison: Comparison,
    outcomes: Sequence[Outcome],
    pending: Sequence[Pending],
    again_s: float,
    ignore: Set[str],
    read_at: datetime,
    unsure: Set[str] = frozenset(),
) -> Record:
    """All that a pass writes, from what it saw and decided.

    `header` is the run as far as it was known before (ids, reasons, times); `reading` and `holdings` are the two
    sides, `read_at` the broker's time by then, `again_s` the monotonic moment at which something withheld can be looked
    at again. `unsure` are symbols without a drift for which that is not believed yet: they wait.
    """
    now = header.finished_at
    judged = {outcome.drift.instrument.symbol: outcome for outcome in outcomes}
    waiting = {p.instrument.symbol for p in pending} | {u.symbol for u in comparison.unknown} | unsure
    conflicts = _open_before(reading.conflicts, judged, waiting, ignore, now)
    shown = {position.instrument.symbol for position in holdings.positions}
    holds = _holds_before(reading.holds, judged, waiting, ignore, shown, now)
    undecided = waiting | ignore | {agreement.instrument.symbol for agreement in comparison.agreements} | set(judged)
    accepted, ended_accepted = _accepted(reading, comparison, outcomes, waiting, ignore)
    run = tally(
        replace(
            header,
            accepted=accepted,
            broker_positions=len(holdings.positions) + len(holdings.unreadable),
            db_positions=len({row.symbol for row in reading.rows}) + len(reading.unreadable),
            synced=sum(agreement.position is not None for agreement in comparison.agreements),
            total_value=_total_value(holdings),
            outcomes=tuple(outcomes),
            pending=tuple(pending),
            unknown=comparison.unknown,
            carried_conflicts=tuple(c for c in conflicts if not c.resolved),
            ended_conflicts=tuple(c for c in conflicts if c.resolved),
            carried_holds=tuple(h for h in holds if h.ended_at is None),
            ended_holds=tuple(h for h in holds if h.ended_at is not None),
        )
    )
    state = header.account_state
    believed = [each for each in comparison.agreements if each.instrument.symbol not in unsure]
    return Record(
        run=run,
        seq=reading.seq,
        repins=reading.repins,
        again_s=again_s,
        refreshes=tuple(r for agreement in comparison.agreements for r in _refresh(agreement)),
        baselines=(
            *_baselines(believed, outcomes, read_at, reading.seq),
            *(() if None in waiting else _flat_baselines(reading.baselines, undecided, read_at, reading.seq)),
        ),
        settled=not (run.pending or run.unknown or unsure),
        read_at=read_at,
        quiet=not (run.pending or run.unknown or run.open_conflicts or run.open_holds),
        ended_decisions=tuple(
            stranded(decision, ignore)
            for decision in reading.decisions
            if decision.instrument.symbol not in judged and not {decision.instrument.symbol, None} & waiting
        ),
        ended_accepted=ended_accepted,
        equity=state.equity if state is not None and run.status is RunStatus.SUCCESS else None,
    )


def emptied(run: Run, problem: Problem) -> Run:
    """The run without anything that it concluded, since it came to nothing."""
    return replace(
        run,
        outcomes=(),
        pending=(),
        unknown=(),
        ended_conflicts=(),
        ended_holds=(),
        synced=0,
        error=problem,
    )


def failed(header: Run, conflicts: Sequence[Conflict], holds: Sequence[Hold]) -> Run:
    """The run of a pass that could not be made; what was open before it is open still."""
    return tally(replace(header, carried_conflicts=tuple(conflicts), carried_holds=tuple(holds)))


def tally(run: Run) -> Run:
    """The run with `added`, `removed` and `status` as its outcomes have them.

    `success` when every instrument was judged and there is no conflict, pending, unknown or hold; `failed` when
    there is an error; otherwise `partial`.
    """
    unsettled = (run.conflicts, run.pending, run.unknown, run.open_conflicts, run.open_holds)
    judged = RunStatus.PARTIAL if any(unsettled) else RunStatus.SUCCESS
    return replace(
        run,
        status=judged if run.error is None else RunStatus.FAILED,
        added=sum(_is_whole(outcome, Action.OPEN, Kind.MISSING_IN_LEDGER) for outcome in run.outcomes),
        removed=sum(_is_whole(outcome, Action.CLOSE, Kind.MISSING_AT_BROKER) for outcome in run.outcomes),
    )


def withhold(record: Record, changed: frozenset[str]) -> Record:
    """The record without anything about the symbols that somebody changed since they were read.

    Their confirmed drifts go back to pending; conflicts and holds that were open stay open, unseen by this run.
    """
    changed = _with_partners(record.run.outcomes, changed)
    kept: list[Outcome] = []
    withheld: list[Outcome] = []
    for outcome in record.run.outcomes:
        (withheld if outcome.drift.instrument.symbol in changed else kept).append(outcome)
    pending = tuple(
        Pending(
            instrument=outcome.drift.instrument,
            kind=outcome.drift.kind,
            broker=outcome.drift.broker,
            ledger=outcome.drift.ledger,
            since_s=record.again_s,
            due_s=record.again_s,
            why="the ledger changed while it was judged",
        )
        for outcome in withheld
    )
    unended = [c for c in record.run.ended_conflicts if c.instrument.symbol in changed]
    unseen = [
        replace(o.conflict, sightings=o.conflict.sightings - 1)
        for o in withheld
        if o.conflict is not None and o.conflict.id is not None
    ]
    released = [h for h in record.run.ended_holds if h.instrument.symbol in changed]
    held = [o.hold for o in withheld if o.hold is not None and o.hold.id is not None]
    run = replace(
        record.run,
        outcomes=tuple(kept),
        pending=record.run.pending + pending,
        carried_conflicts=(
            *record.run.carried_conflicts,
            *(replace(conflict, resolved_at=None, resolved_by=None) for conflict in (*unended, *unseen)),
        ),
        ended_conflicts=tuple(c for c in record.run.ended_conflicts if c not in unended),
        carried_holds=(
            *record.run.carried_holds,
            *(replace(hold, ended_at=None, ended_by=None) for hold in (*released, *held)),
        ),
        ended_holds=tuple(h for h in record.run.ended_holds if h not in released),
        accepted=(
            *(a for a in record.run.accepted if a.accepted not in [outcome.accepted for outcome in withheld]),
            *(AcceptedNow(a) for a in record.ended_accepted if a.instrument.symbol in changed),
        ),
    )
    return replace(
        record,
        run=tally(run),
        baselines=tuple(b for b in record.baselines if b.instrument.symbol not in changed),
        settled=record.settled and not withheld and not released,
        quiet=record.quiet and not (withheld or released or unended),
        ended_decisions=tuple(d for d in record.ended_decisions if d.instrument.symbol not in changed),
        given_up=record.given_up - changed,
        ended_accepted=tuple(a for a in record.ended_accepted if a.instrument.symbol not in changed),
        equity=None if withheld or released or unended else record.equity,
    )


def _with_partners(outcomes: Sequence[Outcome], changed: frozenset[str]) -> frozenset[str]:
    """The changed symbols, and those that are their other name: what concerns both is done for both or for none."""
    names = [
        (outcome.drift.instrument.symbol, other.symbol)
        for outcome in outcomes
        for part in outcome.explanation.parts
        for other in (part.goes_to, part.comes_from)
        if other is not None
    ]
    return changed | {other for symbol, other in names if symbol in changed}


def numbered(run: Run, conflict_ids: Mapping[tuple[Instrument, Kind], int], hold_ids: Mapping[Instrument, int]) -> Run:
    """The run with the ids that the ledger gave to its new conflicts and holds."""

    def with_ids(outcome: Outcome) -> Outcome:
        conflict, hold = outcome.conflict, outcome.hold
        if conflict is not None and conflict.id is None:
            conflict = replace(conflict, id=conflict_ids[conflict.instrument, conflict.kind])
        if hold is not None and hold.id is None:
            hold = replace(hold, id=hold_ids[hold.instrument])
        return replace(outcome, conflict=conflict, hold=hold)

    return replace(run, outcomes=tuple(with_ids(outcome) for outcome in run.outcomes))


def _open_before(
    conflicts: Sequence[Conflict],
    judged: Mapping[str, Outcome],
    waiting: Set[str | None],
    ignore: Set[str],
    now: datetime,
) -> list[Conflict]:
    """The conflicts open before this run and not seen in it: carried on while undecided, else ended."""
    before = []
    for conflict in conflicts:
        symbol = conflict.instrument.symbol
        outcome = judged.get(symbol)
        if outcome is not None and outcome.conflict is not None and outcome.conflict.id == conflict.id:
            continue
        if symbol in waiting or None in waiting or (outcome is not None and outcome.hold is not None):
            before.append(conflict)
        else:
            ended_by = "ignored" if symbol in ignore else "agreement" if outcome is None else "superseded"
            before.append(replace(conflict, resolved_at=now, resolved_by=ended_by))
    return before


def _holds_before(
    holds: Sequence[Hold],
    judged: Mapping[str, Outcome],
    waiting: Set[str | None],
    ignore: Set[str],
    shown: Set[str],
    now: datetime,
) -> list[Hold]:
    """The holds open before this run and not held by it again: carried on while undecided, else ended."""
    before = []
    for hold in holds:
        symbol = hold.instrument.symbol
        outcome = judged.get(symbol)
        if outcome is not None and outcome.hold is not None:
            continue
        if symbol in waiting or None in waiting:
            before.append(hold)
        else:
            ended_by = "ignored" if symbol in ignore else _ended_by(hold, outcome, shown)
            before.append(replace(hold, ended_at=now, ended_by=ended_by))
    return before


def _ended_by(hold: Hold, outcome: Outcome | None, shown: Set[str]) -> str:
    """Why something is not held any more."""
    if hold.instrument.symbol in shown and not hold.broker_quantity:
        return "shown again"
    if outcome is None:
        return "agreement"
    if outcome.decision is not None and outcome.decision.hold_id == hold.id:
        return f"accepted by {outcome.decision.by}"
    return "explained" if outcome.explanation.evident else "proven"


def _accepted(
    reading: LedgerReading,
    comparison: Comparison,
    outcomes: Sequence[Outcome],
    waiting: Set[str | None],
    ignore: Set[str],
) -> tuple[tuple[AcceptedNow, ...], tuple[Accepted, ...]]:
    """The accepted differences after this run, and those that ended, since there is no such difference any more."""
    now = {o.drift.instrument: _accepted_now(o, o.accepted) for o in outcomes if o.accepted is not None}
    differing = {a.instrument: _sides(a) for a in comparison.agreements if a.accepted}
    settled = {o.drift.instrument for o in outcomes if o.settled and o.drift.target == o.drift.broker}
    drifting = {d.instrument: (d.broker, d.ledger) for d in comparison.drifts if d.instrument not in settled}
    stays = differing | drifting
    kept: list[AcceptedNow] = []
    ended: list[Accepted] = []
    for instrument, before in reading.accepted.items():
        if instrument in now:
            continue
        if instrument in stays:
            kept.append(AcceptedNow(before, *stays[instrument]))
        elif {instrument.symbol, None} & waiting or instrument.symbol in ignore:
            kept.append(AcceptedNow(before))
        else:
            ended.append(before)
    return (*kept, *now.values()), tuple(ended)


def _sides(agreement: Agreement) -> tuple[Decimal, Decimal]:
    """Both quantities of an instrument that does not drift."""
    broker = Decimal(0) if agreement.position is None else agreement.position.quantity
    return broker, sum((row.quantity for row in agreement.rows), Decimal(0))


def _accepted_now(outcome: Outcome, accepted: Accepted) -> AcceptedNow:
    """What an outcome has accepted; a correction that came with it leaves just that difference."""
    return AcceptedNow(accepted, outcome.drift.broker, outcome.drift.broker - accepted.difference)


def _refresh(agreement: Agreement) -> list[Refresh]:
    """The broker's prices for each row of an instrument on which both sides agree."""
    position = agreement.position
    if position is None:
        return []
    alone = len(agreement.rows) == 1 and not agreement.accepted
    multiplier = None
    if position.market_value is not None and position.price:
        multiplier = round(position.market_value / (position.quantity * position.price)) or None
    refreshes = []
    for row in agreement.rows:
        entry = position.entry_price if alone or row.entry_price is None else row.entry_price
        value, gain, gain_rate = position.market_value, position.unrealized_pl, position.unrealized_plpc
        if not alone:
            value, gain, gain_rate = None, None, None
            if position.market_value is not None:
                value = (position.market_value * row.quantity / position.quantity).quantize(MONEY_PLACES)
            if value is not None and entry is not None and multiplier is not None:
                cost = entry * row.quantity * multiplier
                gain = (value - cost).quantize(MONEY_PLACES)
                gain_rate = (gain / abs(cost)).quantize(MONEY_PLACES) if cost else None
        refreshes.append(
            Refresh(
                row_id=row.id,
                version=row.version,
                asset_class=agreement.instrument.asset_class,
                asset_id=position.asset_id,
                entry_price=entry,
                price=position.price,
                market_value=value,
                unrealized_pl=gain,
                unrealized_plpc=gain_rate,
            )
        )
    return refreshes


def _baselines(
    agreements: Sequence[Agreement], outcomes: Sequence[Outcome], at: datetime, seq: int
) -> tuple[Baseline, ...]:
    """What both sides hold wherever they agree now, by themselves, by a correction, or by what an operator accepts."""
    agreed = [(a.instrument, a.position, sum((row.quantity for row in a.rows), Decimal(0))) for a in agreements]
    agreed += [
        (o.drift.instrument, o.drift.position, o.drift.ledger if o.resolution is Resolution.USE_DB else o.drift.target)
        for o in outcomes
        if o.settled
    ]
    return tuple(
        Baseline(
            instrument=instrument,
            broker_quantity=Decimal(0) if position is None else position.quantity,
            ledger_quantity=ledger,
            cost_basis=None if position is None else position.cost_basis,
            at=at,
            seq=seq,
        )
        for instrument, position, ledger in agreed
    )


def _flat_baselines(
    known: Mapping[Instrument, Baseline], undecided: Set[str | None], at: datetime, seq: int
) -> list[Baseline]:
    """Zero for the instruments known from before that neither side has any more: they agree on nothing."""
    return [
        Baseline(instrument, Decimal(0), Decimal(0), None, at, seq)
        for instrument, before in known.items()
        if instrument.symbol not in undecided and (before.broker_quantity or before.ledger_quantity)
    ]


def _total_value(holdings: Holdings) -> Decimal | None:
    """The market value of all that is held; None as soon as one of them is not known."""
    values = [position.market_value for position in holdings.positions]
    if holdings.unreadable or any(value is None for value in values):
        return None
    return sum((value for value in values if value is not None), Decimal(0))


def _is_whole(outcome: Outcome, action: Action, kind: Kind) -> bool:
    """Whether the outcome opened or closed the whole instrument in the ledger."""
    return outcome.drift.kind is kind and any(c.action is action for c in outcome.corrections)
