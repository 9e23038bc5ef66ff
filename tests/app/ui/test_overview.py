"""The overview: what needs a person, and every model with what comes next."""

from __future__ import annotations

from pathlib import Path

import treadle as td
from treadle.app.ui.kept import Kept
from treadle.app.ui.pages import overview
from treadle.app.workspace import Workspace
from treadle.core.errors import Conflict


def test_a_model_is_told_with_its_champion_and_what_comes_next(look, said) -> None:
    page = said(overview.make(look()))

    assert "buys" in page.text
    assert "version 1, champion for" in page.text
    assert "What the policy does next" in page.text
    assert "/models/buys" in page.links


def test_a_project_without_models_says_what_to_type(tmp_path: Path, look, said) -> None:
    (tmp_path / "treadle.toml").write_text('[project]\nname = "bare"\n')
    (tmp_path / "project.py").write_text("")

    with td.open(tmp_path) as bare:
        page = said(overview.make(look(within=bare)))

    assert "treadle init --data rows.csv --target column" in page.text


def test_a_failed_run_is_looked_at_first(workspace: Workspace, look, said) -> None:
    run = workspace.runs.start(
        "buys", reason="test", data={}, window=None, forward=None, seed=0, params={}, turn="t", code=None
    )
    workspace.runs.fail(run, error="the moon is <wrong>")

    page = said(overview.make(look()))

    assert "Look at this first" in page.text
    assert "buys: the last run failed: the moon is <wrong>" in page.text
    assert f"/runs/{run.id}" in page.links


def test_many_models_come_in_parts_whose_address_says_where(shop: Path, look, said) -> None:
    file = shop / "project.py"
    more = "\nimport dataclasses\nfor _n in range(90):\n    globals()[f'm{_n:02}'] = dataclasses.replace(buys, name=f'm{_n:02}')\n"
    file.write_text(file.read_text() + more)

    with td.open(shop) as many:
        first = overview.make(look(within=many))
        second = overview.make(look("/?from=m39", within=many))
        chosen = overview.make(look("/?name=m0&state=none", within=many))

    assert "/?from=m39" in said(first).links
    assert "m39" in said(second).text
    assert "m38" not in said(second).text
    assert said(chosen).text.count("No version was released yet.") == 10


def test_what_takes_long_is_read_beside_the_page_and_newest_wins() -> None:
    kept = Kept()

    first = kept.get(("a",), lambda: "old", stamp="1")
    same = kept.get(("a",), lambda: "new", stamp="1")
    newer = kept.get(("a",), lambda: "new", stamp="2")

    assert (first, same, newer, kept.turns) == ("old", "old", "new", 2)


def test_what_could_be_read_once_is_shown_when_reading_fails_later() -> None:
    def failing() -> str:
        msg = "the store is away"
        raise Conflict(msg)

    kept = Kept()
    kept.get(("a",), lambda: "old", stamp="1")

    assert kept.get(("a",), failing, stamp="2") == "old"


def test_an_outlook_names_the_trigger_that_comes_first(workspace: Workspace) -> None:
    found = workspace.outlook("buys")

    assert found.then == "a version that passes its gates answers at once"
