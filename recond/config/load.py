"""From a file and the environment to a `Config`, or to the list of everything that is wrong.

Owns which file is read, how keys find their values, which must agree with each other, what is warned of.
May not stop at the first fault, and may not show a value that could be a secret.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, get_type_hints
from urllib.parse import urlsplit

from recond.config import rules
from recond.config.credentials import TOKEN_CREDENTIAL, TOKEN_VARIABLE, Secrets
from recond.config.values import (
    STANDARD_POLICY,
    Account,
    Config,
    ConfigError,
    Daemon,
    Fault,
    Guards,
    Http,
    LedgerFile,
    Tolerance,
)
from recond.core.decide import Policy
from recond.core.model import Cause, Resolution

HINT = "Every key is described in the config.toml that comes with recond; `recond check` tries a file out."
PLACES = (Path("config.toml"), Path("/etc/recond/config.toml"))
_T = TypeVar("_T")
_SECTIONS = ("daemon", "tolerance", "ledger", "http", "guards", "policy", "accounts")
_SECRET_KEY = re.compile(r"key|secret|token|pass|cred|auth", re.IGNORECASE)
_BELONGS = (
    "no secret goes into this file: keys belong in systemd credentials (key_credential, secret_credential) "
    "or environment variables (key_env, secret_env), "
    f"the token of the HTTP interface in the credential {TOKEN_CREDENTIAL} or in ${TOKEN_VARIABLE}"
)


def load(path: Path | None, environ: Mapping[str, str], credentials_dir: Path | None) -> Config:
    """The configuration from `path`, else $RECOND_CONFIG, else the first of `PLACES` there is, else defaults.

    `environ` gives secrets too; `credentials_dir` is systemd's $CREDENTIALS_DIRECTORY. Raises `ConfigError`
    with all faults. Accounts may lack keys: see `require_credentials`.
    """
    faults: list[Fault] = []
    source = path or _find(environ)
    written = _parse(source, faults)
    _refuse_unknown(written, _SECTIONS, "", faults)
    secrets = Secrets(environ, credentials_dir, faults)
    config = Config(
        accounts=(),
        daemon=_section(Daemon, written, "daemon", faults),
        tolerance=_section(Tolerance, written, "tolerance", faults),
        ledger=_section(LedgerFile, written, "ledger", faults),
        http=replace(_section(Http, written, "http", faults), token=secrets.token()),
        guards=_section(Guards, written, "guards", faults),
        policy=_policy(_table(written, "policy", "policy", faults), "policy", STANDARD_POLICY, faults),
        source=source,
    )
    accounts = _accounts(written, config.policy, environ, faults)
    found = tuple(secrets.of(account, alone=len(accounts) == 1) for account in accounts)
    faults.extend(_disagreements(config))
    if faults:
        raise ConfigError(tuple(faults), source=source, hint=HINT)
    return replace(config, accounts=found)


def warnings(config: Config) -> tuple[str, ...]:
    """What is allowed and may still surprise: for the log at start, `recond check`, and the status."""
    usual, found = Daemon(), []
    for key, given, least, meaning in (
        ("settle", config.daemon.settle_s, usual.settle_s, "the platform books and Alpaca lists every fill"),
        ("broker_lag", config.daemon.broker_lag_s, usual.broker_lag_s, "Alpaca's positions show every fill"),
    ):
        if given < least:
            found.append(f"daemon.{key} is {given:g} s, below {least:g} s: sound only if {meaning} within that time")
    if config.http.host in {"0.0.0.0", "::"} and not config.http.hosts:  # noqa: S104 - compared, not bound
        found.append("http.hosts is empty: callers from other machines are refused until it has the name they use")
    for account in config.accounts:
        hosts = {urlsplit(url).hostname or "" for url in (account.rest_url, account.stream_url)}
        for host in sorted(hosts):
            if not host.endswith(".alpaca.markets") and not rules.is_loopback(host):
                found.append(f"account {account.name} sends its keys to {host}, which is not Alpaca's")
    return tuple(found)


def _find(environ: Mapping[str, str]) -> Path | None:
    if environ.get("RECOND_CONFIG"):
        return Path(environ["RECOND_CONFIG"])
    for place in PLACES:
        try:
            if place.exists():
                return place
        except PermissionError:  # there may be one: say so rather than run on defaults
            return place
    return None


def _parse(source: Path | None, faults: list[Fault]) -> dict[str, Any]:
    if source is None:
        return {}
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        faults.append(Fault(str(source), None, f"a file that can be read ({error.strerror})"))
    except UnicodeDecodeError:
        faults.append(Fault(str(source), None, "text in UTF-8"))
    except ValueError as error:
        faults.append(Fault(str(source), None, f"TOML; {error}"))
    return {}


def _table(written: Mapping[str, Any], name: str, where: str, faults: list[Fault]) -> Mapping[str, Any]:
    value = written.get(name, {})
    if isinstance(value, dict):
        return value
    faults.append(Fault(where, _shown(name, value), "a table"))
    return {}


def _section(kind: Callable[..., _T], written: Mapping[str, Any], name: str, faults: list[Fault]) -> _T:
    return kind(**_fields(kind, _table(written, name, name, faults), name, faults))


def _fields(kind: Callable[..., Any], table: Mapping[str, Any], where: str, faults: list[Fault]) -> dict[str, Any]:
    """Constructor arguments of a class of `values` from its table, but for those absent or at fault."""
    known = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if hasattr(hint, "__metadata__"):
            known[name.removesuffix("_s")] = (name, hint.__metadata__[0])
    _refuse_unknown(table, (*known, "policy") if kind is Account else known, f"{where}.", faults)
    values = {}
    for key, (name, rule) in known.items():
        if key in table:
            try:
                values[name] = rule(table[key])
            except ValueError as error:
                faults.append(Fault(f"{where}.{key}", _shown(key, table[key]), str(error)))
    return values


def _policy(table: Mapping[str, Any], where: str, base: Policy, faults: list[Fault]) -> Policy:
    """The policy of a table, laid over `base` key by key."""
    _refuse_unknown(table, ("default", *Cause), f"{where}.", faults)
    given: dict[str, Resolution] = {}
    for key in ("default", *Cause):
        if key in table:
            if table[key] in (Resolution.USE_BROKER, Resolution.MANUAL):
                given[key] = Resolution(table[key])
            else:
                faults.append(Fault(f"{where}.{key}", _shown(key, table[key]), '"use_broker" or "manual"'))
    causes = {cause: given[cause] for cause in Cause if cause in given}
    return Policy(given.get("default", base.default), {**base.causes, **causes})


def _accounts(
    written: Mapping[str, Any], policy: Policy, environ: Mapping[str, str], faults: list[Fault]
) -> tuple[Account, ...]:
    tables = written.get("accounts", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        faults.append(Fault("accounts", _shown("accounts", tables), "an array of tables: write [[accounts]]"))
        return ()
    if not tables:
        alone = {"name": "default", "user_id": 1, "environment": _environment(environ, faults)}
        return (_account(alone, "accounts", policy, faults),)
    accounts: list[Account] = []
    for index, table in enumerate(tables):
        name = table.get("name")
        named = isinstance(name, str) and re.fullmatch(rules.ACCOUNT, name)
        where = f"accounts[{index}:{name}]" if named else f"accounts[{index}]"
        if named and name in {account.name for account in accounts}:
            faults.append(Fault(f"{where}.name", _shown("", name), "a name that no other account has"))
        accounts.append(_account(table, where, policy, faults))
    return tuple(accounts)


def _account(table: Mapping[str, Any], where: str, policy: Policy, faults: list[Fault]) -> Account:
    values = _fields(Account, table, where, faults)
    for key in ("name", "user_id"):
        if key not in table:
            faults.append(Fault(f"{where}.{key}", None, "required"))
    for key, other in (("key_env", "secret_env"), ("secret_env", "key_env")):
        if key in table and other not in table:
            faults.append(Fault(f"{where}.{other}", None, f"required, since {key} is given"))
    own = _table(table, "policy", f"{where}.policy", faults)
    name, environment = values.get("name", "?"), values.get("environment", "paper")
    host = "paper-api.alpaca.markets" if environment == "paper" else "api.alpaca.markets"
    defaults = {
        "name": name,
        "user_id": 0,
        "environment": environment,
        "key_credential": f"{name}-key",
        "secret_credential": f"{name}-secret",
        "rest_url": f"https://{host}",
        "stream_url": f"wss://{host}/stream",
    }
    return Account(**{**defaults, **values}, policy=_policy(own, f"{where}.policy", policy, faults))


def _environment(environ: Mapping[str, str], faults: list[Fault]) -> str:
    paper = environ.get("ALPACA_PAPER", "").strip().lower()
    if paper in {"", "true", "1", "yes", "on"}:
        return "paper"
    if paper not in {"false", "0", "no", "off"}:
        faults.append(Fault("$ALPACA_PAPER", _shown("", paper), '"true" (the default) or "false"'))
    return "live"


def _disagreements(config: Config) -> Iterable[Fault]:
    """Values that are each right and wrong together."""
    if config.daemon.pending_max_s < config.daemon.settle_s:
        expected = f"at least daemon.settle ({config.daemon.settle_s:g} s), before which nothing is judged"
        yield Fault("daemon.pending_max", f"{config.daemon.pending_max_s:g} s", expected)
    if config.http.token is None and not rules.is_loopback(config.http.host):
        places = f"the credential {TOKEN_CREDENTIAL} or ${TOKEN_VARIABLE}"
        shown = _shown("listen", config.http.listen)
        yield Fault("http.listen", shown, f"a token in {places}, since other machines can reach this address")


def _refuse_unknown(table: Mapping[str, Any], known: Iterable[str], where: str, faults: list[Fault]) -> None:
    names = tuple(known)
    for key, value in table.items():
        if key in names:
            continue
        secret = _SECRET_KEY.search(key)
        near = difflib.get_close_matches(key, names, n=1, cutoff=0.8 if secret else 0.6)
        if near:
            expected = f'unknown; did you mean "{near[0]}"?'
        elif secret:
            expected = _BELONGS
        else:
            expected = f"unknown; known here are {', '.join(names)}"
        faults.append(Fault(f"{where}{key}", _shown(key, value), expected))


def _shown(key: str, value: object) -> str | None:
    """The value as written, None when it could be a secret; tables and lists are named, not opened."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else f"a list of {len(value)}"
    if _SECRET_KEY.search(key) or (isinstance(value, str) and rules.looks_secret(value)):
        return None
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
