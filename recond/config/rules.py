"""What a value in `config.toml` must look like: small parsers, and makers of parsers.

Owns the grammar of durations, decimals, addresses, URLs, symbols and names, and the words that say what was
expected: each parser returns the value or raises `ValueError` with those words.
May not clamp, round or guess, and may not repeat a value in its words: it could be a misplaced secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from recond.core.symbols import canonical_symbol
from recond.core.wish import STRATEGY

Parser = Callable[[object], Any]

ACCOUNT = r"[a-z0-9_-]{1,32}"

_UNITS: tuple[tuple[str, int | Decimal], ...] = (
    ("d", 86400),
    ("h", 3600),
    ("m", 60),
    ("s", 1),
    ("ms", Decimal("0.001")),
)
_DURATION = re.compile("".join(rf"(?:([0-9]+(?:\.[0-9]+)?){unit}(?![a-z]))?" for unit, _ in _UNITS))
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?")


def seconds_in(text: str) -> float | None:
    """The seconds in a duration such as `5m` or `1h30m` (units d, h, m, s, ms, in that order), or None."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    parts = zip(match.groups(), _UNITS, strict=True)
    return float(sum((Decimal(count) * seconds for count, (_, seconds) in parts if count), Decimal(0)))


def duration(low: str, high: str) -> Parser:
    """Seconds, from a text such as `5m`, bounds included."""
    expected = f'a duration from "{low}" to "{high}", written like "5m", "1h30m" or "1.5s"'
    least, most = seconds_in(low), seconds_in(high)

    def parse(value: object) -> float:
        seconds = seconds_in(value) if isinstance(value, str) else None
        if seconds is None or least is None or most is None or not least <= seconds <= most:
            raise ValueError(expected)
        return seconds

    return parse


def choice(*allowed: str) -> Parser:
    """One of the given words."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError("one of " + ", ".join(f'"{word}"' for word in allowed))
        return value

    return parse


def text(pattern: str, expected: str) -> Parser:
    """A string that matches the pattern as a whole."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(expected)
        return value

    return parse


def number(low: int, high: int) -> Parser:
    """A whole number, bounds included."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


def decimal(expected: str, fits: Callable[[Decimal], bool]) -> Parser:
    """An exact decimal, from a TOML number (read as `Decimal`) or a string."""

    def parse(value: object) -> Decimal:
        written = value if isinstance(value, str) else str(value)
        if isinstance(value, bool) or not _DECIMAL.fullmatch(written) or not fits(Decimal(written)):
            raise ValueError(expected)
        return Decimal(written)

    return parse


def flag(value: object) -> bool:
    """True or false, and nothing that merely counts as one."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def each(parse: Parser, expected: str) -> Parser:
    """A list of what `parse` takes, as a tuple without repetitions."""

    def parse_all(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(expected)
        parsed: dict[Any, None] = {}
        for number, item in enumerate(value, 1):
            try:
                parsed[parse(item)] = None
            except ValueError as error:
                raise ValueError(f"{expected}; item {number} is not {error}") from error
        return tuple(parsed)

    return parse_all


def symbol(value: object) -> str:
    """A symbol, in the form that instruments have."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9./-]{0,31}", value):
        raise ValueError("a symbol")
    return canonical_symbol(value)


def address(value: object) -> str:
    """`HOST:PORT` to listen on, IPv6 in brackets."""
    expected = 'ADDRESS:PORT, such as "127.0.0.1:5000" or "[::1]:5000"'
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not re.fullmatch(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+", host) or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError(expected)
    if int(port) > 65535:
        raise ValueError(f"{expected}; a port is at most 65535")
    return f"{host}:{int(port)}"


def host(value: object) -> str:
    """A name or address as callers write it in the `Host` header, with the port if there is one."""
    if not isinstance(value, str) or not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?", value):
        raise ValueError("a host name")
    return value.lower()


def url(scheme: str, plain: str) -> Parser:
    """A URL of the encrypted scheme; the plain one is for this machine only, since it would show the keys."""
    expected = f"a URL with {scheme}:// ({plain}:// to this machine only) and no slash at its end"

    def parse(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value) or value.endswith("/"):
            raise ValueError(expected)
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise ValueError(expected) from error
        if parts.scheme != scheme and not (parts.scheme == plain and is_loopback(host)):
            raise ValueError(expected)
        if not host or "@" in parts.netloc or "?" in value or "#" in value:
            raise ValueError(expected)
        return value

    return parse


def is_loopback(host: str) -> bool:
    """Whether a host (without brackets) can only be this machine; of names, only `localhost` is."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def prefixes(value: object) -> dict[str, str]:
    """Strategy id → client_order_id prefix, such that no order can belong to two strategies."""
    expected = "a table of strategy id (printable ASCII) = client_order_id prefix (1 to 128 characters)"
    if not isinstance(value, dict):
        raise ValueError(expected)
    for number, (strategy, prefix) in enumerate(value.items(), 1):
        if not STRATEGY.fullmatch(strategy) or not isinstance(prefix, str) or not 1 <= len(prefix) <= 128:
            raise ValueError(f"{expected}; entry {number} is not one")
        for other, longer in value.items():
            if strategy != other and isinstance(longer, str) and longer.startswith(prefix):
                raise ValueError(f"{expected}; an order of {other} would also be one of {strategy}")
    return dict(value)


def variable(value: object) -> str:
    """The name of an environment variable; what looks like a key is refused, since it may be one."""
    name = value if isinstance(value, str) else ""
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name) or looks_secret(name):
        raise ValueError("the name of an environment variable (capitals, digits, _), never the key itself")
    return name


def looks_secret(value: str) -> bool:
    """Whether a text may be a misplaced secret: an Alpaca key id or secret, a URL with a password."""
    return bool(re.search(r"\b[PAC]K[A-Z0-9]{12,}\b|[A-Za-z0-9+/]{36,}|://[^/]*@", value))
