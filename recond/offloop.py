"""Work on the rows of ten thousand positions, without holding up the event loop.

Owns how many rows are many, and the threads in which many are worked on and let go of.
May not know what the rows are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

SMALL = 200
"""Rows that are worked on in well under a millisecond, less than going to a thread and back takes."""

P = ParamSpec("P")
T = TypeVar("T")


async def off_loop(size: int, rule: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the rule returns for that many rows: in a thread when they are so many that the event loop would notice."""
    return rule(*args, **kwargs) if size < SMALL else await asyncio.to_thread(rule, *args, **kwargs)


async def let_go(spent: list[object]) -> None:
    """Empty the list, which holds the last references to its items, one by one.

    Python frees what nobody refers to any more at once, and no other thread works meanwhile: for all that a pass over
    ten thousand positions makes that takes 25 ms.
    """
    await off_loop(len(spent), _empty, spent)


def _empty(spent: list[object]) -> None:
    while spent:
        spent.pop()
