"""Kinds of questions beyond classes and numbers, each end to end: trained, judged, packaged, served, and shown on its card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import (
    average_precision_score,
    ndcg_score,
    r2_score,
    roc_auc_score,
    v_measure_score,
)

import kind_cases
import treadle as td
from asking import ask, asked, eventually, server
from kind_project import MODELS, PROJECT
from real_flights import days, hours
from treadle.core.errors import InvalidInput
from treadle.evaluation.measures import metric
from treadle.evaluation.own import measure_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything has run once."""
    root = tmp_path_factory.mktemp("kinds")
    (root / "treadle.toml").write_text('[project]\nname = "kinds"\n[compute]\nengine = "inline"\n')
    (root / "project.py").write_text(PROJECT)
    for name, rows in {
        "patients": patients(),
        "flights": flights(),
        "hours": hours(),
        "cells": cells(),
    }.items():
        (root / name).mkdir()
        rows.write_parquet(root / name / "1.parquet")
    with td.open(root) as workspace:
        turns = {name: workspace.run(name) for name in MODELS}
    for turn in turns.values():
        assert turn.run.error == ""
        assert all(verdict.passed for verdict in turn.verdicts), turn.verdicts
    return root


@pytest.fixture(scope="module")
def port(root: Path) -> Iterator[int]:
    with server(root) as number:
        yield number


def patients() -> pl.DataFrame:
    return kind_cases.diabetes().with_row_index("id").cast({"id": pl.Int64})


def flights() -> pl.DataFrame:
    return days(300).with_row_index("id").cast({"id": pl.Int64})


def cells() -> pl.DataFrame:
    return kind_cases.cells().with_row_index("id").cast({"id": pl.Int64})


def asked_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.drop("id", "y", strict=False).to_dicts()


def test_a_metric_of_ones_own_decides_and_is_kept_by_its_name(root: Path) -> None:
    with td.open(root) as workspace:
        version = workspace.models.get("foresees/1")
        run = workspace.runs.get(version.run)
        verdicts = workspace.verdicts.list(run=run.id)
        card = workspace.card("foresees/1")
        page = td.model_card_page(card)

    assert (version.task, [verdict.metric for verdict in verdicts]) == ("custom", ["dear", "mae"])
    assert run.metrics["test.candidate.dear"] < run.metrics["test.baseline:mean.dear"]
    assert {score.metric for score in card.scores} == {"dear", "mae"}
    assert not card.missing
    assert "dear ↓" in page


def test_answers_to_a_question_of_ones_own_are_measured_by_its_metric(root: Path, port: int) -> None:
    rows = patients().head(40)
    answers = asked(port, "/v1/endpoints/foresees/predict", {"rows": asked_rows(rows)})["predictions"]
    sent = [
        {"prediction_id": a["prediction_id"], "value": v} for a, v in zip(answers, rows["y"], strict=True)
    ]

    asked(port, "/v1/endpoints/foresees/outcomes", {"outcomes": sent})
    with td.open(root) as workspace, td.Predictor("foresees", project=root) as predictor:
        eventually(lambda: workspace.answered("foresees"), rows=40)
        found = workspace.performance("foresees", every="1d")
        mine = predictor.predict(asked_rows(rows))
        with pytest.raises(
            td.errors.InvalidInput, match="'rmse' is for regression and forecast; the task is custom"
        ):
            workspace.performance("foresees", metric="rmse", every="1d")

    p = np.array([answer["prediction"] for answer in answers])
    assert [one["prediction"] for one in mine] == p.tolist()
    assert found["metric"].to_list() == ["dear"]
    assert found["value"][0] == pytest.approx(kind_cases.dear(rows["y"].to_numpy(), p).mean())
    assert ask(port, "/v2/models/foresees")[1]["outputs"][0]["name"] == "prediction"


def test_rows_of_a_query_are_ranked_and_compared_by_query(root: Path) -> None:
    with td.open(root) as workspace:
        run = workspace.runs.get(workspace.models.get("latest/1").run)
        verdicts = workspace.verdicts.list(run=run.id)
        test = workspace.datasets.read("flights", split="test")
        train = workspace.datasets.read("flights", split="train")
        card = workspace.card("latest/1")

    assert not set(test["query"]) & set(train["query"])
    assert workspace.models.get("latest/1").signature.names == ("airline", "distance", "hour")
    ndcg = {name: run.metrics[f"test.{name}.ndcg"] for name in ("candidate", "baseline:constant_0")}
    sizes, grades = test.group_by("query", maintain_order=True).agg("y").to_dict(as_series=False).values()
    assert ndcg["baseline:constant_0"] == pytest.approx(
        np.mean(
            [
                ndcg_score([one], [np.zeros(len(one))], k=5) if len(one) > 1 else float(one[0] > 0)
                for one in grades
            ]
        )
    )
    assert ndcg["candidate"] > ndcg["baseline:constant_0"]
    assert {verdict.n for verdict in verdicts if verdict.low is not None} == {test.height}
    assert {score.metric for score in card.scores} == {"ndcg", "mrr", "map"}
    assert card.owed
    assert not card.missing
    assert len(sizes) > 50


def test_rows_that_are_asked_about_together_are_a_query(root: Path, port: int) -> None:
    rows = flights().filter(pl.col("query").is_in(flights()["query"].unique(maintain_order=True).head(3)))
    sent = []
    for _, part in rows.group_by("query", maintain_order=True):
        given = part.select("airline", "distance", "hour").to_dicts()
        answers = asked(port, "/v1/endpoints/latest/predict", {"rows": given})["predictions"]
        sent += [
            {"prediction_id": a["prediction_id"], "value": v} for a, v in zip(answers, part["y"], strict=True)
        ]

    asked(port, "/v1/endpoints/latest/outcomes", {"outcomes": sent})
    with td.open(root) as workspace, td.Predictor("latest", project=root) as predictor:
        eventually(lambda: workspace.answered("latest"), rows=rows.height)
        found = workspace.performance("latest", every="1d")
        scores = [
            one["prediction"]
            for one in predictor.predict(rows.select("airline", "distance", "hour").to_dicts())
        ]

    task = td.Ranking(by="query", cut=5)
    expected = measure_of("ndcg", task).value(task.truth(rows, "y"), scores)
    assert (found["metric"].to_list(), found["n"].to_list()) == (["ndcg"], [rows.height])
    assert found["value"][0] == pytest.approx(expected)


def test_a_density_needs_no_target_and_beats_inputs_by_themselves(root: Path, port: int) -> None:
    with td.open(root) as workspace:
        version = workspace.models.get("likely/1")
        run = workspace.runs.get(version.run)
        test, train = (workspace.datasets.read("hours", split=part) for part in ("test", "train"))
        card = workspace.card("likely/1")
    rows = asked_rows(test.select(hours().columns).head(20))

    answers = asked(port, "/v1/endpoints/likely/predict", {"rows": rows})["predictions"]
    with td.Predictor("likely", project=root) as predictor:
        mine = [one["prediction"] for one in predictor.predict(rows)]

    names = version.signature.names
    normal = scipy.stats.norm(train.select(names).to_numpy().mean(0), train.select(names).to_numpy().std(0))
    expected = -normal.logpdf(test.select(names).to_numpy()).sum(axis=1).mean()
    told = {
        name: run.metrics[f"test.{name}.negative_log_likelihood"]
        for name in ("candidate", "baseline:marginals")
    }
    assert (version.task, version.format) == ("density", "onnx")
    assert told["baseline:marginals"] == pytest.approx(expected, rel=1e-4)
    assert told["candidate"] < told["baseline:marginals"] - 1
    assert [one["prediction"] for one in answers] == mine
    assert not card.missing
    assert card.owed


def test_what_is_unusual_is_flagged_above_the_bound_of_its_version(root: Path, port: int) -> None:
    with td.open(root) as workspace:
        version = workspace.models.get("odd/1")
        run = workspace.runs.get(version.run)
        (verdict,) = workspace.verdicts.list(run=run.id)
        validation, test = (workspace.datasets.read("hours", split=part) for part in ("validation", "test"))
    bound = version.signature.outputs[0].above

    answers = asked(port, "/v1/endpoints/odd/predict", {"rows": asked_rows(test.select(hours().columns))})[
        "predictions"
    ]
    with td.Predictor("odd", project=root) as predictor:
        held = [one["score"] for one in predictor.predict(asked_rows(validation.select(hours().columns)))]

    assert verdict.metric == "flag_error"
    assert np.mean([score > bound for score in held]) == pytest.approx(0.05, abs=1 / len(held))
    assert [one["prediction"] for one in answers] == [one["score"] > bound for one in answers]
    share = np.mean([one["prediction"] for one in answers])
    assert run.metrics["test.candidate.flag_error"] == pytest.approx(abs(share - 0.05))
    assert ask(port, "/v2/models/odd")[1]["outputs"][1]["name"] == "score"


def test_where_anomalies_are_known_they_decide(root: Path, port: int) -> None:
    with td.open(root) as workspace:
        run = workspace.runs.get(workspace.models.get("ill/1").run)
        test = workspace.datasets.read("cells", split="test")
        verdicts = workspace.verdicts.list(run=run.id)
        card = workspace.card("ill/1")
    rows = test.select(cells().columns)
    answers = asked(port, "/v1/endpoints/ill/predict", {"rows": asked_rows(rows)})["predictions"]
    scores = [one["score"] for one in answers]
    sent = [
        {"prediction_id": a["prediction_id"], "value": v} for a, v in zip(answers, rows["y"], strict=True)
    ]
    asked(port, "/v1/endpoints/ill/outcomes", {"outcomes": sent})
    with td.open(root) as workspace:
        eventually(lambda: workspace.answered("ill"), rows=rows.height)
        found = workspace.performance("ill", metric="roc_auc", every="1d")

    assert not card.missing
    assert [verdict.metric for verdict in verdicts] == ["roc_auc", "average_precision"]
    assert run.metrics["test.candidate.roc_auc"] == pytest.approx(roc_auc_score(test["y"], scores), rel=1e-6)
    assert run.metrics["test.candidate.average_precision"] == pytest.approx(
        average_precision_score(test["y"], scores), rel=1e-6
    )
    assert found["value"][0] == pytest.approx(roc_auc_score(test["y"], scores), rel=1e-6)


def test_clusters_are_told_and_measured_by_the_inputs_or_by_known_groups(root: Path, port: int) -> None:
    with td.open(root) as workspace:
        measured = {
            name: workspace.runs.get(workspace.models.get(f"{name}/1").run).metrics
            for name in ("heaps", "sorts")
        }
        test = {name: workspace.datasets.read(name, split="test") for name in ("hours", "cells")}
        card = workspace.card("heaps/1")
        with pytest.raises(InvalidInput, match="the number of a cluster, which is a name"):
            workspace.explain("heaps/1")
    heaps = asked(
        port, "/v1/endpoints/heaps/predict", {"rows": asked_rows(test["hours"].select(hours().columns))}
    )
    sorts = asked(
        port, "/v1/endpoints/sorts/predict", {"rows": asked_rows(test["cells"].select(cells().columns))}
    )
    told = [one["prediction"] for one in heaps["predictions"]]

    found = [one["prediction"] for one in sorts["predictions"]]
    assert set(told) == {0, 1, 2}
    assert all(isinstance(one, int) for one in told)
    assert ask(port, "/v2/models/heaps")[1]["outputs"][0]["datatype"] == "INT64"
    assert measured["sorts"]["test.candidate.v_measure"] == pytest.approx(
        v_measure_score(test["cells"]["y"], found)
    )
    inputs = scipy.stats.zscore(test["hours"].select(hours().columns[1:]).to_numpy())
    expected = metric("simplified_silhouette").value(inputs, told)
    assert measured["heaps"]["test.candidate.simplified_silhouette"] == pytest.approx(expected)
    assert not card.missing
    assert card.owed
    assert not card.explained.inputs


def test_a_vector_is_told_that_tells_most_of_the_inputs(root: Path, port: int) -> None:
    with td.open(root) as workspace:
        version = workspace.models.get("brief/1")
        run = workspace.runs.get(version.run)
        test = workspace.datasets.read("hours", split="test")
        card = workspace.card("brief/1")
    rows = asked_rows(test.select(hours().columns))

    answers = asked(port, "/v1/endpoints/brief/predict", {"rows": rows})["predictions"]
    with td.Predictor("brief", project=root) as predictor:
        mine = predictor.predict(rows[:5])

    vectors = np.array([list(one["prediction"].values()) for one in answers])
    inputs = scipy.stats.zscore(test.select(hours().columns[1:]).to_numpy())
    line = LinearRegression().fit(vectors, inputs)
    explained = r2_score(inputs, line.predict(vectors), multioutput="variance_weighted")
    assert (version.format, vectors.shape) == ("onnx", (test.height, 2))
    assert run.metrics["test.candidate.unexplained"] == pytest.approx(1 - explained, rel=1e-6)
    assert [one["prediction"] for one in mine] == [one["prediction"] for one in answers[:5]]
    assert not card.missing
