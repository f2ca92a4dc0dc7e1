"""Many seeds on all cores.

Owns the pool of processes; each plays its seeds on a virtual time of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import structlog

from tests.simulation.judged import MODES, Verdict, play


def play_many(first: int, count: int, processes: int = 2) -> Iterator[Verdict]:
    """Play so many seeds from the first on, the modes in turn."""
    seeds = range(first, first + count)
    modes = [MODES[seed % len(MODES)] for seed in seeds]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=hush) as pool:
        yield from pool.map(play, seeds, modes, chunksize=4)


def hush() -> None:
    """Keep the log of half an hour out of the way."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
