"""The shipped unit under a real systemd: it starts, is told, is watched, ends, and is left alone when that is right."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from recond.simulator import Simulator
from tests.end_to_end import container
from tests.end_to_end.container import Container
from tests.end_to_end.process import Setting, until

TOKEN = "only-for-this-test-0123456789"
LEDGER = Path("/var/lib/recond/recond.db")
STOP_S = 2.0


@pytest.fixture(scope="module")
def machine() -> Iterator[Container]:
    """A machine of its own for the tests of this file."""
    with container.booted() as running:
        yield running


class Unit:
    """The unit on that machine; its methods do not hold up the event loop, on which the simulator runs."""

    def __init__(self, machine: Container) -> None:
        self._machine = machine

    async def systemctl(self, verb: str) -> float:
        """Do it; how many seconds it took."""
        began = time.monotonic()
        try:
            await asyncio.to_thread(self._machine.run, "systemctl", verb, "recond")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._machine.journal()}") from error
        return time.monotonic() - began

    async def show(self, *names: str) -> dict[str, str]:
        """Properties of it."""
        return await asyncio.to_thread(self._machine.show, *names)

    async def kill(self, number: str) -> None:
        """Send its main process a signal."""
        await asyncio.to_thread(
            self._machine.run, "systemctl", "kill", "--kill-whom=main", f"--signal={number}", "recond"
        )

    async def becomes(self, name: str, *values: str) -> None:
        """Wait until a property has one of the values."""
        deadline_s = time.monotonic() + container.PATIENCE_S
        while (now := (await self.show(name))[name]) not in values:
            assert time.monotonic() < deadline_s, f"{name} stays {now}\n{self._machine.journal()}"
            await asyncio.sleep(0.05)

    def journal(self) -> str:
        """What it, and systemd about it, has said."""
        return self._machine.journal()

    def said(self) -> list[dict[str, Any]]:
        """Its log, of all its starts."""
        lines = self._machine.run("journalctl", "--unit=recond", "--output=cat", "--no-pager").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def write(self, config: str, drop_in: str = "") -> None:
        """Give it a configuration, credentials, and what `systemctl edit` would write."""
        self._machine.write("/etc/recond/config.toml", config)
        self._machine.write("/etc/systemd/system/recond.service.d/override.conf", f"[Service]\n{drop_in}")
        self._machine.run("systemctl", "daemon-reload")


@pytest.fixture
async def unit(machine: Container, simulator: Simulator) -> AsyncIterator[Unit]:
    """The unit, with the keys of the simulator as credentials; stopped afterwards, and its ledger gone."""
    for name, secret in (
        ("default-key", simulator.key),
        ("default-secret", simulator.secret),
        ("recond-token", TOKEN),
    ):
        machine.write(f"/etc/recond/credentials/{name}", f"{secret}\n", 0o600)
    yield Unit(machine)
    await asyncio.to_thread(machine.run, "systemctl", "stop", "recond")
    machine.run("systemctl", "reset-failed", "recond", check=False)
    machine.run("rm", "-rf", str(LEDGER.parent))
    machine.run("journalctl", "--rotate", "--vacuum-time=1s", check=False)


def config(simulator: Simulator, tmp_path: Path) -> str:
    """A configuration for the simulator."""
    return Setting(tmp_path, simulator, ledger=LEDGER).write().read_text()


async def test_start_reload_stop(unit: Unit, machine: Container, simulator: Simulator, tmp_path: Path) -> None:
    """The unit as shipped: start waits for READY, status tells the last pass, reload forces one, stop is quick."""
    unit.write(config(simulator, tmp_path))

    await unit.systemctl("start")
    state = await unit.show("ActiveState", "SubState", "StatusText", "MainPID", "User")
    assert (state["ActiveState"], state["SubState"], state["User"]) == ("active", "running", "recond")
    url = next(line["url"] for line in unit.said() if "url" in line)  # it listened before `start` came back
    async with (
        aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {TOKEN}"}) as bot,
        bot.post("/api/positions/reconcile") as answer,
    ):
        told = await answer.json()
    assert (answer.status, told["status"]) == (200, "success")
    assert told["added"] + told["synced"] == 6, told  # by the first pass, which this one may have joined
    assert "default: success at" in (await unit.show("StatusText"))["StatusText"]

    await unit.systemctl("reload")
    await until(lambda: any(line.get("trigger") == "sighup" for line in unit.said()))
    assert (await unit.show("ActiveState"))["ActiveState"] == "active"

    secrets = (simulator.key, simulator.secret, TOKEN)
    shown = await asyncio.to_thread(machine.run, "systemctl", "show", "recond", "--all")
    command = await asyncio.to_thread(machine.run, "cat", f"/proc/{state['MainPID']}/cmdline")
    variables = await asyncio.to_thread(machine.run, "cat", f"/proc/{state['MainPID']}/environ")
    assert not [secret for secret in secrets if secret in shown + command + variables + machine.journal()]

    simulator.fault("positions", "hang", count=1)
    await unit.systemctl("reload")
    await until(lambda: not simulator.faults.active())
    took_s = await unit.systemctl("stop")
    assert took_s < STOP_S
    ended = await unit.show("ActiveState", "Result", "ExecMainStatus", "NRestarts")
    assert ended == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0", "NRestarts": "0"}
    left = await asyncio.to_thread(machine.run, "ls", str(LEDGER.parent))
    assert left.split() == ["recond.db", "recond.db.lock"]


async def test_a_bot_in_the_group_shares_the_ledger(
    unit: Unit, machine: Container, simulator: Simulator, tmp_path: Path
) -> None:
    """A program of another user in recond's group can write positions, and recond sees at once that it did."""
    unit.write(config(simulator, tmp_path))
    await unit.systemctl("start")
    await until(lambda: any(line.get("added") == 6 for line in unit.said()))

    as_bot = ("setpriv", f"--reuid={container.BOT_UID}", f"--regid={container.BOT_UID}", "--init-groups", "--")
    write = (
        "import sqlite3; ledger = sqlite3.connect(sys.argv[1]); ledger.execute('PRAGMA busy_timeout = 5000');"
        "ledger.execute('UPDATE positions SET quantity = 7 WHERE symbol = ?', ('AAPL',)); ledger.commit()"
    )
    await asyncio.to_thread(machine.run, *as_bot, str(container.PYTHON), "-c", f"import sys; {write}", str(LEDGER))

    await until(lambda: any("AAPL set from 7 to 100" in line["event"] for line in unit.said()))


async def test_the_watchdog(unit: Unit, simulator: Simulator, tmp_path: Path) -> None:
    """A broker that is down does not starve it; a recond that is stuck is ended by it, one that is killed is missed.

    Both are back at once and do their work.
    """
    unit.write(config(simulator, tmp_path), "WatchdogSec=1s\nTimeoutAbortSec=500ms\nRestartSec=100ms\n")
    simulator.fault("all", "status", status=503)
    await unit.systemctl("start")
    await asyncio.sleep(3)  # three times what the watchdog allows
    assert await unit.show("NRestarts", "SubState") == {"NRestarts": "0", "SubState": "running"}
    simulator.clear()

    await unit.kill("SIGSTOP")
    await unit.becomes("NRestarts", "1")
    await unit.becomes("SubState", "running")
    assert "Watchdog timeout" in unit.journal()

    await unit.kill("SIGKILL")
    await unit.becomes("NRestarts", "2")
    await unit.becomes("SubState", "running")
    await until(lambda: unit.said()[-1].get("added") == 6)


async def test_a_refused_configuration_is_not_tried_again(unit: Unit, simulator: Simulator, tmp_path: Path) -> None:
    """Code 78 ends it for good, in spite of Restart=always; the journal names the fault."""
    unit.write(config(simulator, tmp_path).replace('"1h"', '"sometimes"'), "RestartSec=100ms\n")
    with pytest.raises(AssertionError):
        await unit.systemctl("start")
    await unit.becomes("ActiveState", "failed")
    await asyncio.sleep(0.5)  # RestartSec, five times
    assert await unit.show("NRestarts", "ExecMainStatus", "ActiveState") == {
        "NRestarts": "0",
        "ExecMainStatus": "78",
        "ActiveState": "failed",
    }
    assert 'daemon.interval = "sometimes"' in unit.journal()
