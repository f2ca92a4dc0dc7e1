"""One REST answer, spoilt on its way out.

Owns how each REST fault looks on the wire: broken rows, foreign bodies, hangs, drips and cuts. May not know
an account; it gets an answer and sends something else.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from aiohttp import web

from recond.simulator.faults import Fault

_MESSAGES: Mapping[int, tuple[int | None, str]] = MappingProxyType(
    {
        401: (40110000, "unauthorized"),
        403: (None, "forbidden."),
        429: (None, "rate limit exceeded"),
        500: (50010000, "internal server error occurred"),
    }
)
_GATEWAY = MappingProxyType({502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"})
_NUMBER = re.compile(r"^-?\d+(\.\d+)?$")
# Sent instead of a list where the value is of a kind that no client knows yet.
_UNKNOWN = MappingProxyType(
    {"asset_class": "carbon_credit", "exchange": "MOON", "side": "sideways", "status": "pondering"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be sent; `data` is JSON unless `raw` is set."""

    status: int = 200
    data: Any = None
    raw: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The bytes of it; 204 has none."""
        if self.raw is not None:
            return self.raw
        return b"" if self.status == 204 else json.dumps(self.data).encode()


def error(code: int, message: str) -> Answer:
    """Alpaca's JSON error; the HTTP status is the code's first three digits."""
    return Answer(code // 100_000, {"code": code, "message": message})


def status_error(status: int) -> Answer:
    """The error Alpaca gives for a bare status; some of them carry no code."""
    code, message = _MESSAGES.get(status, (status * 100_000 + 10_000, f"status {status}"))
    return Answer(status, {"message": message} if code is None else {"code": code, "message": message})


def instead(faults: Sequence[Fault]) -> Answer | None:
    """What is answered in place of doing the request at all, or None to do it."""
    for fault in faults:
        if fault.kind == "status":
            return status_error(fault.status or 500)
        if fault.kind == "html":
            status = fault.status or 502
            title = f"{status} {_GATEWAY.get(status, 'Welcome')}"
            page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"
            return Answer(status, raw=page.encode(), content_type="text/html")
        if fault.kind == "redirect":
            return Answer(302, raw=b"", content_type="text/html", headers={"Location": "/maintenance"})
    return None


def lag_of(faults: Sequence[Fault], rng: random.Random) -> float:
    """How many seconds old the answer is to be."""
    return max((fault.wait(rng) for fault in faults if fault.kind == "lag"), default=0.0)


def spoil(answer: Answer, faults: Sequence[Fault]) -> Answer:
    """The answer with its content faults applied, in the order they were switched on."""
    for fault in faults:
        if fault.kind == "empty_body":
            answer = replace(answer, raw=b"")
        elif fault.kind == "null":
            answer = replace(answer, data=None)
        elif fault.kind == "object":
            answer = replace(answer, data={"message": "temporarily unavailable"})
        elif fault.kind == "empty_list":
            answer = replace(answer, data=[])
        elif fault.kind == "partial" and isinstance(answer.data, list):
            lost = fault.rows or math.ceil(fault.share * len(answer.data))
            answer = replace(answer, data=answer.data[: max(0, len(answer.data) - lost)])
        elif fault.kind in ("drop_rows", "break_rows") and answer.status == 200:
            answer = replace(answer, data=_rows(answer.data, fault))
    return answer


def _rows(data: Any, fault: Fault) -> Any:
    """A list with the chosen rows dropped or broken; a lone object (the account) counts as one row."""
    if not isinstance(data, list):
        return _broken(data, fault) if fault.kind == "break_rows" else data
    rows = []
    for number, row in enumerate(data, 1):
        named = not fault.symbols or row.get("symbol") in fault.symbols
        chosen = number % fault.every == 0 if fault.every else named
        if not chosen:
            rows.append(row)
        elif fault.kind == "break_rows":
            rows.append(_broken(row, fault))
    return rows


def _broken(row: dict[str, Any], fault: Fault) -> dict[str, Any]:
    if fault.how == "missing":
        return {name: value for name, value in row.items() if name != fault.field}
    if fault.how == "null":
        return row | {fault.field: None}
    if fault.how == "number":
        value = str(row.get(fault.field))
        return row | {fault.field: float(value) if _NUMBER.match(value) else 7}
    if fault.how == "enum":
        name = fault.field if fault.field in _UNKNOWN else "asset_class"
        return row | {name: _UNKNOWN[name]}
    return row | {"symbol": "\u0000?? 💥"}


async def send(
    request: web.Request, answer: Answer, faults: Sequence[Fault], headers: Mapping[str, str], rng: random.Random
) -> web.StreamResponse:
    """Send the answer, late, in drips, half of it or never, as the faults want."""
    by_kind = {fault.kind: fault for fault in faults}
    if "hang" in by_kind:
        await asyncio.Event().wait()  # ends when the client goes or the server stops
    if "delay" in by_kind:
        await asyncio.sleep(by_kind["delay"].wait(rng))
    body = answer.body()
    everything = {**headers, **answer.headers}
    if answer.status != 204:
        everything["Content-Type"] = f"{answer.content_type}; charset=UTF-8"
    if "cut" not in by_kind and "drip" not in by_kind:
        return web.Response(status=answer.status, body=body, headers=everything)
    response = web.StreamResponse(status=answer.status, headers=everything)
    response.content_length = len(body)
    await response.prepare(request)
    if "drip" in by_kind:
        pieces = 20
        size = -(-len(body) // pieces) or 1
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
            await asyncio.sleep(by_kind["drip"].seconds / pieces)
        await response.write_eof()
        return response
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response
