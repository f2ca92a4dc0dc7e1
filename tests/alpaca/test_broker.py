"""The port over Alpaca: only port errors, bounded time, pauses, pages."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recond.alpaca import wire
from recond.alpaca.broker import AlpacaBroker
from recond.ports import BrokerRefused, BrokerUnavailable, PortError
from tests.alpaca.raw_server import KEY, SECRET, RawServer, answer

T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CALLS: dict[str, Callable[[AlpacaBroker], Awaitable[object]]] = {
    "positions": lambda broker: broker.positions(),
    "account": lambda broker: broker.account(),
    "orders": lambda broker: broker.orders(["AAPL"], T0, 50),
    "activities": lambda broker: broker.activities(T0, 100),
}


def position(symbol: str = "AAPL", quantity: str = "1") -> dict[str, str]:
    """The least a position row must have."""
    return {"symbol": symbol, "qty": quantity, "asset_class": "us_equity", "asset_id": f"id-{symbol}", "side": "long"}


def fill(number: int) -> dict[str, str]:
    """The least an activity must have."""
    return {"id": f"20260102000000000::{number:04}", "activity_type": "FILL", "symbol": "AAPL", "qty": "1"}


def order(number: int, symbol: str = "AAPL", at: datetime | None = None) -> dict[str, str]:
    """The least an order must have."""
    submitted = at or T0 + timedelta(seconds=number)
    return {"id": f"o{number}", "symbol": symbol, "side": "buy", "submitted_at": submitted.isoformat()}


async def hang(_: asyncio.StreamWriter) -> None:
    """Accept a request and say nothing."""
    await asyncio.Event().wait()


async def threads_ended() -> None:
    """Wait until no request has a thread any more."""
    async with asyncio.timeout(5):
        while any(thread.name.startswith("alpaca") for thread in threading.enumerate()):
            await asyncio.sleep(0.01)


def broker(server: RawServer, **settings: Any) -> AlpacaBroker:
    """A broker with short deadlines."""
    return AlpacaBroker(
        KEY, SECRET, base_url=server.url, **{"read_timeout_s": 5.0, "overall_timeout_s": 5.0, **settings}
    )


@pytest.fixture
async def alpaca(server: RawServer) -> AsyncIterator[AlpacaBroker]:
    """A broker at the raw server."""
    async with broker(server) as connected:
        yield connected


def targets(server: RawServer) -> list[str]:
    """The paths and queries asked for."""
    return [head.split(" ")[1] for head in server.requests]


@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=40)
    | st.sampled_from([b"[]", b"null", b"[null]", b"[{}]", b"{}", b"[" * 100_000, b'[{"symbol":"\\ud800"}]', b'""'])
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "status", "symbol", "qty", "activity_type", "legs"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode()),
    status=st.sampled_from(["200 OK"]) | st.integers(200, 999).map(lambda code: f"{code} x"),
    head=st.dictionaries(
        st.sampled_from(["Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Date", "Location"])
        | st.sampled_from(["X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID", "Set-Cookie", "Connection"]),
        st.sampled_from(["", "0", "7", "gzip", "chunked", "-1", "text/html; charset=nonsense", "99999999999999999999"])
        | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=8),
        max_size=3,
    ),
)
@example(body=b"[]", status="302 Found", head={"Location": "/v2/positions"})
@example(body=b"", status="200 OK", head={})
@example(body=b"[]", status="200 OK", head={"Content-Length": "500"})
@example(body=b"zz\r\n[]", status="200 OK", head={"Transfer-Encoding": "chunked"})
@example(body=b"\x00\xff", status="200 OK", head={"Content-Encoding": "gzip"})
@example(body=b"<html>504</html>", status="504 Gateway Time-out", head={"Content-Type": "text/html"})
async def test_only_port_errors(server: RawServer, call: str, body: bytes, status: str, head: dict[str, str]) -> None:
    """Whatever a server answers, a method returns its value or raises a port error with a message and a hint."""

    async def write(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {text}" for name, text in head.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        await writer.drain()

    server.replies = [write]
    async with broker(server, read_timeout_s=0.5) as connected:
        raised: PortError | None = None
        try:
            value = await CALLS[call](connected)
        except (BrokerUnavailable, BrokerRefused) as error:
            raised = error
    if raised is None:
        assert status.startswith("200")
        assert value is not None
    else:
        assert raised.message.startswith("GET /v2/")
        assert raised.hint
        assert status[:3] in ("401", "403") or not isinstance(raised, BrokerRefused)


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (
            answer('{"message":"forbidden."}', "403 Forbidden", X_Request_ID="r-9"),
            BrokerRefused,
            "HTTP 403 (request id r-9)",
        ),
        (answer('{"code":40110000,"message":"unauthorized."}', "401 x"), BrokerRefused, "unauthorized"),
        (answer("null"), BrokerUnavailable, "expected a list"),
        (answer(""), BrokerUnavailable, "expected a list"),
        (answer("<html>", "502 Bad Gateway"), BrokerUnavailable, "HTTP 502"),
    ],
)
async def test_error_words(
    server: RawServer, alpaca: AlpacaBroker, reply: bytes, error: type[PortError], words: str
) -> None:
    """An error names the endpoint, the status, the request id, and a hint what to do."""
    server.replies = [reply]
    with pytest.raises(error) as caught:
        await alpaca.positions()
    assert caught.value.message.startswith("GET /v2/positions: ")
    assert words in caught.value.message
    assert caught.value.hint
    assert SECRET not in caught.value.message


async def test_dripping_server_ends(server: RawServer) -> None:
    """A server that sends a byte now and then, which no read timeout ends, is left at the overall deadline."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.replies = [drip, answer(json.dumps([position()]))]
    asked: list[tuple[str, str]] = []
    async with broker(server, overall_timeout_s=0.2, on_request=lambda *told: asked.append(told[:2])) as alpaca:
        with pytest.raises(BrokerUnavailable, match=r"no whole answer within 0\.2 s"):
            await alpaca.positions()
        assert len((await alpaca.positions()).positions) == 1
    assert asked == [("positions", "timeout"), ("positions", "200")]
    await threads_ended()


async def test_late_answer_is_nobodys(server: RawServer, alpaca: AlpacaBroker) -> None:
    """An answer that arrives after its call was cancelled is not taken for that of the next call."""
    release, sent = asyncio.Event(), asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer(json.dumps([position("LATE")])))
        sent.set()

    async def next_one(writer: asyncio.StreamWriter) -> None:
        release.set()
        await sent.wait()
        writer.write(answer(json.dumps([position("NEXT")])))
        await writer.drain()

    server.replies = [late, next_one]
    first = asyncio.create_task(alpaca.positions())
    await server.arrived.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert [each.instrument.symbol for each in (await alpaca.positions()).positions] == ["NEXT"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_fault_of_our_own(server: RawServer, alpaca: AlpacaBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """When reading an answer fails in a way that nobody foresaw, the call ends at once as unavailable."""
    monkeypatch.setattr(wire, "holdings", lambda body: 1 // len(body))
    with pytest.raises(BrokerUnavailable, match="fault of recond's own"):
        await alpaca.positions()
    await threads_ended()


async def test_one_request_at_a_time(server: RawServer, alpaca: AlpacaBroker) -> None:
    """Calls made together are sent one after the other, and a cancelled one lets the next go on at once."""
    server.replies = [hang, answer(), answer('{"id":"a","status":"ACTIVE"}')]
    hanging = asyncio.create_task(alpaca.positions())
    await server.arrived.wait()
    positions = asyncio.create_task(alpaca.positions())
    account = asyncio.create_task(alpaca.account())
    await asyncio.sleep(0)
    assert len(server.requests) == 1
    hanging.cancel()
    assert (await positions).positions == ()
    assert (await account).id == "a"


def test_a_hanging_request_does_not_hold_up_the_exit() -> None:
    """A process that is told to end while a request hangs is gone within two seconds."""
    code = """
import asyncio, signal
from recond.alpaca import wire
from recond.alpaca.broker import AlpacaBroker

async def main():
    async def hang(reader, writer):
        print("asked", flush=True)
        await asyncio.Event().wait()
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    task = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with AlpacaBroker("k", "s", base_url=url) as broker:
        await broker.positions()

try:
    asyncio.run(main())
except asyncio.CancelledError:
    print("ended", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - started < 2
        assert process.stdout.read() == "ended\n"


async def test_rate_limit_pauses(server: RawServer, alpaca: AlpacaBroker) -> None:
    """After 429 nothing is sent before the moment the broker named, and then requests go on."""
    reset = str(int(T0.timestamp()) + 2)
    head = {"Date": format_datetime(T0, usegmt=True), "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": reset}
    server.replies = [answer('{"message":"rate limit exceeded"}', "429 x", **head), answer()]
    with pytest.raises(BrokerUnavailable, match="HTTP 429"):
        await alpaca.positions()
    with pytest.raises(BrokerUnavailable, match="not sent"):
        await alpaca.positions()
    usage = alpaca.usage()
    assert (len(server.requests), usage.sent, usage.limit_remaining) == (1, 1, 0)
    assert usage.paused_until_s is not None
    assert usage.paused_until_s == usage.limit_reset_s
    left_s = usage.paused_until_s - asyncio.get_running_loop().time()
    assert 0.5 < left_s <= 2
    await asyncio.sleep(left_s + 0.001)
    assert (await alpaca.positions()).positions == ()
    assert alpaca.usage().paused_until_s is None


@pytest.mark.parametrize(
    ("head", "pause_s"),
    [({}, 10.0), ({"X_RateLimit_Reset": "99999999999"}, 60.0), ({"X_RateLimit_Reset": "1"}, 1.0)],
)
async def test_pause_has_bounds(server: RawServer, alpaca: AlpacaBroker, head: dict[str, str], pause_s: float) -> None:
    """A reset moment that is missing, far away or past makes a pause of sane length."""
    server.replies = [answer("{}", "429 x", Date=format_datetime(T0, usegmt=True), **head)]
    with pytest.raises(BrokerUnavailable):
        await alpaca.account()
    until_s = alpaca.usage().paused_until_s
    assert until_s is not None
    assert until_s - asyncio.get_running_loop().time() == pytest.approx(pause_s, abs=0.5)


async def test_nothing_remaining_pauses_a_good_answer(server: RawServer, alpaca: AlpacaBroker) -> None:
    """The last request that the limit allowed is answered, and the one after it is not sent."""
    server.replies = [answer(X_RateLimit_Remaining="0")]
    assert (await alpaca.positions()).positions == ()
    with pytest.raises(BrokerUnavailable, match="not sent"):
        await alpaca.positions()


async def test_broker_time_ignores_the_wall_clock(server: RawServer) -> None:
    """The broker's time comes from its answers and the monotonic clock; a step of the wall clock only shows up."""
    wall = T0 - timedelta(minutes=5)
    server.replies = [answer(Date=format_datetime(T0, usegmt=True))]
    async with broker(server, wall_clock=lambda: wall) as alpaca:
        assert alpaca.broker_time() is None
        await alpaca.positions()
        wall += timedelta(days=1)
        shown = alpaca.broker_time()
        assert shown is not None
        assert abs(shown - T0 - timedelta(seconds=0.5)) < timedelta(seconds=2)
        offset_s = alpaca.usage().clock_offset_s
        assert offset_s == pytest.approx(300.5, abs=2)


async def test_date_of_a_gateways_error_is_not_the_brokers(server: RawServer, alpaca: AlpacaBroker) -> None:
    """Only an answer that was usable tells the broker's time."""
    server.replies = [answer("<html>", "502 x", Date=format_datetime(T0, usegmt=True))]
    with pytest.raises(BrokerUnavailable):
        await alpaca.positions()
    assert alpaca.broker_time() is None


async def test_activities_of_many_pages(server: RawServer, alpaca: AlpacaBroker) -> None:
    """Pages are followed by the id of the last entry to the first short one, and each entry is given once."""
    server.replies = [
        answer(json.dumps([fill(number) for number in range(100)])),
        answer(json.dumps([fill(number) for number in range(98, 198)])),
        answer(json.dumps([fill(197), fill(198)])),
    ]
    found = await alpaca.activities(T0, 100)
    assert [entry.id for entry in found.entries] == [fill(number)["id"] for number in range(199)]
    assert found.complete
    assert targets(server) == [
        f"/v2/account/activities?after=2026-01-02T03%3A04%3A05.000000Z&direction=asc&page_size=100{token}"
        for token in (
            "",
            f"&page_token={fill(99)['id']}".replace("::", "%3A%3A"),
            "&page_token=20260102000000000%3A%3A0197",
        )
    ]


@pytest.mark.parametrize("endless", [True, False])
async def test_activities_end(server: RawServer, alpaca: AlpacaBroker, endless: bool) -> None:
    """A page that comes again ends the list, and so does a bound on pages; both say that it is not complete."""
    pages = [answer(json.dumps([fill(100 * page + number) for number in range(100)])) for page in range(60)]
    server.replies = list(pages) if endless else [pages[0]]
    found = await alpaca.activities(T0, 100)
    assert not found.complete
    assert (len(found.entries), len(server.requests)) == ((5000, 50) if endless else (100, 2))


@pytest.mark.parametrize(("requests_max", "pages"), [(3, 3), (0, 1)])
async def test_activities_within_a_bound_of_requests(
    server: RawServer, alpaca: AlpacaBroker, requests_max: int, pages: int
) -> None:
    """No more requests are sent than allowed, but for the first; what they told is given and not complete."""
    server.replies = [
        answer(json.dumps([fill(100 * page + number) for number in range(100)])) for page in range(pages + 1)
    ]
    found = await alpaca.activities(T0, requests_max)
    assert (len(server.requests), len(found.entries), found.complete) == (pages, 100 * pages, False)


async def test_unreadable_activity(server: RawServer, alpaca: AlpacaBroker) -> None:
    """An entry without id leaves the others and is counted; the list has ended, or was cut, all the same."""
    full = [{**fill(0), "id": None}, *(fill(number) for number in range(1, 100))]
    short = [fill(100), {**fill(101), "id": None}]
    server.replies = [answer(json.dumps(rows)) for rows in (full, short, full)]
    found = await alpaca.activities(T0, 100)
    assert (len(found.entries), found.complete, found.unreadable) == (100, True, 2)
    found = await alpaca.activities(T0, 1)
    assert (len(found.entries), found.complete, found.unreadable) == (99, False, 1)


async def test_orders_of_many_pages(server: RawServer, alpaca: AlpacaBroker) -> None:
    """Pages overlap by the last moment seen, so that orders of one moment are not lost between two pages."""
    same = T0 + timedelta(seconds=499)
    first = [order(number) for number in range(499)] + [order(499, at=same)]
    server.replies = [answer(json.dumps(first)), answer(json.dumps([first[-1], order(500, at=same), order(501)]))]
    found = await alpaca.orders([], T0, 50)
    assert [each.id for each in found] == [f"o{number}" for number in range(502)]
    assert "status=all&limit=500&direction=asc&after=2026-01-02T03%3A12%3A23.999999Z" in targets(server)[1]


async def test_orders_without_end(server: RawServer, alpaca: AlpacaBroker) -> None:
    """A list of orders that cannot be brought to its end is no list: the one that matters may be missing."""
    server.replies = [answer(json.dumps([order(number) for number in range(500)]))]
    with pytest.raises(BrokerUnavailable, match="did not end"):
        await alpaca.orders([], T0, 50)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("symbols", "asked", "found"),
    [
        (["aapl"], True, ["o0", "o3"]),
        (["BTCUSD"], False, ["o1", "o2", "o3"]),
        (["AAPL", "ETHUSD"], False, ["o0", "o1", "o3"]),
        ([f"S{number}" for number in range(51)], False, ["o3"]),
    ],
)
async def test_orders_of_symbols(
    server: RawServer, alpaca: AlpacaBroker, symbols: list[str], asked: bool, found: list[str]
) -> None:
    """Orders are picked by the positions they move; a pair of coins moves both, and a parent of legs may move any."""
    rows = [order(number, symbol) for number, symbol in enumerate(["AAPL", "ETH/BTC", "BTC/USD", ""])]
    server.replies = [answer(json.dumps(rows))]
    assert [each.id for each in await alpaca.orders(symbols, T0, 50)] == found
    assert ("&symbols=AAPL&" in targets(server)[0]) is ("&symbols=" in targets(server)[0]) is asked


async def test_log_and_metrics(server: RawServer) -> None:
    """Each request is told to the metrics and logged with its request id: quietly if fine, as a warning if not."""
    asked: list[tuple[str, str, float]] = []
    server.replies = [answer(X_Request_ID="r-1"), answer("{}", "500 x", X_Request_ID="r-2")]
    with structlog.testing.capture_logs() as logs:
        async with broker(server, on_request=lambda *told: asked.append(told)) as alpaca:
            await alpaca.positions()
            with pytest.raises(BrokerUnavailable):
                await alpaca.account()
    assert [told[:2] for told in asked] == [("positions", "200"), ("account", "500")]
    assert all(0 < duration_s < 5 for *_, duration_s in asked)
    assert [(entry["log_level"], entry["request_id"]) for entry in logs] == [("debug", "r-1"), ("warning", "r-2")]
    assert SECRET not in repr(logs)
