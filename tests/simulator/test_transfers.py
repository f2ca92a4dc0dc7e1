"""What comes in and leaves without a trade."""

from __future__ import annotations

from decimal import Decimal

import pytest

from recond.simulator.records import RefusedError
from recond.simulator.transfers import acats, coin_fee, transfer
from tests.simulator.holding import done, held, holding

D = Decimal


@pytest.mark.parametrize("kind", ["ACATS", "JNLS", "FOPT"])
def test_shares_come_in_at_a_price_without_cash(kind: str) -> None:
    """One leg of its type, the market's price where none is given, and no group."""
    account = holding("AAPL", D(6), D(100))
    (leg,) = done(account, transfer(account, "AAPL", D(4), D("157.44"), kind))
    assert (leg.activity_type, leg.qty, leg.price, leg.net_amount) == (kind, 4, D("157.44"), 0)
    assert leg.group_id is None
    assert (held(account), account.cash) == ({"AAPL": 10}, 100_000)
    assert account.positions["AAPL"].cost == D("1229.76")
    assert transfer(account, "AAPL", D(1), None, kind)[0].price == 100


@pytest.mark.parametrize("kind", ["OCT", "TRANS"])
def test_coins_come_and_go_by_their_position_symbol(kind: str) -> None:
    """A deposit and a withdrawal name USDCUSD; more than is held does not leave, and shares go another way."""
    account = holding("USDCUSD", D(100), D(1))
    (leg,) = done(account, transfer(account, "USDC/USD", D(50), None, kind))
    assert (leg.activity_type, leg.symbol, leg.qty) == (kind, "USDCUSD", 50)
    done(account, transfer(account, "USDCUSD", D(-120), None, kind))
    assert held(account) == {"USDCUSD": 30}
    account.set_price("AAPL", D(100))
    for symbol, qty in (("USDCUSD", D("-30.1")), ("AAPL", D(1))):
        with pytest.raises(RefusedError):
            transfer(account, symbol, qty, None, kind)


def test_an_account_elsewhere_moves_here() -> None:
    """Each position is a leg of its own, an option by contracts, and the cash another."""
    call = "AAPL271217C00250000"
    account = holding("AAPL", D(1), D(100))
    account.set_price(call, D(3))
    legs = done(account, acats(account, {"AAPL": D(5), call: D(-2)}, D("12.5")))
    assert [(leg.activity_type, leg.symbol, leg.qty, leg.net_amount) for leg in legs] == [
        ("ACATS", "AAPL", 5, 0),
        ("ACATS", call, -2, 0),
        ("ACATC", None, None, D("12.5")),
    ]
    assert (held(account), account.cash) == ({"AAPL": 6, call: -2}, D("100012.5"))
    assert account.positions[call].cost == -600
    assert len(acats(account, {"AAPL": D(5)}, D(0))) == 1


def test_a_coin_fee_takes_coin_only() -> None:
    """The quantity shrinks, the entry price stays; more than is held, or shares, are refused."""
    account = holding("ETHUSD", D(2), D(3000))
    (leg,) = done(account, coin_fee(account, "ETH/USD", D("0.005")))
    assert account.positions["ETHUSD"].qty == D("1.995")
    assert account.positions["ETHUSD"].entry_price == 3000
    assert (leg.activity_type, leg.qty, leg.symbol, leg.net_amount) == ("CFEE", D("-0.005"), "ETHUSD", 0)
    shares = holding("AAPL", D(2), D(100))
    for books, symbol in ((account, "ETHUSD"), (shares, "AAPL")):
        with pytest.raises(RefusedError):
            coin_fee(books, symbol, D("1.996") if symbol == "ETHUSD" else D(1))
