"""What moves a position without an order."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.simulator import corporate
from recond.simulator.account import Account
from recond.simulator.records import RefusedError

D = Decimal
CALL, PUT = "QS271217C00006500", "QS271217P00006500"


def holding(symbol: str, qty: Decimal, price: Decimal) -> Account:
    """An account that holds just this, at that price."""
    account = Account(D(100_000))
    account.set_price(symbol, price)
    account.move(symbol, qty, price)
    return account


@given(
    st.integers(-500, 500).filter(bool),
    st.decimals("0.01", "900", places=2),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_a_split_keeps_the_cost_basis_and_the_value(qty: int, price: Decimal, new: int, old: int) -> None:
    """Cost basis is untouched, cash too, the value within what nine decimals lose, and the legs say the move."""
    account = holding("AAPL", D(qty), price)
    cost, equity = account.positions["AAPL"].cost, account.equity()
    legs = corporate.split(account, "AAPL", D(new), D(old))
    held = account.positions["AAPL"]
    assert held.cost == cost
    assert account.cash == 100_000
    assert abs(account.equity() - equity) < D("0.0001")
    assert [leg.qty for leg in legs] == [-qty, held.qty]
    assert len({leg.group_id for leg in legs}) == 1


def test_a_split_to_whole_shares_pays_the_rest() -> None:
    """33 shares 1:20 are 1 share and 0.65 in cash, with their part of the cost."""
    account = holding("AAPL", D(33), D(10))
    legs = corporate.split(account, "AAPL", D(1), D(20), whole=True)
    assert account.positions["AAPL"].qty == 1
    assert account.cash == 100_000 + 130
    assert account.positions["AAPL"].cost == 200
    assert [leg.net_amount for leg in legs] == [0, 0, 130]


def test_a_rename_keeps_the_asset_id_and_the_cost() -> None:
    """The holding goes on under the new symbol; the old one is gone."""
    account = holding("RNA", D("7.5"), D(40))
    before = account.positions["RNA"]
    legs = corporate.rename(account, "RNA", "RNAM")
    after = account.positions["RNAM"]
    assert list(account.positions) == ["RNAM"]
    assert (after.asset_id, after.qty, after.cost) == (before.asset_id, before.qty, before.cost)
    assert [(leg.symbol, leg.qty) for leg in legs] == [("RNA", D("-7.5")), ("RNAM", D("7.5"))]
    assert account.market_value(after) == 300


@pytest.mark.parametrize(
    ("act", "symbol", "contracts", "shares"),
    [
        (corporate.exercise, CALL, 2, 200),
        (corporate.exercise, PUT, 2, -200),
        (corporate.assign, CALL, -3, -300),
        (corporate.assign, PUT, -3, 300),
    ],
)
def test_exercise_and_assignment_deliver_shares_at_the_strike(
    act: object, symbol: str, contracts: int, shares: int
) -> None:
    """The contract is gone and the underlying moves by a hundred each, paid at the strike."""
    account = holding(symbol, D(contracts), D(1))
    legs = act(account, symbol)
    assert list(account.positions) == ["QS"]
    assert account.positions["QS"].qty == shares
    assert account.cash == 100_000 - shares * D("6.5")
    assert [(leg.symbol, leg.qty) for leg in legs] == [(symbol, -contracts), ("QS", shares)]
    assert legs[1].activity_type == "OPTRD"


def test_an_expiry_removes_the_contract() -> None:
    """Worthless: no shares, no cash."""
    account = holding(CALL, D(-4), D(1))
    (leg,) = corporate.expire(account, CALL)
    assert (account.positions, account.cash) == ({}, 100_000)
    assert (leg.activity_type, leg.qty) == ("OPEXP", 4)


def test_a_coin_fee_takes_coin_only() -> None:
    """The quantity shrinks, the entry price stays."""
    account = holding("ETHUSD", D(2), D(3000))
    (leg,) = corporate.coin_fee(account, "ETH/USD", D("0.005"))
    assert account.positions["ETHUSD"].qty == D("1.995")
    assert account.positions["ETHUSD"].entry_price == 3000
    assert (leg.activity_type, leg.qty, leg.symbol) == ("CFEE", D("-0.005"), "ETHUSD")


def test_what_is_not_held_or_not_of_that_kind_is_refused() -> None:
    """Nothing moves on a wrong request."""
    account = holding("AAPL", D(5), D(100))
    for attempt in (
        lambda: corporate.split(account, "MSFT", D(2), D(1)),
        lambda: corporate.expire(account, "AAPL"),
        lambda: corporate.exercise(account, "AAPL"),
        lambda: corporate.coin_fee(account, "AAPL", D(1)),
        lambda: corporate.rename(account, "AAPL", "AAPL"),
    ):
        with pytest.raises(RefusedError):
            attempt()
    assert account.positions["AAPL"].qty == 5
