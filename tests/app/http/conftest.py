"""A team server over a real project, with and without users."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

import treadle as td
from http_cases import BASE, Open
from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.core.settings import UiSettings


@pytest.fixture
def opened(shop: Path) -> Open:
    """Return a client of the shop's server with some settings and headers."""

    def open_(headers: dict[str, str] | None = None, base: str = BASE, **settings: object) -> TestClient:
        found = UiSettings(**{"rate": 0.0, **settings})
        return TestClient(application(Source(shop), found), base_url=base, headers=headers)

    return open_


@pytest.fixture
def client(opened: Open) -> TestClient:
    """A program on the same machine, where no users are."""
    return opened()


@pytest.fixture
def tokens(shop: Path) -> dict[str, str]:
    """Users of each role, and a token of each: from now on people have to say who they are."""
    with td.open(shop) as ws:
        for role in ("admin", "operator", "annotator", "viewer"):
            ws.team.add(f"the-{role}", role)
        return {
            role: ws.team.create_token("t", f"the-{role}")
            for role in ("admin", "operator", "annotator", "viewer")
        }
