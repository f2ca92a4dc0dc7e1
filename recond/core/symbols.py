"""The one name under which a symbol is known, and what its shape alone tells.

Owns the canonical symbol: Alpaca calls one coin `BTCUSD` in positions and `BTC/USD` in orders and activities.
May not ask anybody or know a list of coins: what cannot be read from the text is documented as a guess.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

_TEXT = re.compile(r"[!-~]+")  # what the ledger's triggers let be a symbol
_PAIR = re.compile(r"([^/]+)/([A-Z0-9]{3,})")
_CLASS_SHARE = re.compile(r"([^/]+)/([A-Z0-9]{1,2})")
# The OCC root has at most six characters; an adjusted contract ends it with a digit (SOXS2260821C00005000).
_OCC = re.compile(r"(?=.{16,21}\Z)[A-Z]{1,6}[0-9]?([0-9]{2})([0-9]{2})([0-9]{2})[CP][0-9]{8}", re.ASCII)
_COIN = re.compile(r"[A-Z0-9]{3,}USD")


def canonical_symbol(text: str) -> str:
    """The symbol under which the position is kept; applying it twice changes nothing.

    A coin pair (`BTC/USD`, `ETH/BTC`) becomes the position of its base coin (`BTCUSD`, `ETHUSD`); `BRK/B` becomes
    `BRK.B`; all else is only trimmed and put in upper case. Raises `ValueError` when empty,
    with blanks inside or not ASCII.
    """
    symbol = text.strip()
    if _TEXT.fullmatch(symbol) is None:  # before `upper`, which makes ASCII of some other letters
        raise ValueError(f"not a symbol: {text!r} (expected text without blanks, like AAPL, BRK.B or BTC/USD)")
    symbol = symbol.upper()
    if pair := _PAIR.fullmatch(symbol):
        return f"{pair[1]}USD"
    if share := _CLASS_SHARE.fullmatch(symbol):
        return f"{share[1]}.{share[2]}"
    return symbol


@lru_cache(maxsize=4096)  # asked for each fill
def coins_of(pair: str) -> tuple[str, ...]:
    """The position symbols that a trade of `pair` moves, base first: `ETH/BTC` → `ETHUSD`, `BTCUSD`.

    Dollars are cash, not a position; what is not a pair moves itself only. Raises `ValueError` as above.
    """
    base = canonical_symbol(pair)
    match = _PAIR.fullmatch(pair.strip().upper())
    return (base,) if match is None or match[2] == "USD" else (base, f"{match[2]}USD")


def asset_class_of(symbol: str) -> str:
    """A guess at the asset class for when nobody said it: `us_option`, `crypto` or `us_equity`.

    An OCC symbol is an option. A pair, or six or more letters and digits that end in USD, is a coin: listed
    equities have at most five. Everything else is taken for an equity. What the broker says always beats this.
    """
    text = symbol.strip().upper()
    if option_expiry(text) is not None:
        return "us_option"
    return "crypto" if _PAIR.fullmatch(text) or _COIN.fullmatch(text) else "us_equity"


def option_expiry(symbol: str) -> date | None:
    """The last day of an option from its OCC symbol (`PTON240126C00000500`); None when it is not one."""
    match = _OCC.fullmatch(symbol.strip().upper())
    if match is None:
        return None
    try:
        return date(2000 + int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def option_underlying(symbol: str) -> str | None:
    """The root of an OCC symbol without the digit of an adjusted contract; None when it is not one."""
    if option_expiry(symbol) is None:
        return None
    root = symbol.strip().upper()[:-15]
    return root.rstrip("0123456789")


def is_call(symbol: str) -> bool:
    """Whether an OCC symbol is a call's."""
    return symbol.strip().upper()[-9] == "C"
