"""The commands as an operator types them: real processes against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from recond.core.model import Hold
from recond.core.run import RunStatus
from recond.status import AccountStatus
from tests.web.house import COIN, NOW, House, a_conflict, a_failed_run, a_pending, a_run, house
from tests.web.test_listings import book, recorded

TOKEN = "0123456789abcdef"
HEAVY = ("alpaca", "pydantic", "fastapi", "starlette", "uvicorn", "aiohttp", "aiosqlite", "asyncio", "pandas")


@dataclass
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


async def recond(*arguments: str, folder: Path, environ: dict[str, str] | None = None) -> Said:
    """Run `recond` in a folder, with nothing of recond in the environment but what is given."""
    process = await start(*arguments, folder=folder, environ=environ)
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


async def start(*arguments: str, folder: Path, environ: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    """Start it."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("RECOND", "ALPACA", "APCA", "CRED"))
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "recond",
        *arguments,
        cwd=folder,
        env=inherited | (environ or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def reconciled(at: House, folder: Path, *passes: object, arguments: tuple[str, ...] = ()) -> Said:
    """`recond reconcile`, answered by these passes."""
    running = asyncio.create_task(recond("reconcile", "--url", at.web.url, *arguments, folder=folder))
    for run in passes:
        await at.asked()
        at.triggers["swing"].take()
        at.status.record(run)  # type: ignore[arg-type]
    return await running


async def test_status_tells_what_is_known(tmp_path: Path) -> None:
    """Each account with its gate, last pass and everything open, in the quantities' own digits."""
    swing, day = AccountStatus("swing", 1, "paper"), AccountStatus("day", 2, "live")
    async with house(tmp_path, swing, day, warnings=["settle is small"]) as at:
        at.make(
            status=RunStatus.PARTIAL,
            carried_conflicts=(a_conflict(),),
            carried_holds=(Hold(3, COIN, "not proven\x1b[2J", Decimal("1E-9"), Decimal(0), NOW),),
            pending=(a_pending(COIN),),
        )
        said = await recond("status", "--url", at.web.url, folder=tmp_path)
        assert (said.code, said.err) == (0, "")
        for text in (
            "warning: settle is small",
            "swing (user 1, paper)",
            "gate          blocked",
            "conflict 7: AAPL broker 10, ledger 8, unexplained; open",
            "hold 3: BTCUSD broker 0.000000001, ledger 0: not proven?[2J",
            "pending: BTCUSD broker 10, ledger 8: too young to judge",
            "total value 1234.50",
            "day (user 2, live)",
            "last pass     none yet",
        ):
            assert text in said.out, said.out


async def test_json_is_the_answer_as_it_came(tmp_path: Path) -> None:
    """--json prints the server's bytes, so no digit changes on the way."""
    async with house(tmp_path) as at:
        book(tmp_path, ("AAPL", "12345678901234567890.123456789", "mean"))
        said = await recond("positions", "--json", "--url", at.web.url, folder=tmp_path)
        assert said.out.encode() == (await at.ask("/api/positions?status=open&limit=1000")).body + b"\n"
        said = await recond("gate", "--json", "--url", at.web.url, folder=tmp_path)
        assert (said.code, json.loads(said.out)["state"]) == (3, "unknown")


async def test_lists_are_tables(tmp_path: Path) -> None:
    """Positions, runs and conflicts come in aligned columns, numbers to the right; one run comes in full."""
    async with house(tmp_path) as at:
        await recorded(at)
        book(tmp_path, ("AAPL", "10", "mean"), ("MSFT", "-1000.5", None))
        said = await recond("positions", "--url", at.web.url, folder=tmp_path)
        head, aapl, coin, msft = said.out.splitlines()
        end = head.index("quantity") + len("quantity")
        assert [line[:end].split()[-1] for line in (aapl, coin, msft)] == ["10", "0.000000001", "-1000.5"]
        assert (await recond("positions", "--symbol", "NONE", "--url", at.web.url, folder=tmp_path)).out == "none\n"
        assert "partial" in (await recond("runs", "--url", at.web.url, folder=tmp_path)).out
        assert "AAPL" in (await recond("conflicts", "--url", at.web.url, folder=tmp_path)).out
        shown = await recond("runs", "show", "1", "--url", at.web.url, folder=tmp_path)
        assert "missing_in_ledger" in shown.out
        columns = "id positionId symbol strategyId before after cause proven laterCause laterExplanation"
        lines = [line.split() for line in shown.out.splitlines()]
        assert lines[lines.index(columns.split()) + 1] == [
            "1",
            "1",
            "BTCUSD",
            "-",
            "0",
            "0.000000001",
            "adoption",
            "true",
            "-",
            "-",
        ]
        assert "totalValue" in shown.out
        assert (
            "1 of 3; --limit" in (await recond("positions", "--limit", "1", "--url", at.web.url, folder=tmp_path)).out
        )
        gone = await recond("runs", "show", "9", "--url", at.web.url, folder=tmp_path)
        assert (gone.code, gone.out) == (1, "")
        assert "there is no run 9 (404)" in gone.err
        assert (await recond("runs", "show", "--url", at.web.url, folder=tmp_path)).code == 2


async def test_reconcile_exits_by_what_came_of_it(tmp_path: Path) -> None:
    """0 success, 1 failed with the error and its hint, 3 partial; skipped when asked not to force."""
    async with house(tmp_path) as at:
        failed = await reconciled(at, tmp_path, a_failed_run(1))
        assert failed.code == 1
        assert "failed" in failed.out
        assert "positions: HTTP 502 (the broker is down)" in failed.out
        partial = a_run(2, status=RunStatus.PARTIAL, carried_conflicts=(a_conflict(),))
        said = await reconciled(at, tmp_path, partial)
        assert (said.code, "conflict 7" in said.out) == (3, True)
        pending = a_run(3, status=RunStatus.PARTIAL, pending=(a_pending(),))
        assert (await reconciled(at, tmp_path, pending, arguments=("--wait", "0"))).code == 3
        said = await reconciled(at, tmp_path, a_run(4))
        assert (said.code, "3 agree" in said.out) == (0, True)
        said = await reconciled(at, tmp_path, arguments=("--no-force", "--account", "swing"))
        assert (said.code, "no new pass" in said.out) == (0, True)


async def test_the_gate_exits_by_its_answer(tmp_path: Path) -> None:
    """0 clear, 1 blocked, 3 unknown; 3 also for an account that there is not, and when nobody answers."""
    async with house(tmp_path) as at:
        assert (await recond("gate", "--url", at.web.url, folder=tmp_path)).code == 3
        at.make(status=RunStatus.PARTIAL, carried_conflicts=(a_conflict(),))
        said = await recond("gate", "--account", "swing", "--url", at.web.url, folder=tmp_path)
        assert (said.code, said.out) == (1, "blocked\n  swing: AAPL: broker 10, ledger 8 (unexplained)\n")
        said = await recond("gate", "--symbol", "MSFT", "--url", at.web.url, folder=tmp_path)
        assert (said.code, said.out) == (0, "clear\n")
        assert (await recond("gate", "--account", "moon", "--url", at.web.url, folder=tmp_path)).code == 3
        url = at.web.url
    said = await recond("gate", "--url", url, folder=tmp_path)
    assert (said.code, said.out) == (3, "")
    assert "does not answer" in said.err


async def test_a_daemon_that_does_not_answer_is_named_with_a_hint(tmp_path: Path) -> None:
    """Exit code 1, one message, no traceback; also when what answers is not recond."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b"hello" if b"/api/positions/" in await reader.readuntil(b"\r\n\r\n") else b"{}"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as another:
        url = f"http://127.0.0.1:{another.sockets[0].getsockname()[1]}"
        said = await recond("status", "--url", url, folder=tmp_path)
        assert (said.code, "not as recond does" in said.err) == (1, True)
        said = await recond("gate", "--url", url, folder=tmp_path)
        assert (said.code, "'state'" in said.err, "Traceback" in said.err) == (3, True, False)
    for command in ("status", "positions", "reconcile", "runs", "conflicts"):
        said = await recond(command, "--url", url, folder=tmp_path)
        assert (said.code, said.out) == (1, "")
        assert url in said.err
        assert "Is it running" in said.err
        assert "Traceback" not in said.err


async def test_the_token_is_shown_and_its_lack_told(tmp_path: Path) -> None:
    """The token comes from the environment or the credential, and never appears in what is printed."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "recond-token").write_text(f"{TOKEN}\n")
    async with house(tmp_path, token=TOKEN) as at:
        url = {"RECOND_URL": at.web.url}
        assert (await recond("status", folder=tmp_path, environ=url | {"RECOND_TOKEN": TOKEN})).code == 0
        found = {"CREDENTIALS_DIRECTORY": str(credentials), "RECOND_TOKEN": "another one, longer"}
        assert (await recond("status", folder=tmp_path, environ=url | found)).code == 0
        for token in ({}, {"RECOND_TOKEN": "not the right token"}):
            said = await recond("status", folder=tmp_path, environ=url | token)
            assert (said.code, "(401)" in said.err) == (1, True)
            assert "not the right token" not in said.err


async def test_the_daemon_is_found_by_its_configuration(tmp_path: Path) -> None:
    """--config, $RECOND_CONFIG and ./config.toml say where it answers."""
    async with house(tmp_path) as at:
        (tmp_path / "config.toml").write_text(f'[http]\nlisten = "0.0.0.0:{at.port}"\n')
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        config = str(tmp_path / "config.toml")
        assert (await recond("status", folder=tmp_path)).code == 0
        assert (await recond("status", "--config", config, folder=elsewhere)).code == 0
        assert (await recond("status", folder=elsewhere, environ={"RECOND_CONFIG": config})).code == 0


async def test_the_ledger_is_checked_without_keys_or_daemon(tmp_path: Path) -> None:
    """check --ledger needs neither: 0 while there is nothing wrong, 1 for a file that is no ledger, as JSON too."""
    said = await recond("check", "--ledger", folder=tmp_path)
    assert (said.code, "not there yet" in said.out) == (0, True)
    (tmp_path / "recond.db").write_text("just text " * 1000)
    said = await recond("check", "--ledger", "--json", folder=tmp_path)
    assert (said.code, [finding["level"] for finding in json.loads(said.out)["findings"]]) == (1, ["fault"])


async def test_configuration_faults_are_all_told(tmp_path: Path) -> None:
    """run and check exit 78 with every fault on a line of its own and a hint; those that ask say what they need."""
    (tmp_path / "config.toml").write_text('[http]\nlisten = 5\n[daemon]\ninterval = "0s"\ncolour = "red"\n')
    for command in ("run", "check"):
        said = await recond(command, folder=tmp_path)
        assert (said.code, said.out) == (78, "")
        assert [key in said.err for key in ("daemon.interval", "daemon.colour", "http.listen")] == [True] * 3
        assert len(said.err.splitlines()) >= 5
        assert "Traceback" not in said.err
    for command in ("demo", "simulate"):
        said = await recond(command, "--config", "config.toml", folder=tmp_path)
        assert (said.code, said.out, "daemon.interval" in said.err) == (78, "", True)
    for arguments in (("check", "--json"), ("check", "--ledger", "--json")):
        said = await recond(*arguments, folder=tmp_path)
        findings = json.loads(said.out)["findings"]
        assert {(each["about"], each["level"]) for each in findings} == {("config", "fault")}
        told = [each["text"] for each in findings]
        assert [any(key in text for text in told) for key in ("daemon.interval", "http.listen")] == [True, True]
        assert (said.code, "daemon.interval" in said.err) == (78, True)
    said = await recond("status", folder=tmp_path)
    assert (said.code, "listen" in said.err) == (78, True)
    said = await recond("status", "--config", "nowhere.toml", folder=tmp_path)
    assert (said.code, "nowhere.toml" in said.err) == (78, True)


async def test_asking_starts_in_a_moment(tmp_path: Path) -> None:
    """What asks the daemon imports nothing heavy."""
    async with house(tmp_path) as at:
        at.make()
        program = (
            "import sys\nfrom recond.cli import main\n"
            f"try: main(['status', '--url', {at.web.url!r}])\n"
            f"finally: print([name for name in {HEAVY!r} if name in sys.modules], len(sys.modules), file=sys.stderr)"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        assert (process.returncode, b"swing" in out) == (0, True)
        assert err.startswith(b"[] "), err
        assert int(err.split()[1]) < 300


async def test_a_reader_that_closes_early_gets_no_traceback(tmp_path: Path) -> None:
    """`recond positions | head -1` ends quietly."""
    async with house(tmp_path) as at:
        book(tmp_path, *((f"A{number:03}", "1", None) for number in range(900)))
        command = f"{sys.executable} -m recond positions --url {at.web.url} | head -1"
        process = await asyncio.create_subprocess_shell(
            command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        assert (len(out.splitlines()), err) == (1, b"")


async def test_ctrl_c_ends_a_wait_without_a_traceback(tmp_path: Path) -> None:
    """A request that is given up leaves the daemon as it was."""
    async with house(tmp_path) as at:
        process = await start("reconcile", "--url", at.web.url, folder=tmp_path)
        await at.asked()
        process.send_signal(2)
        out, err = await process.communicate()
        assert (process.returncode, out, err.strip()) == (1, b"", b"Aborted!")


async def test_simulate_says_how_to_use_it(tmp_path: Path) -> None:
    """It prints where it answers, a block for config.toml and keys; Ctrl-C ends it, and nonsense is refused."""
    process = await start("simulate", folder=tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        lines = [await process.stdout.readline()]
        while not lines[-1].startswith(b"curl http"):
            lines.append(await process.stdout.readline())
        text = b"".join(lines)
        assert b"[[accounts]]" in text
        assert b"export ALPACA_API_KEY=" in text
        process.send_signal(2)
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    for arguments in (("--listen", "nowhere"), ("--listen", "127.0.0.1:99999"), ("--scenario", "none such")):
        assert (await recond("simulate", *arguments, folder=tmp_path)).code == 2
