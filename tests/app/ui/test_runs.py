"""Pages of runs: the list with its filters and parts, and one run with what is known of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.app.ui import live
from treadle.app.ui.page import Seen
from treadle.app.ui.pages import run as one
from treadle.app.ui.pages import runs
from treadle.app.workspace import Workspace
from treadle.core.errors import InvalidInput, NotFound, RunFailed
from ui_pages import Look, Text, said


def test_runs_are_listed_newest_first_with_a_link_to_each(workspace: Workspace, look: Look) -> None:
    run = workspace.runs.list()[0]

    page = Text(runs.make(look("/runs")))

    assert f"/runs/{run.id}" in page.links
    assert "/models/buys/1" in page.links
    assert "all 1 run" in " ".join(page.parts)


def test_filters_narrow_the_list_down_and_stand_in_the_address(look: Look) -> None:
    assert "…" in said(runs.make(look("/runs?model=buys&status=succeeded")))
    assert "No run is like that." in said(runs.make(look("/runs?status=failed")))
    assert "No run is like that." in said(runs.make(look("/runs?where=metrics.none<1")))
    with pytest.raises(InvalidInput, match="is not understood"):
        runs.make(look("/runs?where=loss"))


def test_a_long_list_leads_on_and_back(workspace: Workspace, look: Look) -> None:
    for _ in range(runs.ROWS + 5):
        workspace.runs.fail(workspace.runs.start("buys", reason="by hand"), error="no rows")

    first = Text(runs.make(look("/runs")))
    on = next(link for link in first.links if "after=" in link)
    second = Text(runs.make(look(on)))
    back = next(link for link in second.links if link == "/runs")

    assert len([link for link in first.links if link.startswith("/runs/run_")]) == runs.ROWS
    assert len([link for link in second.links if link.startswith("/runs/run_")]) == 6
    assert back == "/runs"


def test_a_run_shows_steps_metrics_verdicts_data_and_log(workspace: Workspace, look: Look) -> None:
    run = workspace.runs.list()[0]

    page = Text(one.make(look(f"/runs/{run.id}", run=run.id)))
    text = " ".join(page.parts)

    assert "/data/visits/1" in page.links
    assert "training begins" in text
    for step in ("ingest", "plan", "train", "register", "judge", "release"):
        assert step in page.parts
    assert "Cancel" not in text
    assert "Try again" not in text


def test_a_run_that_failed_says_why_and_can_be_tried_again(
    shop: Path, workspace: Workspace, look: Look
) -> None:
    (shop / "mood").write_text("raises")
    with pytest.raises(RunFailed):
        workspace.run("buys", force=True)
    run = workspace.runs.list(status="failed")[0]

    page = Text(one.make(look(f"/runs/{run.id}", run=run.id)))
    text = " ".join(page.parts)

    assert "the moon is \\x1b[31mred" in text
    assert "Traceback" in text
    assert "Try again" in text


def test_a_run_under_way_is_followed_and_can_be_cancelled(workspace: Workspace, look: Look) -> None:
    run = workspace.runs.start("buys", reason="by hand")
    (workspace.runs.folder(run.id) / "log.txt").write_text("epoch 1\n")

    page = str(one.make(look(f"/runs/{run.id}", run=run.id)))
    before = live.pulse_of_run(workspace, run.id)
    (workspace.runs.folder(run.id) / "log.txt").write_text("epoch 1\nepoch 2\n")

    assert f'data-follow="/live/runs/{run.id}"' in page
    assert "epoch 1" in page
    assert 'action="/do/cancel"' in page
    assert live.pulse_of_run(workspace, run.id) != before
    assert live.pulse_of_run(workspace, "run_nobody") == ""


def test_a_viewer_reads_why_he_may_not_cancel(workspace: Workspace, look: Look) -> None:
    run = workspace.runs.start("buys", reason="by hand")

    seen: Seen = look(f"/runs/{run.id}", run=run.id, role="viewer")

    assert "this needs the role operator" in said(one.make(seen))


def test_a_run_that_is_not_there_is_not_found(look: Look) -> None:
    with pytest.raises(NotFound):
        one.make(look("/runs/run_nobody", run="run_nobody"))


def test_cancelling_and_retrying_by_form(shop: Path, workspace: Workspace) -> None:
    run = workspace.runs.start("buys", reason="by hand")
    client = TestClient(application(Source(shop)), base_url="http://localhost:8500")

    cancelled = client.post("/api/v1/cancel", json={"run": run.id, "reason": "not needed"})
    asked = client.post("/api/v1/retry", json={"run": run.id, "reason": "after all"})

    assert (cancelled.status_code, asked.status_code) == (200, 200)
    assert workspace.runs.get(run.id).error == "Cancelled by a person: not needed"
    assert [one.reason for one in workspace.requests.waiting("buys")] == [
        f"after all (again, as {run.id} was failed)"
    ]
