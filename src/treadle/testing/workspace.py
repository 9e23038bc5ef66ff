"""What every workspace must do, wherever it is: opened in a folder, or as `td.open("https://…")`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from treadle.app.workspace import Workspace
from treadle.core import errors


class Heard:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        """Keep a step."""
        self.steps.append(text)

    def advance(self, done: int, total: int) -> None:
        """Count as heard."""


class WorkspaceContract:
    """Give the fixtures `workspace`, of a project with a champion, `facts` (see below) and `heard`, its progress.

    `facts` names its `model`, `endpoint` and `dataset`, the `key` column of the dataset, and a function `land` that adds rows.
    """

    def test_names_are_listed(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """Every service knows what is there."""
        assert workspace.models.names() == [facts["model"]]
        assert facts["dataset"] in workspace.datasets.names()
        assert workspace.endpoints.names() == [facts["endpoint"]]
        assert facts["model"] in workspace.declared()["models"]
        assert list(workspace.project.models) == [facts["model"]]

    def test_records_are_records(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """What is returned is of the same class, with moments, tuples and its own methods."""
        version = workspace.models.get(f"{facts['model']}@champion")
        revision = workspace.endpoints.get(facts["endpoint"])
        run = workspace.runs.get(version.run)

        assert version.ref == f"model_version:{facts['model']}/1"
        assert version.created_at.tzinfo is not None
        assert isinstance(version.signature.names, list | tuple)
        assert isinstance(revision.variants, tuple)
        assert revision.variants[0].weight == 1.0
        assert run.ref in version.parents
        assert workspace.runs.list(limit=1) == [run]

    def test_rows_are_frames_of_the_same_types(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """Frames come with their types; a lazy one can be asked further."""
        version = workspace.datasets.version(facts["dataset"])
        rows = workspace.datasets.read(facts["dataset"], split="test")
        scanned = workspace.datasets.scan(facts["dataset"], columns=[facts["key"]]).select(pl.len()).collect()

        assert 0 < rows.height < version.rows
        assert rows.schema == workspace.datasets.read(facts["dataset"], version=1, split="test").schema
        assert scanned.item() == version.rows

    def test_rows_are_sent(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """A frame is an argument, small or large."""
        rows = workspace.datasets.read(facts["dataset"], outcome=False)

        found = workspace.features(facts["model"], rows)

        assert found.height == rows.height
        many = pl.concat([rows] * 40)
        assert workspace.features(facts["model"], many).height == many.height

    def test_files_come_whole(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """Bytes are bytes."""
        version = workspace.models.get(f"{facts['model']}/1")

        files = workspace.models.files(version)

        assert files
        assert all(isinstance(data, bytes) for data in files.values())

    @pytest.mark.parametrize(
        ("kind", "text", "call"),
        [
            (errors.NotFound, "Available", lambda ws: ws.models.get("nothing@champion")),
            (errors.NotFound, "nothing", lambda ws: ws.promote("nothing/1", reason="r")),
            (errors.NotFound, "nothing", lambda ws: ws.datasets.version("nothing")),
            (errors.NotFound, "nothing", lambda ws: ws.run("nothing")),
            (errors.NotFound, "approval", lambda ws: ws.approve(f"{ws.models.names()[0]}/1", reason="r")),
            (errors.InvalidInput, "kind", lambda ws: ws.audit(kind="nothing")),
            (errors.InvalidInput, "reason", lambda ws: ws.request(ws.models.names()[0], reason="")),
        ],
    )
    def test_errors_are_of_the_same_class_and_say_the_same(
        self, workspace: Workspace, kind: type[errors.TreadleError], text: str, call: Any
    ) -> None:
        """A caller can tell them apart, and reads what to do."""
        with pytest.raises(errors.TreadleError) as found:
            call(workspace)

        assert type(found.value) is kind
        assert text in str(found.value)

    def test_an_error_names_the_field(self, workspace: Workspace) -> None:
        """What an error holds besides its words comes with it."""
        with pytest.raises(errors.InvalidInput) as found:
            workspace.audit(kind="nothing")

        assert found.value.field == "kind"

    def test_an_argument_that_is_none_is_python_s_own_error(self, workspace: Workspace) -> None:
        """As for any function."""
        with pytest.raises(TypeError, match="nothing"):
            workspace.status(nothing=1)  # type: ignore[call-arg]

    def test_status_and_reasons(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """Nested records, mappings and moments come back."""
        found = workspace.status()
        why = workspace.why(facts["model"])

        assert found.models[0].name == facts["model"]
        assert type(why).__name__ == "Why"
        assert {check.ok for check in workspace.check()} <= {True, False, None}

    def test_changes_are_made_and_told(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """A change is there for the next reader, with its reason."""
        before = workspace.endpoints.get(facts["endpoint"]).revision
        asked = workspace.request(facts["model"], reason="it snowed")
        revision = workspace.promote(f"{facts['model']}/1", reason="it thawed")

        assert asked in workspace.requests.waiting(facts["model"])
        assert revision.revision >= before
        assert any(entry.reason == "it snowed" for entry in workspace.audit(kind="request"))

    def test_a_change_on_what_is_no_more_is_a_conflict(
        self, workspace: Workspace, facts: Mapping[str, Any]
    ) -> None:
        """A caller that looked before somebody else changed it is told."""
        plan = {"variants": [{"name": "only", "version": f"{facts['model']}/1", "weight": 1.0}]}

        with pytest.raises(errors.Conflict):
            workspace.revise(facts["endpoint"], plan, reason="late", expected=99)

    def test_long_work_tells_how_it_goes_on(
        self, workspace: Workspace, facts: Mapping[str, Any], heard: Heard
    ) -> None:
        """A turn of the loop is made, its steps are told, and its verdicts come back."""
        facts["land"]()

        turn = workspace.run(facts["model"], reason="new rows")

        assert turn.outcome
        assert heard.steps
        assert workspace.runs.list(limit=1)[0].reason == "new rows"
        assert workspace.datasets.version(facts["dataset"]).version == 2

    def test_work_that_fails_says_how(self, workspace: Workspace) -> None:
        """An error of long work is raised where it was asked for."""
        with pytest.raises(errors.NotFound, match="nothing"):
            workspace.replay("nothing")

    def test_garbage_is_named(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """Sequences and truth values are arguments."""
        found = workspace.collect([facts["dataset"]], what=("datasets",), dry_run=True)

        assert type(found).__name__ == "Garbage"

    def test_a_moment_is_an_argument(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """With its zone."""
        assert workspace.audit(since=datetime(2999, 1, 1, tzinfo=UTC)) == []
        assert workspace.decisions.list(facts["model"], until=datetime(1999, 1, 1, tzinfo=UTC)) == []

    def test_lists_come_in_parts(self, workspace: Workspace) -> None:
        """A part of a list, and the key of the next."""
        first = workspace.audit_page(limit=1)

        assert len(first.rows) == 1
        assert workspace.audit_page(limit=1, after=first.after).rows != first.rows

    def test_a_card_and_reasons_of_answers(self, workspace: Workspace, facts: Mapping[str, Any]) -> None:
        """Deep records with arrays come back whole."""
        card = workspace.card(f"{facts['model']}@champion")
        told = workspace.explain(f"{facts['model']}@champion")

        assert card.version.version == 1
        assert told.summary().height > 0

    def test_somebody_is_looked_for_by_name(self, workspace: Workspace) -> None:
        """Where one only looks, an actor is what is looked for."""
        assert workspace.audit(actor="nobody of this name") == []
        assert workspace.audit(actor="treadle") != []
