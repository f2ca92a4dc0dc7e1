"""Symbols."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from recond.simulator.assets import Contract, asset_of, contract_of, default_asset_id


@pytest.mark.parametrize(
    ("spelling", "order", "position", "asset_class", "multiplier"),
    [
        ("AAPL", "AAPL", "AAPL", "us_equity", 1),
        ("BRK.B", "BRK.B", "BRK.B", "us_equity", 1),
        ("BTC/USD", "BTC/USD", "BTCUSD", "crypto", 1),
        ("BTCUSD", "BTC/USD", "BTCUSD", "crypto", 1),
        ("ETH/BTC", "ETH/BTC", "ETHUSD", "crypto", 1),
        ("AAPL271217C00250000", "AAPL271217C00250000", "AAPL271217C00250000", "us_option", 100),
    ],
)
def test_a_symbol_says_what_it_is(spelling: str, order: str, position: str, asset_class: str, multiplier: int) -> None:
    """Either spelling of a coin is understood; orders name the pair, positions the coin."""
    asset = asset_of(spelling)
    assert asset is not None
    assert (asset.symbol, asset.held_as, asset.asset_class) == (order, position, asset_class)
    assert asset.multiplier == multiplier


@pytest.mark.parametrize("text", ["", "aapl", "AAPL ", "FOO/USD", "BTC/EUR", "TOOLONGNAME", "💥"])
def test_what_is_no_symbol_is_none(text: str) -> None:
    """Garbage is no asset."""
    assert asset_of(text) is None


def test_an_option_symbol_is_taken_apart() -> None:
    """Underlying, expiry, right and strike in dollars; an adjusted root loses its digit, a bad date is none."""
    assert contract_of("PTON240126C00000500") == Contract("PTON", date(2024, 1, 26), call=True, strike=Decimal("0.5"))
    assert contract_of("SOXS2260821P00005000") == Contract("SOXS", date(2026, 8, 21), call=False, strike=Decimal(5))
    assert contract_of("PTON241326C00000500") is None
    assert contract_of("AAPL") is None


def test_coin_and_pair_have_different_ids() -> None:
    """As at Alpaca: the position's asset id is the coin's, the order's is the pair's."""
    assert default_asset_id("BTCUSD") != default_asset_id("BTC/USD")
