"""The tasks of the daemon; its whole life is in `tests/end_to_end`."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from recond.daemon.run import _run_tasks
from recond.ports import LedgerCorrupt


async def _for_ever() -> NoReturn:
    while True:
        await asyncio.sleep(3600)


async def test_a_task_that_returns_is_a_fault() -> None:
    """A loop that ends quietly ends the daemon loudly, by its name."""

    async def returns() -> NoReturn:  # type: ignore[misc]
        return

    with pytest.raises(ExceptionGroup) as raised:
        await _run_tasks({"passes of main": returns, "other": _for_ever})
    assert "passes of main" in str(raised.value.exceptions[0])


async def test_what_no_pass_may_survive_ends_the_daemon_as_itself() -> None:
    """A damaged ledger comes out of the tasks as the error that it is, and the others are ended."""

    async def finds() -> NoReturn:
        raise LedgerCorrupt("damaged", hint="restore it")

    before = len(asyncio.all_tasks())
    with pytest.raises(LedgerCorrupt, match="damaged"):
        await _run_tasks({"passes of main": finds, "other": _for_ever})
    assert len(asyncio.all_tasks()) == before
