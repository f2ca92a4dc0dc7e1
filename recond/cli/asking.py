"""Asking the running daemon over HTTP: where it is, what it says, and what to tell when it does not.

Owns the way to the daemon and the form of a failure on the terminal.
May not read more of the configuration than where recond answers, or import what is slow to import.
"""

from __future__ import annotations

import http.client
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from recond.cli.words import state, text

_DEFAULT_LISTEN = "127.0.0.1:5000"
_PLACES = ("config.toml", "/etc/recond/config.toml")
_ANSWER_S = 15


class Failure(click.ClickException):
    """A message for the operator, and a hint. Exit code 1."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)


class Misconfigured(Failure):
    """The configuration is at fault."""

    exit_code = 78


class Undecided(Failure):
    """There is no answer to a question whose other answers are exit codes too."""

    exit_code = 3


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
        says: Mapping[str, object] | None = None,
        aside: bool = False,
        **query: object,
    ) -> Any:
        """The answer's JSON, numbers as the text that was sent; raises `Failure` for any status not in `answers`.

        `says` is sent as the request's body. With --json the answer is printed as it came, unless it is only asked for
        `aside`, for the sake of another question.
        """
        asked = {name: value for name, value in query.items() if value is not None}
        told = None if says is None else json.dumps(says)
        status, kind, body = self._send(method, f"{path}?{urlencode(asked)}" if asked else path, timeout_s, told)
        try:
            answer = json.loads(body, parse_float=str, parse_int=str)
        except ValueError:
            answer = None
        if kind == "application/problem+json" and isinstance(answer, dict):
            current = answer.get("current")
            now = f"\n  now: {state(current)}" if isinstance(current, dict) else ""
            raise Failure(f"{text(answer.get('detail'))} ({status}){now}", hint=text(answer.get("hint") or ""))
        if status not in answers or not isinstance(answer, dict):
            raise Failure(f"{self.url} answered {status}, and not as recond does", hint="Is this recond's address?")
        if self._as_json and not aside:
            click.echo(body.decode())
        return answer

    def said(self, text: str) -> None:
        """Print what was understood, unless --json has printed the answer."""
        if not self._as_json:
            click.echo(text)

    def _send(self, method: str, target: str, timeout_s: float, says: str | None) -> tuple[int, str, bytes]:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        headers = {"Accept": "application/json"}
        if says is not None:
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
            try:
                connection.request(method, parts.path + target, body=says, headers=headers)
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

    Raises `Misconfigured` when the file cannot be used.
    """
    credential = Path(environ.get("CREDENTIALS_DIRECTORY") or os.devnull) / "recond-token"
    try:
        token = credential.read_text().strip()
    except OSError:
        token = environ.get("RECOND_TOKEN", "").strip()
    if url:
        if not _is_url(url):
            raise Misconfigured(f"{url} is no URL", hint="It looks like http://127.0.0.1:5000.")
        return url, token or None
    listen = _listen(config or (Path(environ["RECOND_CONFIG"]) if environ.get("RECOND_CONFIG") else None))
    host, _, port = listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://{host}:{port}", token or None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half a bracket, or a port that is none
        return False


def _listen(named: Path | None) -> str:
    for path in (named,) if named else map(Path, _PLACES):
        try:
            written = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            if named is None and isinstance(error, FileNotFoundError):
                continue
            hint = "--url or RECOND_URL says where recond answers without it."
            raise Misconfigured(f"cannot read {path}: {error.strerror}", hint=hint) from error
        except ValueError as error:
            raise Misconfigured(f"{path} is not TOML: {error}") from error
        section = written.get("http", {})
        listen = section.get("listen", _DEFAULT_LISTEN) if isinstance(section, dict) else None
        if not isinstance(listen, str) or not listen.rpartition(":")[2].isdecimal():
            hint = f'`listen` in [http] looks like "{_DEFAULT_LISTEN}"; `recond check` names all faults.'
            raise Misconfigured(f"{path} does not say where recond answers", hint=hint)
        return listen
    return _DEFAULT_LISTEN
