"""The team's page: who may what, and tokens that are made and taken away."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import treadle as td
from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.app.ui.frame import framed
from treadle.app.ui.pages import team
from treadle.app.workspace import Workspace
from treadle.core.settings import UiSettings

BASE = "http://127.0.0.1:8500"
BROWSER = {"Accept": "text/html"}


def test_without_users_it_says_how_to_make_the_first(look, said) -> None:
    page = said(team.make(look("/team")))

    assert "treadle users add ann@example.org --role admin" in page.text
    assert "Create a token" not in page.text


def test_users_and_tokens_are_listed_and_escaped(workspace: Workspace, look, said) -> None:
    workspace.team.add("<b>ann</b>", "admin")
    workspace.team.create_token("<i>laptop</i>", "<b>ann</b>", scopes=["viewer", "alerts.*"], ends="90d")

    page = said(team.make(look("/team")))

    assert "<b>ann</b>" in page.text
    assert "<i>laptop</i>" in page.text
    assert "viewer, alerts.*" in page.text


def test_a_token_that_has_ended_says_so_by_the_clock_of_the_world(workspace, look, said, monkeypatch) -> None:
    workspace.team.add("ann", "admin")
    workspace.team.create_token("laptop", "ann", ends="1d")
    before = said(team.make(look("/team"))).text

    class Later:
        def now(self) -> datetime:
            return datetime(2999, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(team, "SystemClock", Later)

    assert "ended" not in before
    assert "ended" in said(team.make(look("/team"))).text


def test_only_who_signed_in_can_sign_out(look) -> None:
    here = look("/team")

    assert "Sign out" not in framed(team.PAGE, here, team.make(here))


@pytest.fixture
def admin(shop: Path) -> TestClient:
    """A browser of an admin who has signed in."""
    with td.open(shop) as ws:
        ws.team.add("ann", "admin")
        ws.team.add("ben", "viewer")
        shown = ws.team.create_token("first", "ann")
    client = TestClient(application(Source(shop), UiSettings(rate=0.0)), base_url=BASE, headers=BROWSER)
    client.post("/sign-in", data={"csrf": csrf(client.get("/sign-in").text), "token": shown, "next": "/team"})
    return client


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return unescape(found[1])


def test_a_token_is_made_in_the_browser_shown_once_used_and_revoked(admin: TestClient, shop: Path) -> None:
    form = {
        "csrf": csrf(admin.get("/team").text),
        "back": "/team",
        "name": "ci",
        "reason": "for nightly runs",
    }
    made = admin.post("/do/team.create_token", data={**form, "user": "ben", "ends": "90d"})
    token = re.search(r"tdu_[\w-]+", made.text)
    assert token is not None
    other = TestClient(application(Source(shop), UiSettings(rate=0.0)), base_url=BASE)
    bearer = {"Authorization": f"Bearer {token[0]}"}

    before = other.post("/api/v1/status", json={}, headers=bearer).status_code
    again = admin.get("/team").text
    admin.post("/do/team.revoke_token", data={**form, "user": "ben"})
    after = other.post("/api/v1/status", json={}, headers=bearer).status_code

    assert (before, after) == (200, 401)
    assert token[0] not in again
    with td.open(shop) as ws:
        assert [(one.actor, one.reason) for one in ws.audit(kind="team", subject="token:ben/ci")] == [
            ("ann", "for nightly runs")
        ] * 2


def test_a_role_is_changed_and_somebody_removed(admin: TestClient, shop: Path) -> None:
    form = {"csrf": csrf(admin.get("/team").text), "back": "/team", "name": "ben", "reason": "new work"}

    admin.post("/do/team.add", data={**form, "role": "operator"})
    with td.open(shop) as ws:
        roles = {one.name: one.role for one in ws.team.members()}
    admin.post("/do/team.remove", data=form)
    with td.open(shop) as ws:
        left = [one.name for one in ws.team.members()]

    assert roles == {"ann": "admin", "ben": "operator"}
    assert left == ["ann"]


def test_nobody_but_an_admin_sees_it_or_the_way_there(shop: Path) -> None:
    with td.open(shop) as ws:
        ws.team.add("ann", "admin")
        ws.team.add("ben", "operator")
        shown = ws.team.create_token("t", "ben")
    client = TestClient(application(Source(shop), UiSettings(rate=0.0)), base_url=BASE, headers=BROWSER)
    client.post("/sign-in", data={"csrf": csrf(client.get("/sign-in").text), "token": shown, "next": "/"})

    assert client.get("/team").status_code == 403
    assert 'href="/team"' not in client.get("/").text


def test_a_browser_signs_out(admin: TestClient) -> None:
    page = admin.get("/team").text
    assert "Sign out" in page

    admin.post("/sign-out", data={"csrf": csrf(page)})

    assert admin.get("/team").status_code == 401
