"""Densities and scores as ONNX: the same for every kind of covariance (scikit-learn computes in float32) and of forest."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from treadle.core.signature import Field, Signature
from treadle.registry.format import Trial
from treadle.registry.formats import onnx, sklearn

RANDOM = np.random.default_rng(0)
ROWS = pl.DataFrame((RANDOM.normal(size=(400, 3)) * [1, 5, 0.1]).astype(np.float32), schema=["a", "b", "c"])
INPUTS = tuple(Field(name=name, kind="float") for name in ROWS.columns)
DENSITY = (Field(name="prediction", kind="float", method="score_samples", turned="stretched"),)
SCORE = (
    Field(name="prediction", kind="boolean", above=0.55),
    Field(name="score", kind="float", method="score_samples", turned="negated"),
)


def saved(model, *, task, outputs):
    signature = Signature(inputs=INPUTS, outputs=outputs)
    given = model.score_samples(ROWS)
    trial = Trial({name: ROWS[name].to_numpy() for name in ROWS.columns}, given)
    found = sklearn.save(model, task=task, signature=signature, trial=trial)
    return found, signature, trial


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_every_kind_of_mixture_is_written(covariance):
    model = GaussianMixture(3, covariance_type=covariance, random_state=0, reg_covar=1e-3).fit(ROWS)

    found, signature, trial = saved(model, task="density", outputs=DENSITY)

    assert found.format == "onnx"
    given = onnx.load(found.files, task="density", signature=signature).predict(trial.columns)["prediction"]
    assert given == pytest.approx(trial.expected, rel=1e-6)


def test_a_row_far_away_has_a_density_still():
    model = GaussianMixture(3, random_state=0).fit(ROWS)
    far = {"a": np.float32([1e4]), "b": np.float32([0]), "c": np.float32([-1e4])}

    found, signature, _ = saved(model, task="density", outputs=DENSITY)

    given = onnx.load(found.files, task="density", signature=signature).predict(far)["prediction"]
    assert given == pytest.approx(model.score_samples(pl.DataFrame(far)), rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"max_samples": 32}, {"bootstrap": True}, {"contamination": 0.1}])
def test_a_forest_is_written_and_says_the_same_beside_every_split(options):
    model = make_pipeline(StandardScaler(), IsolationForest(n_estimators=10, random_state=0, **options))

    found, signature, trial = saved(model.fit(ROWS), task="anomaly", outputs=SCORE)

    given = onnx.load(found.files, task="anomaly", signature=signature).predict(trial.columns)
    assert found.format == "onnx"
    assert found.trial is not None
    assert len(found.trial) > 100
    assert given["score"] == pytest.approx(-trial.expected, rel=1e-9)
    assert given["prediction"].tolist() == (given["score"] > 0.55).tolist()


def test_a_forest_whose_trees_see_some_columns_stays_as_it_is():
    model = IsolationForest(n_estimators=5, max_features=2, random_state=0).fit(ROWS)

    found, _, _ = saved(model, task="anomaly", outputs=SCORE)

    assert found.format == "sklearn"
    assert "see some of the columns" in found.notes[0]
