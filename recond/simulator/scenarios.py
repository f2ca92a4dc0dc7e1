"""Named starting accounts.

Owns the data of each: cash, prices and holdings. May not know how an account works beyond buying what is
listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

D = Decimal

# A day's prices in dollars; other symbols get one through the control operation `price`.
PRICES: Mapping[str, Decimal] = MappingProxyType(
    {
        "AAPL": D("230.10"),
        "AMZN": D("221.30"),
        "GOOGL": D("182.97"),
        "META": D("640.15"),
        "MSFT": D("512.40"),
        "NVDA": D("176.24"),
        "SPY": D("628.77"),
        "TSLA": D("355.60"),
        "BTCUSD": D("64250.5"),
        "ETHUSD": D("3120.25"),
        "USDTUSD": D("1"),
        "AAPL271217C00250000": D("31.45"),
        "SPY271217P00550000": D("24.10"),
    }
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A starting account: `positions` maps a held symbol to (signed quantity, entry price)."""

    cash: Decimal
    prices: Mapping[str, Decimal] = field(default_factory=lambda: PRICES)
    positions: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "empty": Scenario(D(100_000)),
        "demo": Scenario(
            D(100_000),
            positions={
                "AAPL": (D(100), D("221.50")),
                "MSFT": (D(50), D("498.20")),
                "NVDA": (D(120), D("168.05")),
                "TSLA": (D(-20), D("361.00")),
                "BTCUSD": (D("0.4995"), D("61800")),
                "AAPL271217C00250000": (D(2), D("28.90")),
            },
        ),
    }
)


def wide(positions: int) -> Scenario:
    """An account with that many equity positions, for measuring; symbols are AAAAA, AAAAB, ..."""
    places = (26**4, 26**3, 26**2, 26, 1)
    symbols = ["".join(chr(65 + number // place % 26) for place in places) for number in range(positions)]
    return Scenario(
        D(10_000_000),
        prices={symbol: D(100) + number % 400 for number, symbol in enumerate(symbols)},
        positions={symbol: (D(1 + number % 90), D(99)) for number, symbol in enumerate(symbols)},
    )
