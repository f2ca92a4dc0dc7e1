"""How the ledger writes down quantities, money and times: as text that is exact and that people can read.

Owns the two directions between `Decimal` or `datetime` and the ledger's text.
May not guess: what another program left unreadable is a `ValueError`, or None where the value may be unknown.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

_MAGNITUDE_MAX = 40
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def decimal_text(value: Decimal) -> str:
    """Every digit, without exponent; zero has no sign."""
    return format(value, "f") if value else "0"


def money_text(value: Decimal | None) -> str | None:
    """As `decimal_text`; unknown is NULL."""
    return None if value is None else decimal_text(value)


def time_text(value: datetime) -> str:
    """RFC 3339 in UTC with six decimals, so that text sorts as time does."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def time_or_null(value: datetime | None) -> str | None:
    """As `time_text`; none is NULL."""
    return None if value is None else time_text(value)


def parse_decimal(text: str | None) -> Decimal:
    """The quantity; raises `ValueError` when it is not in the ledger's form."""
    if text is None or not _DECIMAL.fullmatch(text):
        raise ValueError(f"not a quantity: {text!r}")
    return Decimal(text)


def parse_money(text: str | None) -> Decimal | None:
    """The finite number that another program may have written in any form; None when unknown or unreadable.

    What nothing is worth is unreadable too: written out, a number with a large exponent fills the memory.
    """
    try:
        value = Decimal(text or "NaN")
    except ArithmeticError:
        return None
    sane = value.is_finite() and abs(value.adjusted()) <= _MAGNITUDE_MAX and len(text or "") <= 2 * _MAGNITUDE_MAX
    return value if sane else None


def parse_time(text: str) -> datetime:
    """The moment; raises `ValueError` when it is not RFC 3339 text."""
    return datetime.fromisoformat(text)


def parse_time_or_null(text: str | None) -> datetime | None:
    """As `parse_time`; NULL is none."""
    return None if text is None else parse_time(text)
