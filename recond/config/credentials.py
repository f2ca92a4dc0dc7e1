"""Where the secrets are: systemd credentials first, then the environment.

Owns the order of places, the rule that only a whole pair of keys counts, and the words when one is missing.
May not read `config.toml` (a secret in it is a fault), and may not put a secret into a fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from recond.config.values import Account, Config, ConfigError, Credentials, Fault, Secret

TOKEN_CREDENTIAL, TOKEN_VARIABLE = "recond-token", "RECOND_TOKEN"
# Alpaca's own tools read the first pair; its retired SDK and the bots built on it read the second.
FAMILIES = (("ALPACA_API_KEY", "ALPACA_SECRET_KEY"), ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"))
_WRITTEN = re.compile(r"[!-~]{1,4096}")


class Secrets:
    """The places in which secrets may lie; what is wrong with one found there goes to `faults`."""

    def __init__(self, environ: Mapping[str, str], credentials_dir: Path | None, faults: list[Fault]) -> None:
        self._environ, self._dir, self._faults = environ, credentials_dir, faults

    def token(self) -> Secret | None:
        """The token of the HTTP interface."""
        found = self._credential(TOKEN_CREDENTIAL) or self._variable(TOKEN_VARIABLE)
        if found is not None and len(found.reveal()) < 16:
            self._faults.append(Fault("http.token", None, "at least 16 characters (`openssl rand -hex 32`)"))
        return found

    def of(self, account: Account, *, alone: bool) -> Account:
        """The account with its keys, if any are found; `alone`: variables naming no account are its own."""
        names = (account.key_credential, account.secret_credential)
        pair = self._pair(tuple(map(self._credential, names)), "credential ", names)
        if pair is None and account.key_env and account.secret_env:
            names = (account.key_env, account.secret_env)
            pair = self._pair(tuple(map(self._variable, names)), "$", names)
        if pair is None and alone:
            pair = self._family()
        return replace(account, credentials=pair)

    def _family(self) -> Credentials | None:
        pairs = [self._pair(tuple(map(self._variable, names)), "$", names) for names in FAMILIES]
        found = [pair for pair in pairs if pair is not None]
        if len({(pair.key, pair.secret) for pair in found}) > 1:
            both = " and ".join(f"${key}" for key, _ in FAMILIES)
            self._faults.append(Fault(both, None, "both pairs are set and differ; unset one of them"))
        return found[0] if found else None

    def _pair(self, pair: tuple[Secret | None, ...], mark: str, names: tuple[str, str]) -> Credentials | None:
        key, secret = pair
        if key is not None and secret is not None:
            return Credentials(key, secret, f"{mark}{names[0]}, {mark}{names[1]}")
        if key is not None or secret is not None:
            there, gone = names if secret is None else reversed(names)
            self._faults.append(Fault(f"{mark}{gone}", None, f"missing, while {mark}{there} is set"))
        return None

    def _credential(self, name: str) -> Secret | None:
        if self._dir is None:
            return None
        try:
            content = (self._dir / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            self._faults.append(Fault(f"credential {name}", None, f"a readable file ({error.strerror})"))
            return None
        return self._secret(content.strip(), f"credential {name}")

    def _variable(self, name: str) -> Secret | None:
        value = self._environ.get(name, "").strip()
        return self._secret(value, f"${name}") if value else None

    def _secret(self, value: str, where: str) -> Secret:
        if not _WRITTEN.fullmatch(value):
            self._faults.append(Fault(where, None, "one line of visible ASCII characters without blanks"))
        return Secret(value)


def require_credentials(config: Config) -> Mapping[str, Credentials]:
    """Account name → keys. Raises `ConfigError` naming every account without and the places looked at."""
    found: dict[str, Credentials] = {}
    faults = []
    for account in config.accounts:
        if account.credentials is not None:
            found[account.name] = account.credentials
        else:
            faults.append(Fault(f"keys of account {account.name}", None, f"not found in {_places(account, config)}"))
    if faults:
        hint = "Set the variables or the credentials named above; `recond demo` needs no keys."
        raise ConfigError(tuple(faults), source=config.source, hint=hint)
    return found


def _places(account: Account, config: Config) -> str:
    places = [f"the systemd credentials {account.key_credential} and {account.secret_credential}"]
    if account.key_env:
        places.append(f"${account.key_env} and ${account.secret_env}")
    if len(config.accounts) == 1:
        places.extend(f"${key} and ${secret}" for key, secret in FAMILIES)
    return ", ".join(places)
