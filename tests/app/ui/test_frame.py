"""The frame of the dashboard: navigation, notice, files to take away, and what tells that something changed."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.app.ui import assets, live, parts
from treadle.app.ui.answering import answer
from treadle.app.ui.charts.lines import Line, Lines, Point
from treadle.app.ui.charts.spans import Bar, Span, Spans
from treadle.app.ui.frame import framed
from treadle.app.ui.kept import Keeping
from treadle.app.ui.page import Page, Seen, pages
from treadle.app.ui.unstyled import unstyled
from treadle.app.workspace import Workspace
from treadle.core.errors import NotFound
from treadle.data.profiles.page.markup import Markup, element

HOSTILE = '"><script>alert(1)</script>'


def chart(name: str = "loss") -> Lines:
    points = [Point(x=1.36e9 + 86_400 * i, y=0.4 + 0.01 * i, low=0.35, high=0.5) for i in range(30)]
    return Lines(name=name, title=HOSTILE, lines=[Line(name=HOSTILE, points=points)], up="log_loss")


def bars() -> Spans:
    return Spans(
        name="served",
        title="Who answered",
        bars=[Bar(name="=1+1", spans=[Span(start=1.36e9, end=1.37e9, said=HOSTILE)])],
    )


def page_of(*drawn: Lines | Spans) -> Page:
    def make(seen: Seen) -> Markup:
        return element("div", *(parts.figure(seen, one) for one in drawn))

    return Page(path="/x/{model}", title="{model}", make=make, nav="X")


def test_every_page_has_an_address_and_a_key_of_its_own() -> None:
    found = pages()

    for names in ([page.path for page in found], [page.key for page in found if page.key]):
        assert len(names) == len(set(names))


def test_a_page_in_its_frame_is_well_formed_and_escapes_what_it_shows(look, said) -> None:
    seen = replace(look("/x/a", model=HOSTILE), notice=HOSTILE, went_well=False)

    found = framed(page_of(chart(), bars()), seen, page_of(chart(), bars()).make(seen))

    assert "<script>alert" not in found
    assert HOSTILE in said(found).text


def test_a_page_needs_no_style_and_no_script_inside_it(look) -> None:
    seen = look("/x/a", model="a")

    found = framed(page_of(chart()), seen, page_of(chart()).make(seen))

    assert " style=" not in found
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son[a-z]+=|javascript:", found)


def test_styles_of_older_parts_become_classes_that_the_sheet_has() -> None:
    found = unstyled(element("i", class_="reach", style="left:12.4%;width:0.2%"))

    assert 'class="reach l-12 w-1"' in found
    assert b".l-12{left:12%}" in assets.asset("dashboard.css").content.replace(b".w-12{width:12%}", b"")


@pytest.mark.parametrize("drawn", [chart("served"), bars()], ids=["lines", "spans"])
def test_a_chart_is_taken_away_as_svg_and_csv(look, said, drawn: Lines | Spans) -> None:
    page = page_of(drawn)

    svg = answer(page, look("/x/a?export=served.svg", model="a"))
    csv = answer(page, look("/x/a?export=served.csv", model="a"))

    assert (svg.media_type, csv.media_type) == ("image/svg+xml", "text/csv")
    assert svg.content.startswith('<svg xmlns="http://www.w3.org/2000/svg"') or "<svg" in svg.content[:5]
    assert said(svg.content).text
    assert "<script>" not in svg.content
    assert len(csv.content.splitlines()) == 1 + len(drawn.rows()[1])


def test_a_cell_that_a_spreadsheet_would_run_is_quoted(look) -> None:
    found = answer(page_of(bars()), look("/x/a?export=served.csv", model="a"))

    assert "'=1+1" in found.content


def test_a_file_that_the_page_does_not_offer_is_said(look) -> None:
    with pytest.raises(NotFound, match=r"loss.csv"):
        answer(page_of(chart()), look("/x/a?export=loss.exe", model="a"))


def test_who_may_not_act_reads_why(look, said) -> None:
    form = parts.action(look(role="viewer"), "promote", {"version": "buys/1"}, label="Promote")

    assert "needs the role operator; yours is viewer" in said(form).text
    assert "<form" not in form


def test_an_action_asks_for_a_reason_and_carries_the_token(look) -> None:
    form = parts.action(look("/models/buys"), "promote", {"version": HOSTILE}, label="Promote")

    assert 'name="csrf" value="token"' in form
    assert 'name="back" value="/models/buys"' in form
    assert re.search(r'<input name="reason" required', form)
    assert HOSTILE not in form


def test_files_that_pages_load_are_kept_for_ever_under_their_digest(shop: Path) -> None:
    client = TestClient(application(Source(shop)), base_url="http://127.0.0.1:8500")

    sheet, gone = client.get(assets.url("dashboard.css")), client.get("/static/..%2f..%2fpage.py")

    assert "immutable" in sheet.headers["cache-control"]
    assert sheet.headers["content-type"].startswith("text/css")
    assert gone.status_code == 404


def test_a_change_in_the_ledger_is_told_once(workspace: Workspace) -> None:
    looks, keeping = 0, Keeping()

    async def look_() -> str:
        nonlocal looks
        looks += 1
        if looks == 3:
            workspace.request("buys", reason="it snowed")
        return live.pulse(workspace, keeping)

    async def told() -> list[str]:
        found = []
        async for event in live.events(look_, every=0.001, beat=0.01):
            found.append(event)
            if looks > 30:
                return found
        return found

    found = asyncio.run(told())

    lines = [event.partition("\n")[0] for event in found]
    assert lines[0] == "retry: 2000"
    assert lines.count("event: changed") == 1
    assert ": still here" in lines
