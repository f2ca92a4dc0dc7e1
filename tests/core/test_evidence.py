"""Joining what the stream and the activities tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from recond.core.evidence import executions_of, key, merged, motions
from recond.core.model import Activity, Execution

AT = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
STREAM = Execution(
    "AAPL", AT, Decimal(3), "o1", Decimal("10.50"), execution_id="e1", position_quantity=Decimal(13), price=Decimal(7)
)


def fill(symbol: str, side: str, quantity: str, cum: str | None, price: str | None = "7") -> Activity:
    """A FILL as the activities have it."""
    id_, paid, filled = "20260302103000000::x", price and Decimal(price), cum and Decimal(cum)
    return Activity(
        id_,
        "FILL",
        "fill",
        symbol,
        Decimal(quantity),
        paid or None,
        AT,
        order_id="o1",
        side=side,
        cum_quantity=filled or None,
    )


def test_case_6_the_same_fill_from_both_sources_is_one() -> None:
    """Order and cumulated quantity join them, however many zeros either writes; nothing that one knew is lost."""
    (told,) = executions_of(fill("AAPL", "buy", "3", "10.5"))
    assert key(told) == key(STREAM)
    both = {merged(STREAM, told), merged(told, STREAM)}
    assert both == {STREAM} or {e.position_quantity for e in both} == {Decimal(13)}
    assert {e.execution_id for e in both} == {"e1"}


def test_case_7_two_equal_partial_fills_are_two() -> None:
    """Same symbol, quantity, price and time are two executions when the order's cumulated quantity differs."""
    first, second = fill("AAPL", "buy", "3", "3"), fill("AAPL", "buy", "3", "6")
    assert len({key(e) for a in (first, second) for e in executions_of(a)}) == 2


def test_a_pair_of_coins_moves_both_and_each_has_its_key() -> None:
    """Buying 2 ETH for BTC at 0.05 takes 0.1 BTC, under one order and two keys."""
    moved = executions_of(fill("ETH/BTC", "buy", "2", "2", "0.05"))
    assert [(e.symbol, e.quantity) for e in moved] == [("ETHUSD", Decimal(2)), ("BTCUSD", Decimal("-0.10"))]
    assert len({key(e) for e in moved}) == 2


def test_sell_short_takes_away() -> None:
    """`sell_short`, seen where only buy and sell are documented, is a sale; an unknown side tells of no fill."""
    assert [e.quantity for e in executions_of(fill("AAPL", "sell_short", "3", "3"))] == [Decimal(-3)]
    assert executions_of(fill("AAPL", "hold", "3", "3")) == ()


@given(st.integers(-3600, 3600), st.floats(0, 1e6))
def test_motions_are_on_the_monotonic_clock(seconds: int, now_s: float) -> None:
    """A fill that the broker dates so long ago was so long ago here, wherever the local clock stands."""
    (motion,) = motions([STREAM], AT + timedelta(seconds=seconds), now_s)["AAPL"]
    assert abs(motion.at_s - (now_s - seconds)) < 1e-6
    assert (motion.quantity, motion.position) == (Decimal(3), Decimal(13))


def test_a_correction_moves_as_much_as_the_two_differ() -> None:
    """A bust moves back what was filled; without the execution that it is about, it moves what it says."""
    filled = Execution("AAPL", AT, Decimal(5), "o1", Decimal(5), execution_id="e1")
    right = Execution("AAPL", AT, Decimal(3), "o1", execution_id="e2", previous_id="e1")
    bust = Execution("AAPL", AT, Decimal(0), "o1", execution_id="e3", previous_id="e2")
    moved = motions([filled, right, bust], AT, 100.0)["AAPL"]
    assert [motion.quantity for motion in moved] == [5, -2, -3]
    assert [motion.quantity for motion in motions([right], AT, 100.0)["AAPL"]] == [3]
