"""What every test relies on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import structlog


def pytest_configure() -> None:
    """Say that no event loop is current, so that looptime does not create one for a plain test and leave it open."""
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def plain_log() -> Iterator[None]:
    """Undo what a test that starts a command has set up for logging, which is the process's."""
    yield
    structlog.reset_defaults()
