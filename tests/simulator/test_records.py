"""The derived figures of the values."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from recond.simulator.records import Order, OrderRequest, Position

D = Decimal


def test_an_entry_price_is_positive_and_per_share() -> None:
    """The cost of a short option is negative and times the multiplier; its entry price is neither."""
    position = Position("AAPL271217C00250000", "id", "us_option", "", 100, D(-2), D(-1210))
    assert position.entry_price == D("6.05")


def test_an_order_knows_what_is_left() -> None:
    """Open while it can be filled; what is left is the quantity less the filled."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    order = Order("1", "c", "AAPL", "a", "us_equity", OrderRequest("AAPL", "buy", D(5)), "new", D(5), at, at, D(2))
    assert (order.leaves, order.is_open, order.side) == (3, True, "buy")
