"""Questions about the inputs alone: densities and anomalies."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline

from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.core.records import Window
from treadle.training.data import TrainingData
from treadle.training.tasks.anomaly import Anomaly
from treadle.training.tasks.density import Density
from treadle.training.tasks.regression import Regression

RANDOM = np.random.default_rng(0)
ROWS = pl.DataFrame(RANDOM.normal(size=(300, 2)), schema=["a", "b"])
WINDOW = Window(start=None, end=datetime(2026, 1, 1, tzinfo=UTC))


def test_rows_without_a_target_can_be_trained_on() -> None:
    frame = ROWS.with_columns(_split=pl.lit("train"))

    data = TrainingData.build(frame, target="", task=Density(), window=WINDOW)

    assert data.inputs == ("a", "b")
    assert data.train.y.tolist() == [0.0] * 300
    with pytest.raises(InvalidInput, match="There are no rows to train on: 0 rows in the window"):
        TrainingData.build(frame.head(0), target="", task=Density(), window=WINDOW)


def test_a_target_is_needed_or_is_none_or_may_be() -> None:
    with pytest.raises(InvalidDeclaration, match="td.Regression needs the column of the truth"):
        Regression().on("")
    with pytest.raises(InvalidDeclaration, match="td.Density has no target, and target='y' is declared"):
        Density().on("y")
    assert Anomaly().on("").metrics == ("flag_error",)
    assert Anomaly().on("fraud").spec() != Anomaly().spec()


def test_a_pipeline_that_drops_columns_has_no_density() -> None:
    model = make_pipeline(PCA(1), GaussianMixture()).fit(ROWS)

    with pytest.raises(RunFailed, match="PCA.*no density of the inputs"):
        Density().predictions(model, ROWS)


def test_a_density_of_missing_values_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        Density().predictions(GaussianMixture().fit(ROWS), ROWS.with_columns(a=pl.lit(float("nan"))))
    with pytest.raises(RunFailed, match="row 0"):
        Density().predictions(lambda rows: rows["a"] * np.nan, ROWS)


@pytest.mark.parametrize("share", [0, 1, 1.0, 0.0, -0.1, "0.1", None, 5])
def test_a_share_is_between_0_and_1(share: object) -> None:
    with pytest.raises(InvalidDeclaration, match=r"Anomaly\(share="):
        Anomaly(share=share)  # type: ignore[arg-type]


def test_scores_rise_with_what_is_unusual_and_a_share_lies_above_the_bound() -> None:
    model = IsolationForest(random_state=0, n_estimators=20).fit(ROWS)
    far = pl.DataFrame({"a": [0.0, 9.0], "b": [0.0, -9.0]})

    task = Anomaly(share=0.1).settled(lambda: Anomaly().predictions(model, ROWS))
    usual, unusual = task.predictions(model, far)

    assert usual < task.bound < unusual
    assert np.mean(task.predictions(model, ROWS) > task.bound) == pytest.approx(0.1, abs=0.01)
    assert task.outputs[0].above == task.bound
    assert task.spec() == Anomaly(share=0.1).spec()


def test_a_factor_that_only_looks_back_is_refused() -> None:
    with pytest.raises(RunFailed, match="novelty=True"):
        Anomaly().predictions(LocalOutlierFactor().fit(ROWS), ROWS)


def test_what_is_known_of_anomalies_is_yes_and_no() -> None:
    assert Anomaly().target(pl.Series("fraud", [True, False])).tolist() == [1, 0]
    with pytest.raises(InvalidInput, match="fraud"):
        Anomaly().target(pl.Series("fraud", [0.5, 1.0]))
    assert Anomaly(share=0.2).truth(ROWS.head(2), "").tolist() == [0.2, 0.2]
