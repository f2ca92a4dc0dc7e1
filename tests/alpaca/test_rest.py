"""One request through alpaca-py: deadlines, exact numbers, no keys shown."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from copy import copy
from decimal import Decimal
from pathlib import Path

import pytest
from alpaca.trading.client import TradingClient
from hypothesis import given
from hypothesis import strategies as st

from recond.alpaca import rest as rest_module
from recond.alpaca.rest import Answer, Rest, exact_json
from tests.alpaca.raw_server import KEY, SECRET, RawServer, answer

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)


def _client(server: RawServer, read_timeout_s: float = 5.0) -> Rest:
    return Rest(KEY, SECRET, base_url=server.url + "/", timeout_s=(5.0, read_timeout_s))


async def _get(client: Rest, path: str = "/positions") -> Answer[object]:
    return await asyncio.to_thread(client.get, path, {"a": "b c"}, copy)


@given(PLAIN, st.sampled_from([None, 1]), st.sampled_from(["", " ", "\r\n\t"]))
def test_same_value_as_the_standard_parser(value: object, indent: int | None, blanks: str) -> None:
    """Reading a list row by row gives what reading it at once gives."""
    assert exact_json((blanks + json.dumps(value, indent=indent) + blanks).encode()) == value


@given(st.lists(PLAIN, min_size=1, max_size=4), st.data())
def test_a_cut_list_is_no_list(rows: list[object], data: st.DataObject) -> None:
    """A list that lost its end anywhere is refused; it never passes for a shorter one."""
    text = json.dumps(rows)
    with pytest.raises(ValueError):
        exact_json(text[: data.draw(st.integers(0, len(text) - 1))].encode())


@pytest.mark.parametrize("text", ["", "[1,]", "[,1]", "[1 2]", "[]]", "[] []", "{} x", "[1", "<html>", "\ufeff"])
def test_no_json(text: str) -> None:
    """What is no JSON value, or more than one, is refused."""
    with pytest.raises(ValueError):
        exact_json(text.encode())


def test_numbers_keep_their_digits() -> None:
    """No number passes through a binary float, and one out of all bounds spoils only itself."""
    read = exact_json(
        b'[0.1000000000000000055511151231257827, 12345678901234567890.1, 1e9999999999999999999, NaN, {"a": 7}]'
    )
    assert isinstance(read, list)
    assert read[:2] == [Decimal("0.1000000000000000055511151231257827"), Decimal("12345678901234567890.1")]
    assert [number.is_nan() for number in read[2:4]] == [True, True]
    assert read[4] == {"a": 7}


async def test_request_and_head(server: RawServer) -> None:
    """The request carries keys and parameters to the address given, and the answer's head is told."""
    server.replies = [
        answer("[1.50]", X_Request_ID="r-1", Date="Tue, 24 Nov 2026 01:02:03 GMT", X_RateLimit_Remaining="7")
    ]
    got = await _get(_client(server))
    assert server.requests[0].startswith("GET /v2/positions?a=b+c HTTP/1.1\r\n")
    assert f"APCA-API-KEY-ID: {KEY}\r\nAPCA-API-SECRET-KEY: {SECRET}" in server.requests[0]
    assert (got.code, got.value, got.request_id, got.limit_remaining) == ("200", [Decimal("1.50")], "r-1", 7)
    assert got.date is not None
    assert got.date.isoformat() == "2026-11-24T01:02:03+00:00"
    assert (got.limit_reset, got.problem) == (None, "")


@pytest.mark.parametrize(
    "head", [{"Date": "yesterday"}, {"Date": "Mon, 01 Jan 9999 00:00:00 GMT"}, {"X_RateLimit_Reset": "\u00b2"}]
)
async def test_nonsense_in_the_head(server: RawServer, head: dict[str, str]) -> None:
    """A head that makes no sense is unknown and does not spoil the body."""
    server.replies = [answer(**head)]
    got = await _get(_client(server))
    assert (got.date, got.limit_reset, got.value) == (None, None, [])


@pytest.mark.parametrize(
    ("status", "refused"),
    [("401 x", True), ("403 x", True)]
    + [(f"{code} x", False) for code in (302, 400, 404, 408, 418, 422, 429, 500, 502, 503, 504, 599)],
)
async def test_status(server: RawServer, status: str, refused: bool) -> None:
    """Wrong keys are for an operator, all else may pass by itself; each is asked once only and has a hint."""
    server.replies = [answer('{"message":"no way"}', status)]
    got = await _get(_client(server))
    assert (got.code, got.value, got.refused, len(server.requests)) == (status[:3], None, refused, 1)
    assert got.hint


async def test_redirect_with_a_list(server: RawServer) -> None:
    """A redirect whose body is an empty list is no account without positions, and is not followed."""
    server.replies = [answer("[]", "302 Found", Location=f"{server.url}/v2/elsewhere")]
    got = await _get(_client(server))
    assert (got.code, got.value, len(server.requests)) == ("302", None, 1)


async def test_silence_ends(server: RawServer) -> None:
    """A server that accepts and says nothing is left after the read timeout, which alpaca-py does not have."""

    async def silence(_: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server.replies = [silence]
    async with asyncio.timeout(5):
        got = await _get(_client(server, read_timeout_s=0.1))
    assert (got.code, got.value) == ("timeout", None)


async def test_nobody_listens(server: RawServer) -> None:
    """A refused connection is an answer in words."""
    client = Rest(KEY, SECRET, base_url="http://127.0.0.1:1", timeout_s=(1.0, 1.0))
    got = await _get(client)
    assert got.code == "error"
    assert "refused" in got.problem


async def test_netrc_does_not_replace_the_keys(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login for the host in ~/.netrc is not sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    await _get(_client(server))
    assert "Authorization" not in server.requests[0]
    assert SECRET in server.requests[0]


async def test_keys_never_show(server: RawServer) -> None:
    """Keys that the server echoes, in its message, its request id, or in place of its protocol, are struck out."""
    said = json.dumps({"message": f"no account for {KEY} and {SECRET}"})

    async def garbage(writer: asyncio.StreamWriter) -> None:
        writer.write(f"{SECRET} {KEY}\r\n\r\n".encode())
        await writer.drain()

    server.replies = [answer(said, "403 x", X_Request_ID=SECRET), garbage, answer(json.dumps([SECRET]), "404 x")]
    client = _client(server)
    for _ in range(3):
        got = await _get(client)
        assert got.problem
        assert SECRET not in repr(got)
        assert KEY not in repr(got)
    assert SECRET not in repr(client)


@pytest.mark.parametrize("key", ["", "a b", "a\n", "schlüssel"])
def test_keys_that_cannot_be_sent(key: str) -> None:
    """A key that no header can carry is refused at start, without being shown."""
    for keys in ((key, "s"), ("k", key)):
        with pytest.raises(ValueError, match="blanks or letters") as caught:
            Rest(*keys, base_url="http://127.0.0.1", timeout_s=(1.0, 1.0))
        assert not key or key not in str(caught.value)


@pytest.mark.parametrize("name", ["_session", "_retry"])
def test_alpaca_py_has_changed(name: str) -> None:
    """Without the private attributes that carry the deadlines, the start fails with what to do."""
    client = TradingClient(KEY, SECRET, raw_data=True)
    delattr(client, name)
    with pytest.raises(RuntimeError, match="install the version"):
        rest_module._take_over(client, rest_module._Adapter((1.0, 1.0)))


async def test_connection_is_kept_and_an_idle_one_is_not(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests in a row share a connection; one that was idle for long is not trusted."""
    client = _client(server)
    await _get(client)
    await _get(client)
    assert server.connections == 1
    monkeypatch.setattr(rest_module, "_IDLE_MAX_S", -1.0)
    await _get(client)
    assert server.connections == 2


async def test_abandon_wakes_the_thread(server: RawServer) -> None:
    """A thread that waits for a server dripping its head byte by byte comes back when its request is abandoned."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.replies = [drip]
    client = _client(server)
    thread = threading.Thread(target=client.get, args=("/positions", {}, str), daemon=True)
    thread.start()
    await server.arrived.wait()
    client.abandon()
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


def test_reading_json_needs_no_alpaca_py() -> None:
    """The values and their reading stay importable without the 80 MB of alpaca-py."""
    code = "import sys, recond.alpaca.wire, recond.core.symbols; sys.exit('alpaca' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
