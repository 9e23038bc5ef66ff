"""Live performance compares what was answered with what came, and has nothing to say where nothing came."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

import treadle as td
from treadle.core.errors import InvalidInput
from treadle.core.records import Lookup, ModelVersion, Window
from treadle.core.signature import Field, Signature
from treadle.loop import live

AT = datetime(2026, 3, 2, tzinfo=UTC)


def known(answers: list[Any], outcomes: list[Any], kind: pl.DataType | None = None) -> pl.DataFrame:
    at = [datetime(2026, 3, 2, tzinfo=UTC)] * len(answers)
    frame = pl.DataFrame({"at": at, "answer": pl.Series(answers, dtype=kind), "outcome": outcomes})
    return frame.with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")), version=pl.lit(1))


@pytest.mark.parametrize("task", ["anomaly", td.Anomaly(share=0.25)])
def test_anomalies_that_were_reported_are_compared_with_scores_not_with_the_share(task: Any) -> None:
    rows = known([0.4, 0.7, 0.5, 1.3], [0.0, 1.0, 0.0, 0.0])

    found = live.scores(rows, task=task, measure="", every="1d")

    assert found["metric"].to_list() == ["average_precision"]
    assert found["value"].to_list() == [0.5]
    with pytest.raises(InvalidInput, match="flag_error is not about what came"):
        live.scores(rows, task=task, measure="flag_error", every="1d")


def test_labels_of_which_nothing_is_known_yet_have_no_performance() -> None:
    rows = known([], [], pl.Struct({"big": pl.Float64, "hot": pl.Float64}))

    assert live.scores(rows, task=td.Multilabel(), measure="", every="1d").is_empty()


def test_forecasts_of_another_horizon_are_scored_over_the_steps_that_both_name() -> None:
    rows = known([{"1h": 1.0, "2h": 5.0}], [[4.0, 6.0, 8.0]]).with_columns(
        pl.col("outcome").cast(pl.Array(pl.Float64, 3))
    )

    hours = live.scores(rows, task=td.Forecast(horizon=3, every="1h"), measure="mae", every="1d")
    doubled = live.scores(rows, task=td.Forecast(horizon=3, every="2h"), measure="mae", every="1d")

    assert hours["value"].to_list() == [(3.0 + 1.0) / 2]
    assert doubled["value"].to_list() == [abs(5.0 - 4.0)]
    with pytest.raises(InvalidInput, match="are not those declared now"):
        live.scores(rows, task=td.Forecast(horizon=3, every="1d"), measure="mae", every="1d")


def test_clusters_are_compared_with_the_groups_that_were_reported() -> None:
    rows = known([0.0, 0.0, 1.0, 1.0], [7.0, 7.0, 3.0, 3.0])

    found = live.scores(rows, task=td.Clustering(), measure="", every="1d")

    assert found.select("metric", "value").rows() == [("v_measure", 1.0)]


def test_equal_numbers_of_two_models_are_not_mixed_up() -> None:
    def version(model: str, says: float) -> ModelVersion:
        outputs = (Field(name="prediction", kind="float"), Field(name="probability", kind="float"))
        return ModelVersion(
            model=model,
            version=1,
            created_at=AT,
            task="classification",
            format="onnx",
            digest="0",
            size=0,
            signature=Signature(inputs=(), outputs=outputs),
            run="r",
            dataset="visits",
            dataset_version=1,
            window=Window(start=None, end=AT),
            baselines=(Lookup(name="constant", default=says),),
        )

    versions = {(model, 1): version(model, says) for model, says in (("old", 0.1), ("new", 0.9))}
    nothing = pl.Series([None, None], dtype=pl.String)
    predictions = pl.DataFrame(
        {
            "prediction_id": ["a-0", "b-0"],
            "model": ["old", "new"],
            "version": [1, 1],
            "at": pl.Series([AT] * 2, dtype=pl.Datetime("us", "UTC")),
            "key": nothing,
            "inputs": ["{}"] * 2,
            "prediction": [1.0, 0.0],
            "probability": [0.75, 0.25],
            "outputs": nothing,
        }
    )
    reported = predictions.select("prediction_id", "key", "at", value=pl.lit(1.0))

    found = live.answered(predictions, reported, versions).sort("prediction_id")
    told = live.scores(found, task="classification", measure="brier", every="1d")

    assert found["baseline"].to_list() == [0.1, 0.9]
    assert dict(told.select("model", "value").rows()) == {"old": 0.0625, "new": 0.5625}
