"""How a quantity, cash and cost basis move."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.simulator.books import Books
from recond.simulator.records import Booking, RefusedError

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


def test_silent_and_transferred_quantities_book_nothing() -> None:
    """A silent trade moves its cash; a transfer moves none and hands back what is to be booked."""
    books = opened()
    books.silent("AAPL", D(3))
    (booking,) = books.transfer("AAPL", D(4), None, "ACATS")
    assert (books.positions["AAPL"].qty, books.cash, books.activities) == (7, 100_000 - 300, {})
    assert (booking.activity_type, booking.qty) == ("ACATS", 4)


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
