"""A company that is taken over."""

from __future__ import annotations

from decimal import Decimal

import pytest

from recond.simulator.mergers import merge
from recond.simulator.records import RefusedError
from tests.simulator.holding import done, held, holding

D = Decimal


def test_a_stock_merger_carries_the_cost_over() -> None:
    """SMA: 2,000 at ten for one are 200 of the acquirer, each leg at its price, and the value stays."""
    account = holding("OLD", D(2000), D("0.8"))
    legs = done(account, merge(account, "OLD", to="NEW", rate=D("0.1")))
    assert [(leg.activity_type, leg.sub_type, leg.symbol, leg.qty, leg.price, leg.net_amount) for leg in legs] == [
        ("MA", "SMA", "OLD", -2000, D("0.8"), 0),
        ("MA", "SMA", "NEW", 200, 8, 0),
    ]
    assert len({leg.group_id for leg in legs}) == 1
    assert held(account) == {"NEW": 200}
    assert (account.positions["NEW"].cost, account.cash) == (1600, 100_000)
    assert account.positions["NEW"].entry_price == 8
    assert account.equity() == 101_600


def test_a_cash_merger_pays_to_the_cent_before_the_shares_go() -> None:
    """CMA: a cash leg of quantity 0, then the removal without a price; what is short pays."""
    account = holding("OLD", D("0.045366059"), D("0.58"))
    legs = done(account, merge(account, "OLD", cash=D("0.583043")))
    assert [(leg.sub_type, leg.symbol, leg.qty, leg.price, leg.net_amount) for leg in legs] == [
        ("CMA", "OLD", 0, 0, D("0.03")),
        ("CMA", "OLD", D("-0.045366059"), 0, 0),
    ]
    assert (account.positions, account.cash) == ({}, D("100000.03"))
    short = holding("OLD", D(-10), D(5))
    done(short, merge(short, "OLD", cash=D(6)))
    assert (short.positions, short.cash) == ({}, 99_940)


def test_a_mixed_merger_pays_and_gives_shares() -> None:
    """SCMA: cash, removal, shares without a price, added to what is held of the acquirer."""
    account = holding("OLD", D("0.394803871"), D("15.704"))
    account.set_price("NEW", D(40))
    account.move("NEW", D(2), D(30))
    cost = account.positions["OLD"].cost
    legs = done(account, merge(account, "OLD", to="NEW", cash=D(21)))
    assert [(leg.sub_type, leg.symbol, leg.qty, leg.price, leg.net_amount) for leg in legs] == [
        ("SCMA", "OLD", 0, 0, D("8.29")),
        ("SCMA", "OLD", D("-0.394803871"), D("15.704"), 0),
        ("SCMA", "NEW", D("0.394803871"), 0, 0),
    ]
    assert (held(account), account.cash) == ({"NEW": D("2.394803871")}, D("100008.29"))
    assert account.positions["NEW"].cost == 60 + cost
    assert account.prices["NEW"] == 40


@pytest.mark.parametrize(("price", "in_lieu"), [(None, D("28.5")), (D(90), D(27))])
def test_a_fraction_is_paid_in_lieu_with_its_part_of_the_cost(price: Decimal | None, in_lieu: Decimal) -> None:
    """33 shares at 0.1 are 3 and 0.3 of the acquirer's price, which is the market's unless one is given."""
    account = holding("OLD", D(33), D(10))
    account.set_price("NEW", D(95))
    legs = done(account, merge(account, "OLD", to="NEW", rate=D("0.1"), whole=True, price=price))
    assert [(leg.symbol, leg.qty, leg.net_amount) for leg in legs] == [
        ("OLD", -33, 0),
        ("NEW", 3, 0),
        ("NEW", 0, in_lieu),
    ]
    assert (account.positions["NEW"].qty, account.positions["NEW"].cost, account.cash) == (3, 300, 100_000 + in_lieu)


def test_a_merger_into_nothing_or_itself_is_refused() -> None:
    """Nothing moves and nothing new is listed."""
    account = holding("OLD", D(5), D(10))
    for to, rate in ((None, D(1)), ("OLD", D(1)), ("BTCUSD", D(1)), ("NEW", D("1E-10"))):
        with pytest.raises(RefusedError):
            merge(account, "OLD", to=to, rate=rate)
    assert held(account) == {"OLD": 5}
