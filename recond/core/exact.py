"""Arithmetic that keeps every digit.

Owns the precision in which the core counts: Python's own rounds sums after 28 digits, and refuses to round what is
larger, while brokers and platforms may write up to 40.
May not be used for division whose digits have no end without rounding the result afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import localcontext
from functools import wraps
from typing import ParamSpec, TypeVar

DIGITS = 300
"""Room for products and quotients of three numbers of 40 digits, 30 places before or after the point."""

P = ParamSpec("P")
T = TypeVar("T")


def exactly(function: Callable[P, T]) -> Callable[P, T]:
    """The function, with all decimal arithmetic inside it carried to `DIGITS` digits."""

    @wraps(function)
    def counted(*args: P.args, **kwargs: P.kwargs) -> T:
        with localcontext(prec=DIGITS):
            return function(*args, **kwargs)

    return counted
