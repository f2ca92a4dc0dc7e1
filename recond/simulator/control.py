"""What an operator, a demo or a test can make happen, over HTTP (`POST /control/NAME`) and in-process alike.

Owns the names of the operations and the messages about wrong ones. May not know what an operation does. It asks
for no key: a simulator belongs on a loopback address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, ValidationError

from recond.simulator import events, operations, wire
from recond.simulator.exchange import Exchange
from recond.simulator.faults import Endpoint, Fault
from recond.simulator.operations import Operation, Result


class ControlError(Exception):
    """A control request that cannot be done; `errors` say which field, what is wrong and what is expected."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{error['field']}: {error['message']}" for error in errors))
        self.errors = errors


class Clear(BaseModel):
    """Which faults end: of an endpoint, of an account, or all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Endpoint | None = None
    account: str | None = None


OPERATIONS: Mapping[str, type[Operation]] = MappingProxyType(
    {
        "trade": operations.Trade,
        "liquidate": operations.Liquidate,
        "bust": operations.Bust,
        "correct": operations.Correct,
        "silent": operations.Silent,
        "price": operations.Price,
        "fills": operations.Fills,
        "split": events.Split,
        "unit_split": events.UnitSplit,
        "rename": events.Rename,
        "new_cusip": events.NewCusip,
        "merge": events.Merge,
        "spin_off": events.SpinOff,
        "stock_dividend": events.StockDividend,
        "cash_dividend": events.CashDividend,
        "substitute_payment": events.SubstitutePayment,
        "worthless": events.Worthless,
        "expire": events.Expire,
        "exercise": events.Exercise,
        "assign": events.Assign,
        "adjust": events.Adjust,
        "fee": events.Fee,
        "book_fees": operations.BookFees,
        "transfer": events.Transfer,
        "acats": events.Acats,
        "deposit": events.Deposit,
        "revise": operations.Revise,
        "reset": operations.Reset,
        "block": operations.Block,
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
