"""What moved an instrument at the broker: fills, busts and bookings as effects, whatever order they are told in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.effects import (
    CASH_ONLY,
    CAUSE_OF_TYPE,
    bookings,
    by_root,
    by_symbol,
    concerns,
    fills,
    moves,
    owner,
    root,
)
from recond.core.model import Activity, Cause, Execution, Instrument
from tests.core.stories import BASE_AT, CALL, STRATEGIES, booking, fill

AAPL, MSFT = Instrument("us_equity", "AAPL"), Instrument("us_equity", "MSFT")


def taken_back(
    quantity: str | int, previous: str, minute: float, number: int, *, covered_by: int | None = None
) -> Execution:
    """A correction of the execution `previous` to that quantity, a bust when it is zero; it tells no order's sum."""
    told = fill(quantity, minute, client="app", execution_id=f"x{number}", previous_id=previous, covered_by=covered_by)
    return replace(told, cum_quantity=None)


def quantities(*executions: Execution) -> list[Decimal]:
    """What the fills of AAPL moved."""
    return [effect.quantity for effect in fills(executions, "AAPL", STRATEGIES)]


@pytest.mark.parametrize(
    ("strategy", "client", "cause", "whose"),
    [
        ("trend", "mean-1", Cause.MISSED_FILL, "trend"),
        (None, "trend-1", Cause.MISSED_FILL, "trend"),
        (None, "a-trend-1", Cause.EXTERNAL_TRADE, None),
        (None, "", Cause.EXTERNAL_TRADE, None),
        (None, None, Cause.FILL, None),
    ],
)
def test_whose_order_it_was(strategy: str | None, client: str | None, cause: Cause, whose: str | None) -> None:
    """What the execution says, else the prefix of its order; an order that is not known is nobody's for certain."""
    assert owner(fill(5, client=client, strategy_id=strategy), STRATEGIES) == (cause, whose)
    if strategy is None:
        assert owner(fill(5, client=client), {}) == (Cause.FILL, None)


def test_fills_come_in_the_order_of_their_time_and_with_all_they_tell() -> None:
    """Those of other symbols, and those that a correction has covered, are left out."""
    told = [fill(3, 2, order="b", client="mean-1"), fill(-2, 1, order="a"), fill(9, symbol="MSFT")]
    first, second = fills([*told, fill(7, covered_by=1)], "AAPL", STRATEGIES)
    assert (first.order_id, first.quantity, first.owned, first.whose) == ("a", -2, False, None)
    assert (second.order_id, second.quantity, second.owned, second.whose) == ("b", 3, True, "mean")
    assert (second.cause, second.price, second.at) == (Cause.MISSED_FILL, 10, told[0].at)
    assert second.executions == (("AAPL", "b", Decimal(3)),)
    assert (second.legs, second.legs_wanted, second.ratio, second.group) == (1, 0, None, None)


def test_what_is_taken_back_counts_from_what_is_left_of_it() -> None:
    """Corrected and then busted, by whichever name: in all just what was filled is gone."""
    bought = fill(5, 1, client="mean-1", execution_id="x1")
    assert quantities(bought, taken_back(3, "x1", 2, 2), taken_back(0, "x2", 3, 3)) == [5, -2, -3]
    assert quantities(bought, taken_back(3, "x1", 2, 2), taken_back(0, "x1", 3, 3)) == [5, -2, -3]
    assert quantities(bought, taken_back(0, "x1", 2, 2), taken_back(0, "x1", 3, 3)) == [5, -5]
    assert quantities(bought, taken_back(3, "x1", 2, 2, covered_by=4), taken_back(0, "x1", 3, 3)) == [5, -3]
    assert quantities(replace(bought, covered_by=4), taken_back(0, "x1", 3, 3)) == [-5]


def test_what_is_taken_back_is_its_owners() -> None:
    """A bust is of the strategy whose fill it was, whatever order it names itself."""
    bought = fill(5, 1, client="mean-1", execution_id="x1")
    for effect in fills([taken_back(3, "x1", 2, 2), taken_back(0, "x2", 3, 3), bought], "AAPL", STRATEGIES)[1:]:
        assert (effect.cause, effect.owned, effect.whose) == (Cause.BUST_OR_CORRECT, True, "mean")
        assert "bust or correction" in effect.label


def test_what_takes_back_something_unknown_is_left_out() -> None:
    """How much of it there was is not known, so nothing can be said."""
    assert quantities(fill(5, 1, execution_id="x1"), taken_back(0, "x7", 2, 2)) == [5]
    assert quantities(fill(5, 1, order="other"), taken_back(0, "x7", 2, 2)) == [5]
    assert quantities(fill(5, 1), fill(2, 1.5, cum=7), taken_back(0, "x7", 2, 2)) == [5, 2]
    assert quantities(fill(5, 1, execution_id="x1"), taken_back(3, "x7", 2, 2), taken_back(0, "x2", 3, 3)) == [5]


def test_the_only_fill_of_an_order_without_an_id_is_what_is_taken_back() -> None:
    """REST tells no execution ids; it is one fill, so it is taken back once, by whichever of its names."""
    assert quantities(fill(5, 1), taken_back(3, "x7", 2, 2), taken_back(0, "x2", 3, 3)) == [5, -2, -3]
    assert quantities(fill(5, 1), taken_back(0, "x7", 2, 2), taken_back(0, "x8", 3, 3)) == [5, -5]
    assert quantities(fill(5, 1), taken_back(0, "x7", 0.5, 2)) == [5], "it came after it"
    assert quantities(fill(5, 1), taken_back(0, "x7", 2, 2), fill(2, 3, cum=7)) == [5, -5, 2]
    told = fill(5, 1, execution_id="x1"), fill(2, 1.5, cum=7), taken_back(0, "x7", 2, 2), taken_back(0, "x1", 3, 3)
    assert quantities(*told) == [5, 2, -2, -5]


@pytest.mark.parametrize("client", ["mean-1", None])
def test_whose_was_taken_back_is_told_by_what_took_it_back_when_the_fill_does_not(client: str | None) -> None:
    """A fill that REST told of does not say whose order it was."""
    took = replace(taken_back(0, "x1", 2, 2), client_order_id=client)
    effect = fills([fill(5, 1, execution_id="x1"), took], "AAPL", STRATEGIES)[1]
    assert (effect.cause, effect.owned, effect.whose) == (Cause.BUST_OR_CORRECT, client is not None, client and "mean")


@given(st.permutations(range(6)))
def test_the_order_in_which_fills_are_told_changes_nothing(order: list[int]) -> None:
    """Also of one moment, in one order, with and without its sum: they are sorted by what they are."""
    told = [
        fill(5, 1, execution_id="x1"),
        replace(fill(4, 1, execution_id="y"), cum_quantity=None),
        replace(fill(4, 1, execution_id="z"), cum_quantity=None),
        fill(4, 1, order="p"),
        taken_back(3, "x1", 2, 2),
        taken_back(0, "x2", 3, 3),
    ]
    assert fills([told[n] for n in order], "AAPL", {}) == fills(told, "AAPL", {})


@pytest.mark.parametrize("kind", sorted(CASH_ONLY | {"FILL", "DIV"}))
def test_cash_moves_no_quantity(kind: str) -> None:
    """Nor do fills, which are executions, or a dividend, which tells of the shares that earned it."""
    assert not moves(booking(kind, 5))


@pytest.mark.parametrize(("kind", "cause"), [*CAUSE_OF_TYPE.items(), ("OPCA.XYZ", Cause.OPTION_ADJUSTMENT)])
def test_every_type_that_moves_has_its_cause(kind: str, cause: Cause) -> None:
    """As a single entry of five, signed."""
    (effect,) = bookings([booking(kind, -5, sub_type="SDIV")], AAPL)
    assert (effect.cause, effect.quantity, effect.owned, effect.group) == (cause, -5, False, None)
    assert effect.label == f"-5 by {kind} SDIV"
    assert effect.activities == (f"{kind}-AAPL-1",)


def test_what_is_canceled_or_without_quantity_moves_nothing() -> None:
    """A dividend in shares that also tells an amount of money was paid in money."""
    assert moves(booking("SPIN", 5, status="executed"))
    assert not moves(booking("SPIN", 5, status="Canceled"))
    assert not moves(booking("SPIN", 0))
    assert not moves(booking("SPIN", None))
    assert moves(booking("DIV", 5, sub_type="SDIV", net_amount=Decimal(0)))
    assert not moves(booking("DIV", 5, sub_type="SDIV", net_amount=Decimal(1)))
    assert not moves(booking("DIV", 5, sub_type="CDIV"))


def test_a_unit_split_is_a_reorganisation() -> None:
    """It makes three instruments of one, and no ratio scales that."""
    unit = booking("SPLIT", -5, sub_type="USPLIT", group="g")
    share = booking("SPLIT", 5, sub_type="USPLIT", group="g", symbol="MSFT")
    (effect,) = bookings([unit, share], AAPL)
    assert (effect.cause, effect.ratio, effect.legs, effect.legs_wanted) == (Cause.REORGANISATION, None, 2, 3)


def test_legs_of_one_group_are_one_effect() -> None:
    """They add up, with the last one's time and price; a group that adds up to nothing did nothing."""
    legs = [
        replace(booking("SPLIT", 200, 6, group="g", number=1), price=Decimal(4)),
        replace(booking("SPLIT", -100, 5, group="g", number=2), price=Decimal(8)),
        booking("SPLIT", None, 7, group="g", number=3),
    ]
    (effect,) = bookings(legs, AAPL)
    assert (effect.quantity, effect.ratio, effect.price) == (100, (200, 100), 4)
    assert (effect.at, effect.group, effect.legs) == (legs[0].at, "g", 2)
    assert effect.activities == ("SPLIT-AAPL-1", "SPLIT-AAPL-2")
    assert [each.price for each in bookings([replace(legs[0], price=None), legs[1]], AAPL)] == [8]
    parts = [booking("SPLIT", "0.9", 6, group="g"), booking("SPLIT", "-0.6", group="g", number=2)]
    assert [each.ratio for each in bookings(parts, AAPL)] == [(Decimal("0.9"), Decimal("0.6"))]
    assert [each.ratio for each in bookings([replace(leg, type="NC") for leg in parts], AAPL)] == [None]
    assert bookings([replace(legs[0], quantity=Decimal(100)), legs[1]], AAPL) == ()
    for alone in (legs[:1], legs[1:]):
        (one,) = bookings(alone, AAPL)
        assert (one.quantity, one.ratio) == (alone[0].quantity, None)
    assert bookings(legs, AAPL, {legs[0].id}) == bookings(legs, AAPL, {legs[1].id}) == ()


@pytest.mark.parametrize(
    ("sub_type", "legs"), [("SNC", 2), ("SCNC", 2), ("SMA", 2), ("SCMA", 2), ("USPLIT", 3), ("CMA", 0), (None, 0)]
)
def test_how_many_legs_there_must_be(sub_type: str | None, legs: int) -> None:
    """By the kind of what is done; one leg of the group tells it for all."""
    told = booking("MA", -10, sub_type=sub_type, group="g")
    for group in ([told], [told, booking("MA", 5, symbol="MSFT", group="g")]):
        (effect,) = bookings(group, AAPL)
        assert (effect.legs, effect.legs_wanted) == (len(group), legs)


def test_legs_elsewhere_count_for_the_whole_of_the_group() -> None:
    """A merger for stock wants two legs, of which one is the instrument's."""
    gone = booking("MA", -10, sub_type="SMA", group="g")
    came = booking("MA", 5, sub_type="SMA", group="g", symbol="MSFT")
    (alone,) = bookings([gone], AAPL)
    assert (alone.legs, alone.legs_wanted) == (1, 2)
    (whole,) = bookings([gone, came], AAPL)
    assert (whole.quantity, whole.legs, whole.legs_wanted) == (-10, 2, 2)
    (other,) = bookings([gone, came], MSFT)
    assert (other.quantity, other.legs) == (5, 2)


def test_what_is_used_explains_nothing_but_still_tells_of_its_group() -> None:
    """One leg that is used up uses up the instrument's effect, and the other instrument's still knows its group."""
    gone = booking("MA", -10, sub_type="SMA", group="g")
    came = booking("MA", 5, sub_type="SMA", group="g", symbol="MSFT")
    assert bookings([gone, came], AAPL, {gone.id}) == ()
    (other,) = bookings([gone, came], MSFT, {gone.id})
    assert (other.legs, other.legs_wanted) == (2, 2)


def test_without_any_time_a_booking_cannot_be_placed() -> None:
    """When it was is not known, so it explains nothing; with one leg's time known that is the group's."""
    assert bookings([replace(booking("ACATS", 5), at=None)], AAPL) == ()
    legs = [replace(booking("ACATS", 5, group="g", number=1), at=None), booking("ACATS", 2, 6, group="g", number=2)]
    (effect,) = bookings(legs, AAPL)
    assert (effect.quantity, effect.at) == (7, legs[1].at)


@given(st.permutations(range(7)))
def test_the_order_in_which_activities_are_told_changes_nothing(order: list[int]) -> None:
    """Prices, words, times and groups are the same however the list was put together."""
    told = [
        replace(booking("SPLIT", -100, 5, group="g", number=1), price=Decimal(8)),
        replace(booking("SPLIT", 200, 5, group="g", number=2, sub_type="FSPLIT"), price=Decimal(4)),
        replace(booking("SPLIT", 1, group="g", number=3), at=None, price=Decimal(2)),
        replace(booking("SPLIT", 1, group="g", number=4), at=None, price=Decimal(3)),
        booking("ACATS", 5, 6),
        booking("JNLS", 5, 6),
        booking("OPTRD", 5, 6, group="h"),
    ]
    assert bookings([told[n] for n in order], AAPL) == bookings(told, AAPL)


def test_what_concerns_an_instrument_is_found_by_its_root() -> None:
    """Whole groups, contracts beside their shares, pairs under their coin; fills and what has no symbol are not."""
    merger = [booking("MA", -10, group="g"), booking("MA", 5, symbol="MSFT", group="g")]
    nameless = [booking("OPASN", 1, symbol=None, group="h"), booking("OPTRD", -100, group="h", number=2)]
    contract, fee = booking("OPEXP", -1, symbol=CALL), booking("CFEE", -1, symbol="BTC/USD")
    told = [*merger, *nameless, contract, fee, booking("FILL", 1), booking("JNLS", 1, symbol=None)]
    found = by_root(told)
    assert found["AAPL"] == [*merger, *nameless, contract]
    assert found == {"AAPL": found["AAPL"], "MSFT": merger, "BTCUSD": [fee]}
    for instrument in (AAPL, MSFT, Instrument("us_option", CALL), Instrument("crypto", "BTCUSD")):
        assert bookings(found[root(instrument.symbol)], instrument) == bookings(told, instrument) != ()
    assert by_symbol([fill(1), fill(2, symbol="MSFT"), fill(3)]) == {
        "AAPL": [fill(1), fill(3)],
        "MSFT": [fill(2, symbol="MSFT")],
    }


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        (booking("OPASN", 1, symbol=CALL, group="g"), Cause.OPTION_ASSIGNMENT),
        (booking("OPASN", 1, symbol=None, group="g"), Cause.OPTION_ASSIGNMENT),
        (booking("OPASN", 1, symbol=CALL), Cause.OPTION_ASSIGNMENT),
        (booking("OPXRC", -1, symbol=CALL, group="h"), Cause.OPTION_EXERCISE),
        (booking("OPASN", 1, symbol="MSFT260116C00150000"), Cause.OPTION_EXERCISE),
        (booking("OPASN", 1, symbol=None), Cause.OPTION_EXERCISE),
        (booking("OPEXP", 1, symbol=CALL, group="g"), Cause.OPTION_EXERCISE),
    ],
)
def test_delivered_shares_have_the_contracts_cause(other: Activity, cause: Cause) -> None:
    """By the group or by the contract's underlying; without either they are an exercise."""
    (effect,) = bookings([booking("OPTRD", -100, group="g"), other], AAPL)
    assert effect.cause is cause
    if other.symbol != CALL:
        (alone,) = bookings([booking("OPTRD", -100), replace(other, group_id=None)], AAPL)
        assert alone.cause is Cause.OPTION_EXERCISE


def test_a_leg_without_symbol_is_only_a_contracts_on_what_its_group_names() -> None:
    """Of any other instrument it is not known to be."""
    leg, share = booking("OPASN", 1, symbol=None, group="g"), booking("OPTRD", -100, group="g")
    assert concerns(leg, Instrument("us_option", CALL), [leg, share])
    assert not concerns(leg, Instrument("us_option", "MSFT260116C00150000"), [leg, share])
    assert not concerns(leg, Instrument("us_option", CALL), [leg])
    assert not concerns(leg, AAPL, [leg, share])
    assert concerns(booking("CFEE", 1, symbol="BTC/USD"), Instrument("crypto", "BTCUSD"), [])


def test_times_of_the_makers_are_what_these_tests_rely_on() -> None:
    """Minutes count from the baseline."""
    assert booking("ACATS", 1, 6).at == BASE_AT + timedelta(minutes=6)
