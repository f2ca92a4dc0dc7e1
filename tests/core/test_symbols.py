"""The canonical symbol and what a symbol's shape tells."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.symbols import asset_class_of, canonical_symbol, coins_of, option_expiry


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("AAPL", "AAPL"),
        (" aapl\n", "AAPL"),
        ("BRK.B", "BRK.B"),
        ("brk/b", "BRK.B"),
        ("BF/PR", "BF.PR"),
        ("BTC/USD", "BTCUSD"),
        ("btcusd", "BTCUSD"),
        ("ETH/BTC", "ETHUSD"),
        ("USDT/USDC", "USDTUSD"),
        ("1INCH/USD", "1INCHUSD"),
        ("PTON240126C00000500", "PTON240126C00000500"),
        ("BTC/", "BTC/"),
        ("/USD", "/USD"),
        ("A/B/USD", "A/B/USD"),
    ],
)
def test_canonical(text: str, canonical: str) -> None:
    """Each spelling of a position's symbol ends in one, and what is not understood stays as it is."""
    assert canonical_symbol(text) == canonical


@pytest.mark.parametrize("text", ["", "  ", "\n", "AA PL", "BTC / USD", "A\u00a0B", "NEWCÖ", "ß", "ﬁ", "A\x7f", "A\0"])
def test_no_symbol(text: str) -> None:
    """Nothing, text with blanks inside, and letters beyond ASCII are refused with what was expected."""
    with pytest.raises(ValueError, match="expected text without blanks"):
        canonical_symbol(text)


@given(st.text(alphabet=st.sampled_from("aZ19./ -ßµ\u0345"), min_size=1, max_size=12))
def test_canonical_is_a_fixed_point(text: str) -> None:
    """A canonical symbol is its own canonical symbol, so that it can be applied wherever one comes in."""
    try:
        once = canonical_symbol(text)
    except ValueError:
        return
    assert canonical_symbol(once) == once


@pytest.mark.parametrize(
    ("pair", "coins"),
    [
        ("ETH/BTC", ("ETHUSD", "BTCUSD")),
        ("btc/usd", ("BTCUSD",)),
        ("BTC/USDT", ("BTCUSD", "USDTUSD")),
        ("BTCUSD", ("BTCUSD",)),
        ("BRK/B", ("BRK.B",)),
    ],
)
def test_coins(pair: str, coins: tuple[str, ...]) -> None:
    """A trade of a pair moves the base coin and, unless it is paid in dollars, the quote coin too."""
    assert coins_of(pair) == coins


@pytest.mark.parametrize(
    ("symbol", "asset_class"),
    [
        ("AAPL", "us_equity"),
        ("BRK.B", "us_equity"),
        ("BRK/B", "us_equity"),
        ("PLUSD", "us_equity"),
        ("BTCUSD", "crypto"),
        ("btc/usd", "crypto"),
        ("LD/USD", "crypto"),
        ("PTON240126C00000500", "us_option"),
        ("SOXS2260821C00005000", "us_option"),
        ("PTON241326C00000500", "us_equity"),
    ],
)
def test_asset_class_guess(symbol: str, asset_class: str) -> None:
    """The shape decides: an OCC symbol is an option, a pair or a long …USD a coin, the rest an equity."""
    assert asset_class_of(symbol) == asset_class


@pytest.mark.parametrize(
    ("symbol", "expiry"),
    [
        ("PTON240126C00000500", date(2024, 1, 26)),
        ("f260821p00005000", date(2026, 8, 21)),
        ("SOXS2260821C00005000", date(2026, 8, 21)),
        ("PTON240230C00000500", None),
        ("TOOLONGROOT240126C00000500", None),
        ("AAPL", None),
        ("", None),
    ],
)
def test_option_expiry(symbol: str, expiry: date | None) -> None:
    """The expiry is read from an OCC symbol, adjusted roots included, and from nothing else."""
    assert option_expiry(symbol) == expiry
