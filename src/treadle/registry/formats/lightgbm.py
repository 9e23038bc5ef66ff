"""LightGBM: stored as ONNX where every answer stays the same, else as the library's own text.

Takes estimators of its scikit-learn interface and boosters. Where early stopping found a best round, the rounds after
it are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import PackageRefused
from treadle.core.optional import require
from treadle.core.signature import Signature
from treadle.registry.asked import Asked, codes, names_of, placed
from treadle.registry.conversion import lightgbm as conversion
from treadle.registry.conversion.faithful import faithful
from treadle.registry.conversion.pipelines import conversions
from treadle.registry.format import Example, Saved, Trial, libraries
from treadle.registry.native import NativeModel
from treadle.registry.samples import answered, late_flights

NAME = "lightgbm"
ENDINGS = (".txt",)
FILE = "model.txt"
classifier, regressor = conversion.classifier, conversion.regressor


def accepts(model: Any) -> bool:
    """Return whether the object is a LightGBM estimator or booster."""
    names = {kind.__name__ for kind in type(model).__mro__}
    return NAME in libraries(model) and bool({"LGBMModel", "Booster"} & names)


def estimator(model: Any, *, signature: Signature) -> Any:
    """Return the model with scikit-learn's methods, for frames in which categories are strings."""
    booster = getattr(model, "booster_", model)
    names = names_of(booster.feature_name(), signature)
    if (
        booster is not model
        and names == list(getattr(model, "feature_names_in_", ()))
        and not booster.pandas_categorical
    ):
        return model
    return _asked(booster, signature)


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:
    """Convert to ONNX and compare; keep the library's own text, with a note, where an answer would change."""
    asked = estimator(model, signature=signature)
    native = NativeModel(asked, task=task, signature=signature)
    candidates = conversions(model, task=task, signature=signature, like=asked)
    found = faithful(candidates, native, trial, task=task, signature=signature)
    if isinstance(found, Saved):
        return found
    text = getattr(model, "booster_", model).model_to_string()
    note = f"Kept as LightGBM, because it has no faithful ONNX form: {found}."
    return Saved(format=NAME, files={FILE: text.encode()}, notes=(note,))


def read(data: bytes) -> Any:
    """Return the booster of a file in LightGBM's text.

    Raises:
        PackageRefused: the file is none of LightGBM's.
    """
    lightgbm = require("lightgbm", extra="lightgbm")
    text = data.decode(errors="replace")
    conversion.check(text)  # the library ends the process where it gets another text
    try:
        return lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        msg = f"The file cannot be read by LightGBM: {error}"
        raise PackageRefused(msg) from error


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> NativeModel:
    """Return the booster.

    Raises:
        PackageRefused: the file is none of LightGBM's.
    """
    return NativeModel(_asked(read(files[FILE]), signature), task=task, signature=signature)


def contributions(
    files: Mapping[str, bytes], *, signature: Signature
) -> Callable[[pl.DataFrame], np.ndarray]:
    """Return what gives TreeSHAP's values (`pred_contrib`) for rows of encoded inputs."""
    booster = read(files[FILE])
    levels = booster.pandas_categorical or []
    names = names_of(booster.feature_name(), signature) or list(signature.names)

    def of(rows: pl.DataFrame) -> np.ndarray:
        found = booster.predict(_matrix(rows.select(names), levels), pred_contrib=True, num_threads=1)
        return placed(np.asarray(found).reshape(rows.height, -1, len(names) + 1), names, signature)

    return of


def example() -> Example:
    """Return a small classifier over a category and a number that may be missing."""
    lightgbm = require("lightgbm", extra="lightgbm")
    frame, late, signature = late_flights()
    given = frame.with_columns(pl.col("carrier").cast(pl.Categorical)).to_pandas()
    model = lightgbm.LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1).fit(given, late)
    shares = estimator(model, signature=signature).predict_proba(frame)
    return Example(model, "classification", signature, answered(signature, frame, shares))


def _asked(booster: Any, signature: Signature) -> Asked:
    levels = booster.pandas_categorical or []

    def answer(rows: Any) -> Any:
        return booster.predict(_matrix(rows, levels), num_threads=1)

    return Asked(answer, names=names_of(booster.feature_name(), signature), signature=signature)


def _matrix(rows: Any, levels: list[list[Any]]) -> np.ndarray:
    """Return rows as float64; strings become the numbers of their categories, in the order of the columns."""
    if not isinstance(rows, pl.DataFrame):
        return np.asarray(rows, dtype=np.float64)
    waiting = iter(levels)
    columns = [
        codes(series, next(waiting, ())) if series.dtype == pl.String else series.cast(pl.Float64).to_numpy()
        for series in rows
    ]
    return np.column_stack(columns)
