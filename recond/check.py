"""`recond check`: would the daemon start, and would it reconcile the right account? Is the ledger as it must be?

Owns the findings and their exit code. Tries the configuration, the linked SQLite, the ledger and every account's keys;
or the ledger alone, thoroughly.
May not change anything: a ledger that is not there is not made, an account that is not pinned is not pinned.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry

from recond import __version__
from recond.config import Account, Config, ConfigError, Credentials, require_credentials, warnings
from recond.core.identity import identity_problem
from recond.core.model import AccountState, Holdings
from recond.daemon import EXIT_CONFIG, EXIT_FAULT, audit, open_broker
from recond.log import configure
from recond.metrics import Metrics
from recond.ports import PortError

SOUND_SQLITE = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""The releases with the WAL-reset fix: the first for all later ones, the others for their branch only."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. A fault keeps the daemon from its work, a warning does not."""

    about: str
    level: Literal["ok", "warning", "fault"]
    text: str
    hint: str = ""


def check(config: Config, as_json: bool) -> int:
    """Try everything and print what was found; returns 0, 1 for a fault, 78 when keys are missing."""
    configure("critical", "console", sys.stderr, os.environ)  # what the parts log is in the findings
    ledger, pins = ledger_findings(Path(config.ledger.path))
    findings = [
        Finding("config", "ok", f"read from {config.source}" if config.source else "no file: defaults and environment"),
        *(Finding("config", "warning", warning) for warning in warnings(config)),
        sqlite_finding(sqlite3.sqlite_version_info),
        *ledger,
    ]
    exit_code = EXIT_FAULT
    try:
        findings += asyncio.run(_accounts(config, require_credentials(config), pins))
    except ConfigError as error:
        findings += [Finding("keys", "fault", str(fault), error.hint) for fault in error.faults]
        exit_code = EXIT_CONFIG
    _tell(findings, as_json)
    return exit_code if any(finding.level == "fault" for finding in findings) else 0


def tell_misconfigured(error: ConfigError) -> None:
    """Print, for a script, all that is wrong with a configuration; what follows from it was not tried."""
    _tell([Finding("config", "fault", str(fault), error.hint) for fault in error.faults], as_json=True)


def check_ledger(config: Config, as_json: bool) -> int:
    """Look at everything in the ledger and print what was found; returns 0, or 1 for a fault. Needs no keys."""
    findings, _ = ledger_findings(Path(config.ledger.path), thorough=True)
    _tell(findings, as_json)
    return EXIT_FAULT if any(finding.level == "fault" for finding in findings) else 0


def _tell(findings: Sequence[Finding], as_json: bool) -> None:
    """Print the findings."""
    if as_json:
        report = {"version": __version__, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{_line(finding)}\n" for finding in findings)


def sqlite_finding(version: tuple[int, int, int]) -> Finding:
    """What the linked SQLite means for a ledger in WAL mode (sqlite.org/wal.html, "the WAL-reset bug")."""
    text = f"SQLite {'.'.join(map(str, version))}"
    newest, *branches = SOUND_SQLITE
    if version >= newest or any(version[:2] == branch[:2] and version >= branch for branch in branches):
        return Finding("sqlite", "ok", text)
    return Finding(
        "sqlite",
        "warning",
        f"{text} can in a rare race corrupt a WAL ledger when two connections checkpoint at once",
        "let recond alone checkpoint: every other writer sets PRAGMA wal_autocheckpoint=0; fixed in 3.51.3",
    )


def ledger_findings(path: Path, *, thorough: bool = False) -> tuple[list[Finding], Mapping[str, str]]:
    """Whether the ledger is there and recond's, or could be made; if `thorough` whether all in it fits together.

    And the broker account id that it has for each account it knows.
    """
    folder = path.resolve().parent
    if not path.exists():
        if folder.is_dir() and os.access(folder, os.W_OK):
            return [Finding("ledger", "ok", f"{path} is not there yet; the daemon makes it")], {}
        hint = "make the folder, or set ledger.path to one that this user may write to"
        return [Finding("ledger", "fault", f"{path}: its folder is not there or not to be written to", hint)], {}
    found = audit(path, thorough=thorough)
    findings = [Finding("ledger", remark.level, remark.text, remark.hint) for remark in found.remarks]
    if found.summary:
        findings.insert(0, Finding("ledger", "ok", found.summary))
    if not os.access(path, os.W_OK):
        hint = "give this user the right, or its group"
        findings.append(Finding("ledger", "fault", f"{path} may not be written to", hint))
    return findings, found.pins


async def _accounts(
    config: Config, credentials: Mapping[str, Credentials], pins: Mapping[str, str]
) -> Iterator[Finding]:
    """Ask the broker for every account, all at once, and compare with each other and with the ledger what they are."""
    names = [account.name for account in config.accounts]
    metrics = Metrics(CollectorRegistry(), names, version=__version__)
    asked = [_ask(account, credentials[account.name], metrics) for account in config.accounts]
    answers = dict(zip(names, await asyncio.gather(*asked), strict=True))
    met = {name: answer[0].id for name, answer in answers.items() if not isinstance(answer, Finding)}
    known = {name: pin for name, pin in pins.items() if name in names}
    return chain.from_iterable(_opened(each, answers[each.name], {**met, **known}) for each in config.accounts)


async def _ask(account: Account, credentials: Credentials, metrics: Metrics) -> tuple[AccountState, Holdings] | Finding:
    """What the keys of one account open, or why they do not."""
    try:
        async with open_broker(account, credentials, metrics) as broker:
            return await broker.account(), await broker.positions()
    except PortError as error:
        return Finding(f"account {account.name}", "fault", error.message, error.hint)


def _opened(
    account: Account, answer: tuple[AccountState, Holdings] | Finding, pins: Mapping[str, str]
) -> list[Finding]:
    """The account that was found, whether it is the one that is meant, and what of it cannot be read."""
    if isinstance(answer, Finding):
        return [answer]
    about, (state, holdings) = f"account {account.name}", answer
    text = f"{account.environment} at {account.rest_url}: {state.number or state.id}, {state.status}, "
    text += f"{len(holdings.positions)} positions"
    problem = identity_problem(account.name, account.environment, state, pins)
    return [
        Finding(about, "fault", f"{text}; {problem.message}", problem.hint)
        if problem is not None
        else Finding(about, "ok" if state.status == "ACTIVE" else "warning", text),
        *(
            Finding(about, "warning", f"position {row.symbol or 'without symbol'}: {row.problem}", "it stays unknown")
            for row in holdings.unreadable
        ),
    ]


def _line(finding: Finding) -> str:
    """One finding on a terminal."""
    mark = {"ok": "ok     ", "warning": "warning", "fault": "FAULT  "}[finding.level]
    return f"{mark}  {finding.about}: {finding.text}{f' ({finding.hint})' if finding.hint else ''}"
