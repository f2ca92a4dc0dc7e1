"""What happens outside and asks for a pass: the account's stream, and somebody else writing to the ledger.

Owns the turning of such news into nudges, and when a stream that is gone is tried again. A nudge says that something
may have changed, never what; the fills that an event tells of go to whoever keeps the evidence.
May not read positions, judge, or let news that it cannot get stop the passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import structlog

from recond.core.model import Execution
from recond.core.run import Reason
from recond.ports import (
    BrokerBusy,
    BrokerRefused,
    BrokerUnavailable,
    Ledger,
    LedgerUnavailable,
    PortError,
    Stream,
)
from recond.triggers import Triggers

CONNECTING = "connecting"
CONNECTED = "connected"
BUSY = "busy: the account's one stream connection is used by somebody else"

LEDGER_LOOK_S = 0.25
BACKOFF_FIRST_S, BACKOFF_MAX_S = 1.0, 60.0
LIVED_S = 30.0  # by then a dead peer would have been noticed
# Alpaca is said to forget a connection that broke off after about 90 s (forum 10896); before that, trying is useless,
# and trying often could take the slot from the platform while it reconnects.
BUSY_FIRST_S, BUSY_MAX_S = 90.0, 600.0
REFUSED_S = 600.0


async def listen(
    account: str,
    stream: Stream,
    triggers: Triggers,
    *,
    keep: Callable[[Sequence[Execution]], object],
    on_state: Callable[[str], None],
    on_event: Callable[[str], None],
    random: Callable[[], float],
) -> NoReturn:
    """Listen to the account's stream for ever; nothing that it does ends this.

    Of each event `on_event` gets the name and `keep` the executions, before the pass that the event asks for is. `keep`
    must take them over at once: while it works nothing is read, pings included. Each new connection asks for a pass
    that looks into the gap. `on_state` gets `connecting`, `connected`, `busy: …`, `lost: …` and `refused: …`, each when
    it begins: attempts that fail alike are reported once. `random` gives [0, 1).
    """
    loop = asyncio.get_running_loop()
    log = structlog.get_logger(__name__).bind(account=account)
    kind: type[PortError] = BrokerUnavailable
    state, in_a_row = CONNECTING, 0
    on_state(state)
    while True:
        connected_s = loop.time()
        try:
            async with stream.connect() as events:
                connected_s = loop.time()
                state = CONNECTED
                on_state(state)
                log.info("stream connected")
                triggers.nudge(Reason.RECONNECT)
                async for event in events:
                    on_event(event.name)
                    if event.executions:
                        keep(event.executions)
                    if event.movement:
                        triggers.nudge(Reason.STREAM)
        except (BrokerUnavailable, BrokerRefused) as error:
            lived = state == CONNECTED and loop.time() - connected_s >= LIVED_S
            in_a_row = in_a_row + 1 if type(error) is kind and not lived else 1
            kind = type(error)
            if _state_of(error) != state:
                state = _state_of(error)
                on_state(state)
                log.warning(f"stream {state}", problem=error.message, hint=error.hint)
            wait_s = _retry_s(error, in_a_row, random())
        await asyncio.sleep(wait_s)


def _state_of(error: BrokerUnavailable | BrokerRefused) -> str:
    """What is said of a stream that ended, or could not begin, like that."""
    if isinstance(error, BrokerBusy):
        return BUSY
    return f"{'refused' if isinstance(error, BrokerRefused) else 'lost'}: {error.message}"


def _retry_s(error: BrokerUnavailable | BrokerRefused, in_a_row: int, chance: float) -> float:
    """Seconds until the next attempt, after so many such failures in a row; `chance` is from [0, 1).

    The whole wait is by chance (full jitter), so that the clients of a broker that comes back do not come at once.
    A taken slot is left alone for 90 s and then ever longer, keys that are refused for ten minutes.
    """
    doublings = 2.0 ** min(in_a_row - 1, 16)
    if isinstance(error, BrokerBusy):
        return min(BUSY_MAX_S, BUSY_FIRST_S * doublings) * (1 + chance / 10)
    if isinstance(error, BrokerRefused):
        return REFUSED_S
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * doublings) * chance


async def watch_ledger(ledger: Ledger, triggers: Mapping[str, Triggers]) -> NoReturn:
    """Nudge the accounts whose rows somebody else changed; looks four times a second.

    Accounts that left the configuration keep their books, and bots may go on writing there: nobody is to be nudged.
    A ledger that cannot be asked now is asked again: the passes, which need it too, report what is wrong with it.
    """
    while True:
        try:
            for account in await ledger.changed_accounts() & triggers.keys():
                triggers[account].nudge(Reason.LEDGER)
        except LedgerUnavailable:
            pass
        await asyncio.sleep(LEDGER_LOOK_S)
