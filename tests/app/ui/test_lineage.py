"""The page that leads from a prediction back to what it was made from, and the page of feature views."""

from __future__ import annotations

from pathlib import Path

from treadle.app.ui.pages import features, lineage
from treadle.app.workspace import Workspace
from ui_pages import Look, Text, said


def test_without_an_id_it_says_where_one_is_found(look: Look) -> None:
    assert "Each answer has a prediction_id" in said(lineage.make(look("/lineage")))


def test_an_id_that_no_log_has_is_told(look: Look) -> None:
    text = said(lineage.make(look("/lineage?prediction=%3Cscript%3E")))

    assert "is in the log of buys" in text


def test_a_prediction_leads_to_each_thing_that_it_came_from(
    shop: Path, workspace: Workspace, look: Look
) -> None:
    with workspace.predictor("buys") as predictor:
        name = predictor.predict({"pages": 3})["prediction_id"]
    run = workspace.runs.list()[0]

    page = Text(str(lineage.make(look(f"/lineage?prediction={name}"))))

    assert f"/runs/{run.id}" in page.links
    assert "/data/visits/1" in page.links
    assert "/models/buys/1" in page.links
    assert "/endpoints/buys" in page.links
    text = " ".join(page.parts)
    assert "environment" in text
    assert "trained on" in text


def test_a_project_without_views_says_how_to_declare_one(look: Look) -> None:
    assert "td.FeatureView" in said(features.make(look("/features")))
