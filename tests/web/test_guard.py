"""Who may ask: every refusal over a real socket, with everything else about the request in order."""

from __future__ import annotations

import asyncio
from pathlib import Path

from recond.web.guard import MAX_BODY, own_hosts
from tests.web.house import house

TOKEN = "0123456789abcdef"
PROBLEM = "application/problem+json"
STATUS = "/api/positions/reconciliation-status"


async def test_a_foreign_host_is_refused(tmp_path: Path) -> None:
    """A Host header that is not recond's own address with its port, or configured, is 421: no DNS rebinding."""
    async with house(tmp_path, hosts=["recond.lan:8443"]) as at:
        for host in ("evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "recond.lan", f"x:{at.port}", ""):
            answer = await at.ask("/healthz", headers={"Host": host})
            assert (answer.status, answer.type) == (421, PROBLEM), host


async def test_its_own_names_are_served(tmp_path: Path) -> None:
    """Loopback names with the port, and configured names, in any case of letters."""
    async with house(tmp_path, hosts=["Recond.lan:8443", "recond"]) as at:
        own = [f"{name}:{at.port}" for name in ("127.0.0.1", "LOCALHOST", "[::1]")]
        for host in (*own, "recond.lan:8443", "recond"):
            assert (await at.ask(STATUS, headers={"Host": host})).status == 200, host


async def test_no_host_is_refused(tmp_path: Path) -> None:
    """An HTTP/1.0 request without a Host header gets no answer but a refusal."""
    async with house(tmp_path) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 421 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_another_sites_page_cannot_drive_it(tmp_path: Path) -> None:
    """A request that a page of another origin (port included) caused is 403, and nudges nothing."""
    async with house(tmp_path) as at:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "http://127.0.0.1:1"},
            {"Origin": "http://127.0.0.1"},
            {"Origin": "null"},
            {"Origin": at.web.url, "Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "anything"},
        ):
            for method in ("GET", "POST"):
                answer = await at.ask("/api/positions/reconcile", method, headers=headers)
                assert (answer.status, answer.type) == (403, PROBLEM), headers
        assert at.triggers["swing"].waiting == ()


async def test_its_own_pages_and_plain_clients_can(tmp_path: Path) -> None:
    """Same origin, an address typed in, and clients that are no browser are served."""
    async with house(tmp_path) as at:
        for headers in ({}, {"Origin": at.web.url, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
            assert (await at.ask(STATUS, headers=headers)).status == 200, headers


async def test_a_token_is_needed_when_one_is_set(tmp_path: Path) -> None:
    """Without exactly that token every path but /healthz is 401, unknown paths and metrics too."""
    wrong = ("", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \udcff")
    async with house(tmp_path, token=TOKEN) as at:
        for headers in ({}, *({"Authorization": shown} for shown in wrong)):
            for path in (STATUS, "/metrics", "/readyz", "/api/openapi.json", "/nothing"):
                answer = await at.ask(path, headers=headers)
                assert (answer.status, answer.type) == (401, PROBLEM), headers
                assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
                assert TOKEN.encode() not in answer.body
            assert (await at.ask("/healthz", headers=headers)).status == 200


async def test_the_token_opens(tmp_path: Path) -> None:
    """The right token is accepted, the scheme in any case of letters."""
    async with house(tmp_path, token=TOKEN) as at:
        for shown in (f"Bearer {TOKEN}", f"bearer  {TOKEN}"):
            for path in (STATUS, "/metrics", "/api/openapi.json"):
                assert (await at.ask(path, headers={"Authorization": shown})).status == 200


async def test_bodies_are_bounded(tmp_path: Path) -> None:
    """Too long a body is 413 before it is read, one of unknown length 411."""

    async def chunks() -> object:
        yield b"x"

    async with house(tmp_path) as at:
        answer = await at.ask(
            "/healthz", "POST", headers={"Content-Length": str(MAX_BODY + 1)}, data=b"x" * (MAX_BODY + 1)
        )
        assert answer.status == 413
        assert (await at.ask("/healthz", "POST", data=chunks())).status == 411


async def test_answers_are_not_kept_by_caches(tmp_path: Path) -> None:
    """What is known changes at any moment: no answer, error included, may be stored."""
    async with house(tmp_path) as at:
        for path in ("/healthz", "/nothing", "/metrics"):
            assert (await at.ask(path)).headers["Cache-Control"] == "no-store"


def test_the_usual_port_need_not_be_named() -> None:
    """Browsers leave out port 80, so a server on it also goes by its bare names."""
    assert own_hosts("fd00::1", 80, ()) >= {"[fd00::1]", "[fd00::1]:80", "localhost", "localhost:80"}
    assert "localhost" not in own_hosts("127.0.0.1", 5000, ())
