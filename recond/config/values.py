"""The configuration as values, a class per table of `config.toml`, each key's rule and default beside it.

Owns the names, defaults and bounds of all keys, the form of a fault, and the wrapper that keeps a secret one.
May not read files or the environment. May not let a secret into a text, a copy or a pickle.

A field's key is its name; seconds are `_s` here and a duration such as "5m" in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self

from recond.config import rules
from recond.core.decide import Policy
from recond.core.model import Resolution

_UNIT = rules.decimal(
    "a decimal number from 0 to below 1, so that no whole unit is ever hidden", lambda value: 0 <= value < 1
)
_SHARE = rules.decimal("a decimal number above 0 and at most 1", lambda value: 0 < value <= 1)
_HOSTS = rules.each(rules.host, 'a list of host names, such as ["recond.lan:5000"]')
_SYMBOLS = rules.each(rules.symbol, 'a list of symbols, such as ["SPY", "BTC/USD"]')
_CREDENTIAL = rules.text(
    r"[a-z0-9][a-z0-9_.-]{0,79}", "the name of a systemd credential (small letters, digits, _ . -)"
)

STANDARD_POLICY = Policy(Resolution.USE_BROKER, {})


class Secret:
    """A value that shows itself only through `reveal`; it cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for the one call that needs it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never written anywhere")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: dotted key, value as written (None: absent or secret), what is expected."""

    key: str
    value: str | None
    expected: str

    def __str__(self) -> str:
        return f"{self.key}{'' if self.value is None else f' = {self.value}'}: {self.expected}"


class ConfigError(Exception):
    """The configuration is refused. `faults` are all that is wrong with it, `hint` says what to do."""

    def __init__(self, faults: tuple[Fault, ...], *, source: Path | None, hint: str) -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        self.message = f"{count} in the configuration ({source or 'no file, defaults and environment only'})"
        self.faults, self.hint = faults, hint
        super().__init__("\n".join((self.message, *(f"  {fault}" for fault in faults))))


@dataclass(frozen=True, slots=True)
class Daemon:
    """`[daemon]`: the times of a pass, and how to log."""

    interval_s: Annotated[float, rules.duration("1s", "1d")] = 300.0
    settle_s: Annotated[float, rules.duration("0s", "1h")] = 15.0
    broker_lag_s: Annotated[float, rules.duration("0s", "1h")] = 10.0
    confirm_after_s: Annotated[float, rules.duration("100ms", "5m")] = 2.0
    pending_max_s: Annotated[float, rules.duration("1s", "1d")] = 120.0
    settle_corporate_s: Annotated[float, rules.duration("0s", "7d")] = 600.0
    log_level: Annotated[str, rules.choice("debug", "info", "warning", "error")] = "info"
    log_format: Annotated[str, rules.choice("auto", "json", "console")] = "auto"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """`[tolerance]`: the greatest difference that is no drift, in units of the instrument."""

    us_equity: Annotated[Decimal, _UNIT] = Decimal("0.0001")
    us_option: Annotated[Decimal, _UNIT] = Decimal(0)
    crypto: Annotated[Decimal, _UNIT] = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class LedgerFile:
    """`[ledger]`: the file; a relative path counts from the working directory."""

    path: Annotated[str, rules.text(r"(?!(.*/)?\.{1,2}$)[^\0]*[^\0/]", "the path of a file")] = "recond.db"
    journal: Annotated[Literal["wal", "delete"], rules.choice("wal", "delete")] = "wal"
    retention_s: Annotated[float, rules.duration("1d", "3650d")] = 90 * 86400.0


@dataclass(frozen=True, slots=True)
class Http:
    """`[http]`: where the daemon answers, under which further names, and the token that callers must show."""

    listen: Annotated[str, rules.address] = "127.0.0.1:5000"
    hosts: Annotated[tuple[str, ...], _HOSTS] = ()
    token: Secret | None = None

    @property
    def host(self) -> str:
        """The address to bind, without the brackets of IPv6."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to bind; 0 lets the system choose."""
        return int(self.listen.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Guards:
    """`[guards]`: what is doubted, and how much may be asked of the broker."""

    vanish_min: Annotated[int, rules.number(1, 1_000_000)] = 3
    vanish_fraction: Annotated[Decimal, _SHARE] = Decimal("0.5")
    requests_per_minute: Annotated[int, rules.number(10, 10_000)] = 60


@dataclass(frozen=True, slots=True)
class Credentials:
    """A complete pair of Alpaca keys, and the place it came from."""

    key: Secret
    secret: Secret
    origin: str


@dataclass(frozen=True, slots=True)
class Account:
    """One of `[[accounts]]`, its policy laid over the general one; `credentials` None: no keys were found."""

    name: Annotated[str, rules.text(rules.ACCOUNT, "1 to 32 of a-z, 0-9, _ and -")]
    user_id: Annotated[int, rules.number(1, 2**63 - 1)]
    environment: Annotated[str, rules.choice("paper", "live")]
    key_credential: Annotated[str, _CREDENTIAL]
    secret_credential: Annotated[str, _CREDENTIAL]
    rest_url: Annotated[str, rules.url("https", "http")]
    stream_url: Annotated[str, rules.url("wss", "ws")]
    key_env: Annotated[str | None, rules.variable] = None
    secret_env: Annotated[str | None, rules.variable] = None
    stream: Annotated[bool, rules.flag] = True
    ignore: Annotated[tuple[str, ...], _SYMBOLS] = ()
    strategies: Annotated[Mapping[str, str], rules.prefixes] = field(default_factory=dict)
    policy: Policy = STANDARD_POLICY
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Everything an operator can decide. `source` is the file that was read, None when there was none."""

    accounts: tuple[Account, ...]
    daemon: Daemon = field(default_factory=Daemon)
    tolerance: Tolerance = field(default_factory=Tolerance)
    ledger: LedgerFile = field(default_factory=LedgerFile)
    http: Http = field(default_factory=Http)
    guards: Guards = field(default_factory=Guards)
    policy: Policy = STANDARD_POLICY
    source: Path | None = field(default=None, compare=False)
