"""What happens to option contracts without an order."""

from __future__ import annotations

from decimal import Decimal

import pytest

from recond.simulator import options
from recond.simulator.records import RefusedError
from tests.simulator.holding import done, held, holding

D = Decimal
CALL, PUT = "QS271217C00006500", "QS271217P00006500"


@pytest.mark.parametrize(
    ("act", "symbol", "contracts", "shares"),
    [
        (options.exercise, CALL, 2, 200),
        (options.exercise, PUT, 2, -200),
        (options.assign, CALL, -3, -300),
        (options.assign, PUT, -3, 300),
    ],
)
def test_exercise_and_assignment_deliver_shares_at_the_strike(
    act: object, symbol: str, contracts: int, shares: int
) -> None:
    """The contract is gone and the underlying moves by a hundred each, paid at the strike."""
    account = holding(symbol, D(contracts), D(1))
    legs = done(account, act(account, symbol))
    assert held(account) == {"QS": shares}
    assert account.positions["QS"].cost == shares * D("6.5")
    assert account.cash == 100_000 - shares * D("6.5")
    assert [(leg.symbol, leg.qty, leg.nameless) for leg in legs] == [(symbol, -contracts, False), ("QS", shares, False)]
    assert legs[1].activity_type == "OPTRD"


def test_a_part_is_delivered_and_its_leg_can_be_nameless() -> None:
    """One of three contracts takes a third of the cost along, and back; a nameless leg moves the same position."""
    account = holding(CALL, D(3), D(1))
    legs = done(account, options.exercise(account, CALL, D(1), nameless=True))
    assert (held(account), account.positions[CALL].cost) == ({CALL: 2, "QS": 100}, 200)
    assert [leg.nameless for leg in legs] == [True, False]
    assert len({leg.group_id for leg in legs}) == 1
    account.book(legs)
    account.revise(CALL, "canceled")
    assert (account.positions[CALL].qty, account.positions[CALL].cost) == (3, 300)


@pytest.mark.parametrize("contracts", [4, -4])
def test_an_expiry_removes_the_contract(contracts: int) -> None:
    """Worthless, long or short: no shares, no cash."""
    account = holding(CALL, D(contracts), D(1))
    (leg,) = done(account, options.expire(account, CALL))
    assert (account.positions, account.cash) == ({}, 100_000)
    assert (leg.activity_type, leg.qty) == ("OPEXP", -contracts)


@pytest.mark.parametrize(
    ("held_as", "to", "new", "sub_type"),
    [
        ("KORU270717C01700000", "KORU270717C00085000", 20, "SPLIT.FSPLIT"),
        ("EOSE1270731C00005500", "EOSE270731C00005500", 1, "CADJ"),
        ("SOXS270821C00005000", "SOXS2270821C00005000", 1, "CADJ"),
    ],
)
def test_an_adjusted_contract_goes_on_under_another_symbol(held_as: str, to: str, new: int, sub_type: str) -> None:
    """The quantity follows the ratio, cost and value go over, and the net amounts of the legs cancel out."""
    account = holding(held_as, D(-2), D("1.07"))
    legs = done(account, options.adjust(account, held_as, to, D(new), D(1)))
    assert [(leg.activity_type, leg.sub_type, leg.symbol, leg.qty, leg.net_amount) for leg in legs] == [
        ("OPCA", sub_type, held_as, 2, -214),
        ("OPCA", sub_type, to, -2 * new, 214),
    ]
    assert legs[1].price == D("1.07") / new
    assert held(account) == {to: -2 * new}
    assert (account.positions[to].cost, account.cash, account.equity()) == (-214, 100_000, 100_000 - 214)


def test_what_is_no_such_contract_is_refused() -> None:
    """Shares do not expire, a long is not assigned, and contracts stay whole."""
    account = holding(CALL, D(5), D(1))
    account.set_price("AAPL", D(100))
    account.move("AAPL", D(5), D(100))
    for attempt in (
        lambda: options.expire(account, "AAPL"),
        lambda: options.exercise(account, "AAPL"),
        lambda: options.assign(account, CALL),
        lambda: options.adjust(account, CALL, "QS271217C00065000", D(1), D(10)),
        lambda: options.adjust(account, CALL, "QS", D(1), D(1)),
        lambda: options.adjust(account, CALL, CALL, D(1), D(1)),
    ):
        with pytest.raises(RefusedError):
            attempt()
    assert held(account) == {CALL: 5, "AAPL": 5}
