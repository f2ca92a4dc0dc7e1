"""Whether the keys open the account that the book was kept for.

Owns what speaks against it, and what an operator can do.
May not let a book be written by another account's positions.
"""

from __future__ import annotations

from collections.abc import Mapping

from recond.core.model import AccountState
from recond.core.run import Problem


def identity_problem(account: str, environment: str, state: AccountState, pins: Mapping[str, str]) -> Problem | None:
    """Why nothing may be done with the account that this name's keys open, in `state`; None when it is the one.

    `environment` is the configured one, paper or live; `pins` maps each configured account to the broker's account id
    that it met first.
    """
    pinned = pins.get(account)
    twins = [name for name, id_ in pins.items() if id_ == state.id and name != account]
    if twins:
        return Problem(
            f"the keys of account {account!r} open the same broker account as those of {twins[0]!r}",
            "configure each broker account once; two books of one account would each undo the other",
        )
    if pinned != state.id:
        reset = "a paper account that was reset looks like this: " if environment == "paper" else ""
        return Problem(
            f"account {account!r} was kept for broker account {pinned}, but its keys open {state.id}",
            f"{reset}`recond accounts repin {account}` closes the old book; else give the keys of the first one",
        )
    if environment == "live" and (state.number or "").startswith("PA"):
        return Problem(
            f"account {account!r} is configured as live, but its keys open paper account {state.number}",
            'set environment = "paper", or give the live keys',
        )
    return None
