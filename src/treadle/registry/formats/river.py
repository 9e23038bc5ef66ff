"""River: online models, which learn from each row once, in order; stored natively through skops. Never pickled.

Rows are dictionaries, as `X.iter_rows(named=True)` gives them. Only parts whose state is plain numbers and containers
are taken: pipelines, scalers, encoders, linear models and the like. There is no form in ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from treadle.core.answers import scored
from treadle.core.optional import require
from treadle.core.signature import Field, Signature, decode_frame
from treadle.registry import skopsfile
from treadle.registry.asked import Asked
from treadle.registry.format import Example, Saved, Trial, libraries
from treadle.registry.native import NativeModel

NAME = "river"
FILE = "model.skops"
#: Types beyond the library's own: containers, which run no code when they are read.
_CONTAINERS = frozenset(
    {"builtins.frozenset", "collections.Counter", "collections.OrderedDict", "collections.deque"}
)


def accepts(model: Any) -> bool:
    """Return whether the object is an online model."""
    return NAME in libraries(model) and hasattr(model, "learn_one")


def estimator(model: Any, *, signature: Signature) -> Asked:
    """Return the model with scikit-learn's methods: it is asked row by row, and learns nothing from that."""
    last = scored(signature)

    def answer(frame: pl.DataFrame) -> np.ndarray:
        rows = frame.iter_rows(named=True)
        if last.columns:
            found = (model.predict_proba_one(row) for row in rows)
            keys = [*enumerate(last.columns)]
            return np.array([[one.get(name, one.get(i, 0.0)) for i, name in keys] for one in found])
        if last.name == "probability":
            return np.array([_positive(model.predict_proba_one(row)) for row in rows])
        return np.array([model.predict_one(row) for row in rows], dtype=np.float64)

    return Asked(answer, names=signature.names, signature=signature)


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:  # noqa: ARG001 - the protocol's
    """Return the model as one skops file.

    Raises:
        UnsafeFormat: a part of it holds a function, or state that only a pickle could keep.
    """
    note = "Kept as River, which has no form in ONNX: it is asked row by row, in Python."
    return Saved(format=NAME, files={FILE: skopsfile.dump(model, trusts=_trusts)}, notes=(note,))


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> NativeModel:
    """Return the model, made of trusted types only.

    Raises:
        UnsafeFormat: the file holds a type that is not trusted.
    """
    require("river", extra="river")
    model = skopsfile.load(files[FILE], name=FILE, trusts=_trusts)
    return NativeModel(estimator(model, signature=signature), task=task, signature=signature)


def example() -> Example:
    """Return a linear model behind a scaler, taught row by row."""
    linear_model = require("river.linear_model", extra="river")
    preprocessing = require("river.preprocessing", extra="river")
    rng = np.random.default_rng(0)
    columns: dict[str, np.ndarray] = {
        "distance": rng.integers(80, 500, 64),
        "wind": rng.normal(10, 5, 64).astype(np.float32),
    }
    signature = Signature(
        inputs=(Field(name="distance", kind="integer"), Field(name="wind", kind="float")),
        outputs=(Field(name="prediction", kind="float"),),
    )
    frame = decode_frame(signature.inputs, columns)
    model = preprocessing.StandardScaler() | linear_model.LinearRegression()
    for row in frame.iter_rows(named=True):
        model.learn_one(row, row["wind"] / 2 + row["distance"] / 100)
    expected = estimator(model, signature=signature).predict(frame)
    return Example(model, "regression", signature, Trial(columns, expected))


def _positive(shares: Mapping[Any, float]) -> float:
    """Return the probability of `True` or 1; a model that has seen nothing yet says a half."""
    return float(shares.get(True, 0.0)) if shares else 0.5


def _trusts(name: str) -> bool:
    return name in _CONTAINERS or (name.startswith("river.") and _is_class(name))


def _is_class(name: str) -> bool:
    """Return whether a name is a class of the library (and not one of its functions)."""
    module, _, kind = name.rpartition(".")
    found = getattr(require(module, extra="river"), kind, None)
    return isinstance(found, type) and found.__module__.startswith("river.")
