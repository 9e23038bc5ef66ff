"""Connections that callers try to break, to hold, or to bring out of step."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress

import pytest
from http1_talk import LAST, answers, get, listening, post, talk

from treadle.serving import body
from treadle.serving.web import Response, reply


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_an_upgrade_that_is_offered_with_chunks_is_not_taken(pause):
    """The chunks are the body, and no part of them is ever read as the next request."""
    lines = b"Upgrade: h2c\r\nConnection: Upgrade, close\r\nTransfer-Encoding: chunked\r\n\r\n"
    smuggled = get("/smuggled")
    size = b"%x\r\n" % len(smuggled)

    text = talk(b"POST /c HTTP/1.1\r\nHost: a\r\n" + lines, size + smuggled + b"\r\n0\r\n\r\n", pause=pause)

    ((status, _, data),) = answers(text)
    assert (status, json.loads(data)["body"]) == (200, smuggled.decode())


def test_a_header_that_cannot_be_written_ends_the_connection_of_a_request_in_a_task_too():
    assert talk(post("/broken", b"x" * 20_000), idle_timeout=60) == b""


def test_a_body_that_came_whole_and_was_not_read_leaves_the_connection_usable():
    async def asked():
        async with listening() as door:
            door.respond = slow
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(post("/", b"x" * (256 * 1024 + 1)))
            first = await reader.readuntil(b"{}")
            writer.write(LAST)
            async with asyncio.timeout(5):
                found = first + await reader.read()
            writer.close()
            return found

    async def slow(scope, incoming):
        await asyncio.sleep(0.2)
        return reply({})

    assert [status for status, *_ in answers(asyncio.run(asked()))] == [200, 200]


def test_a_caller_that_does_not_take_its_answers_does_not_hold_a_connection_for_ever():
    async def left(reads):
        async with listening(idle_timeout=0.6) as door:
            door.respond = large
            with socket.create_connection(("127.0.0.1", door.port)) as caller:
                caller.setblocking(False)
                caller.send(get() * 20)
                for _ in range(30):
                    await asyncio.sleep(0.1)
                    with suppress(BlockingIOError):
                        caller.recv(200_000 if reads else 1)
                return len(door._connections)

    async def large(scope, incoming):
        return Response(body=b"x" * 2_000_000)

    assert asyncio.run(left(reads=False)) == 0
    assert asyncio.run(left(reads=True)) == 1


@pytest.mark.parametrize("rest", [b"zz\r\n", b""], ids=["nonsense", "gone"])
def test_a_refused_body_that_cannot_be_thrown_away_is_no_failure_of_the_server(rest, caplog):
    async def refused():
        async with listening() as door:
            door.respond = refuses
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + rest)
            await asyncio.sleep(0.05)
            writer.write_eof()
            found = await reader.read()
            writer.close()
            return found

    async def refuses(scope, incoming):
        await body.discard(incoming, scope.headers)
        return reply({"error": "who are you"}, status=401)

    ((status, lines, _),) = answers(asyncio.run(refused()))
    assert (status, "connection: close" in lines) == (401, True)
    assert caplog.text == ""


def test_a_body_that_is_here_is_thrown_away_without_waiting():
    """What is begun outside of a task cannot wait with a limit."""

    class Here:
        whole = b"abc"

        def __aiter__(self):
            raise AssertionError("it was read")

    with pytest.raises(StopIteration):
        body.discard(Here(), {}).send(None)
