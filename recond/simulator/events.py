"""Control operations that move an account without an order and book activities for it.

Owns their parameters, and when the account moves and the activities appear. May not know how much moves, or reach
into an account beyond its public methods.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, model_validator

from recond.simulator import corporate, mergers, options, transfers
from recond.simulator.exchange import Exchange
from recond.simulator.operations import Operation, Result
from recond.simulator.records import Booking

Legs = tuple[Booking, ...]
Rate = Annotated[Decimal, Field(gt=0)]


def _when(value: object) -> float | str:
    if value in ("now", "never"):
        return str(value)
    if isinstance(value, int | float | Decimal) and 0 <= value < float("inf"):
        return float(value)
    raise ValueError("expected now, never, or seconds from now")


class Event(Operation):
    """An operation that books activities: at once, never, or so many seconds later."""

    activity: Annotated[float | str, PlainValidator(_when)] = "now"

    def run(self, exchange: Exchange) -> Result:
        """Move the account, then book. Returns how many legs there are."""
        legs = self.legs(exchange)
        exchange.carry_out(legs, self.activity)
        return {"activities": len(legs)}

    def legs(self, exchange: Exchange) -> Legs:
        """What is to be moved and booked. Raises RefusedError."""
        raise NotImplementedError


class Action(Event):
    """An event of several legs, booked `gap` seconds apart and with `reverse` in the other order.

    With `apart` the account moves leg by leg too, `gap` seconds apart.
    """

    gap: float = Field(0.0, ge=0)
    apart: bool = False
    reverse: bool = False

    def run(self, exchange: Exchange) -> Result:
        """Move the account, then book. Returns how many legs there are."""
        legs = self.legs(exchange)
        exchange.carry_out(legs[::-1] if self.reverse else legs, self.activity, gap=self.gap, apart=self.apart)
        return {"activities": len(legs)}


class Split(Action):
    """`new` shares for `old`; `whole` pays fractions in cash."""

    symbol: str
    new: Rate
    old: Rate
    whole: bool = False

    def legs(self, exchange: Exchange) -> Legs:
        """Two legs, and cash in lieu."""
        return corporate.split(exchange.account, self.symbol, self.new, self.old, whole=self.whole)


class UnitSplit(Action):
    """A unit becomes `rate` shares of `to` and `other_rate` of `other`, which may need a price."""

    symbol: str
    to: str
    other: str
    rate: Rate = Decimal(1)
    other_rate: Rate = Decimal("0.25")
    other_price: Decimal | None = Field(None, gt=0)

    def legs(self, exchange: Exchange) -> Legs:
        """Three legs."""
        return corporate.unit_split(
            exchange.account,
            self.symbol,
            self.to,
            self.other,
            rate=self.rate,
            other_rate=self.other_rate,
            other_price=self.other_price,
        )


class Rename(Action):
    """A holding goes on under another symbol; with `cusip` its asset id changes too, and the new leg comes first."""

    symbol: str
    to: str
    cusip: bool = False

    def legs(self, exchange: Exchange) -> Legs:
        """Two legs."""
        return corporate.rename(exchange.account, self.symbol, self.to, cusip=self.cusip)


class NewCusip(Action):
    """The number of a share changes and its symbol stays; the asset id changes too unless `new_id` is false."""

    symbol: str
    new_id: bool = True

    def legs(self, exchange: Exchange) -> Legs:
        """Two legs."""
        return corporate.new_cusip(exchange.account, self.symbol, new_id=self.new_id)


class Merge(Action):
    """A share becomes `rate` shares of `to`, `cash` dollars, or both; `whole` pays fractions in cash."""

    symbol: str
    to: str | None = None
    rate: Rate = Decimal(1)
    cash: Decimal = Field(Decimal(0), ge=0)
    whole: bool = False
    price: Decimal | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _pays(self) -> Merge:
        if not self.to and not self.cash:
            raise ValueError("expected to, cash or both")
        if not self.to and self.model_fields_set & {"rate", "whole", "price"}:
            raise ValueError("rate, whole and price are of the shares: expected to")
        return self

    def legs(self, exchange: Exchange) -> Legs:
        """The cash, what goes, what comes, and cash in lieu."""
        terms = self.model_dump(include={"to", "rate", "cash", "whole", "price"})
        return mergers.merge(exchange.account, self.symbol, **terms)


class SpinOff(Event):
    """`rate` shares of `to` come for each share held; its `price` is unknown unless given."""

    symbol: str
    to: str
    rate: Rate
    price: Decimal | None = Field(None, gt=0)

    def legs(self, exchange: Exchange) -> Legs:
        """One leg."""
        return corporate.spin_off(exchange.account, self.symbol, self.to, self.rate, self.price)


class StockDividend(Event):
    """`rate` new shares come for each share held."""

    symbol: str
    rate: Rate

    def legs(self, exchange: Exchange) -> Legs:
        """One leg."""
        return corporate.stock_dividend(exchange.account, self.symbol, self.rate)


class CashDividend(Event):
    """Dollars for each share held; the activity shows the count and nothing but cash moves."""

    symbol: str
    per_share: Rate
    sub_type: Literal["CDIV", "SDIV"] | None = "CDIV"

    def legs(self, exchange: Exchange) -> Legs:
        """One cash activity."""
        return corporate.cash_dividend(exchange.account, self.symbol, self.per_share, self.sub_type)


class SubstitutePayment(Event):
    """Dollars in place of a dividend, paid by who is short."""

    symbol: str
    per_share: Rate

    def legs(self, exchange: Exchange) -> Legs:
        """One cash activity."""
        return corporate.substitute_payment(exchange.account, self.symbol, self.per_share)


class Worthless(Event):
    """A holding is removed for nothing."""

    symbol: str

    def legs(self, exchange: Exchange) -> Legs:
        """One leg."""
        return corporate.worthless(exchange.account, self.symbol)


class Expire(Event):
    """An option position ends worthless."""

    symbol: str

    def legs(self, exchange: Exchange) -> Legs:
        """One leg."""
        return options.expire(exchange.account, self.symbol)


class Exercise(Action):
    """Long contracts become shares; all of them unless `qty` is given. `nameless` hides the contract's symbol."""

    symbol: str
    qty: Decimal | None = Field(None, gt=0)
    nameless: bool = False

    def legs(self, exchange: Exchange) -> Legs:
        """The contract's leg and the shares'."""
        return options.exercise(exchange.account, self.symbol, self.qty, nameless=self.nameless)


class Assign(Exercise):
    """Short contracts are assigned; all of them unless `qty` is given. `nameless` hides the contract's symbol."""

    def legs(self, exchange: Exchange) -> Legs:
        """The contract's leg and the shares'."""
        return options.assign(exchange.account, self.symbol, self.qty, nameless=self.nameless)


class Adjust(Action):
    """`new` contracts of another symbol for `old`; the sub type follows from the ratio unless given."""

    symbol: str
    to: str
    new: Rate = Decimal(1)
    old: Rate = Decimal(1)
    sub_type: options.SubType | None = None

    def legs(self, exchange: Exchange) -> Legs:
        """The legs of both contracts."""
        return options.adjust(exchange.account, self.symbol, self.to, self.new, self.old, self.sub_type)


class Fee(Event):
    """A quantity of a coin is taken as a fee."""

    symbol: str
    qty: Rate

    def legs(self, exchange: Exchange) -> Legs:
        """One CFEE."""
        return transfers.coin_fee(exchange.account, self.symbol, self.qty)


class Transfer(Event):
    """Shares or coins come in (positive) or leave without an order; `type` is the activity's."""

    symbol: str
    qty: Decimal
    price: Decimal | None = Field(None, gt=0)
    type: Literal["ACATS", "JNLS", "FOPT", "OCT", "TRANS"] = "ACATS"

    def legs(self, exchange: Exchange) -> Legs:
        """One leg."""
        return transfers.transfer(exchange.account, self.symbol, self.qty, self.price, self.type)


class Acats(Action):
    """An account elsewhere moves here: signed quantities by symbol, and its cash."""

    positions: dict[str, Decimal] = Field(min_length=1)
    cash: Decimal = Decimal(0)

    def legs(self, exchange: Exchange) -> Legs:
        """One leg for each symbol, and the cash."""
        return transfers.acats(exchange.account, self.positions, self.cash)


class Deposit(Event):
    """Cash comes in (positive) or leaves; `type` is the activity's, CSD or CSW when not given."""

    cash: Decimal
    type: Literal["CSD", "CSW", "JNLC"] | None = None

    def legs(self, exchange: Exchange) -> Legs:
        """One cash activity."""
        return (Booking(self.type or ("CSD" if self.cash >= 0 else "CSW"), net_amount=self.cash),)
