"""A platform's bot as recond meets it: trades through Alpaca's REST, books its own fills with plain SQL.

Owns its orders and its rows of the ledger, as the README teaches bots.
May not use anything of recond: what it knows of the ledger is the table `positions`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

ACCOUNT = "demo"
STRATEGY, OTHER_STRATEGY = "momentum", "value"
_FILLED_WITHIN_S = 5.0
_ASK_EVERY_S = 0.05


class BotError(Exception):
    """The bot could not trade or not book; the text says why."""


@dataclass(frozen=True, slots=True)
class Fill:
    """What an order came to; `quantity` is signed."""

    symbol: str
    quantity: Decimal
    price: Decimal


class Bot:
    """Trades with its own keys over `session`; books into the ledger at `ledger`."""

    def __init__(self, session: aiohttp.ClientSession, rest_url: str, keys: tuple[str, str], ledger: Path) -> None:
        self._session, self._rest_url, self._ledger = session, rest_url, ledger
        self._headers = {"APCA-API-KEY-ID": keys[0], "APCA-API-SECRET-KEY": keys[1]}
        self._numbers = count(1)

    async def trade(self, symbol: str, quantity: Decimal, strategy: str = STRATEGY) -> Fill:
        """A strategy's market order for a signed quantity, waited for until it is filled. Raises `BotError`."""
        order = await self._ask(
            "POST",
            "/v2/orders",
            {
                "symbol": symbol,
                "side": "buy" if quantity > 0 else "sell",
                "qty": f"{abs(quantity):f}",
                "type": "market",
                "time_in_force": "day",
                "client_order_id": f"{strategy}-{next(self._numbers)}",
            },
        )
        try:
            async with asyncio.timeout(_FILLED_WITHIN_S):
                while order["status"] != "filled":
                    await asyncio.sleep(_ASK_EVERY_S)
                    order = await self._ask("GET", f"/v2/orders/{order['id']}")
        except TimeoutError:
            raise BotError(f"the order for {symbol} is not filled but {order['status']}") from None
        filled = Decimal(order["filled_qty"])
        return Fill(symbol, filled if quantity > 0 else -filled, Decimal(order["filled_avg_price"]))

    async def book(self, fill: Fill, strategy: str = STRATEGY) -> None:
        """Add a fill to the row of one of its strategies. Raises `BotError`."""
        try:
            await asyncio.to_thread(self._write, fill, strategy)
        except sqlite3.Error as error:
            raise BotError(f"the ledger did not take the booking of {fill.symbol}: {error}") from error

    async def broker_positions(self) -> dict[str, Decimal]:
        """What Alpaca says the account holds: symbol to signed quantity. Raises `BotError`."""
        return {row["symbol"]: Decimal(row["qty"]) for row in await self._ask("GET", "/v2/positions")}

    def _write(self, fill: Fill, strategy: str) -> None:
        with closing(sqlite3.connect(self._ledger, isolation_level=None)) as ledger:
            ledger.execute("PRAGMA busy_timeout = 5000")
            ledger.execute("PRAGMA wal_autocheckpoint = 0")
            ledger.execute("BEGIN IMMEDIATE")
            held = ledger.execute(
                "SELECT id, quantity, version FROM positions"
                " WHERE account = ? AND symbol = ? AND strategy_id = ? AND status = 'open'",
                (ACCOUNT, fill.symbol, strategy),
            ).fetchone()
            if held is None:
                ledger.execute(
                    "INSERT INTO positions (account, symbol, strategy_id, quantity, entry_price) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (account, symbol, coalesce(strategy_id, '')) WHERE status = 'open'"
                    " DO UPDATE SET quantity = excluded.quantity",
                    (ACCOUNT, fill.symbol, strategy, f"{fill.quantity:f}", f"{fill.price:f}"),
                )
            else:
                number, quantity, version = held
                ledger.execute(
                    "UPDATE positions SET quantity = ? WHERE id = ? AND version = ?",
                    (f"{Decimal(quantity) + fill.quantity:f}", number, version),
                )
            ledger.execute("COMMIT")

    async def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        try:
            async with self._session.request(
                method, self._rest_url + path, json=body, headers=self._headers
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BotError(f"Alpaca did not answer {method} {path}: {error or type(error).__name__}") from error
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not response.ok or not isinstance(answer, dict | list):
            raise BotError(f"Alpaca refused {method} {path} with {response.status}: {text[:200]}")
        return answer
