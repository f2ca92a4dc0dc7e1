"""How a quantity, cash and cost basis move."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.simulator.books import Books
from recond.simulator.records import Booking, NonTrade, RefusedError

D = Decimal
LATE_EVENING = datetime(2026, 1, 16, 3, 30, tzinfo=UTC)  # still the 15th in New York


def opened() -> Books:
    """Books with AAPL at 100."""
    books = Books(D(100_000), now=lambda: LATE_EVENING, rng=random.Random(1))
    books.set_price("AAPL", D(100))
    return books


def test_entry_price_follows_averaging_reducing_and_flipping() -> None:
    """Adding averages, reducing keeps the average, and going through zero starts at the new price."""
    books = opened()
    books.move("AAPL", D(10), D(100))
    books.move("AAPL", D(30), D(120))
    assert books.positions["AAPL"].entry_price == 115
    books.move("AAPL", D(-20), D(130))
    assert books.positions["AAPL"].entry_price == 115
    books.move("AAPL", D(-25), D(90))
    assert (books.positions["AAPL"].qty, books.positions["AAPL"].cost) == (-5, -450)


@given(st.lists(st.tuples(st.integers(-100, 100).filter(bool), st.decimals("1", "500", places=2)), max_size=30))
def test_a_position_is_the_sum_of_its_moves(moves: list[tuple[int, Decimal]]) -> None:
    """Quantity adds up, a flat position has no row, and cost has the quantity's sign."""
    books = opened()
    for qty, price in moves:
        books.move("AAPL", D(qty), price)
    total = sum(qty for qty, _ in moves)
    assert (books.positions["AAPL"].qty if total else "AAPL" in books.positions) == total
    assert not total or books.positions["AAPL"].cost * total > 0


def test_a_silent_trade_books_nothing() -> None:
    """It moves its cash, and no activity tells of it."""
    books = opened()
    books.silent("AAPL", D(3))
    assert (books.positions["AAPL"].qty, books.cash, books.activities) == (3, 100_000 - 300, {})


@given(st.integers(-50, 50).filter(bool), st.integers(-80, 80).filter(bool), st.decimals("1", "500", places=2))
def test_a_cost_that_is_carried_is_that_of_a_trade(held: int, qty: int, price: Decimal) -> None:
    """Quantity with its cost does what the same quantity at its price does; one that goes to zero leaves nothing."""
    trading, carrying = opened(), opened()
    for books in (trading, carrying):
        books.move("AAPL", D(held), D(100))
    trading.move("AAPL", D(qty), price)
    carrying.carry("AAPL", D(qty), qty * price)
    assert carrying.positions == trading.positions
    assert ("AAPL" in carrying.positions) is (held != -qty)


def test_a_leg_moves_what_it_says() -> None:
    """Quantity with cost, and cash; a count of what was held moves nothing."""
    books = opened()
    books.apply(Booking("OPTRD", symbol="AAPL", qty=D(4), cost=D(500), net_amount=D(-500)))
    books.apply(Booking("DIV", symbol="AAPL", qty=D(4), net_amount=D(2), entitled=True))
    position = books.positions["AAPL"]
    assert (position.qty, position.cost, books.cash, books.activities) == (4, 500, 100_000 - 498, {})


def booked(books: Books, *legs: Booking) -> None:
    """Move and book."""
    for leg in legs:
        books.apply(leg)
    books.book(legs)


REMOVED = Booking("REORG", symbol="AAPL", qty=D(-6), cost=D(-600), sub_type="WRM")


@pytest.mark.parametrize(("moves", "left", "cost"), [(True, 6, 600), (False, 0, 0)])
def test_a_canceled_activity_gives_back_what_it_moved(moves: bool, left: int, cost: int) -> None:
    """The row keeps its id, quantity and time and is marked; its shares return with their cost, when it moves."""
    books = opened()
    books.move("AAPL", D(6), D(100))
    booked(books, REMOVED)
    (before,) = books.activities.values()
    books.revise("AAPL", "canceled", moves=moves)
    (after,) = books.activities.values()
    assert (after.id, after.created_at) == (before.id, before.created_at)
    assert isinstance(after, NonTrade)
    assert (after.booking.status, after.booking.qty) == ("canceled", -6)
    position = books.positions.get("AAPL")
    assert (position.qty if position else 0, position.cost if position else 0) == (left, cost)
    with pytest.raises(RefusedError, match="stands"):
        books.revise("AAPL", "canceled")


def test_a_correction_puts_right_what_moved() -> None:
    """Quantity and cash are as if they had been so at first; `new_row` leaves the wrong row and adds one."""
    books = opened()
    booked(
        books,
        Booking("JNLS", symbol="AAPL", qty=D(6), cost=D(600)),
        Booking("DIV", symbol="AAPL", qty=D(6), net_amount=D(3), entitled=True),
    )
    books.revise("AAPL", "correct", activity_type="JNLS", qty=D(4))
    assert (books.positions["AAPL"].qty, books.positions["AAPL"].cost, books.cash) == (4, 400, 100_003)
    books.revise("AAPL", "correct", net_amount=D(2), new_row=True)
    assert (books.positions["AAPL"].qty, books.cash) == (4, 100_002)
    rows = [activity.booking for activity in books.activities.values() if isinstance(activity, NonTrade)]
    assert [(row.activity_type, row.status, row.qty, row.net_amount) for row in rows] == [
        ("JNLS", "correct", 4, 0),
        ("DIV", "executed", 6, 3),
        ("DIV", "correct", 6, 2),
    ]
    with pytest.raises(RefusedError, match="no SPLIT activity"):
        books.revise("AAPL", "canceled", activity_type="SPLIT")


def test_an_activity_is_dated_in_new_york_at_midnight() -> None:
    """The id of a non-trade activity carries the Eastern date and no time; created_at is the moment."""
    books = opened()
    books.book([Booking("CSD", net_amount=D(5))])
    (activity,) = books.activities.values()
    assert activity.id.startswith("20260115000000000::")
    assert activity.created_at == LATE_EVENING


def test_reset_makes_another_account() -> None:
    """After a paper reset the id and number differ and nothing is held; prices stay."""
    books = opened()
    books.move("AAPL", D(5), D(100))
    before = (books.id, books.number)
    books.reset(D(5))
    assert books.id != before[0]
    assert books.number != before[1]
    assert (books.positions, books.activities, books.cash) == ({}, {}, 5)
    assert books.prices["AAPL"] == 100


def test_a_symbol_without_a_price_does_not_exist() -> None:
    """What nobody has priced is refused as Alpaca refuses an unknown asset."""
    with pytest.raises(RefusedError, match="not found"):
        opened().asset("MSFT")


def test_what_has_no_price_counts_as_nothing() -> None:
    """A price can become unknown; the value is then None and equity leaves it out."""
    books = opened()
    books.move("AAPL", D(5), D(100))
    books.set_price("AAPL", None)
    assert books.market_value(books.positions["AAPL"]) is None
    assert books.equity() == 100_000
