"""HTTP/1.1 as our server speaks it: requests in pieces, behind one another, and such as two programs would read in two ways."""

from __future__ import annotations

import asyncio
import json

import pytest
from http1_talk import LAST, answers, bodies, get, listening, post, talk, told

from treadle.core.errors import InvalidInput
from treadle.serving.http1.heads import LONGEST, Heads, Malformed
from treadle.serving.web import reply


def test_a_request_is_answered_and_its_address_decoded():
    said = bodies(talk(post("/a%20b?c=d%20e", b"hello", "X: 1", "X: 2"), LAST))[0]

    assert said == {"path": "/a b", "query": "c=d%20e", "method": "POST", "x": "1, 2", "body": "hello"}


@pytest.mark.parametrize("path", ["/", "/turn", "/wait"])
def test_requests_behind_one_another_are_answered_in_their_order(path):
    many = b"".join(post(path, b"%d" % number) for number in range(50))

    found = bodies(talk(many + LAST))

    assert [told.get("body") for told in found] == [*map(str, range(50)), ""]


@pytest.mark.parametrize("size", [0, 5, 9_999, 10_000, 700_000])
def test_a_body_comes_in_any_pieces(size):
    whole = post("/", b"x" * size) + LAST

    by_many = bodies(talk(*(whole[at : at + 60_001] for at in range(0, len(whole), 60_001)), pause=0.001))
    few = bodies(talk(whole[:10], whole[10:70], whole[70:], pause=0.01))

    assert by_many == few
    assert few[0].get("size", len(few[0].get("body", ""))) == size
    assert few[1]["path"] == "/last"


def test_chunks_are_put_together_and_the_connection_stays():
    chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

    found = bodies(talk(chunked, b"3\r\nabc\r\n", b"2;x=y\r\nde\r\n", b"0\r\n\r\n", LAST, pause=0.02))

    assert [told["path"] for told in found] == ["/c", "/last"]
    assert found[0]["body"] == "abcde"


def test_what_comes_at_once_behind_chunks_is_not_read():
    """Where the chunks end is not told by the parser: the caller hears that the connection ends, and sends it again."""
    chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"

    ((status, lines, _),) = answers(talk(chunked + get("/next")))

    assert status == 200
    assert "connection: close" in lines


def test_chunks_that_cannot_be_read_are_the_request_s_matter():
    chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"

    async def refused():
        async with listening() as door:
            door.respond = caught
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(chunked)
            found = await reader.read()
            writer.close()
            return found

    async def caught(scope, incoming):
        try:
            return await told(scope, incoming)
        except InvalidInput as error:
            return reply({"error": str(error)}, status=400)

    ((status, lines, data),) = answers(asyncio.run(refused()))
    assert (status, "connection: close" in lines) == (400, True)
    assert b"chunks of the body cannot be read" in data


def test_a_caller_that_waits_for_a_word_hears_it_when_its_body_is_read():
    asked = post("/", b"abc", "Expect: 100-continue", "Connection: close")
    head, data = asked[:-3], asked[-3:]

    read = answers(talk(head, data, pause=0.1))
    unread = answers(talk(head.replace(b"POST / ", b"POST /unread "), pause=0.1))

    assert [status for status, *_ in read] == [100, 200]
    assert [status for status, *_ in unread] == [200]


def test_a_body_that_nobody_reads_ends_the_connection_and_the_answer_is_read():
    ((status, lines, _),) = answers(talk(post("/unread", b"x" * 1_000_000)))

    assert status == 200
    assert "connection: close" in lines


def test_head_and_bare_statuses_have_no_body():
    head = get("/a").replace(b"GET", b"HEAD", 1)

    text = talk(head + get("/nothing") + LAST)

    first, _, rest = text.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 OK")
    assert rest.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"content-length: 0\r\n\r\nHTTP/1.1 200 OK" in rest


def test_the_older_version_closes_unless_it_is_asked_not_to():
    once = answers(talk(get(version="1.0")))
    kept = answers(talk(get("/", "Connection: keep-alive", version="1.0"), LAST, pause=0.05))

    assert [len(once), len(kept)] == [1, 2]
    assert "connection: close" in once[0][1]
    assert "connection: keep-alive" in kept[0][1]


def test_a_whole_address_and_one_for_all():
    whole = get("http://localhost/x/y?z=1", "Connection: close")

    assert bodies(talk(whole))[0]["path"] == "/x/y"
    assert (
        bodies(talk(get("*", "Connection: close").replace(b"GET", b"OPTIONS", 1)))[0]["method"] == "OPTIONS"
    )


def test_who_sends_no_more_is_answered_and_who_goes_is_noticed():
    async def ended(path):
        async with listening() as door:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(get(path))
            await asyncio.sleep(0.02)
            writer.write_eof()
            async with asyncio.timeout(5):
                found = await reader.read()
            writer.close()
            return found

    assert [status for status, *_ in answers(asyncio.run(ended("/slow")))] == [200]
    assert [status for status, *_ in answers(asyncio.run(ended("/gone")))] == [200]


AMBIGUOUS = {
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks behind something": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "packed chunks": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a length with a sign": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    "a space before the colon": b"POST / HTTP/1.1\r\nHost : a\r\nContent-Length: 0\r\n\r\n",
    "a line that is folded": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "a null": b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "chunks in the older version": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a protocol that looks like it": b"GET / RTSP/1.0\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no text": b"GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n",
    "noise": bytes(range(128, 256)) + b"\r\n\r\n",
}


@pytest.mark.parametrize("asked", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(asked):
    ((status, lines, data),) = answers(talk(asked + get("/smuggled")))

    assert status == 400
    assert "connection: close" in lines
    assert json.loads(data)["error"]["message"]


def test_a_head_that_is_too_long_is_refused():
    endless = talk(b"GET / HTTP/1.1\r\n", b"X: " + b"y" * LONGEST + b"y")
    long = talk(get("/", "X: " + "y" * LONGEST))
    many = talk(get("/", *(f"x{number}: 1" for number in range(200))))

    assert [status for text in (endless, long, many) for status, *_ in answers(text)] == [431] * 3


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HT", post("/", b"x" * 9)[:-4]], ids=["nothing", "a head", "done"]
)
def test_a_connection_over_which_no_request_gets_whole_is_closed(begun):
    if begun.startswith(b"POST"):
        begun = post("/", b"123456789")  # answered, and then nothing

    text = talk(begun, idle_timeout=0.3)

    assert text.count(b"HTTP/1.1 200") == begun.startswith(b"POST")


def test_others_wait_where_there_are_as_many_connections_as_may_be():
    async def third():
        async with listening(max_connections=2) as door:
            held = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(2)]
            for reader, writer in held:
                writer.write(get())
                await reader.readuntil(b"}")
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(LAST)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(1), 0.3)
            held[0][1].close()
            async with asyncio.timeout(5):
                found = await reader.read()
            for one in (writer, held[1][1]):
                one.close()
            return found

    assert [status for status, *_ in answers(asyncio.run(third()))] == [200]


def test_a_door_that_closes_answers_what_has_begun():
    async def closing():
        async with listening() as door:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            idle, other = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(get("/slow"))
            await asyncio.sleep(0.05)
            await door.finish()
            found = await reader.read(), await idle.read()
            for one in (writer, other):
                one.close()
            return found

    asked, nothing = asyncio.run(closing())
    ((status, lines, _),) = answers(asked)
    assert (status, "connection: close" in lines, nothing) == (200, True, b"")


def test_a_header_with_a_line_break_is_never_written(caplog):
    assert talk(get("/broken")) == b""
    assert "line break" in caplog.text


def test_heads_are_remembered_and_few_of_them():
    heads = Heads()
    for number in range(5_000):
        raw = f"GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
        assert heads.understood(raw).path == f"/{number}"
    again = heads.understood(raw)

    assert heads.understood(bytes(raw)) is again
    assert len(heads._remembered) <= 1024
    with pytest.raises(Malformed):
        heads.understood(b"GET / HTTP/1.1\r\nhost: a")
