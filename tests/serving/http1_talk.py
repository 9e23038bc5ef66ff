"""A server of HTTP/1.1 on a loop of its own, and callers that send it bytes."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager

from treadle.core.settings import ServingSettings
from treadle.serving import body
from treadle.serving.http_door import HttpDoor
from treadle.serving.web import Response, reply


class Company:
    """Stands where `Together` is told how many callers there are."""

    company = 0


async def told(scope, incoming):
    """Answer with what came; a path may say in which way."""
    if scope.path == "/unread":
        return reply({})
    if scope.path == "/wait":
        await asyncio.sleep(0.01)
    if scope.path == "/slow":
        await asyncio.sleep(0.3)
    if scope.path == "/turn":
        await asyncio.sleep(0)
    if scope.path == "/gone":
        await incoming.client_disconnect()
    if scope.path == "/broken":
        return Response(headers=(("x", "a\r\nb: c"),))
    data = await body.read(incoming, scope.headers, limit=2_000_000)
    size = {"size": len(data)} if len(data) > 100 else {"body": data.decode()}
    about = {
        "path": scope.path,
        "query": scope.query_string,
        "method": scope.method,
        "x": scope.headers.get("x"),
    }
    return reply({**about, **size}, status=204 if scope.path == "/nothing" else 200)


@asynccontextmanager
async def listening(**settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        door = HttpDoor(told, ServingSettings(grace=1.0, **settings), together=Company())
        door.start(asyncio.get_running_loop(), listener)
        door.port = listener.getsockname()[1]
        try:
            yield door
        finally:
            await door.finish()


def talk(*pieces, until=None, pause=0.0, **settings):
    """Send pieces over one connection and return all that comes back, until the server closes or `until` has come."""

    async def exchange():
        async with listening(**settings) as door:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            found = b""
            async with asyncio.timeout(20):
                while until is None or found.count(until) < 1:
                    piece = await reader.read(65536)
                    if not piece:
                        break
                    found += piece
            writer.close()
            return found

    return asyncio.run(exchange())


def post(path="/", data=b"", *lines):
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def get(path="/", *lines, version="1.1"):
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: localhost", *lines]).encode() + b"\r\n\r\n"


LAST = get("/last", "Connection: close")


def answers(text):
    """Return status, head and body of each answer."""
    found = []
    while text:
        head, _, rest = text.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length")), 0)
        if lines[0].split()[1] == "100":
            length = 0
        found.append((int(lines[0].split()[1]), lines, rest[:length]))
        text = rest[length:]
    return found


def bodies(text):
    return [json.loads(data) for _, _, data in answers(text)]
