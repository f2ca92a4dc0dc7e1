"""A ledger on a real file, and a bot beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from recond.sqlite.ledger import SqliteLedger
from tests.sqlite.passes import bot, open_ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger lies."""
    return tmp_path / "recond.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqliteLedger]:
    """An open ledger."""
    async with open_ledger(path) as opened:
        yield opened


@pytest.fixture
def plain(ledger: SqliteLedger, path: Path) -> Iterator[sqlite3.Connection]:
    """A bot's connection to it."""
    with bot(path) as connection:
        yield connection
