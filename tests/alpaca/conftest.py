"""The raw server as a fixture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.alpaca.raw_server import RawServer


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A raw server on a free port; its connections are cut at the end."""
    raw = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(raw.serve(reader, writer)))

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield raw
    listener.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
