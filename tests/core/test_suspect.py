"""What a drift looks like: a look names a cause only when nothing else has it, and proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recond.core.model import Baseline, Cause, Drift, Instrument
from recond.core.run import Explanation, Part
from recond.core.suspect import deliveries, pair_renames, ratio_of, suspicion
from tests.core.stories import BASE_AT, CALL, NOW, PUT, TOLERANCE, base, equity, option, shown
from tests.core.strategies import drift_of, row

UNEXPLAINED = Explanation(Cause.UNEXPLAINED, "nothing known")


def looks_like(before: int | str, after: int | str, cost_before: int | str, cost_after: int | str) -> str | None:
    """The ratio of the split that such a position looks like."""
    drift = shown("AAPL", after, 0, row("AAPL", before))  # type: ignore[arg-type]
    assert drift.position is not None
    drift = replace(drift, position=replace(drift.position, cost_basis=Decimal(cost_after)))
    effect = suspicion(drift, replace(base(drift, before), cost_basis=Decimal(cost_before)), NOW)
    if effect is None:
        return None
    assert (effect.cause, effect.quantity, effect.at) == (Cause.SPLIT, drift.broker - Decimal(before), NOW)
    return effect.label.partition("split ")[2].partition(",")[0]


@pytest.mark.parametrize(
    ("before", "after", "cost_before", "cost_after", "ratio"),
    [
        (100, 200, 800, 800, "2:1"),
        (-100, -200, -800, -800, "2:1"),
        (100, 150, 800, "800.01", "3:2"),
        (100, 150, 800, "799.99", "3:2"),
        (100, 150, 800, "800.39", "3:2"),
        (100, 150, 800, "800.41", None),
        (100, 150, 800, "799.59", None),
        (100, 200, 800, "800.4", "2:1"),
        (100, 10_000, 800, "800.02", "100:1"),
        (100, 10_100, 800, "800.02", None),
        (100, -50, 800, 800, None),
        ("33.5", 33, 335, 330, None),
        (2, 4, "0.08", "0.09", "2:1"),
        (4, 2, "0.09", "0.08", "1:2"),
        (1, 100, "0.05", "0.06", "100:1"),
        (1, 101, "0.05", "0.06", None),
        (100, 1, "0.06", "0.05", "1:100"),
        (1, 2, "0.04", "0.05", "2:1"),
        (1, 2, "0.04", "0.06", None),
        (1, 2, "0.06", "0.04", None),
        (100, 10_000, 800, 800, "100:1"),
        (100, 10_100, 800, 800, None),
        (10_000, 100, 800, 800, "1:100"),
        (10_100, 100, 800, 800, None),
        (100, -200, 800, 800, None),
        ("10.5", 21, 800, 800, "2:1"),
        (33, 1, 330, 200, "1:20"),
        (-33, -1, -330, -200, "1:20"),
        (33, 2, 330, 200, None),
        (33, 1, 330, 10, None),
        (33, 1, 330, "200.09", "1:20"),
        (33, 1, 330, "200.2", None),
        (3, 2, 30, 20, None),
        (100, 200, 0, 0, None),
        (100, 200, 800, 0, None),
    ],
)
def test_a_split_looks_like_no_trade(
    before: int | str, after: int | str, cost_before: int | str, cost_after: int | str, ratio: str | None
) -> None:
    """A ratio up to a hundred with the cost as before to the cent, or the whole shares that the prices' ratio makes."""
    assert looks_like(before, after, cost_before, cost_after) == ratio


def test_what_is_not_told_has_no_look() -> None:
    """Without a cost basis, a position before or a move there is nothing to see."""
    drift = shown("AAPL", 200, 800, row("AAPL", 100))
    assert suspicion(drift, base(drift, 100), NOW) is not None
    assert suspicion(drift, replace(base(drift, 100), cost_basis=None), NOW) is None
    assert suspicion(drift, base(drift, 0), NOW) is None
    assert suspicion(drift, base(drift, 0, cost=800), NOW) is None
    assert suspicion(drift, base(drift, 200, cost=800), NOW) is None
    assert drift.position is not None
    unpriced = replace(drift, position=replace(drift.position, cost_basis=None))
    assert suspicion(unpriced, base(drift, 100), NOW) is None
    assert suspicion(drift_of("AAPL", 0, row("AAPL", 100)), base(drift, 100), NOW) is None


@pytest.mark.parametrize(
    ("now", "expired"),
    [
        (datetime(2026, 1, 1, 23, 0, tzinfo=UTC), False),
        (datetime(2026, 1, 2, 19, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 1, 2, 20, 0, tzinfo=UTC), True),
        (datetime(2026, 1, 3, 1, 0, tzinfo=UTC), True),
    ],
)
def test_a_contract_has_expired_after_its_last_days_close(now: datetime, expired: bool) -> None:
    """Only one that is gone, long or short; what is left of it has not expired."""
    for held in (2, -2):
        drift = option(PUT, 0, row(PUT, held, asset_class="us_option"))
        effect = suspicion(drift, base(drift, held), now)
        assert (effect is not None) is expired
        if effect is not None:
            assert (effect.cause, effect.quantity, effect.at) == (Cause.OPTION_EXPIRY, -held, now)
        left = option(PUT, held // 2, row(PUT, held, asset_class="us_option"))
        assert suspicion(left, base(left, held, cost=1), now) is None


def ratio(held: int | str, part: Part, drift: Drift, before: Baseline) -> str:
    """The ratio of a split."""
    return str(ratio_of(before, Decimal(held), part, drift.position))


def test_a_ratio_is_that_of_the_legs_or_else_of_what_was_held() -> None:
    """Of a short position what was added was taken; it need not be small."""
    drift = shown("AAPL", 200, 800, row("AAPL", 100))
    assert ratio(100, Part(Cause.SPLIT, Decimal(100)), drift, base(drift, 100)) == "2:1"
    legs = Part(Cause.SPLIT, Decimal(105), legs=(Decimal(210), Decimal(105)))
    assert ratio(100, legs, drift, base(drift, 100)) == "2:1"
    short = shown("AAPL", -300, -800, row("AAPL", -100))
    assert ratio(-100, replace(legs, legs=(Decimal(100), Decimal(300))), short, base(short, -100)) == "3:1"
    odd = Part(Cause.SPLIT, Decimal(101))
    assert ratio(100, odd, drift, base(drift, 100, cost=1)) == "201:100"
    gone = Part(Cause.SPLIT, Decimal(-150))
    assert ratio(100, gone, drift, base(drift, 100, cost=1)) == "-1:2"
    little = replace(legs, legs=(Decimal(1), Decimal("0.5")))
    assert ratio("0.5", little, drift, base(drift, 100, cost=1)) == "2:1"
    assert ratio("-0.5", replace(little, legs=(Decimal("0.5"), Decimal(1))), short, base(short, -100, cost=1)) == "2:1"


def test_a_ratio_that_fractions_were_paid_out_of_is_that_of_the_prices() -> None:
    """33 became 1 and cash: one for twenty, if that gives this count; else the figures stand."""
    drift = shown("AAPL", 1, 160, row("AAPL", 33))
    part = Part(Cause.SPLIT, Decimal(-32), legs=(Decimal(1), Decimal(33)))
    assert ratio(33, part, drift, base(drift, 33)) == "1:20"
    assert ratio(33, part, drift, base(drift, 33, cost=330)) == "1:33"
    assert ratio(33, part, drift_of("AAPL", 0, row("AAPL", 33)), base(drift, 33)) == "1:33"
    assert ratio(33, part, shown("AAPL", 1, 0, row("AAPL", 33)), base(drift, 33)) == "1:33"
    for cost in (None, Decimal(0)):
        assert ratio(33, part, drift, replace(base(drift, 33), cost_basis=cost)) == "1:33"


@pytest.mark.parametrize(
    ("contract", "held", "shares", "cause"),
    [
        (CALL, 1, 100, Cause.OPTION_EXERCISE),
        (PUT, 2, -200, Cause.OPTION_EXERCISE),
        (CALL, -1, -100, Cause.OPTION_ASSIGNMENT),
        (PUT, -1, 100, Cause.OPTION_ASSIGNMENT),
    ],
)
def test_contracts_that_are_gone_may_have_delivered(contract: str, held: int, shares: int, cause: Cause) -> None:
    """A hundred shares each, by the underlying; one that is still there, or was never held, delivered nothing."""
    gone = option(contract, 0, row(contract, held, asset_class="us_option"))
    found = deliveries([gone], {gone.instrument: base(gone, held)}, NOW)
    (effect,) = found["AAPL"]
    assert (effect.quantity, effect.cause, effect.delivered_by, effect.at) == (shares, cause, contract, NOW)
    assert f"{abs(held)} contracts" in effect.label
    left = option(contract, 1, row(contract, held, asset_class="us_option"))
    assert deliveries([left], {left.instrument: base(left, held)}, NOW) == {}
    assert deliveries([gone], {gone.instrument: base(gone, 0)}, NOW) == {}
    assert deliveries([gone], {gone.instrument: None}, NOW) == {}
    share = drift_of("AAPL", 0, row("AAPL", 5))
    assert deliveries([share], {share.instrument: base(share, 5)}, NOW) == {}
    other = option(contract.replace("00150000", "00160000"), 0, row("AAPL", 1))
    both = deliveries(
        [gone, other], {gone.instrument: base(gone, held), other.instrument: base(other, 1)}, NOW
    )  # fmt: skip
    assert [each.delivered_by for each in both["AAPL"]] == [contract, other.instrument.symbol]


def paired(
    *drifts: Drift, others: Sequence[Drift] = (), **explained: Explanation
) -> dict[str, Explanation]:  # fmt: skip
    """By symbol, the explanations after names were paired; all were unexplained but the given ones."""
    before = {drift.instrument: explained.get(drift.instrument.symbol, UNEXPLAINED) for drift in drifts}
    return {i.symbol: e for i, e in pair_renames(drifts, before, others, TOLERANCE["us_equity"]).items()}


OLD, NEW = equity("AAPL", 0, row("AAPL", 10)), equity("MSFT", 10)


@pytest.mark.parametrize(
    ("booked", "same"), [("10.0001", True), ("9.9999", True), ("10.0002", False), ("9.9998", False)]
)
def test_two_names_hold_as_much_within_the_tolerance(booked: str, same: bool) -> None:
    """A platform that rounds fractions agreed with the broker before, and its row goes on under the new name."""
    found = paired(equity("AAPL", 0, row("AAPL", booked)), NEW)
    assert (found["AAPL"].cause is Cause.SYMBOL_CHANGE) is same


def test_two_names_of_one_asset_are_paired() -> None:
    """Each side names the other and has its own part, on suspicion."""
    found = paired(OLD, NEW)
    (goes,), (comes,) = found["AAPL"].parts, found["MSFT"].parts
    assert (goes.cause, goes.quantity, goes.goes_to, goes.comes_from) == (
        Cause.SYMBOL_CHANGE, -10, NEW.instrument, None
    )  # fmt: skip
    assert (comes.cause, comes.quantity, comes.goes_to, comes.comes_from) == (
        Cause.SYMBOL_CHANGE, 10, None, OLD.instrument
    )  # fmt: skip
    assert {(e.cause, e.proven, e.wait) for e in found.values()} == {(Cause.SYMBOL_CHANGE, False, None)}
    assert all("by its asset id" in e.text for e in found.values())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD, equity("MSFT", 9)),
        (OLD, equity("MSFT", 10, asset="id-2")),
        (OLD, equity("MSFT", 10, row("MSFT", 1))),
        (equity("AAPL", 1, row("AAPL", 10)), NEW),
        (replace(OLD, instrument=Instrument("crypto", "AAPL")), NEW),
        (replace(OLD, rows=tuple(replace(each, asset_id=None) for each in OLD.rows)), NEW),
        (replace(OLD, rows=(*OLD.rows, replace(row("AAPL", 1, "b"), asset_id="id-9"))), NEW),
    ],
)
def test_other_two_are_not(old: Drift, new: Drift) -> None:
    """Another quantity or asset, a name that is held already or still there, coins, and rows of several assets."""
    assert set(paired(old, new).values()) == {UNEXPLAINED}


def test_names_are_paired_by_the_legs_of_one_group() -> None:
    """Whatever the asset ids: both proven if both are; what another cause explains is no name."""
    leg = Part(Cause.UNEXPLAINED, Decimal(-10), activities=("a",), group="g")
    told = Explanation(Cause.UNEXPLAINED, "", (leg,), proven=True)
    other = equity("MSFT", 10, asset="id-2")
    came = replace(told, parts=(replace(leg, quantity=Decimal(10), activities=("b",)),))
    found = paired(OLD, other, AAPL=told, MSFT=came)
    assert [(e.cause, e.evident, e.causes) for e in found.values()] == [
        (Cause.SYMBOL_CHANGE, True, (Cause.SYMBOL_CHANGE,))
    ] * 2
    assert [p.activities for e in found.values() for p in e.parts] == [("a",), ("b",)]
    elsewhere = replace(came, parts=(replace(came.parts[0], group="h"),))
    assert paired(OLD, other, AAPL=told, MSFT=elsewhere)["AAPL"] == told
    assert not any("suspected" in e.text for e in found.values())
    for half in (paired(OLD, NEW, AAPL=told), paired(OLD, NEW, MSFT=came)):
        assert not half["AAPL"].proven
    two = replace(OLD, rows=(*OLD.rows, replace(row("AAPL", 1, "b"), asset_id="id-9")))
    for sides in ({}, {"AAPL": told}, {"MSFT": came}):
        without = {s: replace(e, parts=(replace(e.parts[0], group=None),)) for s, e in (("AAPL", told), ("MSFT", came))}
        made = paired(two, replace(NEW, position=replace(NEW.position, quantity=Decimal(11))), **{**without, **sides})
        assert all(not p.goes_to and not p.comes_from for e in made.values() for p in e.parts)
    loose = [replace(e, parts=(replace(e.parts[0], group=None),)) for e in (told, came)]
    assert paired(OLD, other, AAPL=loose[0], MSFT=loose[1])["AAPL"] == loose[0]
    moved = Explanation(Cause.TRANSFER, "", (Part(Cause.TRANSFER, Decimal(-10)),), proven=True)
    assert paired(OLD, NEW, AAPL=moved) == {"AAPL": moved, "MSFT": UNEXPLAINED}
    arrived = replace(moved, parts=(Part(Cause.TRANSFER, Decimal(10)),))
    assert paired(OLD, NEW, MSFT=arrived) == {"AAPL": UNEXPLAINED, "MSFT": arrived}
    several = replace(told, parts=(leg, leg))
    assert paired(OLD, NEW, AAPL=several)["MSFT"] == UNEXPLAINED


def test_of_two_that_went_each_gets_a_name_of_its_own() -> None:
    """A new name belongs to one old one only."""
    twin = equity("BRK.B", 0, row("BRK.B", 10))
    found = paired(OLD, twin, NEW)
    assert found["AAPL"].parts[0].goes_to == NEW.instrument
    assert found["BRK.B"] == UNEXPLAINED


def test_what_may_be_its_other_name_is_waited_for() -> None:
    """While that is not confirmed, and when its leg says that there is another one."""
    for known, unsure in ((OLD, NEW), (NEW, OLD)):
        (made,) = paired(known, others=[unsure]).values()
        assert made.cause is Cause.SYMBOL_CHANGE
        assert made.wait == f"{unsure.instrument.symbol} may be its other name: it is waited for"
    moved = Explanation(Cause.TRANSFER, "", (Part(Cause.TRANSFER, Decimal(-10)),))
    assert paired(OLD, others=[NEW], AAPL=moved)["AAPL"].wait is None
    assert paired(OLD, others=[equity("MSFT", 9)])["AAPL"].wait is None
    assert paired(NEW, others=[equity("AAPL", 1, row("AAPL", 10))])["MSFT"].wait is None
    leg = Explanation(Cause.SYMBOL_CHANGE, "", (Part(Cause.SYMBOL_CHANGE, Decimal(-10), group="g"),))
    assert "changes its name" in (paired(OLD, AAPL=leg)["AAPL"].wait or "")
    waiting = replace(leg, wait="for something else")
    assert paired(OLD, AAPL=waiting)["AAPL"].wait == "for something else"


def test_the_baseline_of_these_tests_is_before_now() -> None:
    """So that what they date is in its window."""
    assert timedelta(minutes=10) == NOW - BASE_AT
