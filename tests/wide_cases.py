"""Questions whose truth is several numbers: for each library, how a model of labels or of several steps is trained and asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.datasets import load_wine
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRegressor

import treadle as td
from kind_cases import Kind

SMALL = {"n_estimators": 20, "max_depth": 3, "n_jobs": 1}
CAT = {"iterations": 20, "depth": 3, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
STEPS = 3


def bottles() -> pl.DataFrame:
    """Wines by their chemistry, and what can be said of each: whose it is, and whether it is strong or pale."""
    found = load_wine()
    names = [name.replace("/", "_") for name in found.feature_names]
    rows = pl.DataFrame(found.data.astype(np.float32), schema=names)
    said = {
        "first": found.target == 0,
        "pale": (rows["color_intensity"] < 4).to_numpy(),
        "strong": (rows["alcohol"] > 13).to_numpy(),
    }
    texts = ["|".join(name for name in said if said[name][row]) or "none" for row in range(rows.height)]
    return rows.drop("color_intensity", "alcohol").with_columns(y=pl.Series(texts))


def waves() -> pl.DataFrame:
    """A noisy wave: its present value, what it was, and what it became in three steps."""
    random, at = np.random.default_rng(3), np.arange(900)
    y = 10 * np.sin(at / 9) + random.normal(size=len(at))
    rows = {f"ago_{lag}": y[28 - lag : -STEPS - lag] for lag in (1, 2, 14, 28)}
    ahead = np.column_stack([y[28 + step : len(y) - STEPS + step] for step in range(1, STEPS + 1)])
    return pl.DataFrame({"y": y[28:-STEPS], **rows, "_y_ahead": ahead}).cast({pl.Float64: pl.Float32})


def _chances(model: Any, frame: pl.DataFrame) -> np.ndarray:
    given = model.predict_proba(frame)
    return np.column_stack([one[:, 1] for one in given]) if isinstance(given, list) else given


def _each(method: str) -> Callable[[Any, pl.DataFrame], np.ndarray]:
    def ask(models: Any, frame: pl.DataFrame) -> np.ndarray:
        given = [getattr(model, method)(frame.to_pandas()) for model in models]
        return np.column_stack([one[:, 1] if one.ndim == 2 else one for one in given])

    return ask


def _fitted(make: Callable[[], Any]) -> Callable[[td.TrainingData], Any]:
    return lambda data: make().fit(data.train.X, data.train.y)


def _listed(make: Callable[[], Any]) -> Callable[[td.TrainingData], Any]:
    return lambda data: [make().fit(data.train.X.to_pandas(), column) for column in data.train.y.T]


def _labels(library: str, model: str, stored: str, make: Callable[[], Any], *, each: bool = False) -> Kind:
    return Kind(
        library=library,
        model=model,
        stored=stored,
        task=td.Multilabel(),
        frame=bottles,
        train=(_listed if each else _fitted)(make),
        native=_each("predict_proba") if each else _chances,
    )


def _steps(library: str, model: str, stored: str, make: Callable[[], Any], *, each: bool = False) -> Kind:
    return Kind(
        library=library,
        model=model,
        stored=stored,
        task=td.Forecast(horizon=STEPS),
        frame=waves,
        train=(_listed if each else _fitted)(make),
        native=_each("predict") if each else lambda one, frame: one.predict(frame),
    )


WIDE = [
    _labels("scikit-learn", "pipeline, OneVsRestClassifier of LogisticRegression", "onnx",
            lambda: make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression()))),
    _labels("scikit-learn", "MultiOutputClassifier of RandomForestClassifier", "onnx",
            lambda: MultiOutputClassifier(RandomForestClassifier(9, max_depth=4, random_state=0))),
    _labels("scikit-learn", "RandomForestClassifier", "onnx",
            lambda: RandomForestClassifier(9, max_depth=4, random_state=0)),
    _labels("scikit-learn", "pipeline, KNeighborsClassifier", "sklearn",
            lambda: make_pipeline(StandardScaler(), KNeighborsClassifier())),
    _labels("XGBoost", "a list of XGBClassifier", "several", lambda: XGBClassifier(**SMALL), each=True),
    _labels("LightGBM", "a list of LGBMClassifier", "several",
            lambda: LGBMClassifier(verbose=-1, **SMALL), each=True),
    _labels("CatBoost", "a list of CatBoostClassifier", "several", lambda: CatBoostClassifier(**CAT), each=True),
    _steps("scikit-learn", "pipeline, Ridge", "onnx", lambda: make_pipeline(StandardScaler(), Ridge())),
    _steps("scikit-learn", "RandomForestRegressor", "onnx",
           lambda: RandomForestRegressor(9, max_depth=5, random_state=0)),
    _steps("scikit-learn", "MultiOutputRegressor of HistGradientBoostingRegressor", "onnx",
           lambda: MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=20))),
    _steps("XGBoost", "a list of XGBRegressor", "several", lambda: XGBRegressor(**SMALL), each=True),
    _steps("LightGBM", "a list of LGBMRegressor", "several",
           lambda: LGBMRegressor(verbose=-1, **SMALL), each=True),
    _steps("CatBoost", "a list of CatBoostRegressor", "several", lambda: CatBoostRegressor(**CAT), each=True),
]  # fmt: skip
