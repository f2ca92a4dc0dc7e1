"""What moves a position without an order."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.simulator import corporate
from recond.simulator.records import RefusedError
from tests.simulator.holding import done, held, holding

D = Decimal


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
    legs = done(account, corporate.split(account, "AAPL", D(new), D(old)))
    after = account.positions["AAPL"]
    assert after.cost == cost
    assert account.cash == 100_000
    assert abs(account.equity() - equity) < D("0.0001")
    assert [leg.qty for leg in legs] == [-qty, after.qty]
    assert len({leg.group_id for leg in legs}) == 1


def test_a_split_to_whole_shares_pays_the_rest() -> None:
    """33 shares 1:20 are 1 share and 0.65 in cash, with their part of the cost."""
    account = holding("AAPL", D(33), D(10))
    legs = done(account, corporate.split(account, "AAPL", D(1), D(20), whole=True))
    assert account.positions["AAPL"].qty == 1
    assert account.cash == 100_000 + 130
    assert account.positions["AAPL"].cost == 200
    assert [leg.net_amount for leg in legs] == [0, 0, 130]


def test_a_rename_keeps_the_asset_id_and_the_cost() -> None:
    """The holding goes on under the new symbol; the old one is gone."""
    account = holding("RNA", D("7.5"), D(40))
    before = account.positions["RNA"]
    legs = done(account, corporate.rename(account, "RNA", "RNAM"))
    after = account.positions["RNAM"]
    assert list(account.positions) == ["RNAM"]
    assert (after.asset_id, after.qty, after.cost) == (before.asset_id, before.qty, before.cost)
    assert [(leg.symbol, leg.qty) for leg in legs] == [("RNA", D("-7.5")), ("RNAM", D("7.5"))]
    assert account.market_value(after) == 300


def test_a_new_symbol_and_cusip_come_first_with_another_asset_id() -> None:
    """SCNC: the new leg before the old, the same quantity and cost, an id that leads nowhere back."""
    account = holding("SVIWF", D(7), D("0.1001"))
    before = account.positions["SVIWF"]
    legs = done(account, corporate.rename(account, "SVIWF", "NUCLW", cusip=True))
    after = account.positions["NUCLW"]
    assert [(leg.sub_type, leg.symbol, leg.qty) for leg in legs] == [("SCNC", "NUCLW", 7), ("SCNC", "SVIWF", -7)]
    assert (held(account), after.cost) == ({"NUCLW": 7}, before.cost)
    assert after.asset_id != before.asset_id


@pytest.mark.parametrize("new_id", [True, False])
def test_a_new_cusip_moves_nothing_but_the_asset_id(new_id: bool) -> None:
    """CNC: two legs of the same symbol that add up to nothing; orders name the new id too."""
    account = holding("BRIF", D("4.68546239"), D("26.89"))
    before = account.positions["BRIF"]
    legs = done(account, corporate.new_cusip(account, "BRIF", new_id=new_id))
    after = account.positions["BRIF"]
    assert [(leg.symbol, leg.qty, leg.price) for leg in legs] == [
        ("BRIF", D("-4.68546239"), D("26.89")),
        ("BRIF", D("4.68546239"), D("26.89")),
    ]
    assert (after.qty, after.cost) == (before.qty, before.cost)
    assert (after.asset_id != before.asset_id) is new_id
    assert account.asset_id("BRIF") == after.asset_id


def test_a_unit_falls_apart_into_two_symbols() -> None:
    """Three legs of one group: the share has the cost, the warrant none, and the unit is gone."""
    account = holding("CCCXU", D(9), D("26.31"))
    parts = {"rate": D(1), "other_rate": D("0.25"), "other_price": D(4)}
    legs = done(account, corporate.unit_split(account, "CCCXU", "INFQ", "INFQ.WS", **parts))
    assert [(leg.sub_type, leg.qty, leg.price) for leg in legs] == [
        ("USPLIT", -9, D("26.31")),
        ("USPLIT", 9, D("26.31")),
        ("USPLIT", D("2.25"), 0),
    ]
    assert len({leg.group_id for leg in legs}) == 1
    assert held(account) == {"INFQ": 9, "INFQ.WS": D("2.25")}
    assert (account.positions["INFQ"].cost, account.positions["INFQ.WS"].cost) == (D("236.79"), 0)
    assert account.equity() == 100_000 + D("236.79") + 9


def test_a_spin_off_adds_and_takes_nothing_away() -> None:
    """One leg without cost; a ticker that was renamed away is another company with another asset id."""
    account = holding("RNA", D(2), D("72.82"))
    renamed = account.positions["RNA"].asset_id
    done(account, corporate.rename(account, "RNA", "RNAM"))
    (leg,) = done(account, corporate.spin_off(account, "RNAM", "RNA", D("0.1"), D(12)))
    assert (leg.activity_type, leg.sub_type, leg.symbol, leg.qty, leg.price) == ("SPIN", None, "RNA", D("0.2"), 0)
    assert held(account) == {"RNAM": 2, "RNA": D("0.2")}
    assert (account.positions["RNA"].cost, account.positions["RNAM"].cost) == (0, D("145.64"))
    assert (account.positions["RNAM"].asset_id, account.positions["RNA"].asset_id != renamed) == (renamed, True)
    assert account.prices["RNA"] == 12


def test_a_stock_dividend_moves_shares_and_a_cash_dividend_counts_them() -> None:
    """SDIV carries what came and the cost stays; CDIV carries what was held, its cash is to the cent, none came."""
    account = holding("SBS", D("0.09140625"), D(100))
    cost = account.positions["SBS"].cost
    (shares,) = done(account, corporate.stock_dividend(account, "SBS", D("0.029647")))
    assert (shares.sub_type, shares.qty, shares.net_amount) == ("SDIV", D("0.002709921"), 0)
    assert held(account) == {"SBS": D("0.094116171")}
    assert (account.positions["SBS"].cost, account.cash) == (cost, 100_000)
    assert abs(account.equity() - 100_000 - cost) < D("0.0000001")

    account = holding("SPY", D("201.9617035750071243"), D(300))
    (cash,) = done(account, corporate.cash_dividend(account, "SPY", D("0.108783"), "CDIV"))
    assert (cash.sub_type, cash.qty, cash.net_amount) == ("CDIV", D("201.9617035750071243"), D("21.97"))
    assert (held(account)["SPY"], account.cash) == (D("201.9617035750071243"), D("100021.97"))


def test_a_short_pays_in_place_of_the_dividend() -> None:
    """SPD: cash leaves, the quantity is 0."""
    account = holding("ULTY", D(-77), D(5))
    (leg,) = done(account, corporate.substitute_payment(account, "ULTY", D("0.000338")))
    assert (leg.activity_type, leg.sub_type, leg.qty, leg.net_amount) == ("DIV", "SPD", 0, D("-0.03"))
    assert (held(account), account.cash) == ({"ULTY": -77}, D("99999.97"))


def test_a_worthless_holding_is_removed() -> None:
    """WRM: the shares go, nothing is paid."""
    account = holding("CLNNW", D(200), D("0.02"))
    (leg,) = done(account, corporate.worthless(account, "CLNNW"))
    assert (leg.activity_type, leg.sub_type, leg.qty, leg.price) == ("REORG", "WRM", -200, 0)
    assert (account.positions, account.cash) == ({}, 100_000)


def test_what_is_not_held_or_not_of_that_kind_is_refused() -> None:
    """Nothing moves on a wrong request."""
    account = holding("AAPL", D(5), D(100))
    for attempt in (
        lambda: corporate.split(account, "MSFT", D(2), D(1)),
        lambda: corporate.split(account, "AAPL", D(1), D(10**10)),
        lambda: corporate.rename(account, "AAPL", "AAPL"),
        lambda: corporate.rename(account, "AAPL", "BTCUSD"),
        lambda: corporate.spin_off(account, "AAPL", "AAPL", D(1)),
        lambda: corporate.unit_split(account, "AAPL", "MSFT", "MSFT", rate=D(1), other_rate=D(1)),
    ):
        with pytest.raises(RefusedError):
            attempt()
    assert (held(account), account.prices) == ({"AAPL": 5}, {"AAPL": 100})
