"""What can be held and traded, and how Alpaca names it in positions and in orders.

Owns the two spellings of a coin (position `BTCUSD`, order `BTC/USD`), the OCC option symbol, multipliers and
stable asset ids. May not know an account, a price or the network.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

# Coins that Alpaca lists against USD; enough to tell BTCUSD from an equity.
COINS = frozenset(
    {"AAVE", "AVAX", "BAT", "BCH", "BTC", "CRV", "DOGE", "DOT", "ETH", "GRT", "LINK"}
    | {"LTC", "MKR", "SHIB", "SOL", "SUSHI", "UNI", "USDC", "USDT", "XRP", "XTZ", "YFI"}
)

_OCC = re.compile(r"^([A-Z]{1,6}\d?)(\d{2})(\d{2})(\d{2})([CP])(\d{8})$")
_EQUITY = re.compile(r"^[A-Z]{1,6}(\.[A-Z]{1,2})?$")
_IDS = uuid.UUID("5f3c1d0e-7a44-4f0b-9c55-1d2f6a7b8c90")


@dataclass(frozen=True, slots=True)
class Asset:
    """One tradable thing. `symbol` is the spelling of orders, `held_as` that of positions."""

    symbol: str
    held_as: str
    asset_class: str
    exchange: str
    multiplier: int = 1
    quote: str = "USD"


@dataclass(frozen=True, slots=True)
class Contract:
    """What an OCC symbol says; `strike` in dollars per share."""

    underlying: str
    expires: date
    call: bool
    strike: Decimal


def asset_of(symbol: str) -> Asset | None:
    """The asset behind any spelling of a symbol, or None when it is no symbol at all."""
    if "/" in symbol:
        base, _, quote = symbol.partition("/")
        if base in COINS and (quote in COINS or quote == "USD"):
            return Asset(symbol, base + "USD", "crypto", "CRYPTO", quote=quote)
        return None
    if symbol.endswith("USD") and symbol[:-3] in COINS:
        return Asset(symbol[:-3] + "/USD", symbol, "crypto", "CRYPTO")
    if _OCC.match(symbol):
        return Asset(symbol, symbol, "us_option", "", multiplier=100)
    if _EQUITY.match(symbol):
        return Asset(symbol, symbol, "us_equity", "NASDAQ")
    return None


def contract_of(symbol: str) -> Contract | None:
    """The option contract that an OCC symbol names, or None for anything else."""
    found = _OCC.match(symbol)
    if found is None:
        return None
    root, year, month, day, right, strike = found.groups()
    try:
        expires = date(2000 + int(year), int(month), int(day))
    except ValueError:
        return None
    return Contract(root.rstrip("0123456789"), expires, right == "C", Decimal(strike) / 1000)


def default_asset_id(symbol: str) -> str:
    """A stable id per spelling: the coin `BTCUSD` and the pair `BTC/USD` differ, as they do at Alpaca."""
    return str(uuid.uuid5(_IDS, symbol))
