"""Whose row a correction goes to: what each strategy would hold if it had booked everything, and never a wrong sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recond.core.correct import correct, cut, rename
from recond.core.decide import Matters, Policy, decide
from recond.core.history import Change
from recond.core.model import Accepted, Activity, Baseline, Cause, Drift, Execution, LedgerRow, Resolution
from recond.core.run import Action, Explanation, Part, Ratio
from tests.core.stories import BASE_AT, base, booking, equity, fill, shown, split, why
from tests.core.strategies import NOW, applied, broker_quantities, drift_of, exact_sum, owned_rows, quantities, row

PREFIXES = {"alpha": "alpha-", "beta": "beta-", "gamma": "gamma-"}
USE_BROKER = Policy(Resolution.USE_BROKER, {})


@dataclass
class Platform:
    """An account and its strategies' rows, of which the ledger has what was booked."""

    accepted: int
    truth: dict[str, Decimal]
    booked: dict[str, Decimal]
    fills: list[Execution] = field(default_factory=list)
    entries: list[Activity] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.minute = 1.0
        self.extra = Decimal(self.accepted)
        self.start = self.held

    @property
    def held(self) -> Decimal:
        """What the broker holds."""
        return sum(self.truth.values(), self.extra)

    def trade(self, owner: str, quantity: int, *, booked: bool) -> None:
        """A fill of the strategy's own order."""
        order = f"o{len(self.fills)}"
        self.fills.append(fill(quantity, self.minute, order=order, client=f"{owner}-1"))
        self.truth[owner] += quantity
        if booked:
            self.book(owner, Decimal(quantity))
        self.minute += 0.5

    def divide(self, times: int) -> None:
        """A split that nobody books."""
        legs = ((1, -self.held), (2, self.held * times))
        self.entries += [booking("SPLIT", str(q), self.minute, group="g", number=n) for n, q in legs]
        self.extra *= times
        self.truth = {owner: held * times for owner, held in self.truth.items()}
        self.minute += 0.5

    def book(self, owner: str, quantity: Decimal) -> None:
        """The strategy adds to its row."""
        before, number = self.booked[owner], list(self.booked).index(owner)
        at = BASE_AT + timedelta(minutes=self.minute + 0.1)
        self.booked[owner] = before + quantity
        self.changes.append(Change(6 + len(self.changes), number, "AAPL", owner, before, before + quantity, at))

    def drift(self) -> Drift:
        """What the two sides show."""
        rows = tuple(row("AAPL", held, owner, row_id=n) for n, (owner, held) in enumerate(self.booked.items()))
        return replace(drift_of("AAPL", self.held, *rows), accepted=Decimal(self.accepted))


@st.composite
def platforms(draw: st.DrawFn) -> Platform:
    """Fills, a split, and what was booked with no fill behind it, long or short, with an accepted difference."""
    sign = draw(st.sampled_from((1, -1)))
    owners = draw(st.lists(st.sampled_from(sorted(PREFIXES)), min_size=1, max_size=3, unique=True))
    held = {owner: Decimal(sign * draw(st.integers(40, 60))) for owner in owners}
    platform = Platform(draw(st.sampled_from((0, 0, 4, -4))), dict(held), dict(held))
    small = st.integers(-6, 6).filter(bool)
    divided = False
    for _ in range(draw(st.integers(1, 5))):
        event = draw(st.sampled_from(("trade", "trade", "trade", "divide", "edit")))
        owner = draw(st.sampled_from(owners))
        if event == "trade":
            platform.trade(owner, draw(small), booked=draw(st.booleans()))
        elif event == "divide" and not divided:
            platform.divide(draw(st.integers(2, 3)))
            divided = True
        elif event == "edit" and not platform.changes:
            platform.book(owner, draw(small) + Decimal("0.7"))
    return platform


@given(platforms())
def test_each_strategy_gets_what_it_would_have_booked(platform: Platform) -> None:
    """Missed fills, a split and edits together: every row ends as if all had been booked, an acceptance too."""
    drift = platform.drift()
    assume(drift.difference != platform.accepted)
    before = replace(base(drift, str(platform.start), str(platform.start - platform.accepted)), seq=5)
    explanation = why(
        drift,
        before,
        executions=platform.fills,
        activities=platform.entries,
        changes=platform.changes,
        strategies=PREFIXES,
    )
    outcome = decide(drift, explanation, USE_BROKER, Matters(), NOW)
    rows = {r.strategy_id: r.quantity for r in applied(drift.rows, outcome.corrections)}
    assert rows == platform.truth
    scaled = platform.extra if outcome.accepted is None else outcome.accepted.difference
    assert scaled == platform.extra


@st.composite
def explained(draw: st.DrawFn) -> tuple[Drift, Explanation]:
    """Any drift with any parts, that add up or not, owned by anybody."""
    rows = draw(owned_rows("AAPL", 1))
    held = draw(broker_quantities(rows))
    accepted = draw(st.one_of(st.just(Decimal(0)), quantities))
    drift = replace(drift_of("AAPL", held, *rows), ledger=exact_sum(rows), accepted=accepted)
    assume(drift.broker != drift.ledger)
    owners = st.sampled_from((None, "alpha", "beta", "delta"))
    ratios = st.builds(lambda n, o: Ratio(Decimal(n), Decimal(o)), st.integers(1, 9), st.integers(1, 9))
    parts = draw(
        st.lists(
            st.builds(
                Part,
                st.sampled_from((Cause.MISSED_FILL, Cause.LEDGER_EDIT, Cause.SPLIT)),
                quantities,
                owned=st.booleans(),
                strategy_id=owners,
                row_id=st.sampled_from((None, None, 1, 2, 77)),
                ratio=st.sampled_from((None, None, None, draw(ratios))),
                spared=st.sampled_from(((), ((1, Decimal(1)), (77, Decimal(2))))),
            ),
            max_size=4,
        )
    )
    if parts and draw(st.booleans()):
        missing = exact_sum((row("AAPL", drift.target), *(row("AAPL", -q) for q in (exact_sum(rows),) if q)))
        others = exact_sum(tuple(row("AAPL", part.quantity) for part in parts[1:]))
        first = exact_sum((row("AAPL", missing), row("AAPL", -others)))
        parts[0] = replace(parts[0], quantity=first)
    return drift, Explanation(Cause.MISSED_FILL, "text", tuple(parts), proven=True)


@given(explained(), st.booleans(), st.sampled_from((None, "alpha", "delta")))
def test_no_explanation_leaves_a_wrong_sum_or_two_signs(
    made: tuple[Drift, Explanation], names_row: bool, strategy: str | None
) -> None:
    """Whatever the parts claim: the rows add up to the target to the last digit, with its sign, or stay untouched."""
    drift, explanation = made
    corrections = correct(drift, explanation, names_row=names_row, strategy_id=strategy)
    if corrections is None:
        assert names_row or explanation.parts or len(drift.rows) > 1
        return
    if drift.target == drift.ledger:
        assert corrections == ()
        return
    rows = applied(drift.rows, corrections)
    assert exact_sum(rows) == drift.target
    assert all((each.quantity > 0) == (drift.target > 0) for each in rows)
    assert correct(drift, explanation, names_row=names_row, strategy_id=strategy) == corrections


def parts(*made: Part, cause: Cause = Cause.MISSED_FILL) -> Explanation:
    """A proven explanation."""
    return Explanation(cause, "text", made, proven=True)


def after(drift: Drift, explanation: Explanation) -> dict[str | None, Decimal] | None:
    """The rows after the corrections, None when there are none to be made."""
    corrections = correct(drift, explanation)
    if corrections is None:
        return None
    return {each.strategy_id: each.quantity for each in applied(drift.rows, corrections)}


def two(alpha: str | int, beta: str | int) -> tuple[LedgerRow, LedgerRow]:
    """Two strategies' rows, numbered 1 and 2."""
    return row("AAPL", alpha, "alpha", row_id=1), row("AAPL", beta, "beta", row_id=2)


def owned(quantity: str | int, whose: str | None, **more: object) -> Part:
    """A part that is the strategy's."""
    return Part(Cause.MISSED_FILL, Decimal(quantity), owned=True, strategy_id=whose, **more)  # type: ignore[arg-type]


def test_evidence_goes_before_the_rule() -> None:
    """Of several rows the one that the evidence names is changed, opened if there is none; the rest by the rule."""
    drift = drift_of("AAPL", 18, *two(10, 5))
    assert after(drift, parts(owned(3, "beta"))) == {"alpha": 10, "beta": 8}
    assert after(drift, parts(owned(3, "gamma"))) == {"alpha": 10, "beta": 5, "gamma": 3}
    mixed = parts(owned(1, "beta"), Part(Cause.EXTERNAL_TRADE, Decimal(2)))
    assert after(drift, mixed) == {"alpha": 10, "beta": 6, None: 2}
    assert after(drift, parts(owned(3, "alpha", row_id=2))) == {"alpha": 10, "beta": 8}
    assert after(drift, parts(owned(3, "alpha", row_id=9))) == {"alpha": 13, "beta": 5}
    assert after(drift, parts(owned(3, None))) == {"alpha": 10, "beta": 5, None: 3}


def test_evidence_is_not_given_up_for_the_rule() -> None:
    """Whose the two are that somebody else sold nobody can tell: that three more are nobody's would be wrong."""
    sold = Part(Cause.EXTERNAL_TRADE, Decimal(-2))
    assert after(drift_of("AAPL", 18, *two(10, 5)), parts(owned(5, "beta"), sold)) is None
    assert after(drift_of("AAPL", 13, row("AAPL", 10, "alpha")), parts(owned(5, "beta"), sold)) is None


def test_evidence_that_does_not_add_up_names_nobody() -> None:
    """Parts of another sum, and ones that would leave two signs, give way to the rule."""
    drift = drift_of("AAPL", 18, *two(10, 5))
    assert after(drift, parts(owned(2, "beta"))) == {"alpha": 10, "beta": 5, None: 3}
    fewer = parts(Part(Cause.EXTERNAL_TRADE, Decimal(-2)))
    assert after(drift, fewer) == {"alpha": 10, "beta": 5, None: 3}
    assert after(drift_of("AAPL", 18), parts(scaled_by(2, 1, 18))) == {None: 18}
    less = drift_of("AAPL", 9, *two(10, 5))
    assert after(less, parts(owned(-6, "beta"))) is None
    assert after(less, parts(owned(-5, "beta"), owned(-1, "alpha"))) == {"alpha": 9}
    single = drift_of("AAPL", -3, row("AAPL", 5, "alpha"))
    assert after(single, parts(owned(-8, "beta"))) == {"alpha": -3}


def test_an_operators_row_is_the_one() -> None:
    """A row that is named takes all of it, whatever the evidence says; the other sign is refused."""
    drift = drift_of("AAPL", 18, *two(10, 5))
    made = correct(drift, parts(owned(3, "beta")), names_row=True, strategy_id="alpha")
    assert made is not None
    assert [(c.strategy_id, c.after) for c in made] == [("alpha", 13)]
    assert correct(drift_of("AAPL", 4, row("AAPL", 10, "alpha")), parts(), names_row=True, strategy_id="beta") is None
    opened = correct(drift, parts(), names_row=True, strategy_id=None)
    assert opened is not None
    assert [(c.action, c.strategy_id, c.after) for c in opened] == [(Action.OPEN, None, 3)]
    assert correct(drift_of("AAPL", 9, *two(10, 5)), parts(), names_row=True, strategy_id="beta") is None


def scaled_by(new: int, old: int, quantity: str | int | Decimal, **more: object) -> Part:
    """The part of a split."""
    return Part(Cause.SPLIT, Decimal(quantity), ratio=Ratio(Decimal(new), Decimal(old)), **more)  # type: ignore[arg-type]


def test_a_split_scales_every_row_and_rounds_on_the_largest() -> None:
    """Rows are cut to nine places, the largest one has the fractions that were paid out; shorts alike."""
    assert after(drift_of("AAPL", 30, *two(10, 5)), parts(scaled_by(2, 1, 15))) == {"alpha": 20, "beta": 10}
    assert after(drift_of("AAPL", -30, *two(-10, -5)), parts(scaled_by(2, 1, -15))) == {"alpha": -20, "beta": -10}
    third = after(drift_of("AAPL", 5, *two(10, 5)), parts(scaled_by(1, 3, -10)))
    assert third == {"alpha": Decimal("3.333333334"), "beta": Decimal("1.666666666")}
    third = after(drift_of("AAPL", -5, *two(-10, -5)), parts(scaled_by(1, 3, 10)))
    assert third == {"alpha": Decimal("-3.333333334"), "beta": Decimal("-1.666666666")}
    alike = row("AAPL", 10), row("AAPL", 10, "alpha", row_id=2)
    two_thirds = "6.666666667"
    equal = after(drift_of("AAPL", two_thirds, *alike), parts(scaled_by(1, 3, Decimal(two_thirds) - 20)))
    assert equal == {None: Decimal("3.333333333"), "alpha": Decimal("3.333333334")}
    paid = after(drift_of("AAPL", 1, *two(20, 13)), parts(scaled_by(1, 20, -32)))
    assert paid == {"alpha": Decimal("0.35"), "beta": Decimal("0.65")}
    assert after(drift_of("AAPL", 10, *two(10, 10)), parts(scaled_by(1, 2, -10))) == {"alpha": 5, "beta": 5}


def test_what_a_split_cannot_scale_is_an_operators_matter() -> None:
    """Fractions that the largest row cannot bear leave several rows as they are."""
    many = tuple(row("AAPL", 1, f"s{n}", row_id=n) for n in range(39))
    assert after(drift_of("AAPL", 1, *many), parts(scaled_by(1, 20, -38))) is None


def test_a_split_beside_what_a_row_cannot_bear_scales_no_row_to_the_broker_by_itself() -> None:
    """More was sold for a strategy than it has: several rows are an operator's, and an only one is what there is."""
    sold = Part(Cause.MISSED_FILL, Decimal(-30), owned=True, strategy_id="beta")
    assert after(drift_of("AAPL", 10, *two(15, 5)), parts(scaled_by(2, 1, 20), sold)) is None
    assert after(drift_of("AAPL", 10, row("AAPL", 20, "alpha")), parts(scaled_by(2, 1, 20), sold)) == {"alpha": 10}


def test_a_split_leaves_out_what_was_booked_after_it() -> None:
    """What a row has of new shares already is not scaled once more."""
    drift = drift_of("AAPL", 165, *two(60, 25))
    spared = scaled_by(2, 1, 80, spared=((2, Decimal(5)), (9, Decimal(7))))
    assert after(drift, parts(spared)) == {"alpha": 120, "beta": 45}


def test_an_accepted_difference_stays_out_of_the_rows() -> None:
    """Five that the operator has accepted are missing before and after a fill, and twice as many after a split."""
    drift = replace(drift_of("AAPL", 23, *two(10, 5)), accepted=Decimal(5))
    assert after(drift, parts(owned(3, "beta"))) == {"alpha": 10, "beta": 8}
    divided = replace(drift_of("AAPL", 46, *two(10, 5)), accepted=Decimal(10))
    assert after(divided, parts(owned(3, "beta"), scaled_by(2, 1, 23))) == {"alpha": 20, "beta": 16}
    both = decide(
        replace(divided, accepted=Decimal(5)), parts(owned(3, "beta"), scaled_by(2, 1, 23)), USE_BROKER, Matters(), NOW
    )
    assert both.accepted is not None
    assert both.accepted.difference == 10
    assert {c.strategy_id: c.after for c in both.corrections} == {"alpha": 20, "beta": 16}
    left = decide(both.drift, both.explanation, Policy(Resolution.MANUAL, {}), Matters(), NOW)
    assert (left.accepted, left.corrections) == (None, ())
    alone = replace(drift_of("AAPL", 40, *two(10, 5)), accepted=Decimal(10))
    assert after(alone, parts(scaled_by(2, 1, 20))) == {"alpha": 20, "beta": 10}
    private = replace(drift_of("AAPL", 20), accepted=Decimal(20))
    assert after(private, parts(scaled_by(2, 1, 10))) == {}
    against = replace(drift_of("AAPL", 20, row("AAPL", -5)), accepted=Decimal(30))
    assert after(against, parts(scaled_by(2, 1, 10))) == {None: -10}
    booked = replace(drift_of("AAPL", 40, *two(20, 10)), accepted=Decimal(10))
    assert after(booked, parts(scaled_by(2, 1, 20), owned(-15, "alpha"))) == {"alpha": 20, "beta": 10}


def test_nothing_is_left_of_less_than_nine_places() -> None:
    """Not even a sign; whole tens stay written out."""
    assert [str(cut(Decimal(text))) for text in ("-0.0000000009", "20", "1.0000000019")] == ["0", "20", "1.000000001"]


def test_an_acceptance_that_a_split_scales_is_cut_to_nine_places() -> None:
    """A third of it, or of a number as long as the ledger takes, is a quantity that a row can have."""
    for accepted, third in ((Decimal(10), "3." + "3" * 9), (Decimal("1" + "0" * 25), "3" * 25 + "." + "3" * 9)):
        drift = replace(drift_of("AAPL", accepted * 3, row("AAPL", accepted * 2)), accepted=accepted)
        outcome = decide(drift, parts(scaled_by(1, 3, -1), cause=Cause.SPLIT), USE_BROKER, Matters(), NOW)
        assert outcome.accepted == Accepted(drift.instrument, Decimal(third), NOW, "policy", "scaled by a split")


@pytest.mark.parametrize(
    ("made", "broker", "entry"),
    [
        ((owned(10, "alpha", price=Decimal(16)),), 25, "11.5"),
        ((owned(5, "alpha", price=Decimal(8)),), 20, "7.333333333"),
        ((owned(10, "beta", price=Decimal(16)),), 25, None),
        ((owned(10, "alpha"),), 25, "7"),
        ((owned(-5, "alpha", price=Decimal(16)),), 10, "7"),
        ((scaled_by(2, 1, 15),), 30, "3.5"),
        ((scaled_by(2, 1, 15), owned(20, "alpha", price=Decimal(16))), 50, "9.75"),
        ((owned(10, "beta", price=Decimal(16), row_id=1),), 25, "11.5"),
        ((owned(5, "alpha", price=Decimal(8)), owned(10, "beta", price=Decimal(16))), 30, "7.333333333"),
        ((owned(10, "alpha", price=Decimal(16)), owned(5, "alpha", price=Decimal(8), row_id=2)), 30, "11.5"),
        ((owned(10, "alpha", price=Decimal(16)), owned(20, "alpha", price=Decimal(22))), 45, "16.75"),
        ((owned("0.1", "alpha", price=Decimal(18)),), "15.1", "7.108910891"),
        ((owned("-0.05", "alpha", price=Decimal(16)),), "14.95", "7"),
        ((scaled_by(3, 1, 30),), 45, "2.333333333"),
        ((scaled_by(3, 2, "7.5"), owned(15, "alpha", price=Decimal(8))), "37.5", "6.333333333"),
    ],
)
def test_fills_are_averaged_into_the_entry_price_and_a_split_divides_it(
    made: Sequence[Part], broker: int | str, entry: str | None
) -> None:
    """Of one of two rows that cost 7 a share; a decrease, and what has no price, leave it as it is."""
    corrections = correct(drift_of("AAPL", broker, *two(10, 5)), parts(*made))
    assert corrections is not None
    found = {c.strategy_id: c.entry_price for c in corrections}.get("alpha")
    assert found == (None if entry is None else Decimal(entry))


def test_what_nobody_owns_is_averaged_into_the_row_that_nobody_owns() -> None:
    """It goes there, so it makes that row's price, and no other one's."""
    rows = row("AAPL", 10), row("AAPL", 5, "beta", row_id=2)
    bought = Part(Cause.EXTERNAL_TRADE, Decimal(10), price=Decimal(16))
    made = correct(drift_of("AAPL", 35, *rows), parts(bought, owned(10, "beta"))) or ()
    assert {c.strategy_id: (c.after, c.entry_price) for c in made} == {None: (20, Decimal("11.5")), "beta": (15, 7)}


def test_a_row_that_flips_beside_an_accepted_difference_costs_what_the_broker_says() -> None:
    """It is not the whole position, and nothing of what it cost before is left."""
    drift = replace(drift_of("AAPL", -1, row("AAPL", 1, "alpha")), accepted=Decimal("-0.5"))
    (flipped,) = correct(drift, parts(owned("-1.5", "alpha"))) or ()
    assert (flipped.after, flipped.entry_price) == (Decimal("-0.5"), 8)


def test_a_row_without_entry_price_gets_none_from_its_fills() -> None:
    """What the first shares cost is not known, so neither is the average; one that stays is not rounded."""
    rows = row("AAPL", 10, "alpha", entry_price=None), row("AAPL", 5, "beta", row_id=2)
    corrections = correct(drift_of("AAPL", 25, *rows), parts(owned(10, "alpha", price=Decimal(16))))
    assert corrections is not None
    assert corrections[0].entry_price is None
    exact = row("AAPL", 10, "alpha", entry_price="7.12345678901"), row("AAPL", 5, "beta", row_id=2)
    (kept,) = correct(drift_of("AAPL", 16, *exact), parts(owned(1, "alpha"))) or ()
    assert kept.entry_price == Decimal("7.12345678901")


def test_a_new_row_costs_what_its_fills_did() -> None:
    """Beside other rows it is the fill's price; as the whole position the broker's."""
    made = parts(owned(3, "gamma", price=Decimal(16)))
    (beside,) = correct(drift_of("AAPL", 18, *two(10, 5)), made) or ()
    assert (beside.action, beside.strategy_id, beside.entry_price, beside.before) == (Action.OPEN, "gamma", 16, 0)
    (alone,) = correct(drift_of("AAPL", 3), made) or ()
    assert (alone.strategy_id, alone.entry_price, alone.asset_id) == ("gamma", 8, "id-AAPL")
    more = parts(owned(1, "gamma", price=Decimal(16)), owned(2, "gamma", price=Decimal(20)))
    (first,) = correct(drift_of("AAPL", 18, *two(10, 5)), more) or ()
    assert (first.after, first.entry_price) == (3, 16)
    (nobodys,) = correct(drift_of("AAPL", 18, *two(10, 5)), parts(owned(3, None, price=Decimal(16)))) or ()
    assert (nobodys.strategy_id, nobodys.entry_price) == (None, 16)
    unheld = replace(drift_of("AAPL", 0, *two(10, 5)), accepted=Decimal(-18))
    (unknown,) = correct(unheld, parts()) or ()
    assert (unknown.after, unknown.entry_price, unknown.asset_id) == (3, None, None)
    (unpriced,) = correct(drift_of("AAPL", 18, *two(10, 5)), parts(owned(3, "gamma"))) or ()
    assert unpriced.entry_price == 8


def test_a_correction_says_what_it_undoes_and_whether_it_is_proven() -> None:
    """Only that of the row whose double booking it is; a suspicion stays one in every row."""
    twice = Part(Cause.DOUBLE_BOOKING, Decimal(-5), owned=True, strategy_id="beta", row_id=2, reverses=7)
    made = correct(drift_of("AAPL", 13, *two(10, 5)), parts(twice, owned(3, "alpha"))) or ()
    assert {c.strategy_id: (c.after, c.reverses) for c in made} == {"alpha": (13, ()), "beta": (0, (7,))}
    assert all(c.proven for c in made)
    edit = Part(Cause.LEDGER_EDIT, Decimal(-1), owned=True, strategy_id="beta", row_id=2)
    (both,) = correct(drift_of("AAPL", 13, *two(10, 9)), parts(edit, twice)) or ()
    assert (both.after, both.reverses) == (3, (7,))
    again = replace(twice, quantity=Decimal(-1), reverses=8)
    (all_of_it,) = correct(drift_of("AAPL", 13, *two(10, 9)), parts(twice, again)) or ()
    assert (all_of_it.after, all_of_it.reverses) == (3, (7, 8))
    for drift in (drift_of("AAPL", 18, *two(10, 5)), drift_of("AAPL", 18), drift_of("AAPL", 0, *two(10, 5))):
        unsure = correct(drift, Explanation(Cause.UNEXPLAINED, "text"))
        assert unsure
        assert not any(c.proven for c in unsure)


def test_a_rename_changes_nothing_but_the_name() -> None:
    """Each row of the old name keeps its quantity, strategy and price under the new one, with the new asset id."""
    rows = two(10, 5)
    old, new = equity("AAPL", 0, *rows), equity("MSFT", 15, asset="id-2")
    made = rename(old, new, Explanation(Cause.SYMBOL_CHANGE, "text", (Part(Cause.SYMBOL_CHANGE, Decimal(-15)),)))
    assert [(c.action, c.instrument, c.row, c.strategy_id, c.before, c.after) for c in made] == [
        (Action.SET, new.instrument, each, each.strategy_id, each.quantity, each.quantity) for each in old.rows
    ]
    assert {(c.cause, c.asset_id, c.entry_price, c.proven) for c in made} == {(Cause.SYMBOL_CHANGE, "id-2", 7, False)}


def test_ratios_come_from_what_was_held_at_the_split() -> None:
    """A fill before it, and a position that was opened after the baseline, are scaled with all else."""
    drift = drift_of("AAPL", 210, *two(60, 40))
    one_leg = [booking("SPLIT", 105)]
    explanation = why(
        drift, base(drift, 100), executions=[fill(5, 1, client="beta-1")], activities=one_leg, strategies=PREFIXES
    )
    assert after(drift, explanation) == {"alpha": 120, "beta": 90}
    drift = drift_of("AAPL", 30)
    bought = [fill(10, 1, client="alpha-1"), fill(5, 2, order="o2", client="beta-1")]
    opened = why(
        drift, base(drift, 0), executions=bought, activities=[booking("SPLIT", 15)], strategies=PREFIXES
    )  # fmt: skip
    assert after(drift, opened) == {"alpha": 20, "beta": 10}


def test_a_difference_within_tolerance_does_not_hide_whose_it_is() -> None:
    """The baseline agreed but for a little: the owner of the fill still gets it, and the sum is the broker's."""
    drift = drift_of("AAPL", "23.0001", *two(10, 5))
    before: Baseline = base(drift, "15.0001", 15)
    explanation = why(drift, before, executions=[fill(8, client="beta-1")], strategies=PREFIXES)
    assert after(drift, explanation) == {"alpha": 10, "beta": Decimal("13.0001")}
    both = [fill(5, client="beta-1"), fill(3, 6, order="o2", client="alpha-1")]
    shared = why(drift, before, executions=both, strategies=PREFIXES)
    assert after(drift, shared) == {"alpha": 13, "beta": Decimal("10.0001")}
    two_for_one = shown("AAPL", 30, 120, *two("10.00005", 5))
    doubled = why(two_for_one, base(two_for_one, 15, "15.00005"), activities=split(15, 30))
    assert str(doubled.parts[0].ratio) == "2:1"
    assert after(two_for_one, doubled) == {"alpha": 20, "beta": 10}


def test_a_split_that_is_dated_late_does_not_scale_what_came_after_it() -> None:
    """Booked the next day, though the fills of the day were of new shares already: its legs tell so."""
    drift = drift_of("AAPL", 205, *two(60, 40))
    legs = [replace(leg, at=BASE_AT + timedelta(days=1)) for leg in split(100, 200)]
    explanation = why(
        drift,
        base(drift, 100),
        executions=[fill(5, client="beta-1")],
        activities=legs,
        strategies=PREFIXES,
        now=BASE_AT + timedelta(days=2),
    )
    assert after(drift, explanation) == {"alpha": 120, "beta": 85}


def test_what_was_booked_in_new_shares_is_not_scaled() -> None:
    """One strategy has booked its fill after the split, and neither has booked the split."""
    drift = drift_of("AAPL", 205, *two(60, 45))
    booked = Change(6, 2, "AAPL", "beta", Decimal(40), Decimal(45), BASE_AT + timedelta(minutes=6.1))
    explanation = why(
        drift,
        base(drift, 100),
        executions=[fill(5, 6, client="beta-1")],
        activities=split(100, 200),
        changes=[booked],
        strategies=PREFIXES,
    )
    assert [part.cause for part in explanation.parts] == [Cause.SPLIT]
    assert after(drift, explanation) == {"alpha": 120, "beta": 85}
    old = replace(booked, at=BASE_AT + timedelta(minutes=1.1))
    before = why(
        replace(drift, broker=Decimal(210)),
        base(drift, 100),
        executions=[fill(5, 1, client="beta-1")],
        activities=split(105, 210),
        changes=[old],
        strategies=PREFIXES,
    )
    assert after(replace(drift, broker=Decimal(210)), before) == {"alpha": 120, "beta": 90}


def test_a_split_that_leaves_no_whole_share_closes_the_rows() -> None:
    """33 shares, one for fifty: cash is paid for all of it, and nothing is divided by what is left."""
    drift = drift_of("AAPL", 0, row("AAPL", 33, "mean", entry_price=8))
    part = Part(Cause.SPLIT, Decimal(-33), activities=("a",), ratio=Ratio(Decimal(0), Decimal(1)))
    made = correct(drift, Explanation(Cause.SPLIT, "t", (part,), proven=True))
    assert made is not None
    assert [(c.action, c.after, c.entry_price) for c in made] == [(Action.CLOSE, 0, 8)]
