"""The door: whose requests are answered, and what becomes of those that are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import treadle as td
from http_cases import BASE, Open, csrf_of
from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.core.clock import SystemClock
from treadle.core.settings import UiSettings
from treadle.serving.access_log import AccessLog

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = ("/", "/livez", "/sign-in", "/do/promote", "/api/v1/promote", "/static/x.css", "/nowhere")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8500"},
        {"host": "localhost.evil.example"},
        {"host": "203.0.113.9"},
        {"host": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"origin": "http://localhost.evil.example:8500"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
    ids=str,
)
def test_a6_what_strangers_pages_ask_is_refused(
    client: TestClient, method: str, headers: dict[str, str]
) -> None:
    codes = {client.request(method, path, headers=headers).status_code for path in PATHS}

    assert codes <= {403, 421}


def test_a_link_from_elsewhere_may_be_followed(client: TestClient) -> None:
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}

    assert client.get("/", headers=followed).status_code == 200
    assert client.post("/do/request", headers=followed).status_code == 403


def test_a_form_needs_what_its_page_was_given(client: TestClient) -> None:
    asked = {"model": "buys", "reason": "r", "back": "/?x=1"}
    page = client.get("/sign-in")

    assert client.post("/do/request", data=asked).status_code == 403
    assert client.post("/do/request", data={**asked, "csrf": "0" * 64}).status_code == 403
    done = client.post("/do/request", data={**asked, "csrf": csrf_of(page.text)}, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/?x=1")
    other = TestClient(client.app, base_url=BASE)
    assert other.post("/do/request", data={**asked, "csrf": csrf_of(page.text)}).status_code == 403


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json"],
)
def test_a6_json_that_is_called_something_else_is_refused(client: TestClient, kind: str) -> None:
    body = json.dumps({"model": "buys", "reason": "r"})

    assert client.post("/api/v1/request", content=body, headers={"content-type": kind}).status_code == 415


def test_every_response_says_what_browsers_may_do(client: TestClient) -> None:
    answers = [
        client.get("/"),
        client.get("/nowhere"),
        client.post("/do/x"),
        client.get("/", headers={"host": "x"}),
    ]

    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_request_that_is_too_large_is_refused(client: TestClient) -> None:
    json_ = {"content-type": "application/json"}

    huge = client.post("/api/v1/request", content=b"", headers={"content-length": str(1 << 30), **json_})
    chunked = client.post("/api/v1/request", content=iter([b"x" * 1_000_000] * 9), headers=json_)

    assert (huge.status_code, chunked.status_code) == (413, 413)


def test_without_a_token_nothing_is_answered_but_a_named_list(opened: Open, tokens: dict[str, str]) -> None:
    client = opened()

    assert client.get("/").status_code == 401
    assert client.get("/", headers={"accept": "text/html"}).status_code == 401
    assert client.post("/api/v1/status", json={}).status_code == 401
    assert client.get("/nowhere").status_code == 401
    assert client.get("/livez").status_code == 200


def test_a_browser_signs_in_and_out(opened: Open, tokens: dict[str, str]) -> None:
    client = opened()
    page = client.get("/?x=1", headers={"accept": "text/html"})
    form = {"csrf": csrf_of(page.text), "next": "/?x=1"}

    wrong = client.post("/sign-in", data={**form, "token": "tdu_wrong"})
    done = client.post("/sign-in", data={**form, "token": tokens["viewer"]}, follow_redirects=False)

    assert (wrong.status_code, done.status_code, done.headers["location"]) == (401, 303, "/?x=1")
    kept = next(value for value in done.headers.get_list("set-cookie") if "session" in value).lower()
    assert "httponly" in kept
    assert "samesite=strict" in kept
    assert tokens["viewer"] not in kept
    assert client.get("/").status_code == 200
    signed = csrf_of(client.get("/sign-in").text)
    assert client.post("/sign-out", data={"csrf": signed}, follow_redirects=False).status_code == 303
    assert client.get("/").status_code == 401


def test_a_session_ends_when_its_token_is_revoked(opened: Open, tokens: dict[str, str], shop: Path) -> None:
    client = opened()
    form = {"csrf": csrf_of(client.get("/sign-in").text), "token": tokens["viewer"]}
    client.post("/sign-in", data=form)
    assert client.get("/").status_code == 200

    with td.open(shop) as ws:
        ws.team.revoke_token("t", "the-viewer")

    assert client.get("/").status_code == 401


def test_a18_guessing_is_slowed_down_by_the_20th_try(opened: Open, tokens: dict[str, str]) -> None:
    client = opened()
    right = {"authorization": f"Bearer {tokens['viewer']}"}
    assert client.get("/", headers=right).status_code == 200

    codes = [client.get("/", headers={"authorization": f"Bearer tdu_{n}"}).status_code for n in range(20)]
    sign_in = client.post("/sign-in", data={"csrf": csrf_of(client.get("/sign-in").text), "token": "x"})

    assert (codes[0], codes[-1], sign_in.status_code) == (401, 429, 429)
    assert client.get("/", headers=right).status_code == 200


def test_an_address_that_asks_too_often_waits(opened: Open) -> None:
    client = opened(rate=1.0)

    codes = [client.get("/livez").status_code for _ in range(12)]

    assert codes[:9] == [200] * 9
    assert codes[-1] == 429


def test_a_proxy_says_who_asks_if_it_is_trusted(opened: Open, tokens: dict[str, str]) -> None:
    said = {"x-forwarded-user": "the-viewer"}

    # The test client's address is no address at all, so it is nobody's proxy.
    assert opened(said, proxies="10.0.0.7", proxy_user="X-Forwarded-User").get("/").status_code == 401
    assert opened(said, proxies="10.0.0.7").get("/").status_code == 401
    trusted = opened(said, proxies="10.0.0.7", proxy_user="X-Forwarded-User")
    trusted = TestClient(trusted.app, base_url=BASE, headers=said, client=("10.0.0.7", 1))
    assert trusted.get("/").status_code == 200
    assert trusted.get("/", headers={"x-forwarded-user": "nobody"}).status_code == 401


def test_newcomers_are_what_the_setting_says(opened: Open, tokens: dict[str, str]) -> None:
    app = opened(proxies="10.0.0.7", proxy_user="X-User", newcomers="viewer").app
    client = TestClient(app, base_url=BASE, headers={"x-user": "new@example.org"}, client=("10.0.0.7", 1))

    assert client.get("/").status_code == 200
    page = csrf_of(client.get("/sign-in").text)
    said = client.post("/do/request", data={"csrf": page, "model": "buys", "reason": "r"})
    assert "Expected operator" in said.text


def test_what_came_through_a_proxy_is_not_this_machines(client: TestClient) -> None:
    assert client.get("/", headers={"x-forwarded-for": "203.0.113.9"}).status_code == 401


def test_a_lines_of_the_log_are_escaped_and_hold_no_secret(shop: Path, tokens: dict[str, str]) -> None:
    log = AccessLog("ui.jsonl", shop, SystemClock())
    client = TestClient(application(Source(shop), UiSettings(rate=0.0), log=log), base_url=BASE)

    client.get(
        "/%1b[31m%0d%0aINFO fake?token=s3cret", headers={"authorization": f"Bearer {tokens['viewer']}"}
    )
    log.close()

    text = (shop / "ui.jsonl").read_text()
    assert len(text.splitlines()) == 1
    assert json.loads(text)["user"] == "the-viewer"
    assert "\x1b" not in text
    assert "s3cret" not in text
    assert tokens["viewer"] not in text


def test_a_name_in_the_setting_is_answered_to(opened: Open) -> None:
    client = opened(base="http://treadle.team", hosts="treadle.team")

    assert client.get("/").status_code == 200
