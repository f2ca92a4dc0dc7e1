"""What happens outside and asks for a pass: for now, somebody else writing to the ledger.

Owns the turning of such news into nudges; a nudge says that something may have changed, never what.
May not read positions, judge, or let news that it cannot get stop the passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from recond.core.model import Reason
from recond.ports import Ledger, LedgerUnavailable
from recond.triggers import Triggers

LEDGER_LOOK_S = 0.25


async def watch_ledger(ledger: Ledger, triggers: Mapping[str, Triggers]) -> NoReturn:
    """Nudge the accounts whose rows somebody else changed; looks four times a second.

    A ledger that cannot be asked now is asked again: the passes, which need it too, report what is wrong with it.
    """
    while True:
        try:
            for account in await ledger.changed_accounts():
                triggers[account].nudge(Reason.LEDGER)
        except LedgerUnavailable:
            pass
        await asyncio.sleep(LEDGER_LOOK_S)
