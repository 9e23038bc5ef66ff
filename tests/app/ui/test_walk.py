"""A walk through the dashboard in a real Chromium: every page, every action, no fault that axe finds, no error in the console."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import shown_shop
import treadle as td

pytestmark = pytest.mark.slow

#: Addresses to walk: whoever adds a page adds one here.
ADDRESSES = [
    "/",
    "/models/buys",
    "/models/buys/2",
    "/models/buys/why",
    "/models/likes",
    "/compare",
    "/compare?version=buys/1&version=buys/3",
    "/audit",
    "/audit?kind=approval",
    "/runs",
    "/runs?status=failed",
    "/runs/{run}",
    "/data",
    "/data/visits",
    "/data/visits?tab=contract",
    "/data/visits?tab=quarantine",
    "/data/visits?tab=difference&moved=yes",
    "/data/visits/1",
    "/data/visits/1/profile?make=yes",
    "/features",
    "/endpoints",
    "/endpoints/buys",
    "/experiments",
    "/monitor",
    "/monitor?state=all",
    "/monitor/buys",
    "/team",
    "/no/such/page",
    "/lineage",
    "/lineage?prediction={prediction}",
]
#: What a page says of what is read beside it.
UNDER_WAY = re.compile("being measured|being looked at|being taken|being counted|are answering")
OPTIONS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"


@pytest.fixture(scope="module")
def place(grown: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A dashboard that is served by a process of its own."""
    root = tmp_path_factory.mktemp("walk") / "shop"
    shutil.copytree(grown, root)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "treadle.app.cli.main",
        "ui",
        "--project",
        str(root),
        "--port",
        str(port),
    ]
    with (root / "said.txt").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    try:
        wait(f"http://127.0.0.1:{port}/livez", process)
        yield f"http://127.0.0.1:{port}", root
    finally:
        process.terminate()
        process.wait(30)


def wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the dashboard did not start")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no browser is on this machine")
    with playwright.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=OPTIONS.split())
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a tab; at the end, no error was in its console."""
    problems: list[str] = []
    contexts = []

    def noted(said: Any, url: str) -> None:
        # What Chromium says by itself of a page that is not there is no fault of ours.
        if said.type == "error" and "status of 404" not in said.text:
            problems.append(f"{url}: {said.text}")

    def opened(**how: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **how})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
        page.on("console", lambda said: noted(said, page.url))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems


def settled(page: Any, url: str) -> None:
    """Go to a page, and wait for what is read beside it."""
    page.goto(url)
    deadline = time.monotonic() + 120
    while UNDER_WAY.search(page.locator("main").text_content()):
        assert time.monotonic() < deadline, url
        page.wait_for_timeout(200)


def named(root: Path) -> dict[str, str]:
    """Return the names of things that addresses are about."""
    with td.open(root) as workspace:
        ids = workspace.predictions.scan("buys").select("prediction_id").head(1).collect()
        prediction = ids.item() if ids.height else "nobody"
        return {"run": workspace.runs.list(model="buys", limit=1)[0].id, "prediction": prediction}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 400])
def test_no_page_has_a_fault_or_is_too_wide(place, tab, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = tab(viewport={"width": width, "height": 900}, color_scheme=scheme)

    known = named(place[1])
    for address in (address.format_map(known) for address in ADDRESSES):
        settled(page, place[0] + address)

        found = axe.run(page).response["violations"]
        serious = [one for one in found if one["impact"] in {"serious", "critical"}]
        assert not [(address, one["id"], one["nodes"][0]["html"][:200]) for one in serious]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


def test_what_is_shown_runs_nothing_of_the_data(place, tab) -> None:
    page = tab()
    page.on("dialog", lambda _: pytest.fail("a value of the data was run"))

    settled(page, f"{place[0]}/models/buys/2")

    assert page.locator("main img").count() == 0
    assert "<img src=x onerror=alert(1)>" in page.locator("main").text_content()


def test_the_reason_why_a_champion_was_replaced_is_at_most_three_clicks_away(place, tab) -> None:
    page = tab()
    settled(page, place[0])

    page.locator("#model-buys").get_by_role("link", name="why it replaced the one before").click()
    page.get_by_role("link", name="Version 3 replaced version 2").click()

    page.get_by_text("It was trained because: turn 3").wait_for()
    assert "beats" in page.locator("#verdicts").text_content()


def test_it_works_by_keyboard(place, tab) -> None:
    page = tab()
    page.goto(place[0])

    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/audit")
    page.keyboard.press("?")

    assert first == "To the content"
    assert page.locator("dialog#keys").is_visible()


def test_a_chosen_theme_stays(place, tab) -> None:
    page = tab(color_scheme="light")
    page.goto(place[0])
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.keyboard.press("t")
    page.goto(f"{place[0]}/audit")

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_a_chart_is_taken_away_as_a_picture(place, tab) -> None:
    page = tab()
    settled(page, f"{place[0]}/models/buys")

    with page.expect_download() as found:
        page.locator("#served").get_by_role("link", name=re.compile("as PNG")).click()

    assert Path(found.value.path()).read_bytes().startswith(b"\x89PNG")


def test_pages_refresh_themselves_and_open_forms_stay_as_they_are(place, tab) -> None:
    page, root = tab(), place[1]
    page.goto(f"{place[0]}/audit?kind=request")
    page.locator(".wide .live[data-state=on]").wait_for()

    with td.open(root) as workspace:
        workspace.request("buys", reason="it snowed", actor="ben")

    page.get_by_text("it snowed").wait_for()


def test_every_action_is_done_with_its_reason(place, tab) -> None:
    page, root = tab(), place[1]

    def act(address: str, label: str, reason: str) -> str:
        page.goto(place[0] + address)
        page.locator(f"details.action > summary:text-is('{label}')").first.click()
        form = page.locator(f"details.action[open] form:has(button:text-is('{label}'))").first
        form.locator("input[name=reason]").fill(reason)
        form.get_by_role("button").click()
        page.locator(".notice").wait_for()
        return str(page.locator(".notice").text_content())

    said = [
        act("/models/likes", "Approve", "better in the shop"),
        act("/models/loves", "Reject", "not now"),
        act("/models/buys/1", "Roll back to version 1", "the new one is odd"),
        act("/models/buys/3", "Promote", "it was well after all"),
        act("/models/buys", "Ask for a training", "new prices"),
    ]

    with td.open(root) as workspace:
        assert workspace.models.aliases("likes")["champion"] == 2
        assert workspace.approvals.list("loves")[0].state == "rejected"
        moves = [(one.version, one.reason) for one in workspace.models.history("buys", "champion")[-2:]]
        assert moves == [(1, "the new one is odd"), (3, "it was well after all")]
        assert workspace.requests.waiting("buys")[-1].reason == "new prices"
        assert {one.actor for one in workspace.audit(limit=5)} == {"a person"}
    assert all("Done" in one for one in said), said


def test_runs_are_cancelled_and_tried_again_and_rows_re_admitted(place, tab) -> None:
    page, root = tab(), place[1]
    with td.open(root) as workspace:
        run = workspace.runs.start("buys", reason="by hand").id
        shown_shop.land(root, 9000, 20)
        bad = root / "landing" / "bad.csv"
        bad.write_text("visit,seen,pages,shop,bought\nw1,2024-01-01T10:00:00Z,many,a,true\n")
        workspace.ingest("visits")
        waiting = workspace.quarantine.waiting("visits")

    def act(address: str, label: str, reason: str) -> None:
        page.goto(place[0] + address)
        page.locator(f"details.action > summary:text-is('{label}')").first.click()
        form = page.locator(f"details.action[open] form:has(button:text-is('{label}'))").first
        form.locator("input[name=reason]").fill(reason)
        form.get_by_role("button").click()
        page.locator(".notice").first.wait_for()

    act(f"/runs/{run}", "Cancel", "not needed")
    act(f"/runs/{run}", "Try again", "after all")
    act("/data/visits?tab=quarantine", "Re-admit", "looked at")

    with td.open(root) as workspace:
        assert workspace.runs.get(run).error == "Cancelled by a person: not needed"
        assert workspace.requests.waiting("buys")[-1].reason.startswith("after all (again, as run_")
        assert (waiting, workspace.quarantine.waiting("visits")) == (1, 1)
    assert "many" in page.locator("main").text_content()


def test_the_log_of_a_run_under_way_is_followed(place, tab) -> None:
    page, root = tab(), place[1]
    with td.open(root) as workspace:
        run = workspace.runs.start("likes", reason="by hand").id
        log = workspace.runs.folder(run) / "log.txt"
        log.write_text("epoch 1\n")
        page.goto(f"{place[0]}/runs/{run}")
        page.get_by_text("epoch 1").wait_for()

        log.write_text("epoch 1\nepoch 2\n")

        page.get_by_text("epoch 2").wait_for()
        workspace.cancel(run, reason="seen")
