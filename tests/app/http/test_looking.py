"""What a browser is shown where there is no page: words in a page; programs get JSON as ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from http_cases import BASE, Open
from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.core.settings import UiSettings

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/models/nope", 404, "No model named"),
        ("/models/buys/999", 404, "buys has no version 999"),
        ("/nope", 404, "There is no page at"),
        ("/audit?since=x", 400, "is no day"),
    ],
)
def test_a_browser_is_told_in_a_page_why_there_is_none(
    opened: Open, address: str, status: int, said: str
) -> None:
    seen, asked = opened(BROWSER).get(address), opened().get(address)

    assert (seen.status_code, asked.status_code) == (status, status)
    assert said in seen.text
    assert "To the overview" in seen.text
    assert said in asked.json()["error"]["message"]


def test_an_address_that_nobody_has_is_shown_as_text(opened: Open) -> None:
    answer = opened(BROWSER).get("/<script>alert(1)</script>")

    assert "<script>alert" not in answer.text


def test_what_does_not_take_a_method_still_says_so(opened: Open) -> None:
    assert opened(BROWSER).get("/do/promote").status_code == 405


def test_an_empty_folder_is_a_page_that_says_what_to_type(tmp_path: Path) -> None:
    client = TestClient(application(Source(tmp_path), UiSettings(rate=0.0)), base_url=BASE)

    seen, asked = client.get("/", headers=BROWSER), client.get("/")

    assert (seen.status_code, asked.status_code) == (404, 404)
    assert seen.headers["content-type"] == "text/html; charset=utf-8"
    assert "treadle init" in seen.text
    assert "Load this page again" in seen.text
    assert asked.json()["error"]["type"] == "NotFound"


def test_a_project_that_cannot_be_read_is_a_page_too(tmp_path: Path) -> None:
    (tmp_path / "treadle.toml").write_text("[ledger\n")
    client = TestClient(application(Source(tmp_path), UiSettings(rate=0.0)), base_url=BASE)

    seen = client.get("/", headers=BROWSER)

    assert seen.status_code >= 400
    assert "treadle.toml" in seen.text
    assert seen.text.startswith("<!doctype html>")
