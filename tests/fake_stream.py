"""A small fake of the stream port, told by a test what to say and when to end.

Owns the shortest honest implementation of the port. May not share code with the adapters.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from recond.ports import PortError, StreamEvent


@dataclass
class FakeStream:
    """`fails` are raised by the next attempts to connect, one each. `attempts` are their moments on the loop's time."""

    fails: list[PortError] = field(default_factory=list)
    attempts: list[float] = field(default_factory=list)
    open: int = 0
    news: asyncio.Queue[StreamEvent | PortError] = field(default_factory=asyncio.Queue)

    def tell(self, *news: StreamEvent | PortError) -> None:
        """Say something to whoever is connected; an error ends the connection."""
        for each in news:
            self.news.put_nowait(each)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        self.attempts.append(asyncio.get_running_loop().time())
        if self.fails:
            raise self.fails.pop(0)
        self.news = asyncio.Queue()
        self.open += 1
        try:
            async with aclosing(self._events(self.news)) as events:
                yield events
        finally:
            self.open -= 1

    async def _events(self, news: asyncio.Queue[StreamEvent | PortError]) -> AsyncGenerator[StreamEvent, None]:
        while True:
            each = await news.get()
            if isinstance(each, PortError):
                raise each
            yield each
