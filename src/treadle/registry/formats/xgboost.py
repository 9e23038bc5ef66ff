"""XGBoost: stored as ONNX where every answer stays the same, else as the library's own binary JSON.

Takes estimators of its scikit-learn interface and boosters. Where early stopping found a best round, the rounds after
it are left out, also of a booster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput, PackageRefused
from treadle.core.optional import require
from treadle.core.signature import Signature
from treadle.registry.asked import Asked, names_of, placed
from treadle.registry.conversion import xgboost as conversion
from treadle.registry.conversion.faithful import SINGLE, faithful
from treadle.registry.conversion.graph import Unconvertible
from treadle.registry.conversion.pipelines import conversions
from treadle.registry.format import Example, Saved, Trial, libraries
from treadle.registry.native import NativeModel
from treadle.registry.samples import answered, late_flights

NAME = "xgboost"
ENDINGS = (".ubj", ".json")
FILE, ABOUT = "model.ubj", "about.json"
classifier, regressor = conversion.classifier, conversion.regressor


class _About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the library's own file does not hold."""

    #: The number that stands for a missing one; None: NaN does.
    missing: float | None = None


def accepts(model: Any) -> bool:
    """Return whether the object is an XGBoost estimator or booster."""
    names = {kind.__name__ for kind in type(model).__mro__}
    return NAME in libraries(model) and bool({"XGBModel", "Booster"} & names)


def estimator(model: Any, *, signature: Signature) -> Any:
    """Return the model with scikit-learn's methods, for frames in which categories are strings.

    Raises:
        InvalidInput: its categories are numbers.
    """
    booster = _booster(model)
    try:
        levels = conversion.levels(booster)
    except Unconvertible as error:
        msg = (
            "The XGBoost model knows categories that are numbers, which no signature holds. In the training function, "
            "make strings of such columns before they become categories."
        )
        raise InvalidInput(msg) from error
    if booster is not model and not levels:
        return model
    return _asked(booster, levels, missing=_missing(model), signature=signature)


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:
    """Convert to ONNX and compare; keep the library's own file, with a note, where an answer would change."""
    asked = estimator(model, signature=signature)
    native = NativeModel(asked, task=task, signature=signature)
    candidates = conversions(model, task=task, signature=signature, like=asked)
    found = faithful(candidates, native, trial, task=task, signature=signature, decisive=SINGLE)
    if isinstance(found, Saved):
        return found
    about = msgspec.json.encode(_About(missing=_missing(model)))
    files = {FILE: bytes(_booster(model).save_raw("ubj")), ABOUT: about}
    note = f"Kept as XGBoost, because it has no faithful ONNX form: {found}."
    return Saved(format=NAME, files=files, notes=(note,))


def read(data: bytes) -> Any:
    """Return the booster of a file in XGBoost's binary or textual JSON.

    Raises:
        PackageRefused: the file is none of XGBoost's.
    """
    xgboost = require("xgboost", extra="xgboost")
    booster = xgboost.Booster()
    if not data.startswith(b"{L") and not _is_text(
        data
    ):  # the library ends the process where it gets other bytes
        msg = "The file is not a model in XGBoost's JSON, binary or textual."
        raise PackageRefused(msg)
    try:
        booster.load_model(bytearray(data))
    except xgboost.core.XGBoostError as error:
        first = (str(error).strip().splitlines() or [""])[0]
        msg = f"The file cannot be read by XGBoost: {first[:300]}"
        raise PackageRefused(msg) from error
    return booster


def _is_text(data: bytes) -> bool:
    try:
        found = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return False
    return {"learner", "version"} <= set(found)


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> NativeModel:
    """Return the booster.

    Raises:
        PackageRefused: the file is none of XGBoost's.
    """
    booster = read(files[FILE])
    try:
        about = msgspec.json.decode(files[ABOUT], type=_About)
    except msgspec.MsgspecError as error:
        msg = f"{ABOUT} cannot be read: {error}"
        raise PackageRefused(msg) from error
    levels = conversion.levels(booster)
    asked = _asked(booster, levels, missing=about.missing, signature=signature)
    return NativeModel(asked, task=task, signature=signature)


def contributions(
    files: Mapping[str, bytes], *, signature: Signature
) -> Callable[[pl.DataFrame], np.ndarray]:
    """Return what gives TreeSHAP's values (`pred_contribs`) for rows of encoded inputs."""
    xgboost = require("xgboost", extra="xgboost")
    booster = read(files[FILE])
    about = msgspec.json.decode(files[ABOUT], type=_About)
    levels = conversion.levels(booster)
    names = names_of(booster.feature_names, signature) or list(signature.names)
    marker = math.nan if about.missing is None else about.missing
    best = getattr(booster, "best_iteration", None)

    def of(rows: pl.DataFrame) -> np.ndarray:
        given = _categories(rows.select(names), levels)
        matrix = xgboost.DMatrix(given, missing=marker, enable_categorical=True, nthread=1)
        found = booster.predict(
            matrix,
            pred_contribs=True,
            iteration_range=(0, 0) if best is None else (0, best + 1),
            validate_features=False,
        )
        return placed(np.atleast_3d(found).reshape(rows.height, -1, len(names) + 1), names, signature)

    return of


def example() -> Example:
    """Return a small classifier over a category and a number that may be missing."""
    xgboost = require("xgboost", extra="xgboost")
    frame, late, signature = late_flights()
    model = xgboost.XGBClassifier(n_estimators=10, enable_categorical=True, n_jobs=1)
    model.fit(frame.with_columns(pl.col("carrier").cast(pl.Categorical)), late)
    shares = estimator(model, signature=signature).predict_proba(frame)
    return Example(model, "classification", signature, answered(signature, frame, shares))


def _booster(model: Any) -> Any:
    return model.get_booster() if hasattr(model, "get_booster") else model


def _missing(model: Any) -> float | None:
    marker = getattr(model, "missing", math.nan)
    return None if marker is None or math.isnan(marker) else float(marker)


def _asked(
    booster: Any, levels: Mapping[int, list[str]], *, missing: float | None, signature: Signature
) -> Asked:
    xgboost = require("xgboost", extra="xgboost")
    best = getattr(booster, "best_iteration", None)
    rounds = (0, 0) if best is None else (0, best + 1)
    marker = math.nan if missing is None else missing

    def answer(rows: Any) -> Any:
        given = _categories(rows, levels)
        matrix = xgboost.DMatrix(given, missing=marker, enable_categorical=True, nthread=1)
        return booster.predict(matrix, iteration_range=rounds, validate_features=False)

    return Asked(answer, names=names_of(booster.feature_names, signature), signature=signature)


def _categories(rows: Any, levels: Mapping[int, list[str]]) -> Any:
    """Return a frame whose strings are the booster's categories; those that it does not know are missing."""
    if not levels:
        return rows
    made = []
    for index, known in levels.items():
        made.append(rows.to_series(index).cast(pl.Enum(known), strict=False))
    return rows.with_columns(made)
