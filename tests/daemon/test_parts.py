"""The configuration in the words of the parts."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from recond.config import load
from recond.core.model import Cause, Resolution
from recond.daemon.parts import rules

TEXT = """
[daemon]
interval = "1m"
settle = "20s"
broker_lag = "11s"
confirm_after = "3s"
pending_max = "3m"
[tolerance]
us_equity = "0.5"
us_option = "0.25"
crypto = "0.125"
[guards]
vanish_min = 7
vanish_fraction = "0.75"
requests_per_minute = 42
[policy]
default = "manual"
split = "use_broker"
[[accounts]]
name = "main"
user_id = 9
environment = "live"
ignore = ["btc/usd"]
policy = {transfer = "use_broker"}
"""


def test_every_rule_reaches_the_pass(tmp_path: Path) -> None:
    """No value is lost or swapped between the file and what one account is reconciled by."""
    path = tmp_path / "config.toml"
    path.write_text(TEXT, encoding="utf-8")
    config = load(path, {}, None)
    made = rules(config, config.accounts[0])
    timing = made.timing
    assert (made.account, made.user_id, made.environment, made.interval_s) == ("main", 9, "live", 60)
    assert (timing.settle_s, timing.broker_lag_s, timing.confirm_after_s, timing.pending_max_s) == (20, 11, 3, 180)
    assert made.tolerance == {
        "us_equity": Decimal("0.5"),
        "us_option": Decimal("0.25"),
        "crypto": Decimal("0.125"),
    }
    assert made.ignore == {"BTCUSD"}
    assert (made.guards.vanish_min, made.guards.vanish_fraction, made.requests_per_minute) == (7, Decimal("0.75"), 42)
    assert [made.policy.of(cause) for cause in (Cause.UNEXPLAINED, Cause.SPLIT, Cause.TRANSFER)] == [
        Resolution.MANUAL,
        Resolution.USE_BROKER,
        Resolution.USE_BROKER,
    ]
