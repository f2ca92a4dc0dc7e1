"""A simulated Alpaca: trading REST and the `trade_updates` websocket on real sockets, with faults on demand.

Owns its accounts by its own rules, so that it shares no mistake with what is tested against it. May not import
anything else of recond. Orders can always be filled, whatever the market's hours; buying power is not enforced.

    async with Simulator(scenario="demo") as simulator:
        client = TradingClient(simulator.key, simulator.secret, url_override=simulator.rest_url)
        simulator.do("trade", symbol="AAPL", side="buy", qty=5)
        simulator.fault("positions", "hang", count=1)

Over HTTP the same is `curl -d '{"symbol":"AAPL","side":"buy","qty":5}' URL/control/trade`; `GET /control` shows
the accounts, the faults that are on and the operations.
"""

from recond.simulator.account import Account
from recond.simulator.control import ControlError
from recond.simulator.records import OrderRequest, RefusedError
from recond.simulator.scenarios import SCENARIOS, Scenario, wide
from recond.simulator.server import Simulator, serve

__all__ = [
    "SCENARIOS",
    "Account",
    "ControlError",
    "OrderRequest",
    "RefusedError",
    "Scenario",
    "Simulator",
    "serve",
    "wide",
]
