"""Endpoints, experiments and what is watched: pages over a real history."""

from __future__ import annotations

from datetime import timedelta

import pytest
from starlette.testclient import TestClient

import shown_shop
import treadle as td
from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.app.ui.answering import answer
from treadle.app.ui.pages import endpoint, endpoints, experiments, monitor, monitored
from treadle.app.workspace import Workspace
from treadle.core.alert import Concern
from treadle.core.errors import NotFound


def rolling(workspace: Workspace) -> str:
    """Begin to roll the older version out again, and return the rollout."""
    plan = workspace.rolling.plan("buys/1")
    return workspace.rolling.start("buys/1", plan, reason="was <it> better?", actor="ann").id


def worried(workspace: Workspace) -> str:
    """Raise an alert, and return its id."""
    workspace.alerts.see([Concern("late-rows", "model:buys", "Rows are <two> days late.")], looked=set())
    return workspace.alerts.open()[0].id


def test_endpoints_are_listed_with_who_answers(history: Workspace, look, said) -> None:
    rolling(history)

    page = said(endpoints.make(look("/endpoints", within=history)))

    assert "buys/3 95 %" in page.text
    assert "buys/1 5 %" in page.text
    assert "step 1 of" in page.text
    assert {"/endpoints/buys", "/endpoints/frozen", "/models/buys/3"} <= set(page.links)


def test_many_endpoints_come_part_by_part(
    history: Workspace, look, said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MOST", 2)

    first = said(endpoints.make(look("/endpoints", within=history)))
    older = next(link for link in first.links if "from=" in link)
    second = said(endpoints.make(look(older, within=history)))

    assert "/endpoints/buys" in first.links
    assert "/endpoints/likes" not in first.links
    assert "/endpoints/likes" in second.links


def test_a_project_without_endpoints_says_what_to_type(tmp_path, look, said) -> None:
    (tmp_path / "treadle.toml").write_text("")
    (tmp_path / "project.py").write_text("")
    with td.open(tmp_path) as bare:
        assert "$ treadle run" in said(endpoints.make(look("/endpoints", within=bare))).text
        assert "No two variants" in said(experiments.make(look("/experiments", within=bare))).text
        assert "No alert is open" in said(monitor.make(look("/monitor", within=bare))).text


def test_a_rollout_shows_steps_guards_and_what_can_be_done(history: Workspace, look, said) -> None:
    name = rolling(history)

    page = endpoint.make(look("/endpoints/buys", within=history, endpoint="buys"))

    text = said(page).text
    assert "Version buys/1 takes the place of buys/3" in text
    assert "errors" in text
    assert all(f'action="/do/rolling.{verb}"' in page for verb in ("promote", "pause", "roll_back"))
    assert page.count(f'name="name" value="{name}"') == 3
    assert "<it>" not in page


def test_a_viewer_may_not_touch_a_rollout(history: Workspace, look, said) -> None:
    rolling(history)

    page = endpoint.make(look("/endpoints/buys", within=history, endpoint="buys", role="viewer"))

    assert "Roll back: this needs the role operator" in said(page).text
    assert 'method="post"' not in page


def test_a_rollout_without_guards_says_so_loudly(history: Workspace, look, said) -> None:
    from dataclasses import replace

    plan = replace(history.rolling.plan("buys/1"), guards=())
    history.rolling.start("buys/1", plan, reason="blind", actor="ann")

    page = endpoint.make(look("/endpoints/buys", within=history, endpoint="buys"))

    assert "No guard watches this rollout" in said(page).text
    assert 'role="alert"' in page


def test_an_ended_rollout_tells_what_happened(history: Workspace, look, said) -> None:
    history.rolling.roll_back(rolling(history), reason="worse indeed", actor="ann")

    text = said(endpoint.make(look("/endpoints/buys", within=history, endpoint="buys"))).text

    assert "Earlier rollouts" in text
    assert "rolled back worse indeed" in text
    assert "rolled back by ann : worse indeed" in text


def test_traffic_is_told_by_version(history: Workspace, look) -> None:
    seen = look("/endpoints/buys?export=traffic.csv", within=history, endpoint="buys")

    lines = answer(endpoint.PAGE, seen).content.splitlines()[1:]

    found = {
        name: sum(float(line.split(",")[-1]) for line in lines if line.startswith(name))
        for name in ("champion: version 1", "champion: version 2", "champion: version 3")
    }
    assert set(found.values()) == {200.0}


def test_an_endpoint_that_is_not_there_is_not_found(history: Workspace, look) -> None:
    with pytest.raises(NotFound, match="nobody"):
        endpoint.make(look("/endpoints/nobody", within=history, endpoint="nobody"))


def test_an_experiment_tells_its_verdict_in_words(history: Workspace, look, said) -> None:
    plan = {
        "variants": [
            {"name": "old", "version": "buys/1", "weight": 0.5},
            {"name": "new", "version": "buys/3", "weight": 0.5},
        ]
    }
    history.revise("buys", plan, reason="which is better?")
    shown_shop.ask(history.root, 0)

    listed = said(experiments.make(look("/experiments", within=history)))
    name = next(link for link in listed.links if link.startswith("/experiments/")).rpartition("/")[2]
    page = said(experiments.one(look(f"/experiments/{name}", within=history, experiment=name)))

    assert "undecided" in listed.text
    assert "always-valid" in page.text
    assert "as assigned" in page.text
    assert "/endpoints/buys" in page.links


def test_an_experiment_that_is_not_there_is_not_found(history: Workspace, look) -> None:
    with pytest.raises(NotFound):
        experiments.one(look("/experiments/nobody", within=history, experiment="nobody"))


def test_alerts_are_taken_on_by_form(history: Workspace, look, said) -> None:
    name = worried(history)
    page = monitor.make(look("/monitor", within=history, role="annotator"))
    client = TestClient(application(Source(history.root)), base_url="http://localhost:8500")

    done = client.post("/api/v1/alerts.acknowledge", json={"name": name, "reason": "I call them"})

    again = said(monitor.make(look("/monitor", within=history))).text
    assert 'action="/do/alerts.acknowledge"' in page
    assert "&lt;two&gt;" in page
    assert done.status_code == 200
    assert "taken on by a person : I call them" in again


def test_alerts_are_narrowed_down_and_ended_ones_stay(history: Workspace, look, said) -> None:
    worried(history)
    history.alerts.see([], looked={("late-rows", "model:buys")})

    assert "days late" not in said(monitor.make(look("/monitor", within=history))).text
    assert "days late" in said(monitor.make(look("/monitor?state=ended", within=history))).text
    assert (
        "No alert is like that"
        in said(monitor.make(look("/monitor?state=ended&rule=x", within=history))).text
    )


def test_silences_are_shown_with_their_end(history: Workspace, look, said) -> None:
    history.alerts.silence(subject="model:buys", until=timedelta(hours=2), actor="ann", reason="<moving>")

    page = monitor.make(look("/monitor", within=history))

    assert "is silent until in 2" in said(page).text
    assert 'action="/do/alerts.unsilence"' in page


def test_a_comparison_of_rows_is_shown_column_by_column(history: Workspace, look, said) -> None:
    history.drift("buys")

    overview = said(monitor.make(look("/monitor", within=history)))
    page = said(monitored.make(look("/monitor/buys", within=history, model="buys")))

    assert "/monitor/buys" in overview.links
    assert "never compared: treadle drift likes" in overview.text
    assert "against buys/3" in page.text
    assert "pages" in page.text
    assert "Worst slices" in page.text
    assert "shop = north" in page.text
    assert "outcomes of the last four weeks are known" in page.text


def test_a_model_never_compared_says_what_to_type(history: Workspace, look, said) -> None:
    page = said(monitored.make(look("/monitor/likes", within=history, model="likes")))

    assert "$ treadle drift likes" in page.text


def test_a_model_that_is_not_declared_is_not_found(history: Workspace, look) -> None:
    with pytest.raises(NotFound):
        monitored.make(look("/monitor/nobody", within=history, model="nobody"))
