"""An account as Alpaca's JSON: decimals as strings, null where Alpaca says null, orders whole.

Owns every field name and its form on the wire, after Alpaca's Trading OpenAPI and a captured session of
2026-09. May not change an account or know HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from recond.simulator.account import Account, held_as
from recond.simulator.assets import Asset
from recond.simulator.books import EASTERN, eastern_date
from recond.simulator.records import ZERO, Activity, Fill, Order, Position, TradeUpdate

Json = dict[str, Any]
_FINEST = Decimal("1E-16")  # the most decimals seen in Alpaca's answers


def text(value: Decimal) -> str:
    """Plain decimal text without an exponent or trailing zeros, at most 16 decimals."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -16:
        value = value.quantize(_FINEST, ROUND_HALF_EVEN)
    plain = format(value, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def maybe(value: Decimal | None) -> str | None:
    """`text`, or None for what is unknown."""
    return None if value is None else text(value)


def moment(at: datetime, *, nanos: bool = False) -> str:
    """RFC 3339 with `Z` and trailing zeros cut, as Go writes it; `nanos` adds repeatable digits below 1 us."""
    fraction = f"{at.microsecond:06d}" + (f"{at.microsecond % 997:03d}" if nanos else "")
    fraction = fraction.rstrip("0")
    return f"{at:%Y-%m-%dT%H:%M:%S}" + (f".{fraction}" if fraction else "") + "Z"


def _nanos(at: datetime | None) -> str | None:
    return None if at is None else moment(at, nanos=True)


def account_json(account: Account, positions: Mapping[str, Position], cash: Decimal) -> Json:
    """`GET /v2/account` for these positions and this cash."""
    values = [account.market_value(position) or ZERO for position in positions.values()]
    long = sum((value for value in values if value > 0), ZERO)
    short = sum((value for value in values if value < 0), ZERO)
    equity = cash + long + short
    power = max(ZERO, 2 * equity - long + short)
    return {
        "id": account.id,
        "account_number": account.number,
        "status": account.status,
        "crypto_status": "ACTIVE",
        "crypto_tier": 1,
        "currency": "USD",
        "cash": text(cash),
        "equity": text(equity),
        "last_equity": text(equity if account.last_equity is None else account.last_equity),
        "portfolio_value": text(equity),
        "long_market_value": text(long),
        "short_market_value": text(short),
        "position_market_value": text(long + short),
        "balance_asof": eastern_date(account.now()).isoformat(),
        "buying_power": text(power),
        "regt_buying_power": text(power),
        "effective_buying_power": text(power),
        "non_marginable_buying_power": text(max(ZERO, cash)),
        "options_buying_power": text(max(ZERO, cash)),
        "initial_margin": text((long - short) / 2),
        "maintenance_margin": text((long - short) * 3 / 10),
        "last_maintenance_margin": "0",
        "sma": "0",
        "multiplier": "2",
        "accrued_fees": "0",
        "intraday_adjustments": "0",
        "pending_reg_taf_fees": "0",
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "options_approved_level": 3,
        "options_trading_level": 3,
        "shorting_enabled": True,
        "trading_blocked": account.trading_blocked,
        "transfers_blocked": False,
        "account_blocked": account.account_blocked,
        "trade_suspended_by_user": False,
        "created_at": moment(account.created_at),
        "admin_configurations": {},
        "user_configurations": None,
    }


def positions_json(account: Account, positions: Iterable[Position]) -> list[Json]:
    """`GET /v2/positions`: one row each; figures that need a price are null without one."""
    reserved: dict[tuple[str, str], Decimal] = {}
    for order_id in account.open_orders:
        order = account.orders[order_id]
        key = (held_as(order.symbol), order.side)
        reserved[key] = reserved.get(key, ZERO) + order.leaves
    return [_position_json(account, position, reserved) for position in positions]


def _position_json(account: Account, held: Position, reserved: Mapping[tuple[str, str], Decimal]) -> Json:
    price, close = account.prices.get(held.symbol), account.closes.get(held.symbol)
    value = account.market_value(held)
    gain = None if value is None else value - held.cost
    today = change = None
    if price is not None and close:
        today = (price - close) * held.qty * held.multiplier
        change = (price - close) / close
    size = abs(held.qty)
    free = max(ZERO, size - reserved.get((held.symbol, "sell" if held.qty > 0 else "buy"), ZERO))
    return {
        "asset_id": held.asset_id,
        "symbol": held.symbol,
        "exchange": held.exchange,
        "asset_class": held.asset_class,
        "asset_marginable": held.asset_class == "us_equity",
        "qty": text(held.qty),
        "qty_available": text(free.copy_sign(held.qty)),
        "avg_entry_price": text(held.entry_price),
        "side": "long" if held.qty > 0 else "short",
        "market_value": maybe(value),
        "cost_basis": text(held.cost),
        "unrealized_pl": maybe(gain),
        "unrealized_plpc": maybe(gain / abs(held.cost) if gain is not None and held.cost else gain),
        "unrealized_intraday_pl": maybe(today),
        "unrealized_intraday_plpc": maybe(change.copy_sign(today) if change and today else change),
        "current_price": maybe(price),
        "lastday_price": maybe(close),
        "change_today": maybe(change),
    }


def order_json(order: Order) -> Json:
    """An order, the same in REST answers and stream events."""
    asked = order.request
    average = order.filled_value / order.filled_qty if order.filled_qty else None
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": _nanos(order.created_at),
        "updated_at": _nanos(order.updated_at),
        "submitted_at": _nanos(order.created_at),
        "filled_at": _nanos(order.filled_at),
        "expired_at": None,
        "cancel_requested_at": None,
        "canceled_at": _nanos(order.canceled_at),
        "failed_at": _nanos(order.failed_at),
        "replaced_at": _nanos(order.replaced_at),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": order.asset_id,
        "symbol": order.symbol,
        "asset_class": order.asset_class,
        "notional": maybe(asked.notional),
        "qty": None if asked.notional is not None else text(order.qty),
        "filled_qty": text(order.filled_qty),
        "filled_avg_price": maybe(average),
        "order_class": "",
        "order_type": asked.type,
        "type": asked.type,
        "side": asked.side,
        "position_intent": asked.position_intent,
        "time_in_force": asked.time_in_force,
        "limit_price": maybe(asked.limit_price),
        "stop_price": maybe(asked.stop_price),
        "status": order.status,
        "extended_hours": asked.extended_hours,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }


def activity_json(activity: Activity) -> Json:
    """A row of `GET /v2/account/activities`; a non-trade row leaves out what it does not have."""
    if isinstance(activity, Fill):
        return {
            "id": activity.id,
            "activity_type": "FILL",
            "transaction_time": moment(activity.created_at),
            "type": "fill" if activity.leaves_qty == 0 else "partial_fill",
            "price": text(activity.price),
            "qty": text(activity.qty),
            "side": activity.side,
            "symbol": activity.symbol,
            "leaves_qty": text(activity.leaves_qty),
            "order_id": activity.order_id,
            "cum_qty": text(activity.cum_qty),
            "order_status": activity.order_status,
        }
    booking = activity.booking
    row: Json = {
        "id": activity.id,
        "activity_type": booking.activity_type,
        "date": eastern_date(activity.created_at).isoformat() + ("T00:00:00Z" if booking.timed else ""),
        "created_at": moment(activity.created_at),
        "net_amount": text(booking.net_amount),
        "currency": booking.currency,
        "description": booking.description,
        "status": booking.status,
    }
    optional = {
        "activity_sub_type": booking.sub_type,
        "symbol": None if booking.nameless else booking.symbol,
        "qty": maybe(booking.qty),
        "price": maybe(booking.price),
        "per_share_amount": maybe(booking.per_share),
        "group_id": booking.group_id,
    }
    return row | {name: value for name, value in optional.items() if value is not None}


def update_json(update: TradeUpdate) -> Json:
    """A `trade_updates` frame."""
    data: Json = {
        "at": moment(update.at),
        "event_id": update.event_id,
        "event": update.event,
        "timestamp": moment(update.at, nanos=True),
        "order": order_json(update.order),
        "execution_id": update.execution_id,
    }
    if update.qty is not None:
        data["qty"] = text(update.qty)
    if update.price is not None and update.position_qty is not None:
        data["price"] = text(update.price)
        data["position_qty"] = text(update.position_qty)
        data["swap_rate"] = "1"
        data["settle_date"] = eastern_date(update.at).isoformat()  # of a coin; an equity's day may be later
    if update.previous_execution_id is not None:
        data["previous_execution_id"] = update.previous_execution_id
    return {"stream": "trade_updates", "data": data}


def asset_json(account: Account, asset: Asset) -> Json:
    """A row of `GET /v2/assets`."""
    equity = asset.asset_class == "us_equity"
    return {
        "id": account.asset_id(asset.symbol),
        "class": asset.asset_class,
        "exchange": asset.exchange,
        "symbol": asset.symbol,
        "name": asset.symbol,
        "status": "active",
        "tradable": True,
        "marginable": equity,
        "shortable": equity,
        "easy_to_borrow": equity,
        "fractionable": asset.asset_class != "us_option",
        "min_order_size": "0.000000001" if asset.asset_class == "crypto" else None,
        "min_trade_increment": "0.000000001" if asset.asset_class == "crypto" else None,
        "price_increment": "0.01" if asset.asset_class == "crypto" else None,
        "attributes": [],
    }


def clock_json(now: datetime) -> Json:
    """`GET /v2/clock`, in New York's time. Orders are filled whether or not the market is open."""
    local = now.astimezone(EASTERN)
    opens = local.replace(hour=9, minute=30, second=0, microsecond=0)
    closes = local.replace(hour=16, minute=0, second=0, microsecond=0)
    is_open = local.weekday() < 5 and opens <= local < closes
    while opens <= local or opens.weekday() >= 5:
        opens += timedelta(days=1)
    while closes <= local or closes.weekday() >= 5:
        closes += timedelta(days=1)
    return {
        "timestamp": local.isoformat(),
        "is_open": is_open,
        "next_open": opens.isoformat(),
        "next_close": closes.isoformat(),
    }
