"""Estimates without outcomes, against the outcomes that the test knows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.random import Generator, default_rng
from sklearn import metrics

from treadle.monitoring import estimation
from treadle.monitoring.boosted import fit
from treadle.monitoring.estimation import Calibrated, Expected
from treadle.monitoring.reference import build, from_bytes, to_bytes


def classified(rows: int, random: Generator, *, moved: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return what a model says that is not sure enough of itself, and what is true."""
    score = 1.5 * (random.normal(size=rows) + moved) - random.normal(size=rows)
    return 1 / (1 + np.exp(-0.6 * score)), (random.random(rows) < 1 / (1 + np.exp(-score))).astype(np.int64)


def numbers(
    rows: int, random: Generator, *, moved: float = 0.0
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Return inputs, predictions, and truths whose spread grows with an input and differs by a category."""
    x, kind = random.normal(size=rows) + moved, random.choice(["calm", "wild"], rows)
    spread = np.exp(0.5 * x) * np.where(kind == "calm", 1.0, 2.0)
    return pl.DataFrame({"x": x, "kind": kind}), 2 * x, 2 * x + spread * random.normal(size=rows)


def estimated(
    estimator: estimation.Estimator, p: np.ndarray, frame: pl.DataFrame
) -> dict[str, estimation.Estimate]:
    return {one.metric: one for one in estimation.estimate(estimator, p, frame)}


def test_chances_are_estimated_under_a_shift_of_inputs() -> None:
    random = default_rng(1)
    learnt = estimation.of_chances(*classified(5_000, random))
    assert learnt is not None
    inside = dict.fromkeys(("accuracy", "log_loss", "brier", "roc_auc"), 0)

    for _ in range(25):
        p, y = classified(1_500, random, moved=0.7)
        found = estimated(learnt, p, pl.DataFrame())
        truth = {
            "accuracy": metrics.accuracy_score(y, p > 0.5),
            "log_loss": metrics.log_loss(y, p),
            "brier": metrics.brier_score_loss(y, p),
            "roc_auc": metrics.roc_auc_score(y, p),
        }
        assert estimation.realised(learnt, p, y.astype(float)) == pytest.approx(truth)
        for name, value in truth.items():
            inside[name] += found[name].low <= value <= found[name].high

    # Of 25 intervals of 95 %, fewer than 19 inside would come once in ten thousand times.
    assert min(inside.values()) >= 19, inside


def test_what_the_model_says_of_itself_is_not_believed() -> None:
    random = default_rng(2)
    p, y = classified(5_000, random)
    learnt = estimation.of_chances(p, y)
    assert learnt is not None

    found = estimated(learnt, p, pl.DataFrame())["log_loss"]

    said = float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
    assert found.value == pytest.approx(metrics.log_loss(y, p), abs=0.01)
    assert abs(said - found.value) > 0.03


def test_several_classes_are_estimated() -> None:
    random = default_rng(3)
    score = random.normal(size=(6_000, 3)) * 1.5
    chances = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    y = (random.random((6_000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    learnt = estimation.of_chances(chances[:4_000], y[:4_000], classes=("a", "b", "c"))
    assert learnt is not None

    found = estimated(learnt, chances[4_000:], pl.DataFrame())

    assert set(found) == {"accuracy", "log_loss", "brier"}
    assert (
        found["accuracy"].low
        <= (chances[4_000:].argmax(axis=1) == y[4_000:]).mean()
        <= found["accuracy"].high
    )
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(y[4_000:], chances[4_000:]), abs=0.03)


def test_errors_of_numbers_are_estimated_under_a_shift_of_inputs() -> None:
    random = default_rng(4)
    learnt = estimation.of_errors(*numbers(4_000, random))
    assert learnt is not None

    frame, p, y = numbers(4_000, random, moved=0.6)
    found = estimated(learnt, p, frame)

    truth = estimation.realised(learnt, p, y)
    assert truth["mae"] == pytest.approx(metrics.mean_absolute_error(y, p))
    assert truth["mae"] > 1.2 * found["mae"].before
    for name in ("mae", "rmse"):
        assert found[name].low < found[name].value < found[name].high
        assert found[name].value == pytest.approx(truth[name], rel=0.1)


def test_few_rows_estimate_nothing_and_no_rows_have_no_estimate() -> None:
    random = default_rng(5)

    assert estimation.of_chances(*classified(estimation.LEAST - 1, random)) is None
    assert estimation.of_errors(*numbers(estimation.LEAST - 1, random)) is None
    learnt = estimation.of_chances(*classified(300, random))
    assert learnt is not None
    assert estimation.estimate(learnt, np.empty(0), pl.DataFrame()) == []


def test_estimators_travel_with_the_reference() -> None:
    random = default_rng(6)
    frame, p, y = numbers(400, random)
    chances, errors = estimation.of_chances(*classified(400, random)), estimation.of_errors(frame, p, y)

    for learnt, kind in ((chances, Calibrated), (errors, Expected)):
        back = from_bytes(to_bytes(build({"input": frame}, estimator=learnt))).estimator
        assert learnt is not None
        assert isinstance(back, kind)
        assert estimation.estimate(back, np.clip(p, 0, 1), frame) == estimation.estimate(
            learnt, np.clip(p, 0, 1), frame
        )


def test_trees_find_what_depends_on_numbers_categories_and_what_is_missing() -> None:
    random = default_rng(7)
    frame = pl.DataFrame(
        {
            "a": random.normal(size=4_000),
            "b": random.choice(["x", "y", "z"], 4_000),
            "c": random.normal(size=4_000),
        }
    ).with_columns(pl.when(pl.col("c") > 1).then(None).otherwise("c").alias("c"))
    parts = frame.select(
        one=pl.col("a") > 0.3, two=2.0 * (pl.col("b") == "y"), three=3.0 * pl.col("c").is_null()
    )
    target = parts.sum_horizontal().to_numpy()

    model = fit(frame, target, columns=["a", "b", "c"])

    assert np.abs(model.predict(frame) - target).mean() < 0.1
    strange = pl.DataFrame(
        {"a": [None, 9.0], "b": ["new", None], "c": [0.0, 0.0]}, schema_overrides={"a": pl.Float64}
    )
    assert np.isfinite(model.predict(strange)).all()
