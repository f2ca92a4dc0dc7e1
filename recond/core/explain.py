"""Why the two sides differ.

Owns the mapping from a confirmed drift and its evidence to a cause.
May not decide what is done about it, or claim a cause that the evidence does not prove.
"""

from __future__ import annotations

from recond.core.model import Baseline, Cause, Drift
from recond.core.run import Explanation


def explain(drift: Drift, baseline: Baseline | None, adopted: bool) -> Explanation:
    """The cause of a confirmed drift.

    `baseline` is the last settled verdict on the instrument, `adopted` whether the account has ever been settled
    as a whole. Without either, recond meets the position for the first time and no look-up could tell more.
    """
    if baseline is None and not adopted:
        return Explanation(Cause.ADOPTION, "found at the account's first contact")
    if baseline is None:
        return Explanation(Cause.UNEXPLAINED, "never seen in agreement, and nothing known explains it")
    since = f"since the last agreement at {baseline.broker_quantity:f} ({baseline.at:%Y-%m-%d %H:%M:%S} UTC)"
    moves = (
        f"the broker moved by {drift.broker - baseline.broker_quantity:f}",
        f"the ledger by {drift.ledger - baseline.ledger_quantity:f}",
    )
    return Explanation(Cause.UNEXPLAINED, f"{since} {', '.join(moves)}; nothing known explains it")
