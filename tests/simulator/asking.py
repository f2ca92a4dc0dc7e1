"""Small ways of asking a simulator and of waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a condition; fails after the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def get(http: aiohttp.ClientSession, path: str, **query: str) -> tuple[int, Any]:
    """Status and JSON of a GET."""
    async with http.get(path, params=query, allow_redirects=False) as response:
        return response.status, await response.json(content_type=None)


async def post(http: aiohttp.ClientSession, path: str, body: object) -> tuple[int, Any]:
    """Status and JSON of a POST."""
    async with http.post(path, json=body) as response:
        return response.status, await response.json()
