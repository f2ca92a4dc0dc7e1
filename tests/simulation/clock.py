"""An event loop whose time jumps to the next thing that is due: half an hour passes in a second.

Owns virtual time, in which what would go to a thread takes none: it is done at once. May not be used with sockets,
which would need real time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any


class _Jumping(selectors.SelectSelector):
    """Never waits: hands the time it was asked to wait to the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now_s += timeout
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
            future.set_exception(error)
        return future


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on virtual time that begins at 0."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        runner.run(work)
