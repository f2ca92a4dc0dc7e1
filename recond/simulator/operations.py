"""Control operations on orders, prices, activities and the account itself.

Owns their parameters and what they answer. May not reach into an account beyond its public methods.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recond.simulator import wire
from recond.simulator.exchange import Exchange

Result = dict[str, Any]
MAGNITUDE_MAX = 30


class Operation(BaseModel):
    """Something that is done to one account; `account` is its name, by default the first."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    account: str | None = None

    @model_validator(mode="after")
    def _is_written_out(self) -> Self:
        """Refuse what nobody can mean: written out, a number with a large exponent fills the memory."""
        if any(isinstance(value, Decimal) and abs(value.adjusted()) > MAGNITUDE_MAX for _, value in self):
            raise ValueError(f"a number has at most {MAGNITUDE_MAX} digits before the point, and zeros after it")
        return self

    def run(self, exchange: Exchange) -> Result:
        """Do it and say what came of it. Raises RefusedError."""
        raise NotImplementedError


class Trade(Operation):
    """A whole trade from elsewhere, such as the dashboard: an order, a fill and their events exist."""

    symbol: str
    side: Literal["buy", "sell"]
    qty: Decimal = Field(gt=0)
    price: Decimal | None = Field(None, gt=0)
    client_order_id: str | None = None

    def run(self, exchange: Exchange) -> Result:
        """Returns the order as Alpaca's JSON."""
        order = exchange.external_trade(self.symbol, self.side, self.qty, self.price, self.client_order_id)
        return {"order": wire.order_json(order)}


class Silent(Operation):
    """A position moves by a signed quantity with no order, event or activity."""

    symbol: str
    qty: Decimal
    price: Decimal | None = Field(None, gt=0)

    def run(self, exchange: Exchange) -> Result:
        """Returns nothing."""
        exchange.account.silent(self.symbol, self.qty, self.price)
        return {}


class Price(Operation):
    """A new price; null makes it unknown. Resting orders that become marketable are filled."""

    symbol: str
    price: Decimal | None = Field(gt=0)

    def run(self, exchange: Exchange) -> Result:
        """Returns nothing."""
        exchange.set_price(self.symbol, self.price)
        return {}


class Liquidate(Operation):
    """Alpaca itself closes a position, or `qty` of it: an order of nobody's, with its fill and their events."""

    symbol: str
    qty: Decimal | None = Field(None, gt=0)
    price: Decimal | None = Field(None, gt=0)

    def run(self, exchange: Exchange) -> Result:
        """Returns the order as Alpaca's JSON."""
        return {"order": wire.order_json(exchange.liquidate(self.symbol, self.qty, self.price))}


class Bust(Operation):
    """An execution is taken back, the latest unless named; `restate` takes it out of its order too."""

    execution_id: str | None = None
    restate: bool = False

    def run(self, exchange: Exchange) -> Result:
        """Returns whose execution it was."""
        busted = exchange.account.bust(self.execution_id, restate=self.restate)
        return {"order_id": busted.order_id, "symbol": busted.symbol}


class Correct(Bust):
    """An execution gets another quantity, another price, or both."""

    qty: Decimal | None = Field(None, gt=0)
    price: Decimal | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _corrects(self) -> Correct:
        if self.qty is None and self.price is None:
            raise ValueError("expected qty, price or both")
        return self

    def run(self, exchange: Exchange) -> Result:
        """Returns whose execution it is, and its new id."""
        right = exchange.account.correct(self.execution_id, qty=self.qty, price=self.price, restate=self.restate)
        return {"order_id": right.order_id, "symbol": right.symbol, "execution_id": right.id}


class Revise(Operation):
    """The newest activity of a symbol (of a `type`, if given) is marked `canceled` or `correct`.

    `correct` may give another `qty` and `net_amount`. What the activity moved is moved back or put right, unless
    `moves` is off. `new_row` books another activity that says so, and leaves the old one as it was.
    """

    symbol: str
    status: Literal["canceled", "correct"]
    type: str | None = None
    qty: Decimal | None = None
    net_amount: Decimal | None = None
    moves: bool = True
    new_row: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Revise:
        if self.status == "canceled" and (self.qty, self.net_amount) != (None, None):
            raise ValueError("canceled takes neither qty nor net_amount: use correct")
        return self

    def run(self, exchange: Exchange) -> Result:
        """Returns the activity as Alpaca's JSON."""
        revised = exchange.account.revise(
            self.symbol,
            self.status,
            activity_type=self.type,
            qty=self.qty,
            net_amount=self.net_amount,
            moves=self.moves,
            new_row=self.new_row,
        )
        return {"activity": wire.activity_json(revised)}


class BookFees(Operation):
    """Book the fees of the coin trades so far, as at the end of a day."""

    def run(self, exchange: Exchange) -> Result:
        """Returns how many."""
        count = len(exchange.account.accrued_fees)
        exchange.account.book_fees()
        return {"activities": count}


class Reset(Operation):
    """A new, flat account: other id, other number. The keys stay unless `keep_keys` is false."""

    cash: Decimal = Decimal(100_000)
    keep_keys: bool = True

    def run(self, exchange: Exchange) -> Result:
        """Returns the new identity and keys."""
        exchange.reset(self.cash, keep_keys=self.keep_keys)
        account = exchange.account
        return {"id": account.id, "account_number": account.number, "key": exchange.key, "secret": exchange.secret}


class Block(Operation):
    """The account's status and blocks; what is not given stays."""

    trading_blocked: bool | None = None
    account_blocked: bool | None = None
    status: str | None = None

    def run(self, exchange: Exchange) -> Result:
        """Returns nothing."""
        account = exchange.account
        if self.trading_blocked is not None:
            account.trading_blocked = self.trading_blocked
        if self.account_blocked is not None:
            account.account_blocked = self.account_blocked
        account.status = self.status or account.status
        return {}


class Fills(Operation):
    """How orders fill from now on; what is not given stays. The next `reject` orders are rejected."""

    delay: float | None = Field(None, ge=0)
    parts: int | None = Field(None, ge=1)
    gap: float | None = Field(None, ge=0)
    reject: int | None = Field(None, ge=0)

    def run(self, exchange: Exchange) -> Result:
        """Returns nothing."""
        exchange.rule = replace(exchange.rule, **self.model_dump(exclude_none=True, exclude={"account"}))
        return {}
