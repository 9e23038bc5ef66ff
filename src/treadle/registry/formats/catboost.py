"""CatBoost: stored as ONNX where every answer stays the same, else as the library's own binary (`cbm`).

Models with categorical features stay native: CatBoost makes statistics of the target of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from treadle.core.answers import scored
from treadle.core.errors import PackageRefused
from treadle.core.optional import require
from treadle.core.signature import Signature
from treadle.registry.asked import Asked, names_of, placed
from treadle.registry.conversion import catboost as conversion
from treadle.registry.conversion.faithful import faithful
from treadle.registry.conversion.pipelines import conversions
from treadle.registry.format import Example, Saved, Trial, libraries
from treadle.registry.native import NativeModel
from treadle.registry.samples import answered, late_flights

NAME = "catboost"
ENDINGS = (".cbm",)
FILE = "model.cbm"
classifier, regressor = conversion.classifier, conversion.regressor


def accepts(model: Any) -> bool:
    """Return whether the object is a CatBoost model."""
    return NAME in libraries(model) and any(kind.__name__ == "CatBoost" for kind in type(model).__mro__)


def estimator(model: Any, *, signature: Signature) -> Asked:
    """Return the model with scikit-learn's methods."""
    last = scored(signature)
    likely = last.name in {"probability", "probabilities"}
    through_exp = conversion.LINKS.get(_loss(model)) == "Exp"
    kind = "Probability" if likely else "Exponent" if through_exp else "RawFormulaVal"

    ask = require("catboost", extra="catboost").CatBoost.predict  # a ranker's own takes no kind

    def answer(rows: Any) -> Any:
        values = np.asarray(ask(model, rows, prediction_type=kind, thread_count=1), dtype=np.float64)
        return values[:, 1] if likely and not last.columns else values

    return Asked(answer, names=names_of(model.feature_names_, signature), signature=signature)


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:
    """Convert to ONNX and compare; keep the library's own file, with a note, where an answer would change."""
    asked = estimator(model, signature=signature)
    native = NativeModel(asked, task=task, signature=signature)
    candidates = conversions(model, task=task, signature=signature, like=asked)
    found = faithful(candidates, native, trial, task=task, signature=signature)
    if isinstance(found, Saved):
        return found
    with tempfile.TemporaryDirectory() as folder:
        model.save_model(str(Path(folder, FILE)), format="cbm")
        data = Path(folder, FILE).read_bytes()
    note = f"Kept as CatBoost, because it has no faithful ONNX form: {found}."
    return Saved(format=NAME, files={FILE: data}, notes=(note,))


def read(data: bytes) -> Any:
    """Return the model of a file in CatBoost's binary.

    Raises:
        PackageRefused: the file is none of CatBoost's.
    """
    catboost = require("catboost", extra="catboost")
    model = catboost.CatBoost()
    try:
        model.load_model(blob=data)
    except catboost.CatBoostError as error:
        msg = f"The file cannot be read by CatBoost: {error}"
        raise PackageRefused(msg) from error
    return model


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> NativeModel:
    """Return the model.

    Raises:
        PackageRefused: the file is none of CatBoost's.
    """
    return NativeModel(estimator(read(files[FILE]), signature=signature), task=task, signature=signature)


def contributions(
    files: Mapping[str, bytes], *, signature: Signature
) -> Callable[[pl.DataFrame], np.ndarray]:
    """Return what gives TreeSHAP's values (`ShapValues`) for rows of encoded inputs."""
    catboost = require("catboost", extra="catboost")
    model = read(files[FILE])
    names = names_of(model.feature_names_, signature) or list(signature.names)

    def of(rows: pl.DataFrame) -> np.ndarray:
        pool = catboost.Pool(rows.select(names), cat_features=model.get_cat_feature_indices())
        found = model.get_feature_importance(pool, type="ShapValues", thread_count=1)
        return placed(np.asarray(found).reshape(rows.height, -1, len(names) + 1), names, signature)

    return of


def example() -> Example:
    """Return a small classifier over a category and a number that may be missing, which stays native."""
    catboost = require("catboost", extra="catboost")
    frame, late, signature = late_flights()
    model = catboost.CatBoostClassifier(
        iterations=10, cat_features=["carrier"], verbose=0, allow_writing_files=False, thread_count=1
    ).fit(frame, late)
    shares = estimator(model, signature=signature).predict_proba(frame)
    return Example(model, "classification", signature, answered(signature, frame, shares))


def _loss(model: Any) -> str:
    return str(msgspec.json.decode(dict(model.get_metadata())["params"])["loss_function"]["type"])
