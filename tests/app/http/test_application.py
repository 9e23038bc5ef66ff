"""The application over a real project: pages, forms and the API."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from treadle.app.http.application import application
from treadle.app.http.source import Source


@pytest.fixture
def client(shop: Path) -> TestClient:
    return TestClient(application(Source(shop)), base_url="http://localhost:8500")


def test_the_overview_is_a_page(client: TestClient) -> None:
    answer = client.get("/")

    assert answer.status_code == 200
    assert "buys" in answer.text


def test_an_operation_is_asked_for_over_http(client: TestClient) -> None:
    answer = client.post("/api/v1/request", json={"model": "buys", "reason": "it snowed"})

    assert answer.status_code == 200
    assert answer.json()["reason"] == "it snowed"


def test_a_form_leads_back_to_its_page(client: TestClient) -> None:
    answer = client.post(
        "/do/request",
        data={"model": "buys", "reason": "it snowed", "back": "/?x=1"},
        follow_redirects=False,
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/?x=1")
