"""scikit-learn models that cannot become ONNX stay native and safe, or are refused."""

import pickle
import pickletools
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, SplineTransformer, StandardScaler

from treadle.core.errors import InvalidInput, UnsafeFormat
from treadle.core.signature import Field, Signature
from treadle.registry.conversion import trees
from treadle.registry.format import Trial
from treadle.registry.formats import onnx
from treadle.registry.formats import sklearn as sklearn_format

SIGNATURE = Signature(
    inputs=(Field(name="wind", kind="float", nullable=True), Field(name="hour", kind="integer")),
    outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
)


class Own(ClassifierMixin, BaseEstimator):
    """An estimator of the user's own."""

    def fit(self, frame, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, frame):
        return np.zeros(len(frame), dtype=bool)

    def predict_proba(self, frame):
        return np.full((len(frame), 2), 0.5)


def rows(count=300):
    rng = np.random.default_rng(0)
    return {"wind": rng.normal(10, 5, count).astype(np.float32), "hour": rng.integers(0, 24, count)}


def fitted(model):
    frame = pl.DataFrame(rows())
    return model.fit(frame, (frame["wind"] > 10).to_numpy() ^ (frame["hour"] > 20).to_numpy())


def save(model):
    columns = rows()
    native = sklearn_format.NativeModel(model, task="classification", signature=SIGNATURE)
    trial = Trial(columns, native.predict(columns)["probability"])
    return sklearn_format.save(model, task="classification", signature=SIGNATURE, trial=trial), trial


@pytest.mark.parametrize(
    "model",
    [
        CalibratedClassifierCV(
            make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5)), cv=2
        ),
        CalibratedClassifierCV(RandomForestClassifier(5), cv=2),
        make_pipeline(FunctionTransformer(np.abs), LogisticRegression()),
    ],
    ids=["calibrated boosting", "calibrated forest", "function of NumPy"],
)
def test_what_has_no_onnx_form_is_kept_natively_with_a_note(model):
    saved, trial = save(fitted(model))

    loaded = sklearn_format.load(saved.files, task="classification", signature=SIGNATURE)

    assert saved.format == "sklearn"
    assert "Kept as scikit-learn, because it has no faithful ONNX form" in saved.notes[0]
    assert loaded.predict(trial.columns)["probability"].tolist() == trial.expected.tolist()


def test_a_conversion_that_changes_an_answer_is_not_used(monkeypatch):
    model = fitted(HistGradientBoostingClassifier(max_iter=5))
    right = sklearn_format.conversions
    other = fitted(HistGradientBoostingClassifier(max_iter=6))
    monkeypatch.setattr(sklearn_format, "conversions", lambda _model, **given: right(other, **given))

    saved, _ = save(model)

    assert saved.format == "sklearn"
    assert "compared rows change their answer: row" in saved.notes[0]
    assert "wind=" in saved.notes[0]


def test_a_part_that_skl2onnx_has_in_single_precision_only_is_still_converted():
    saved, trial = save(
        fitted(make_pipeline(SimpleImputer(), StandardScaler(), PolynomialFeatures(2), LogisticRegression()))
    )

    loaded = onnx.load(saved.files, task="classification", signature=SIGNATURE)

    off = np.abs(loaded.predict(trial.columns)["probability"] - trial.expected)
    assert 0 < off.max() < 1e-5


def test_splits_that_are_one_step_of_single_precision_too_high_are_caught(monkeypatch):
    right = trees.of_histogram_tree

    def moved(predictor):
        tree = right(predictor)
        return replace(tree, threshold=np.nextafter(tree.threshold.astype(np.float32), np.float32(np.inf)))

    monkeypatch.setattr(trees, "of_histogram_tree", moved)

    model = fitted(HistGradientBoostingClassifier(max_iter=5))

    saved, _ = save(model)

    assert saved.format == "sklearn"
    assert "compared rows change their answer" in saved.notes[0]


def test_boundary_rows_become_golden_rows():
    saved, trial = save(fitted(HistGradientBoostingClassifier()))

    assert saved.format == "onnx"
    assert 100 < len(saved.trial) <= 512
    assert np.isnan(saved.trial.columns["wind"]).any()
    assert not np.isnan(trial.columns["wind"]).any()


def test_missing_values_that_scikit_learn_refuses_are_mentioned():
    saved, _ = save(fitted(GradientBoostingClassifier(n_estimators=5)))

    assert saved.format == "onnx"
    assert "Rows with missing values were not compared" in saved.notes[0]


def test_the_same_model_has_the_same_bytes():
    model = fitted(HistGradientBoostingClassifier(max_iter=5))

    assert save(model)[0].files == save(model)[0].files


@pytest.mark.parametrize(
    "model",
    [
        Own(),
        make_pipeline(FunctionTransformer(lambda x: x), LogisticRegression()),
        make_pipeline(SplineTransformer(), LogisticRegression()),
    ],
    ids=["own class", "lambda", "untrusted parts"],
)
def test_what_would_need_code_is_refused_with_a_way_out(model):
    fitted(model)

    with pytest.raises(UnsafeFormat, match="write a format plug-in"):
        sklearn_format.save(
            model, task="classification", signature=SIGNATURE, trial=Trial(rows(), np.full(300, 0.5))
        )


def test_a_forged_file_runs_nothing(tmp_path):
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self):
            return (canary.touch, ())

    pickled = pickle.dumps(Bomb())
    assert pickletools.optimize(pickled)
    for data in (pickled, b"", b"PK\x03\x04", skops.io.dumps(fitted(Own()))):
        with pytest.raises(Exception, match=r"cannot be read|may run code"):
            sklearn_format.load({sklearn_format.FILE: data}, task="classification", signature=SIGNATURE)

    assert not canary.exists()


@pytest.mark.parametrize("classes", [[0], [0, 1, 2]])
def test_a_classifier_must_tell_two_classes_apart(classes):
    y = np.resize(classes, 300)
    model = HistGradientBoostingClassifier(max_iter=2).fit(pl.DataFrame(rows()), y)

    with pytest.raises(InvalidInput, match="two\\s+classes"):
        sklearn_format.save(
            model, task="classification", signature=SIGNATURE, trial=Trial(rows(), np.full(300, 0.5))
        )
