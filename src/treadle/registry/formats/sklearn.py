"""scikit-learn: stored as ONNX where every answer stays the same, else natively through skops. Never pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from treadle.core.answers import scored
from treadle.core.errors import InvalidInput
from treadle.core.optional import require
from treadle.core.signature import Signature
from treadle.registry import skopsfile
from treadle.registry.conversion.faithful import faithful
from treadle.registry.conversion.pipelines import conversions, last_step
from treadle.registry.format import Example, Saved, Trial
from treadle.registry.native import NativeModel
from treadle.registry.samples import answered, late_flights

NAME = "sklearn"
ENDINGS = (".skops",)
#: An estimator has at least one of these.
METHODS = ("predict", "score_samples", "transform")
FILE = "model.skops"
#: Types beyond those that skops itself trusts: arrays, numbers and other libraries' trees, which run no code when they are
#: read. (A forged one could still crash the process, so digests are checked first and packages of strangers are not
#: for loading.)
TRUSTED = (
    "catboost.core.CatBoostClassifier",
    "catboost.core.CatBoostRegressor",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
    "xgboost.sklearn.XGBRegressor",
)


def accepts(model: Any) -> bool:
    """Return whether the object is a scikit-learn estimator; other libraries' are told by their class."""
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(model).__mro__}
    return "sklearn.BaseEstimator" in names and any(hasattr(model, method) for method in METHODS)


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:
    """Convert to ONNX and compare; keep the model natively, with a note, where an answer would change.

    Raises:
        InvalidInput: a classifier does not tell the classes apart that the signature has.
        UnsafeFormat: it holds objects that could only be stored by running code.
    """
    _check_classes(model, task=task, signature=signature)
    native = NativeModel(model, task=task, signature=signature)
    candidates = conversions(model, task=task, signature=signature)
    found = faithful(candidates, native, trial, task=task, signature=signature)
    if isinstance(found, Saved):
        return found
    note = f"Kept as scikit-learn, because it has no faithful ONNX form: {found}."
    return Saved(format=NAME, files={FILE: skopsfile.dump(model, trusts=TRUSTED.__contains__)}, notes=(note,))


def read(data: bytes) -> Any:
    """Return the estimator of a file of skops, made of trusted types only.

    Raises:
        UnsafeFormat: the file holds a type that is not trusted.
        PackageRefused: it is no such file.
    """
    return skopsfile.load(data, name="The file", trusts=TRUSTED.__contains__)


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> NativeModel:
    """Return the estimator, made of trusted types only.

    Raises:
        UnsafeFormat: the file holds a type that is not trusted.
    """
    return NativeModel(read(files[FILE]), task=task, signature=signature)


def example() -> Example:
    """Return a small boosted pipeline over a string and a number that may be missing."""
    compose = require("sklearn.compose", extra="sklearn")
    preprocessing = require("sklearn.preprocessing", extra="sklearn")
    ensemble = require("sklearn.ensemble", extra="sklearn")
    pipeline = require("sklearn.pipeline", extra="sklearn")
    frame, late, signature = late_flights()
    encode = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = pipeline.make_pipeline(
        compose.make_column_transformer((encode, ["carrier"]), ("passthrough", ["wind"])),
        ensemble.HistGradientBoostingClassifier(max_iter=10),
    ).fit(frame, late)
    return Example(model, "classification", signature, answered(signature, frame, model.predict_proba(frame)))


def _check_classes(model: Any, *, task: str, signature: Signature) -> None:
    last = scored(signature)
    if task != "classification" and last.name != "probabilities":
        return
    if last.independent:
        _check_labels(model, columns=last.columns)
        return
    classes = getattr(model, "classes_", None)
    known = "none" if classes is None else ", ".join(map(repr, np.asarray(classes).tolist()))
    name = type(last_step(model)).__name__
    if task == "classification" and (classes is None or len(classes) != 2):
        msg = f"{name} knows the classes: {known}. Expected a fitted classifier of two classes with predict_proba."
        raise InvalidInput(msg)
    if classes is None or not hasattr(model, "predict_proba"):
        msg = f"{name} knows the classes: {known}. Expected a fitted classifier with predict_proba."
        raise InvalidInput(msg)


def _check_labels(model: Any, *, columns: Sequence[str]) -> None:
    if not hasattr(model, "predict_proba"):
        msg = (
            f"{type(last_step(model)).__name__} has no predict_proba. Expected a fitted classifier of the {len(columns)} labels "
            f"{', '.join(columns)}, as OneVsRestClassifier or MultiOutputClassifier make of any."
        )
        raise InvalidInput(msg)
