"""What one account is reconciled by, as the configuration has it.

Owns the settings that the rules of a pass need, in one frozen value.
May not have defaults of its own where the configuration has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from recond.core.absence import Guards
from recond.core.decide import Policy
from recond.core.judge import Timing


@dataclass(frozen=True, slots=True)
class Rules:
    """What one account is reconciled by.

    `tolerance` maps asset classes to quantities, `strategies` strategies to their orders' client_order_id prefixes.
    """

    account: str
    user_id: int
    environment: str
    interval_s: float
    timing: Timing
    tolerance: Mapping[str, Decimal]
    ignore: frozenset[str]
    policy: Policy
    guards: Guards
    requests_per_minute: int
    strategies: Mapping[str, str] = field(default_factory=dict)
    settle_corporate_s: float = 600.0
