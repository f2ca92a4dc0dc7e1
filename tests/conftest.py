"""What every test relies on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest
import structlog


def pytest_configure() -> None:
    """Two things of the process that tests rely on.

    No event loop is current, so that looptime does not create one for a plain test and leave it open. And Ctrl-C
    reaches what a test starts, also when the tests themselves were started in the background, where a shell ignores it.
    """
    asyncio.set_event_loop(None)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def plain_log() -> Iterator[None]:
    """Undo what a test that starts a command has set up for logging, which is the process's."""
    yield
    structlog.reset_defaults()
