"""The application over a real project: pages, forms and the API."""

from __future__ import annotations

from starlette.testclient import TestClient

from treadle.app.http.back import local


def test_the_overview_is_a_page(client: TestClient) -> None:
    answer = client.get("/")

    assert answer.status_code == 200
    assert "buys" in answer.text


def test_an_operation_is_asked_for_over_http(client: TestClient) -> None:
    answer = client.post("/api/v1/request", json={"model": "buys", "reason": "it snowed"})

    assert answer.status_code == 200
    assert answer.json()["reason"] == "it snowed"


def test_nobody_is_led_elsewhere() -> None:
    places = [
        "https://x.org",
        "//x.org",
        "/\\x.org",
        "\\\\x.org",
        "/a b",
        "/\r\nx: y",
        "javascript:x",
        "",
        "/" + "a" * 3000,
    ]

    assert {local(place) for place in places} == {"/"}
    assert local("/models/a?x=//b") == "/models/a?x=//b"
