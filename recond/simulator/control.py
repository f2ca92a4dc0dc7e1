"""What an operator, a demo or a test can make happen, over HTTP (`POST /control/NAME`) and in-process alike.

Owns the operations, their parameters and the messages about wrong ones. May not reach into an account beyond
its public methods. It asks for no key: a simulator belongs on a loopback address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recond.simulator import corporate, wire
from recond.simulator.exchange import Exchange
from recond.simulator.faults import Endpoint, Fault
from recond.simulator.records import Booking

Result = dict[str, Any]


class ControlError(Exception):
    """A control request that cannot be done; `errors` say which field, what is wrong and what is expected."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{error['field']}: {error['message']}" for error in errors))
        self.errors = errors


class Operation(BaseModel):
    """Something that is done to one account; `account` is its name, by default the first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: str | None = None

    def run(self, exchange: Exchange) -> Result:
        """Do it and say what came of it. Raises RefusedError."""
        raise NotImplementedError


class Event(Operation):
    """An operation that books activities: at once, never, or so many seconds later."""

    activity: Literal["now", "never"] | float = "now"

    def run(self, exchange: Exchange) -> Result:
        """Move the account, then book."""
        bookings = self.move(exchange)
        exchange.book(bookings, self.activity)
        return {"activities": len(bookings)}

    def move(self, exchange: Exchange) -> tuple[Booking, ...]:
        """Do it and return what is to be booked. Raises RefusedError."""
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


class Split(Event):
    """`new` shares for `old`; `whole` pays fractions in cash."""

    symbol: str
    new: Decimal = Field(gt=0)
    old: Decimal = Field(gt=0)
    whole: bool = False

    def move(self, exchange: Exchange) -> tuple[Booking, ...]:
        """Two legs, and cash in lieu."""
        return corporate.split(exchange.account, self.symbol, self.new, self.old, whole=self.whole)


class Rename(Event):
    """A holding goes on under another symbol."""

    symbol: str
    to: str

    def move(self, exchange: Exchange) -> tuple[Booking, ...]:
        """Two legs."""
        return corporate.rename(exchange.account, self.symbol, self.to)


class Expire(Event):
    """An option position ends worthless."""

    symbol: str

    def move(self, exchange: Exchange) -> tuple[Booking, ...]:
        """One leg."""
        return corporate.expire(exchange.account, self.symbol)


class Exercise(Expire):
    """Long contracts become shares; all of them unless `qty` is given."""

    qty: Decimal | None = Field(None, gt=0)

    def move(self, exchange: Exchange) -> tuple[Booking, ...]:
        """The contract's leg and the shares'."""
        return corporate.exercise(exchange.account, self.symbol, self.qty)


class Assign(Exercise):
    """Short contracts are assigned; all of them unless `qty` is given."""

    def move(self, exchange: Exchange) -> tuple[Booking, ...]:
        """The contract's leg and the shares'."""
        return corporate.assign(exchange.account, self.symbol, self.qty)


class Fee(Event):
    """A quantity of a coin is taken as a fee."""

    symbol: str
    qty: Decimal = Field(gt=0)

    def move(self, exchange: Exchange) -> tuple[Booking, ...]:
        """One CFEE."""
        return corporate.coin_fee(exchange.account, self.symbol, self.qty)


class BookFees(Operation):
    """Book the fees of the coin trades so far, as at the end of a day."""

    def run(self, exchange: Exchange) -> Result:
        """Returns how many."""
        count = len(exchange.account.accrued_fees)
        exchange.account.book_fees()
        return {"activities": count}


class Transfer(Event):
    """Shares or coins come in (positive) or leave without an order; `type` is the activity's."""

    symbol: str
    qty: Decimal
    price: Decimal | None = Field(None, gt=0)
    type: Literal["ACATS", "JNLS", "FOPT", "OCT", "TRANS"] = "ACATS"

    def move(self, exchange: Exchange) -> tuple[Booking, ...]:
        """One leg."""
        return exchange.account.transfer(self.symbol, self.qty, self.price, self.type)


class Deposit(Event):
    """Cash comes in (positive) or leaves; `type` is the activity's, CSD or CSW when not given."""

    cash: Decimal
    type: Literal["CSD", "CSW", "JNLC"] | None = None

    def move(self, exchange: Exchange) -> tuple[Booking, ...]:
        """One cash activity."""
        exchange.account.move_cash(self.cash)
        return (Booking(self.type or ("CSD" if self.cash >= 0 else "CSW"), net_amount=self.cash),)


class Bust(Operation):
    """An execution is taken back, the latest unless named."""

    execution_id: str | None = None

    def run(self, exchange: Exchange) -> Result:
        """Returns the id of the execution that was taken back."""
        busted = exchange.account.bust(self.execution_id)
        return {"order_id": busted.order_id, "symbol": busted.symbol}


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


class Clear(BaseModel):
    """Which faults end: of an endpoint, of an account, or all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Endpoint | None = None
    account: str | None = None


OPERATIONS: Mapping[str, type[Operation]] = MappingProxyType(
    {
        "trade": Trade,
        "silent": Silent,
        "price": Price,
        "split": Split,
        "rename": Rename,
        "expire": Expire,
        "exercise": Exercise,
        "assign": Assign,
        "fee": Fee,
        "book_fees": BookFees,
        "transfer": Transfer,
        "deposit": Deposit,
        "bust": Bust,
        "reset": Reset,
        "block": Block,
        "fills": Fills,
    }
)
NAMES = (*OPERATIONS, "fault", "clear")


def parsed(name: str, arguments: Mapping[str, object]) -> Operation | Fault | Clear:
    """The named operation with its arguments. Raises ControlError, naming every field that is wrong."""
    models: dict[str, type[Operation | Fault | Clear]] = {**OPERATIONS, "fault": Fault, "clear": Clear}
    if name not in models:
        raise ControlError([{"field": "operation", "message": f"{name!r}: expected one of {', '.join(NAMES)}"}])
    try:
        return models[name].model_validate(dict(arguments))
    except ValidationError as invalid:
        known = ", ".join(models[name].model_fields)
        raise ControlError(
            [
                {
                    "field": ".".join(map(str, error["loc"])) or name,
                    "message": error["msg"].removeprefix("Value error, ")
                    + (f": expected one of {known}" if error["type"] == "extra_forbidden" else ""),
                }
                for error in invalid.errors(include_url=False)
            ]
        ) from None


def summary(exchange: Exchange, connected: Callable[[str], bool]) -> Result:
    """One account for `GET /control`; its secret is left out."""
    account = exchange.account
    return {
        "name": exchange.name,
        "key": exchange.key,
        "id": account.id,
        "account_number": account.number,
        "cash": wire.text(account.cash),
        "equity": wire.text(account.equity()),
        "positions": {symbol: wire.text(held.qty) for symbol, held in account.positions.items()},
        "open_orders": len(account.open_orders),
        "activities": len(account.activities),
        "stream_connected": connected(exchange.name),
    }
