"""The command line: what an operator types, and what the running daemon answers, in words and tables.

Owns the commands, their exit codes, and how an answer looks on a terminal.
May not import anything heavy at the top: what asks the daemon must start in a moment (no alpaca, no web framework).
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode, urlsplit

import click

import recond

if TYPE_CHECKING:
    from recond.config import Config

FAILED, UNSETTLED, MISCONFIGURED = 1, 3, 78
_DEFAULT_LISTEN = "127.0.0.1:5000"
_PLACES = ("config.toml", "/etc/recond/config.toml")
_ANSWER_S = 15
Command = Callable[..., Any]


class Failure(click.ClickException):
    """A message for the operator, a hint, and the exit code."""

    def __init__(self, message: str, *, hint: str = "", code: int = FAILED) -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)
        self.exit_code = code


class Daemon:
    """The running daemon, asked over HTTP. Goes through no proxy and follows no redirect: the token stays here."""

    def __init__(self, url: str, token: str | None, *, as_json: bool) -> None:
        self.url, self._token, self._as_json = url.rstrip("/"), token, as_json

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        timeout_s: float = _ANSWER_S,
        answers: Sequence[int] = (200,),
        **query: object,
    ) -> Any:
        """The answer's JSON, numbers as the text that was sent; raises `Failure` for any status not in `answers`.

        With --json the answer is printed as it came.
        """
        asked = {name: value for name, value in query.items() if value is not None}
        status, kind, body = self._send(method, f"{path}?{urlencode(asked)}" if asked else path, timeout_s)
        try:
            answer = json.loads(body, parse_float=str, parse_int=str)
        except ValueError:
            answer = None
        if kind == "application/problem+json" and isinstance(answer, dict):
            raise Failure(f"{_text(answer.get('detail'))} ({status})", hint=_text(answer.get("hint") or ""))
        if status not in answers or not isinstance(answer, dict):
            raise Failure(f"{self.url} answered {status}, and not as recond does", hint="Is this recond's address?")
        if self._as_json:
            click.echo(body.decode())
        return answer

    def said(self, text: str) -> None:
        """Print what was understood, unless --json has printed the answer."""
        if not self._as_json:
            click.echo(text)

    def _send(self, method: str, target: str, timeout_s: float) -> tuple[int, str, bytes]:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
            try:
                connection.request(method, parts.path + target, headers=headers)
                response = connection.getresponse()
                return response.status, response.headers.get_content_type(), response.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            hint = "Is it running (`systemctl status recond`)? --url or RECOND_URL says where it answers."
            raise Failure(f"recond does not answer at {self.url}: {why}", hint=hint) from error


def find_daemon(config: Path | None, url: str | None, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Where the daemon answers and the token to show; a config file is only read for `listen` in [http].

    Raises `Failure` (78) when the file cannot be used.
    """
    credential = Path(environ.get("CREDENTIALS_DIRECTORY") or os.devnull) / "recond-token"
    try:
        token = credential.read_text().strip()
    except OSError:
        token = environ.get("RECOND_TOKEN", "").strip()
    if url:
        if urlsplit(url).scheme not in ("http", "https"):
            raise Failure(f"{url} is no URL", hint="It looks like http://127.0.0.1:5000.", code=MISCONFIGURED)
        return url, token or None
    listen = _listen(config or (Path(environ["RECOND_CONFIG"]) if environ.get("RECOND_CONFIG") else None))
    host, _, port = listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://{host}:{port}", token or None


def _listen(named: Path | None) -> str:
    import tomllib

    for path in (named,) if named else map(Path, _PLACES):
        try:
            written = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            if named is None and isinstance(error, FileNotFoundError):
                continue
            hint = "--url or RECOND_URL says where recond answers without it."
            raise Failure(f"cannot read {path}: {error.strerror}", hint=hint, code=MISCONFIGURED) from error
        except ValueError as error:
            raise Failure(f"{path} is not TOML: {error}", code=MISCONFIGURED) from error
        section = written.get("http", {})
        listen = section.get("listen", _DEFAULT_LISTEN) if isinstance(section, dict) else None
        if not isinstance(listen, str) or not listen.rpartition(":")[2].isdecimal():
            hint = f'`listen` in [http] looks like "{_DEFAULT_LISTEN}"; `recond check` names all faults.'
            raise Failure(f"{path} does not say where recond answers", hint=hint, code=MISCONFIGURED)
        return listen
    return _DEFAULT_LISTEN


def asks(command: Command) -> Command:
    """Give a command the options by which the daemon is found, and the daemon in their place."""

    @click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Read where recond answers here.")
    @click.option("--url", envvar="RECOND_URL", metavar="URL", help="Where recond answers [env: RECOND_URL].")
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
    @wraps(command)
    def found(*args: Any, config: Path | None, url: str | None, as_json: bool, **options: Any) -> Any:
        where, token = find_daemon(config, url, os.environ)
        return command(Daemon(where, token, as_json=as_json), *args, **options)

    return found


def configured(command: Command) -> Command:
    """Give a command --config and the checked configuration. All faults are printed, exit code 78."""

    @click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Instead of the usual places.")
    @wraps(command)
    def loaded(*args: Any, config: Path | None, **options: Any) -> Any:
        from recond.config import ConfigError, load

        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        try:
            read = load(config, os.environ, Path(credentials) if credentials else None)
            return command(read, *args, **options)
        except ConfigError as error:
            raise Failure(str(error), hint=error.hint, code=MISCONFIGURED) from error

    return loaded


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(recond.__version__, message="recond %(version)s")
def main() -> None:
    """Keep a position ledger true to what its Alpaca account really holds.

    Configuration is read from --config FILE, else $RECOND_CONFIG, ./config.toml or /etc/recond/config.toml. A
    token, if one is needed, is taken from the systemd credential recond-token or from $RECOND_TOKEN. Exit code 78:
    the configuration is at fault.
    """


@main.command()
@configured
def run(config: Config) -> NoReturn:
    """Run the daemon until SIGTERM or Ctrl-C. SIGHUP forces a pass."""
    from recond import daemon

    sys.exit(daemon.main(config))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For a script.")
@configured
def check(config: Config, as_json: bool) -> NoReturn:
    """Try the configuration, the ledger and the broker's keys, without changing anything."""
    from recond import daemon

    sys.exit(daemon.check(config, as_json))


@main.command()
@click.option("--once", is_flag=True, help="End when the story has been told.")
def demo(once: bool) -> NoReturn:
    """Watch recond at work against a simulated Alpaca; needs no keys and leaves nothing behind."""
    from recond import demo as story

    sys.exit(story.main(once=once))


@main.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Port 0: any free one.")
@click.option("--scenario", metavar="NAME", help="What happens by itself; an unknown name lists them.")
def simulate(listen: str, scenario: str | None) -> NoReturn:
    """Run a simulated Alpaca to point bots, recond and alerts at, until Ctrl-C."""
    from recond.simulator import server

    sys.exit(server.main(listen, scenario))


@main.command()
@asks
def status(daemon: Daemon) -> None:
    """Show what the daemon knows now: each account's last pass, its gate, and what is open."""
    daemon.said(_status(daemon.ask("/api/positions/reconciliation-status"), daemon.url))


@main.command()
@click.option("--account", metavar="NAME")
@click.option("--symbol", metavar="SYMBOL")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@click.option("--limit", type=click.IntRange(1, 1000), default=1000, show_default=True)
@asks
def positions(daemon: Daemon, account: str | None, symbol: str | None, everything: bool, limit: int) -> None:
    """List the positions in the ledger."""
    state = None if everything else "open"
    page = daemon.ask("/api/positions", account=account, symbol=symbol, status=state, limit=limit)
    columns = "account symbol strategyId quantity entryPrice currentPrice marketValue unrealizedPl status source"
    daemon.said(_page(page, f"{columns} lastSyncedAt"))


@main.command()
@click.option("--account", metavar="NAME", help="Needed when there are several.")
@click.option("--no-force", is_flag=True, help="Make no pass when the last success is younger than the interval.")
@click.option(
    "--wait", type=click.IntRange(0, 300), default=60, show_default=True, help="Seconds, for what is pending."
)
@asks
def reconcile(daemon: Daemon, account: str | None, no_force: bool, wait: int) -> NoReturn:
    """Force a pass and wait for its result.

    Exit code 0: success, both sides agree or were made to. 1: the pass failed, or recond did not answer. 3: partial,
    something was in conflict, is held, unreadable or pending.
    """
    answer = daemon.ask(
        "/api/positions/reconcile",
        method="POST",
        timeout_s=wait + 2 * 60,
        account=account,
        force=str(not no_force).lower(),
        wait=wait,
    )
    daemon.said("\n".join([_pass(answer), *_open(answer, answer["conflicts"])]))
    sys.exit({"success": 0, "partial": UNSETTLED}.get(answer["status"], FAILED))


@main.group(invoke_without_command=True)
@click.option("--account", metavar="NAME")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@asks
@click.pass_context
def runs(context: click.Context, daemon: Daemon, account: str | None, limit: int) -> None:
    """List the recorded passes, newest first; `runs show ID` shows one."""
    if context.invoked_subcommand is None:
        page = daemon.ask("/api/runs", account=account, limit=limit)
        columns = "id account startedAt trigger status brokerPositions dbPositions synced added removed conflicts"
        daemon.said(_page(page, f"{columns} pending error"))


@runs.command("show")
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@asks
def show_run(daemon: Daemon, number: int) -> None:
    """Show one pass: the differences it found and what it changed."""
    answer = daemon.ask(f"/api/runs/{number}")
    found, changed = answer.pop("drifts"), answer.pop("corrections")
    figures = "\n".join(f"{name:<16} {_text(value)}" for name, value in answer.items() if value is not None)
    drifts = _table(found, "symbol kind cause brokerQuantity ledgerQuantity explanation".split())
    corrections = _table(changed, "id positionId symbol strategyId before after cause".split())
    daemon.said(f"{figures}\n\nDifferences\n{drifts}\n\nCorrections\n{corrections}")


@main.command()
@click.option("--account", metavar="NAME")
@click.option("--symbol", metavar="SYMBOL")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@asks
def conflicts(daemon: Daemon, account: str | None, symbol: str | None, limit: int) -> None:
    """List the recorded conflicts, newest first."""
    page = daemon.ask("/api/conflicts", account=account, symbol=symbol, limit=limit)
    columns = "id account symbol kind cause brokerQuantity ledgerQuantity resolution openedAt sightings resolvedAt"
    daemon.said(_page(page, f"{columns} resolvedBy"))


@main.command()
@click.option("--account", metavar="NAME", help="All, unless one is named.")
@click.option("--symbol", metavar="SYMBOL", help="Only what concerns this symbol.")
@click.option("--max-age", type=click.FloatRange(0), metavar="SECONDS", help="How old the last success may be.")
@asks
def gate(daemon: Daemon, account: str | None, symbol: str | None, max_age: float | None) -> NoReturn:
    """Ask whether bots may trade.

    Exit code 0: clear. 1: blocked. 3: unknown, also when recond does not answer.
    """
    try:
        answer = daemon.ask("/api/gate", answers=(200, 409, 503), account=account, symbol=symbol, maxAge=max_age)
    except Failure as failure:
        failure.exit_code = UNSETTLED
        raise
    daemon.said("\n".join([answer["state"], *_reasons(answer, "  {account}: {text}")]))
    sys.exit({"clear": 0, "blocked": FAILED}.get(answer["state"], UNSETTLED))


def _status(answer: Mapping[str, Any], url: str) -> str:
    every_s = int(answer["interval"]) // 1000
    lines = [f"recond {answer['version']} at {url}, a pass every {every_s} s"]
    lines += [f"warning: {_text(warning)}" for warning in answer["warnings"]]
    for account in answer["accounts"]:
        lines += ["", f"{account['account']} (user {account['userId']}, {account['environment']})"]
        lines += [f"  gate          {account['gate']['state']}", *_reasons(account["gate"], "                {text}")]
        last, age_ms, broker = account["lastRun"], account["lastSuccessAgeMs"], account["brokerAccount"]
        lines.append(f"  last pass     {_pass(last) if last else 'none yet'}")
        lines.append(f"  last success  {'none yet' if age_ms is None else f'{int(age_ms) // 1000} s ago'}")
        lines.append(f"  stream        {_text(account['stream'])}")
        if broker:
            lines.append(f"  broker        {_text(broker['status'])}, equity {_text(broker['equity'])}")
        lines += [f"  {line}" for line in _open(account, account["openConflicts"])]
    return "\n".join(lines)


def _pass(answer: Mapping[str, Any]) -> str:
    """One pass, or several that were one answer, in a sentence."""
    ended = f"{answer['account']}: {answer['status']} at {_text(answer['timestamp'])}"
    if answer["error"]:
        hint = _text(answer["error"]["hint"])
        return f"{ended}: {_text(answer['error']['message'])}{f' ({hint})' if hint else ''}"
    skipped = ", no new pass since the last success is recent" if answer["skipped"] else ""
    return (
        f"{ended}, run {answer['runId']}{skipped}: broker {_text(answer['brokerPositions'])} positions, "
        f"ledger {_text(answer['dbPositions'])}; {answer['synced']} agree, {answer['added']} opened, "
        f"{answer['removed']} closed, {len(answer['conflicts'])} in conflict, {len(answer['pending'])} pending, "
        f"{len(answer['holds'])} held; total value {_text(answer['totalValue'])}"
    )


def _open(answer: Mapping[str, Any], conflicts: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for everything that does not simply agree."""
    lines = [
        f"conflict {_text(c['id'])}: {_sides(c)}, {c['cause']}; "
        f"{'resolved: ' + _text(c['resolvedBy'] or c['resolution']) if c['resolved'] else 'open'}"
        for c in conflicts
    ]
    lines += [f"hold {_text(h['id'])}: {_sides(h)}: {_text(h['reason'])}" for h in answer["holds"]]
    return lines + [f"pending: {_sides(p)}: {_text(p['why'])}" for p in answer["pending"]]


def _sides(entry: Mapping[str, Any]) -> str:
    return f"{_text(entry['symbol'])} broker {entry['brokerQty']}, ledger {entry['dbQty']}"


def _reasons(gate: Mapping[str, Any], form: str) -> list[str]:
    return [form.format_map({name: _text(value) for name, value in reason.items()}) for reason in gate["reasons"]]


def _page(page: Mapping[str, Any], columns: str) -> str:
    rows = page["items"]
    more = f"\n{len(rows)} of {page['total']}; --limit shows more" if page["next"] else ""
    return _table(rows, columns.split()) + more


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Aligned columns, those of numbers to the right; "none" without rows."""
    if not rows:
        return "none"
    cells = [list(columns), *([_text(row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(_NUMBER.fullmatch(cell) for cell in column[1:]) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )


_NUMBER = re.compile(r"-|-?[0-9]+(\.[0-9]+)?")


def _text(value: object) -> str:
    """A value on one line; "-" for null. What could steer the terminal is shown as "?"."""
    text = "-" if value is None else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)
