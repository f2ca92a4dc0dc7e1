"""The keys are for the broker alone: nothing that anybody else can read has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from recond.simulator import Simulator
from tests.end_to_end.conftest import Start
from tests.end_to_end.process import Daemon, Setting, bot

KEY, SECRET = "PKTELLNOBODY0000KEY1", "tellnobody0123456789abcdefghijklmnopqrst"
TOKEN = "tellnobody-of-this-token-either"


async def everything(daemon: Daemon, folder: Path) -> dict[str, bytes]:
    """All that can be seen of the daemon by those who may not know its keys."""
    seen = {}
    for path in ("/metrics", "/api/positions/reconciliation-status", "/api/runs", "/api/gate", "/readyz"):
        async with daemon.session.get(path) as answer:
            seen[path] = await answer.read()
    with bot(daemon.ledger) as platform:
        seen["ledger"] = "\n".join(platform.iterdump()).encode()
    return seen | files(folder) | files(Path(f"/proc/{daemon.pid}"), "cmdline")


def files(folder: Path, names: str = "*") -> dict[str, bytes]:
    """What is in files of a folder."""
    return {path.name: path.read_bytes() for path in folder.glob(names) if path.is_file()}


def assert_without(seen: dict[str, bytes], *secrets: str) -> None:
    """Fail when a secret is anywhere."""
    for where, content in seen.items():
        for secret in secrets:
            assert secret.encode() not in content, f"{secret} in {where}"


async def test_keys_are_nowhere(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """Neither a good pass nor one refused with 401 or 403 leaves the keys in anything that can be seen."""
    daemon = await start(Setting(tmp_path, simulator, daemon={"log_level": "debug"}))
    key, secret = simulator.key, simulator.secret
    assert (await daemon.reconcile())["status"] == "success"
    errors = []
    for status in (401, 403):
        simulator.fault("positions", "status", status=status, count=1)
        failed = await daemon.reconcile()
        assert f"HTTP {status}" in failed["error"]["message"]
        errors.append(str(failed).encode())
    simulator.do("reset", keep_keys=False)
    failed = await daemon.reconcile()
    assert "HTTP 403" in failed["error"]["message"]
    seen = await everything(daemon, tmp_path)

    assert b"request failed" in seen["output-1"]
    assert_without({**seen, "errors": b"".join(errors)}, key, secret)


@asynccontextmanager
async def parrot() -> AsyncIterator[str]:
    """A broker that refuses everything and repeats the keys in what it says; gives its URL."""

    async def refuse(request: web.Request) -> web.Response:
        said = " ".join(request.headers.get(name, "?") for name in ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY"))
        return web.json_response({"message": f"who is {said}?"}, status=401, headers={"X-Request-ID": said})

    app = web.Application()
    app.router.add_get("/{path:.*}", refuse)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_keys_that_a_broker_repeats_are_nowhere(start: Start, tmp_path: Path) -> None:
    """A server that puts the keys into its own error text and headers does not get them shown."""
    async with parrot() as url:
        environ = {"DEFAULT_KEY": KEY, "DEFAULT_SECRET": SECRET}
        daemon = await start(Setting(tmp_path, rest_url=url, daemon={"log_level": "debug"}, environ=environ))
        failed = await daemon.reconcile()
        assert "who is" in failed["error"]["message"]
        seen = await everything(daemon, tmp_path)

    assert_without({**seen, "error": str(failed).encode()}, KEY, SECRET)


async def test_the_token_is_asked_for_and_nowhere(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """With a token, nobody is answered without it, and it is not in anything that can be seen."""
    daemon = await start(Setting(tmp_path, simulator, daemon={"log_level": "debug"}, environ={"RECOND_TOKEN": TOKEN}))
    async with daemon.session.post("/api/positions/reconcile") as answer:
        assert answer.status == 401
    daemon.session.headers["Authorization"] = f"Bearer {TOKEN}"
    assert (await daemon.reconcile())["status"] == "success"

    assert_without(await everything(daemon, tmp_path), TOKEN)
