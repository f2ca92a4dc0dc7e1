"""Whether the keys of an account open the account that its book was kept for.

Owns the pins: each configured account belongs to the broker's account that it met first.
May not let two books share one broker account, since each would undo the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from recond.core.model import AccountState
from recond.core.run import Problem


def mismatch(account: str, environment: str, state: AccountState, pins: Mapping[str, str]) -> Problem | None:
    """Why the account that was opened is not the configured one's; None when it is.

    `pins` maps each configured account to the broker's account id that it met first.
    """
    pinned = pins.get(account)
    twins = [name for name, id_ in pins.items() if id_ == state.id and name != account]
    if pinned is None and twins:
        return Problem(
            f"the keys of account {account!r} open the same broker account as those of {twins[0]!r}",
            hint="configure each broker account once; two books of one account would each undo the other",
        )
    if pinned != state.id:
        return Problem(
            f"account {account!r} was kept for broker account {pinned}, but its keys open {state.id}",
            hint="give the keys of the first account; after a paper reset start a new ledger or a new account name",
        )
    if environment == "live" and (state.number or "").startswith("PA"):
        return Problem(
            f"account {account!r} is configured as live, but its keys open paper account {state.number}",
            hint='set environment = "paper", or give the live keys',
        )
    return None
