"""A server on a real socket that answers exactly the bytes a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

KEY, SECRET = "PKTESTKEY00000000000", "s3cretS3cretS3cret"

Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes | str = b"[]", status: str = "200 OK", **headers: str) -> bytes:
    """A whole HTTP answer; underscores in header names stand for dashes."""
    content = body.encode() if isinstance(body, str) else body
    head = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    head |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


@dataclass
class RawServer:
    """Answers requests with `replies` in turn, the last one again and again; `requests` are the heads received.

    A reply is bytes, or a coroutine function that writes; the connection ends after a reply that is not bytes.
    """

    url: str = ""
    replies: list[bytes | Write] = field(default_factory=lambda: [answer()])
    requests: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
                self.arrived.set()
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if not isinstance(reply, bytes):
                    await reply(writer)
                    return
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
