"""The pure half of a pass after the verdicts: each confirmed drift weighed against what is open on it, then decided.

Owns the bringing together of what is open on an instrument before it is decided about.
May not ask for anything: all that is known is handed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from recond.core.absence import unborne, unproven
from recond.core.conclude import conclude
from recond.core.decide import Matters, decide
from recond.core.diff import Comparison
from recond.core.exact import exactly
from recond.core.judge import Judgement
from recond.core.model import AccountState, Cause, Conflict, Drift, Holdings, Instrument, Kind, LedgerReading, LedgerRow
from recond.core.rules import Rules
from recond.core.run import Explanation, Outcome, Part, Record, Run


@dataclass(frozen=True, slots=True)
class Both:
    """Both sides of one reading, compared and judged.

    `gone` are the instruments with something open on them that neither side shows, `brief` the symbols that have had no
    drift for too short a time, or in too old an answer, for anything to end or to be agreed on, `long` those gone for
    so long that it is believed unless the account contradicts it.
    """

    holdings: Holdings
    reading: LedgerReading
    comparison: Comparison
    judgement: Judgement
    gone: frozenset[Instrument] = frozenset()
    brief: frozenset[str] = frozenset()
    long: frozenset[Instrument] = frozenset()


def weigh(
    header: Run,
    both: Both,
    explanations: Mapping[Instrument, Explanation],
    proof: AccountState | None,
    ended_s: float,
    read_at: datetime,
    rules: Rules,
) -> Record:
    """Decide about every confirmed drift and add it up.

    `proof` is the account as read after the holdings, None when it could not be; `ended_s` and `read_at` are when the
    reading ended, on the monotonic and on the broker's clock.
    """
    reading, confirmed = both.reading, both.judgement.confirmed
    decided = {decision.instrument for decision in reading.decisions}
    explained = {d.instrument: _alone(d.instrument, explanations[d.instrument], decided) for d in confirmed}
    explained = {d.instrument: _lost(d, explained[d.instrument], reading.lost) for d in confirmed}
    doubts = _doubts(both, explained, proof, rules)
    conflicts = {conflict.instrument.symbol: conflict for conflict in reading.conflicts}
    holds = {hold.instrument.symbol: hold for hold in reading.holds}
    decisions = {decision.instrument: decision for decision in reading.decisions}
    partners = _partners(confirmed, explained)
    outcomes: list[Outcome] = []
    for drift in confirmed:
        matters = Matters(
            doubt=doubts.get(drift.instrument),
            conflict=conflicts.get(drift.instrument.symbol),
            hold=holds.get(drift.instrument.symbol),
            decision=decisions.get(drift.instrument),
            partner=partners.get(drift.instrument),
        )
        outcomes.append(decide(drift, explained[drift.instrument], rules.policy, matters, header.finished_at))
    again_s = ended_s + rules.timing.confirm_after_s
    record = conclude(
        header,
        both.holdings,
        reading,
        both.comparison,
        outcomes,
        both.judgement.pending,
        again_s,
        rules.ignore,
        read_at,
        both.brief | unborne(both.gone, both.holdings, proof, reading.baselines, both.long),
    )
    agreed = {agreement.instrument.symbol for agreement in both.comparison.agreements} - both.brief
    agreed |= {hold.instrument.symbol for hold in record.run.ended_holds if hold.ended_by == "agreement"}
    return replace(record, given_up=frozenset(row.symbol for row in reading.lost) & agreed)


def undrifting(
    reading: LedgerReading, comparison: Comparison, ignore: Set[str]
) -> tuple[frozenset[Instrument], frozenset[Instrument]]:
    """What is decided or to be decided on and drifts no more, and all with something open that neither side shows.

    One reading must not end it: a fill that is not booked yet may just make up for the drift, and one answer may leave
    the position out.
    """
    known = {agreement.instrument.symbol for agreement in comparison.agreements if agreement.accepted}
    decided = {instrument for instrument in reading.accepted if instrument.symbol not in known}
    decided |= {conflict.instrument for conflict in reading.conflicts}
    open_on = decided | {hold.instrument for hold in reading.holds}
    if not open_on:
        return frozenset(), frozenset()
    unsettled = {each.symbol for each in comparison.unknown} | ignore
    unsettled |= {drift.instrument.symbol for drift in comparison.drifts}
    shown = {agreement.instrument.symbol for agreement in comparison.agreements}
    quiet = {instrument for instrument in open_on if instrument.symbol not in unsettled}
    if None in unsettled:
        quiet = {instrument for instrument in quiet if instrument.symbol in shown}
    return frozenset(quiet & decided), frozenset(each for each in quiet if each.symbol not in shown)


def explained_at_last(
    confirmed: Sequence[Drift], reading: LedgerReading, found: Mapping[Instrument, Explanation]
) -> dict[Instrument, Explanation]:
    """What is `found`, and what earlier passes found of the conflicts that nobody has explained anew.

    What explained a conflict may be too old to be found again: it explains it still, as far as that goes.
    """
    before = {conflict.instrument: conflict for conflict in reading.conflicts}
    explained = dict(found)
    for drift in confirmed:
        now, conflict = found.get(drift.instrument), before.get(drift.instrument)
        if conflict is not None and (now is None or now.cause is Cause.UNEXPLAINED):
            explained[drift.instrument] = _still(drift, conflict, now)
    return explained


@exactly
def _still(drift: Drift, conflict: Conflict, now: Explanation | None) -> Explanation:
    """What a conflict was explained by; what differs more since then is explained by that `now`, which is nothing."""
    then = conflict.broker_quantity - conflict.ledger_quantity
    rest = drift.difference - then
    if now is None or not rest:
        return Explanation(conflict.cause, conflict.explanation)
    if conflict.cause is Cause.UNEXPLAINED:
        return now
    parts = Part(conflict.cause, then), Part(Cause.UNEXPLAINED, rest)
    text = f"{now.text}; before that {then:f}: {conflict.explanation}"
    return Explanation(Cause.UNEXPLAINED, text, parts, wait=now.wait)


def news(confirmed: tuple[Drift, ...], reading: LedgerReading, *, anew: bool) -> tuple[Drift, ...]:
    """The confirmed drifts that no earlier pass has explained and left open as they are; `anew` all of them."""
    known = {(c.instrument, c.kind, c.broker_quantity, c.ledger_quantity) for c in reading.conflicts}
    undecided = {hold.instrument for hold in reading.holds} | {each.instrument for each in reading.decisions}
    return tuple(
        drift
        for drift in confirmed
        if anew
        or drift.instrument in undecided
        or (drift.instrument, drift.kind, drift.broker, drift.ledger) not in known
    )


def _alone(instrument: Instrument, explanation: Explanation, decided: set[Instrument]) -> Explanation:
    """The explanation without its other name, when an operator has decided about either of the two."""
    others = {other for part in explanation.parts for other in (part.goes_to, part.comes_from) if other is not None}
    if not {instrument, *others} & decided:
        return explanation
    return replace(explanation, parts=tuple(replace(p, goes_to=None, comes_from=None) for p in explanation.parts))


@exactly
def _lost(drift: Drift, explanation: Explanation, lost: Sequence[LedgerRow]) -> Explanation:
    """What nothing else explains is what the rows had that somebody took away, each its strategy's, if it adds up."""
    rows = [row for row in lost if row.symbol == drift.instrument.symbol]
    gone = sum((row.quantity for row in rows), Decimal(0))
    if explanation.cause is not Cause.UNEXPLAINED or not gone or gone != drift.target - drift.ledger:
        return explanation
    parts = tuple(Part(Cause.LEDGER_EDIT, row.quantity, owned=True, strategy_id=row.strategy_id) for row in rows)
    told = ", ".join(f"row {row.id} with {row.quantity:f}" for row in rows)
    return Explanation(Cause.LEDGER_EDIT, f"somebody took away {told}", parts)


def _doubts(
    both: Both, explained: Mapping[Instrument, Explanation], proof: AccountState | None, rules: Rules
) -> dict[Instrument, str]:
    """Why some of it must not be acted on: absence that nothing proves, rows that somebody took away."""
    reading, confirmed = both.reading, both.judgement.confirmed
    vanished = [d for d in confirmed if d.kind is Kind.MISSING_AT_BROKER and not explained[d.instrument].evident]
    open_positions = sum(bool(a.rows) for a in both.comparison.agreements)
    open_positions += sum(bool(d.rows) for d in both.comparison.drifts)
    # Contracts past their last day are expected to go, many at once and with what they were worth.
    expired = [d for d in vanished if explained[d.instrument].cause is Cause.OPTION_EXPIRY]
    others = [d for d in vanished if d not in expired]
    doubts: dict[Instrument, str] = {}
    for gone, guards in ((others, rules.guards), (expired, replace(rules.guards, vanish_min=len(expired) + 1))):
        known = reading.baselines, reading.equity
        doubts |= unproven(gone, both.holdings, proof, open_positions, *known, guards)
    lost = {row.symbol: row for row in reading.lost}
    for drift in confirmed:
        row = lost.get(drift.instrument.symbol)
        if row is not None:
            what = f"ledger row {row.id} with {row.quantity:f} is gone, though nobody closed it"
            doubts[drift.instrument] = f"{what}: put it back, or accept this to have it entered anew"
    for drift in confirmed:
        for part in explained[drift.instrument].parts:
            other = part.goes_to or part.comes_from
            if other is not None and drift.instrument in doubts:
                doubts.setdefault(other, f"{drift.instrument.symbol} is held: {doubts[drift.instrument]}")
    return doubts


def _partners(confirmed: tuple[Drift, ...], explained: Mapping[Instrument, Explanation]) -> dict[Instrument, Drift]:
    """By instrument the drift of its other name."""
    drifts = {drift.instrument: drift for drift in confirmed}
    return {
        drift.instrument: drifts[other]
        for drift in confirmed
        for part in explained[drift.instrument].parts
        for other in (part.goes_to, part.comes_from)
        if other is not None and other in drifts
    }
