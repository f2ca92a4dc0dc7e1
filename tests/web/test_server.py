"""The socket: where it listens, what it leaves alone, and how fast it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import pytest

from recond.web import CannotListen, WebServer
from recond.web import server as module
from tests.web.house import house, until

PATH = "/api/positions/reconcile"
END_S = 2.0


async def test_stopping_answers_those_who_wait(tmp_path: Path) -> None:
    """A request that waits for a pass is told 503 at once, and the server is gone within two seconds."""
    loop = asyncio.get_running_loop()
    async with house(tmp_path) as at:
        asking = [asyncio.create_task(at.ask(PATH, "POST")) for _ in range(3)]
        await at.asked()
        began_s = loop.time()
        await at.web.__aexit__(None, None, None)
        assert loop.time() - began_s < END_S
        for task in asking:
            answer = await task
            assert (answer.status, answer.type) == (503, "application/problem+json")
            assert "stopping" in answer.json["detail"]
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", at.port)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /heal", b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"]
)
async def test_clients_that_never_finish_do_not_delay_the_end(tmp_path: Path, sent: bytes) -> None:
    """A connection that is silent or stuck in the middle of a request is cut."""
    loop = asyncio.get_running_loop()
    async with house(tmp_path) as at:
        await at.ask("/healthz")
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(sent)
        await writer.drain()
        began_s = loop.time()
        await at.web.__aexit__(None, None, None)
        assert loop.time() - began_s < END_S
        async with asyncio.timeout(END_S):
            await reader.read()
        writer.close()


async def test_a_client_that_reads_nothing_does_not_delay_the_end(tmp_path: Path) -> None:
    """A connection whose answers pile up unread is cut."""
    loop = asyncio.get_running_loop()
    async with house(tmp_path) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port, limit=1)
        request = f"GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{at.port}\r\n\r\n".encode()
        for _ in range(2000):
            writer.write(request)
        await at.ask("/healthz")
        began_s = loop.time()
        await at.web.__aexit__(None, None, None)
        assert loop.time() - began_s < END_S
        writer.transport.abort()
        del reader


async def test_clients_that_never_finish_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a request, silence, and silence after an answer keep no descriptor; who waits for a pass is waited with."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    async with house(tmp_path) as at:
        asking = asyncio.create_task(at.ask(PATH, "POST"))
        await at.asked()
        healthy = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{at.port}\r\n\r\n".encode()
        for sent in (b"", b"GET /heal", healthy, healthy + b"GET /heal"):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(sent)
            async with asyncio.timeout(END_S):
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
            writer.close()
        await asyncio.sleep(0.5)
        assert not asking.done()
        at.make()
        assert (await asking).status == 200


async def test_more_connections_than_descriptors_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections beyond the bound are cut at once; when others have gone, the next one is answered."""
    monkeypatch.setattr(module, "CONNECTIONS_MAX", 3)
    async with house(tmp_path) as at:
        silent = [await asyncio.open_connection("127.0.0.1", at.port) for _ in range(5)]
        async with asyncio.timeout(END_S):
            for reader, _ in silent[3:]:
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
        assert not any(reader.at_eof() for reader, _ in silent[:3])
        for _, writer in silent:
            writer.close()
            with contextlib.suppress(ConnectionResetError):
                await writer.wait_closed()
        await until(lambda: len(at.web._server.server_state.connections) == 0)
        assert (await at.ask("/healthz")).status == 200


async def test_signals_stay_the_daemons(tmp_path: Path) -> None:
    """Serving changes no signal handler."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    async with house(tmp_path) as at:
        await at.ask("/healthz")
        assert [signal.getsignal(number) for number in numbers] == before


async def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    """The error says which address, and the hint what to do."""
    async with house(tmp_path) as at:
        second = WebServer(
            "127.0.0.1",
            at.port,
            status=at.status,
            triggers=at.triggers,
            ledger=at.ledger,
            exposition=lambda: b"",
            token=None,
            hosts=(),
            now=lambda: None,  # type: ignore[arg-type, return-value]
            previews={},
        )
        with pytest.raises(CannotListen) as caught:
            await second.__aenter__()
        assert f"127.0.0.1:{at.port}" in caught.value.message
        assert "another" in caught.value.hint


async def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    """Neither an address of another machine nor a name that nobody knows can be listened on."""
    for host in ("192.0.2.1", "nowhere.invalid"):
        with pytest.raises(CannotListen) as caught:
            async with house(tmp_path, host=host):
                pass
        assert host in caught.value.message
        assert "listen" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "url"), [("::1", "http://[::1]:"), ("::", "http://[::1]:"), ("0.0.0.0", "http://127.0.0.1:")]
)
async def test_it_says_where_it_answers(tmp_path: Path, host: str, url: str) -> None:
    """Its URL works on this machine, over IPv6 too and when it listens everywhere."""
    async with house(tmp_path, host=host) as at:
        assert at.web.url.startswith(url)
        assert (await at.ask("/healthz")).status == 200
