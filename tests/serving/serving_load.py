"""A small HTTP client for load: keep-alive connections on one event loop, and one-off requests."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from time import perf_counter


@dataclass
class Seen:
    """What came back, in the order in which requests were sent on each connection."""

    #: (second sent, second answered, status, body)
    answers: list[tuple[float, float, int, bytes]] = field(default_factory=list)
    #: Requests without an answer.
    broken: int = 0


def request_bytes(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, body, _ = await read_all(reader)
    return status, body


async def read_all(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Return status, body, and whether the server closes the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length), b"connection: close" in head


async def fire(
    port: int,
    make,
    *,
    connections: int,
    rate: float | None,
    stop: asyncio.Event,
    on_answer=None,
    reconnect: bool = False,
    seen: Seen | None = None,
) -> Seen:
    """Send requests until `stop`, over some connections, at most `rate` a second in all.

    Answers are added to `seen` as they come. With `reconnect`, a connection that the server says it closes is opened again, until it is refused; a request that
    was sent and not answered is broken.
    """
    seen = seen or Seen()
    pause = connections / rate if rate else 0.0

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        due = perf_counter() + pause * number / connections
        count = 0
        try:
            while not stop.is_set():
                wait = due - perf_counter()
                if pause and wait > 0:
                    await asyncio.sleep(wait)
                due += pause
                sent = perf_counter()
                writer.write(make(number, count))
                count += 1
                status, body, closes = await read_all(reader)
                seen.answers.append((sent, perf_counter(), status, body))
                if on_answer:
                    on_answer(status, body)
                if closes:
                    writer.close()
                    if not reconnect:
                        return
                    try:
                        reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    except ConnectionRefusedError:
                        return
        except (OSError, asyncio.IncompleteReadError):
            seen.broken += 1
        finally:
            writer.close()

    await asyncio.gather(*(one(number) for number in range(connections)), return_exceptions=False)
    return seen


def call(port: int, path: str, body=None, *, headers=None, timeout: float = 30.0) -> tuple[int, dict]:
    """Send one request and return status and JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] in {b"{", b"["} else {"text": text.decode()}
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")
