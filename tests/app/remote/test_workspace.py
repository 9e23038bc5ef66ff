"""The contract of workspaces, for one in a folder and one over the network; and what only the second has to do."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import treadle as td
from hostile_shop import land, visits
from served import served
from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.app.remote.line import Line
from treadle.app.wire.arguments import class_of, hints_of, signature_of
from treadle.app.wire.table import HERE, LONG, OPERATIONS, UNTOLD
from treadle.app.workspace import Workspace
from treadle.core.errors import AuthRequired, InvalidInput, NotOffered, ServerUnavailable, UnsafeFormat
from treadle.core.settings import UiSettings
from treadle.testing.workspace import Heard, WorkspaceContract

#: What the workspace is made with: stores and what wires them, which are no services.
INSIDE = {"ledger", "objects", "tables", "queue", "project", "engine", "rooms", "lineage_server", "mirrors"}


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def facts(shop: Path) -> Mapping[str, Any]:
    return {
        "model": "buys",
        "endpoint": "buys",
        "dataset": "visits",
        "key": "visit",
        "land": lambda: land(shop, "b.csv", *visits(400, 500)),
    }


@pytest.fixture
def url(shop: Path) -> Iterator[str]:
    """The address of the shop's server, which asks who one is."""
    with served(application(Source(shop), UiSettings(rate=0.0))) as address:
        yield address


@pytest.fixture
def token(shop: Path) -> str:
    with td.open(shop) as ws:
        ws.team.add("ann", "admin")
        return ws.team.create_token("laptop", "ann")


class TestLocal(WorkspaceContract):
    @pytest.fixture
    def workspace(self, shop: Path, heard: Heard) -> Iterator[Workspace]:
        with td.open(shop, progress=heard) as opened:
            yield opened


class TestRemote(WorkspaceContract):
    @pytest.fixture
    def workspace(self, url: str, token: str, heard: Heard) -> Iterator[Workspace]:
        with td.open(url, token=token, progress=heard) as opened:
            yield opened

    def test_whoever_asks_is_the_actor(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        asked = workspace.request(facts["model"], reason="r", actor="somebody else")

        assert asked.actor == "ann"

    def test_what_works_only_there_says_so(self, workspace: Workspace) -> None:
        with pytest.raises(NotOffered, match="where the workspace is"):
            workspace.ledger  # noqa: B018
        with pytest.raises(NotOffered, match="where the workspace is"):
            workspace.watch()
        with pytest.raises(NotOffered, match="cannot go over the wire"):
            workspace.import_model(object(), "buys")
        with pytest.raises(NotOffered, match="not taken from elsewhere"):
            workspace.admission.readmit("visits", mend="print", reason="r")

    def test_code_is_not_taken(self, workspace: Workspace, tmp_path: Path) -> None:
        (tmp_path / "m.onnx").write_bytes(b"no model")

        with pytest.raises(UnsafeFormat):
            workspace.import_model(tmp_path / "m.onnx", "buys", allow_pickle=True)


def test_a_token_that_is_none_is_said_at_once(url: str, token: str) -> None:
    with pytest.raises(AuthRequired):
        td.open(url, token=token + "x")
    with pytest.raises(AuthRequired):
        td.open(url)


def test_a_variable_that_is_not_set_is_no_token(url: str, token: str) -> None:
    with pytest.raises(AuthRequired):
        td.open(url, token=os.environ.get("NO_TOKEN_IS_HERE"))


def test_a_token_comes_from_the_environment(url: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_TOKEN", token)

    assert td.open(url, token="env:TEAM_TOKEN").models.names() == ["buys"]


def test_nobody_there_is_said() -> None:
    with pytest.raises(ServerUnavailable, match="does not answer"):
        td.open("http://127.0.0.1:1")
    with pytest.raises(InvalidInput, match="token="):
        td.open("http://user:pass@127.0.0.1:1")


def test_a_token_is_not_sent_in_the_clear_without_a_word() -> None:
    with pytest.warns(UserWarning, match="unencrypted"), pytest.raises(ServerUnavailable):
        td.open("http://nowhere.invalid:1", token="t")


def test_long_work_survives_a_line_that_breaks(
    url: str, token: str, shop: Path, facts: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is cut after each of the first answers; the work is done once, and its end comes."""
    heard = Heard()
    workspace = td.open(url, token=token, progress=heard)
    whole, cuts = Line._lines, 0

    def cut(self: Line, *arguments: Any, **named: Any) -> Iterator[dict[str, Any]]:
        nonlocal cuts
        for number, line in enumerate(whole(self, *arguments, **named)):
            yield line
            if cuts < 3 and number == cuts:
                cuts += 1
                raise ConnectionResetError

    monkeypatch.setattr(Line, "_lines", cut)
    facts["land"]()

    turn = workspace.run("buys", reason="cut")

    assert turn.outcome
    assert cuts == 3
    assert len(heard.steps) == len(dict.fromkeys(heard.steps))
    with td.open(shop) as ws:
        assert [run.reason for run in ws.runs.list(model="buys")].count("cut") == 1


def test_every_public_method_stands_in_the_table() -> None:
    """A new method of the workspace or of a service has to say who may use it, or that it works only there."""
    found = set()
    for name in (name for name in dir(Workspace) if not name.startswith("_")):
        value = inspect.getattr_static(Workspace, name)
        if inspect.isfunction(value):
            found.add(name)
        elif isinstance(value, cached_property) and name not in INSIDE:
            methods = inspect.getmembers_static(class_of(name), inspect.isfunction)
            found |= {f"{name}.{method}" for method, _ in methods if not method.startswith("_")}

    assert found == set(OPERATIONS) | HERE
    assert set(OPERATIONS) & HERE == set()
    assert set(OPERATIONS) >= LONG | UNTOLD


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_signature_can_be_read(name: str) -> None:
    hints = hints_of(OPERATIONS[name])
    wanted = {
        key
        for key, one in signature_of(OPERATIONS[name]).parameters.items()
        if key != "self" and one.kind is not one.VAR_KEYWORD
    }

    assert wanted <= set(hints)


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if one.role != "viewer"])
def test_every_change_is_told_of_or_names_who_made_it(name: str) -> None:
    assert "actor" in hints_of(OPERATIONS[name]) or name in UNTOLD or name in {"team.members", "team.tokens"}
