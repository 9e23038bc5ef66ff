"""A model, its versions, what is compared, and what was changed: pages over a real history."""

from __future__ import annotations

import pytest

import shown_shop
from treadle.app.ui.answering import answer
from treadle.app.ui.pages import audit, compare, model, version, why
from treadle.app.workspace import Workspace
from treadle.core.errors import InvalidInput, NotFound


def test_a_model_says_why_each_champion_replaced_the_one_before(history: Workspace, look, said) -> None:
    page = said(model.make(look("/models/buys", within=history, model="buys")))

    assert "Version 3 replaced version 2" in page.text
    assert "Trained because: turn 3" in page.text
    assert "Roll back to version 2" in page.text
    assert "turned down" in page.text
    assert "/models/buys/3#verdicts" in page.links


def test_the_live_metric_is_beside_the_baseline_and_the_frozen_version(history: Workspace, look) -> None:
    seen = look("/models/buys?export=live.csv", within=history, model="buys")

    found = answer(model.PAGE, seen)

    assert {line.split(",")[0] for line in found.content.splitlines()[1:]} == {"buys", "baseline"}
    assert "served" in seen.exports


def test_a_version_that_waits_can_be_approved_and_rejected(history: Workspace, look, said) -> None:
    page = model.make(look("/models/likes", within=history, model="likes"))

    assert "Version 2 waits for your approval" in said(page).text
    assert 'action="/do/approve"' in page
    assert 'action="/do/reject"' in page


def test_a_viewer_sees_no_form(history: Workspace, look, said) -> None:
    page = model.make(look("/models/likes", within=history, model="likes", role="viewer"))

    assert 'method="post"' not in page
    assert "this needs the role operator" in said(page).text


def test_versions_come_part_by_part(history: Workspace, look, said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "VERSIONS", 2)

    first = model.make(look("/models/buys", within=history, model="buys"))
    older = next(link for link in said(first).links if link.startswith("/models/buys?after="))
    second = model.make(look(older.partition("#")[0], within=history, model="buys"))

    assert "Compare version 4" in first
    assert "Compare version 2" not in first
    assert "Compare version 2" in second


def test_a_version_tells_its_story_and_shows_its_card(history: Workspace, look, said) -> None:
    page = said(version.make(look("/models/buys/2", within=history, model="buys", version="2")))

    assert "It was trained because: turn 2" in page.text
    assert "It became the champion in place of version 1" in page.text
    assert "Version 3 took its place" in page.text
    assert "How good it is" in page.text
    assert "Known limits" in page.text


def test_a_version_without_a_run_or_a_card_is_still_shown(history: Workspace, look, said) -> None:
    page = version.make(look("/models/buys/4", within=history, model="buys", version="4"))

    assert "It never became the champion." in said(page).text


@pytest.mark.parametrize(("name", "number"), [("buys", "99"), ("nobody", "1")])
def test_what_is_not_there_is_said(history: Workspace, look, name: str, number: str) -> None:
    with pytest.raises(NotFound):
        version.make(look("/", within=history, model=name, version=number))


def test_why_it_was_due_is_told_of_any_moment(history: Workspace, look, said) -> None:
    now = said(why.make(look("/models/buys/why", within=history, model="buys")))

    assert "NewRows:" in now.text
    with pytest.raises(InvalidInput, match=r"'soon' is no moment"):
        why.make(look("/models/buys/why?at=soon", within=history, model="buys"))


def test_versions_are_compared_on_the_same_rows(history: Workspace, look, said) -> None:
    seen = look("/compare?version=buys/1&version=buys/4", within=history)

    page = said(compare.make(seen))

    assert "On the same rows" in page.text
    assert "worse" in page.text
    assert f"shop={shown_shop.HOSTILE}" in page.text
    assert "visits: between version" in page.text
    assert {"plot-0"} <= set(seen.exports)


def test_runs_are_compared_too(history: Workspace, look, said) -> None:
    first, second = (run.id for run in history.runs.list(model="buys", limit=2))

    page = said(compare.make(look(f"/compare?run={first}&run={second}", within=history)))

    assert "turn 4" in page.text
    assert "turn 3" in page.text
    assert f"/runs/{first}" in page.links


def test_of_two_models_only_what_was_recorded_is_compared(history: Workspace, look, said) -> None:
    page = said(compare.make(look("/compare?version=buys/1&version=likes/1", within=history)))

    assert "they answer different questions" in page.text
    assert "As recorded" in page.text


def test_without_a_choice_there_is_a_form_and_too_many_are_refused(history: Workspace, look, said) -> None:
    page = said(compare.make(look("/compare?version=buys/1", within=history)))

    assert "Choose two or more versions" in page.text
    many = "&".join(f"version=buys/{n}" for n in (1, 2, 3, 4)) + "".join(
        f"&run={run.id}" for run in history.runs.list(limit=3)
    )
    with pytest.raises(InvalidInput, match=r"Expected 6 at most"):
        compare.make(look(f"/compare?{many}", within=history))


def test_changes_are_listed_and_narrowed_down(history: Workspace, look, said) -> None:
    everything = said(audit.make(look("/audit", within=history)))
    mine = said(audit.make(look("/audit?actor=ann&kind=approval", within=history)))
    none = said(audit.make(look("/audit?actor=nobody", within=history)))

    assert "/models/buys" in everything.links
    assert "looks well" in mine.text
    assert "turn 3" not in mine.text
    assert "No change is like that." in none.text


def test_changes_are_taken_away_as_filtered(history: Workspace, look) -> None:
    found = answer(audit.PAGE, look("/audit?actor=ann&export=audit.csv", within=history))

    lines = found.content.splitlines()
    assert lines[0] == "at,kind,subject,what,actor,reason"
    assert lines[1:]
    assert all(",ann," in line for line in lines[1:])


def test_a_filter_that_cannot_be_meant_is_said(history: Workspace, look) -> None:
    with pytest.raises(InvalidInput, match=r"'last week' is no day"):
        audit.make(look("/audit?since=last+week", within=history))
