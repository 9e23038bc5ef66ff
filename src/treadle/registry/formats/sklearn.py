"""scikit-learn: stored as ONNX where every answer stays the same, else natively through skops. Never pickled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import numpy as np
import polars as pl

from treadle.core.answers import aligned, completed, numbers, scored, shape_of
from treadle.core.errors import InvalidInput, PackageRefused, UnsafeFormat
from treadle.core.optional import require
from treadle.core.signature import Field, Signature, decode_frame, field_of
from treadle.registry.conversion.boundaries import boundary_rows
from treadle.registry.conversion.graph import Unconvertible
from treadle.registry.conversion.pipelines import Converted, conversions, last_step
from treadle.registry.format import (
    TOLERANCE,
    Example,
    Saved,
    Trial,
    differences,
    worst_rows,
)
from treadle.registry.formats import onnx

NAME = "sklearn"
FILE = "model.skops"
#: Types beyond those that skops itself trusts: arrays and numbers, which run no code when they are read. (A forged
#: one could still crash the process, so digests are checked first and packages of strangers are not for loading.)
TRUSTED = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
#: Boundary rows that go into the package, beside those that the caller gave.
_KEPT = 512
_DECISIVE = 1e-9


class NativeModel:
    """A scikit-learn estimator that answers for encoded columns."""

    def __init__(self, estimator: Any, *, task: str, signature: Signature) -> None:
        self._estimator, self._task, self._signature = estimator, task, signature
        self._boolean = any(f.name == "prediction" and f.kind == "boolean" for f in signature.outputs)

    @property
    def signature(self) -> Signature:
        """The inputs it takes and the outputs it gives."""
        return self._signature

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer for encoded columns of shape (rows,)."""
        given = self._given(columns)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found unknown categories", category=UserWarning)
            if self._task == "classification":
                return self._two_classes(given)
            return completed(self._numbers(given), self._signature)

    def _two_classes(self, given: Any) -> dict[str, np.ndarray]:
        """Answer with the class that the estimator itself chooses: where both are as likely, its kinds differ."""
        shares = np.asarray(self._estimator.predict_proba(given), dtype=np.float64)
        chosen = np.asarray(self._estimator.predict(given)).reshape(-1)
        if self._boolean:
            chosen = chosen == self._estimator.classes_[1]
        return {"prediction": chosen, "probability": shares[:, 1]}

    def _numbers(self, given: Any) -> np.ndarray:
        last = scored(self._signature)
        if last.name == "probabilities":
            shares = np.asarray(self._estimator.predict_proba(given), dtype=np.float64)
            source = type(last_step(self._estimator)).__name__
            return aligned(shares, self._estimator.classes_, columns=last.columns, source=source)
        values = np.asarray(self._estimator.predict(given), dtype=np.float64)
        return values.reshape(shape_of(last, len(values)))

    def _given(self, columns: Mapping[str, np.ndarray]) -> Any:
        """Return the rows as the estimator was fitted: a frame where it knows names, else an array."""
        frame = decode_frame(self._signature.inputs, columns)
        names = getattr(self._estimator, "feature_names_in_", None)
        return frame.to_numpy() if names is None else frame.select(list(names))


def accepts(model: Any) -> bool:
    """Return whether the object is a scikit-learn estimator; other libraries' are told by their class."""
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(model).__mro__}
    return "sklearn.BaseEstimator" in names and hasattr(model, "predict")


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:
    """Convert to ONNX and compare; keep the model natively, with a note, where an answer would change.

    Raises:
        InvalidInput: a classifier does not tell the classes apart that the signature has.
        UnsafeFormat: it holds objects that could only be stored by running code.
    """
    _check_classes(model, task=task, signature=signature)
    native = NativeModel(model, task=task, signature=signature)
    reason = ""
    try:
        for converted in conversions(model, task=task, signature=signature):
            data = converted.model.SerializeToString(deterministic=True)
            boundaries, notes = _boundaries(native, converted, trial, signature=signature)
            reason = _difference(data, native, trial + boundaries, task=task, signature=signature)
            if not reason:
                chosen = np.random.default_rng(0).permutation(len(boundaries))[:_KEPT]
                return Saved(
                    format=onnx.NAME,
                    files={onnx.FILE: data},
                    notes=(*converted.notes, *notes),
                    trial=boundaries.take(np.sort(chosen)),
                )
    except Unconvertible as unknown:
        reason = reason or str(unknown)
    note = f"Kept as scikit-learn, because it has no faithful ONNX form: {reason}."
    return Saved(format=NAME, files={FILE: _to_skops(model)}, notes=(note,))


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> NativeModel:
    """Return the estimator, made of trusted types only.

    Raises:
        UnsafeFormat: the file holds a type that is not trusted.
    """
    skops = require("skops.io", extra="sklearn")
    _refuse_unknown_types(skops, files[FILE])
    return NativeModel(skops.loads(files[FILE], trusted=list(TRUSTED)), task=task, signature=signature)


def example() -> Example:
    """Return a small boosted pipeline over a string and a number that may be missing."""
    compose = require("sklearn.compose", extra="sklearn")
    preprocessing = require("sklearn.preprocessing", extra="sklearn")
    ensemble = require("sklearn.ensemble", extra="sklearn")
    pipeline = require("sklearn.pipeline", extra="sklearn")
    rng = np.random.default_rng(0)
    wind = rng.normal(10, 5, 400).astype(np.float32)
    wind[::17] = np.nan
    frame = pl.DataFrame({"carrier": rng.choice(["AA", "B6", "UA"], 400), "wind": wind})
    late = (frame["carrier"] == "UA").to_numpy() ^ (np.nan_to_num(wind, nan=20.0) > 14)
    signature = Signature(
        inputs=(field_of(frame["carrier"]), field_of(frame["wind"])),
        outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
    )
    encode = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = pipeline.make_pipeline(
        compose.make_column_transformer((encode, ["carrier"]), ("passthrough", ["wind"])),
        ensemble.HistGradientBoostingClassifier(max_iter=10),
    ).fit(frame, late)
    trial = Trial(signature.encode(frame), model.predict_proba(frame)[:, 1])
    return Example(model, "classification", signature, trial)


def _check_classes(model: Any, *, task: str, signature: Signature) -> None:
    last = scored(signature)
    if task != "classification" and last.name != "probabilities":
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


def _boundaries(
    native: NativeModel, converted: Converted, trial: Trial, *, signature: Signature
) -> tuple[Trial, list[str]]:
    """Ask the native model about boundary rows; kinds of rows that it refuses itself are left out with a note."""
    found, notes = trial.take(np.array([], dtype=np.int64)), []
    for kind, columns in boundary_rows(signature, trial.columns, converted.thresholds).items():
        try:
            expected = numbers(native.predict(columns), signature)
        except ValueError as error:
            first = str(error).partition("\n")[0]
            notes.append(
                f"Rows with {kind} values were not compared, because scikit-learn refuses them: {first}"
            )
            continue
        found = found + Trial(columns, expected)
    return found, notes


def _difference(data: bytes, native: NativeModel, trial: Trial, *, task: str, signature: Signature) -> str:
    """Compare ONNX Runtime with the native model; return what differs, with the worst rows, or nothing."""
    try:
        outputs = onnx.load({onnx.FILE: data}, task=task, signature=signature).predict(trial.columns)
    # The runtime raises its own classes, which all derive from Exception only: each means that it cannot run this.
    except Exception as error:  # noqa: BLE001
        return f"ONNX Runtime does not run it ({type(error).__name__}: {str(error)[:200]})"
    given, original = numbers(outputs, signature), native.predict(trial.columns)
    expected = numbers(original, signature)
    off = differences(given, expected)
    off[_said_otherwise(outputs, original, expected)] = np.inf
    wrong = int((off > TOLERANCE).sum())
    worst = worst_rows(Trial(trial.columns, expected), given, off)
    return f"{wrong} of {len(trial)} compared rows change their answer: {worst}" if wrong else ""


def _said_otherwise(
    given: Mapping[str, np.ndarray], original: Mapping[str, np.ndarray], expected: np.ndarray
) -> np.ndarray:
    """Return the rows that get another class; where two are as likely but for the last bit, either may be said."""
    if given["prediction"].dtype.kind == "f":
        return np.zeros(len(expected), dtype=bool)
    best = (
        np.sort(expected, axis=1)[:, -2:] if expected.ndim == 2 else np.column_stack([expected, 1 - expected])
    )
    clear = np.abs(best[:, 0] - best[:, 1]) > 2 * _DECISIVE
    return np.asarray(clear & (given["prediction"] != original["prediction"]))


def _to_skops(model: Any) -> bytes:
    skops = require("skops.io", extra="sklearn")
    try:
        data = bytes(skops.dumps(model))
    # skops raises what the object's own __reduce__ or __getstate__ raises.
    except Exception as error:
        msg = f"{type(model).__name__} cannot be stored without pickle ({error}). {_WAY_OUT}"
        raise UnsafeFormat(msg) from error
    _refuse_unknown_types(skops, data)
    return data


def _refuse_unknown_types(skops: Any, data: bytes) -> None:
    try:
        unknown = sorted(set(skops.get_untrusted_types(data=data)) - set(TRUSTED))
    except (BadZipFile, KeyError, ValueError, TypeError, OSError, EOFError) as error:
        msg = f"{FILE} cannot be read: {error}"
        raise PackageRefused(msg) from error
    if unknown:
        msg = f"The model holds types that may run code when they are read: {', '.join(unknown)}. {_WAY_OUT}"
        raise UnsafeFormat(msg)


_WAY_OUT = (
    "Build it from scikit-learn's own parts, return an ONNX model instead, or write a format plug-in for it "
    "(entry point 'treadle.format')."
)
