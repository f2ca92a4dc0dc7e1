"""The starting accounts."""

from __future__ import annotations

import pytest

from recond.simulator.assets import asset_of
from recond.simulator.scenarios import SCENARIOS, wide


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_holding_has_a_price(name: str) -> None:
    """Each symbol of a scenario is one, in its position spelling, and can be valued."""
    scenario = SCENARIOS[name]
    assert set(scenario.positions) <= set(scenario.prices)
    for symbol in scenario.prices:
        asset = asset_of(symbol)
        assert asset is not None
        assert asset.held_as == symbol


def test_a_wide_account_has_as_many_positions_as_asked() -> None:
    """Ten thousand different equities."""
    scenario = wide(10_000)
    assert len(scenario.positions) == 10_000
    assert {asset_of(symbol).asset_class for symbol in scenario.positions} == {"us_equity"}  # type: ignore[union-attr]
