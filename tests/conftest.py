"""What every test relies on."""

from __future__ import annotations

import asyncio


def pytest_configure() -> None:
    """Say that no event loop is current, so that looptime does not create one for a plain test and leave it open."""
    asyncio.set_event_loop(None)
