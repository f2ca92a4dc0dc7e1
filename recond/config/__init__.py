"""What the operator wrote, as frozen and typed values: `config.toml`, credentials, and the defaults of both.

Owns every key, its default, its bounds and its words of refusal, and where secrets are looked for.
May not be imported by anything but `daemon` and `cli`: a part is given the values that it needs.
"""

from recond.config.credentials import require_credentials
from recond.config.load import load, warnings
from recond.config.values import (
    Account,
    Config,
    ConfigError,
    Credentials,
    Daemon,
    Fault,
    Guards,
    Http,
    LedgerFile,
    Secret,
    Tolerance,
)

__all__ = [
    "Account",
    "Config",
    "ConfigError",
    "Credentials",
    "Daemon",
    "Fault",
    "Guards",
    "Http",
    "LedgerFile",
    "Secret",
    "Tolerance",
    "load",
    "require_credentials",
    "warnings",
]
