"""One user does not keep the server from others: threads, streams and long work are shared, and work always ends."""

from __future__ import annotations

import asyncio
import http.client
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from functools import wraps
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import treadle as td
from http_cases import Open, csrf_of
from served import served
from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.app.http.streams import Streams
from treadle.app.http.turns import Turns
from treadle.app.http.work import Work, Works
from treadle.core.errors import Overloaded
from treadle.core.settings import UiSettings


def test_one_who_waits_for_many_things_keeps_nobody_else_waiting() -> None:
    gate, begun = threading.Event(), []

    def blocks() -> None:
        begun.append(1)
        gate.wait(20)

    async def asked() -> tuple[str, int]:
        turns = Turns()
        many = [asyncio.create_task(turns.take("one", blocks)) for _ in range(60)]
        await asyncio.sleep(0.3)
        async with asyncio.timeout(10):
            found = await turns.take("other", lambda: "done")
        held = len(begun)
        gate.set()
        await asyncio.gather(*many)
        return found, held

    found, held = asyncio.run(asked())

    assert found == "done"
    assert held == 12
    assert len(begun) == 60


@pytest.mark.slow
def test_pages_are_answered_while_all_operations_wait(shop: Path) -> None:
    app = application(Source(shop), UiSettings(rate=0.0))
    gate = threading.Event()

    @wraps(td.Workspace.status)
    def waits(_: object) -> None:
        gate.wait(30)

    with pytest.MonkeyPatch.context() as patch, served(app) as url, ExitStack() as stack:
        patch.setattr(td.Workspace, "status", waits)
        where = urlsplit(url).netloc
        for _ in range(60):
            line = stack.enter_context(closing(http.client.HTTPConnection(where, timeout=30)))
            line.request("POST", "/api/v1/status", b"{}", {"content-type": "application/json"})
        page = stack.enter_context(closing(http.client.HTTPConnection(where, timeout=10)))
        page.request("GET", "/runs")
        status = page.getresponse().status
        gate.set()

    assert status == 200


class Panic(BaseException):
    """As libraries in Rust raise it."""


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, Panic])
def test_what_exits_or_panics_in_an_operation_or_a_page_does_not_end_the_server(
    shop: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    @wraps(td.Workspace.status)
    def ends(*_: object, **__: object) -> None:
        raise kind

    app = application(Source(shop), UiSettings(rate=0.0))
    monkeypatch.setattr(td.Workspace, "status", ends)
    monkeypatch.setattr("treadle.app.http.looking.answer", ends)
    with served(app) as url, ExitStack() as stack:
        codes = []
        for method, path in (("POST", "/api/v1/status"), ("GET", "/runs"), ("GET", "/livez")):
            line = stack.enter_context(closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)))
            line.request(method, path, b"{}", {"content-type": "application/json"})
            codes.append(line.getresponse().status)

    assert codes == [500, 500, 200]


async def forever() -> AsyncIterator[str]:
    while True:
        yield "x"
        await asyncio.sleep(0)


def test_streams_are_counted_and_end() -> None:
    streams = Streams()

    async def ended(response: object) -> None:
        async def gone() -> dict[str, str]:
            return {"type": "http.disconnect"}

        async def sent(_: object) -> None:
            return None

        await response({"type": "http", "asgi": {}}, gone, sent)  # type: ignore[operator]

    opened = [streams.begin("ann", forever(), media_type="text/event-stream") for _ in range(100)]
    with pytest.raises(Overloaded):
        streams.begin("ann", forever(), media_type="text/event-stream")
    streams.begin("ben", forever(), media_type="text/event-stream")
    asyncio.run(ended(opened.pop()))

    streams.begin("ann", forever(), media_type="text/event-stream")


@pytest.mark.slow
def test_open_streams_leave_room_for_pages(shop: Path) -> None:
    app = application(Source(shop), UiSettings(rate=0.0))
    with served(app) as url, ExitStack() as stack:
        where, codes = urlsplit(url).netloc, []
        for _ in range(120):
            line = stack.enter_context(closing(http.client.HTTPConnection(where, timeout=30)))
            line.request("GET", "/live")
            codes.append(line.getresponse().status)
        page = stack.enter_context(closing(http.client.HTTPConnection(where, timeout=10)))
        page.request("GET", "/livez")
        alive = page.getresponse().status

    assert (codes.count(200), codes.count(503), alive) == (100, 20, 200)


def finished(work: Work) -> dict[str, object]:
    end = time.monotonic() + 10
    while work.ended is None and time.monotonic() < end:
        time.sleep(0.01)
    assert work.ended is not None
    return work.lines[-1]


def test_work_ends_however_it_fails() -> None:
    def panics(_: Work) -> dict[str, object]:
        raise Panic

    works = Works()
    for number in range(40):
        do = panics if number % 2 else lambda _: sys.exit(3)
        work = works.start(f"work-number-{number}", user="ann", operation="run", do=do)
        assert "log says" in finished(work)["error"]["message"]  # type: ignore[index]


def test_one_does_not_have_all_the_work_and_what_ended_makes_room() -> None:
    works, gate = Works(), threading.Event()

    def waits(_: Work) -> dict[str, object]:
        gate.wait(20)
        return {"result": 1}

    for number in range(12):
        works.start(f"work-number-{number}", user="ann", operation="run", do=waits)
    with pytest.raises(Overloaded):
        works.start("work-number-12", user="ann", operation="run", do=waits)
    for number in range(600):
        finished(
            works.start(f"other-number-{number}", user="ben", operation="run", do=lambda _: {"result": 2})
        )
    gate.set()

    assert finished(works.get("work-number-0", "ann")) == {"result": 1}


def test_a_page_that_there_is_not_is_told_in_the_frame(opened: Open) -> None:
    client = opened({"accept": "text/html"})

    for path in ("/models/nope", "/runs/nope", "/nowhere", "/%3Cscript%3Ealert(1)"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"][:9]) == (404, "text/html"), path
        assert "<nav" in answer.text
        assert "<script>alert" not in answer.text
    assert opened().get("/models/nope").json()["error"]["type"] == "NotFound"
    assert opened().get("/nowhere").json()["error"]["type"] == "NotFound"


def test_a_form_of_too_many_fields_is_refused(opened: Open) -> None:
    client = opened()
    fields = {"csrf": csrf_of(client.get("/sign-in").text), **{f"f{number}": "" for number in range(200)}}

    assert client.post("/do/request", data=fields).status_code == 400


@pytest.mark.parametrize("name", ["x-real-ip", "via", "x-forwarded-proto", "x-forwarded-user"])
def test_any_word_of_a_proxy_says_that_others_may_ask(opened: Open, name: str) -> None:
    assert opened({name: "203.0.113.9"}).get("/").status_code == 401
