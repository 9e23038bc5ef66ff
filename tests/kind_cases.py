"""Kinds of questions beyond classes and numbers: for each library that answers one, how a model is trained and asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from catboost import CatBoostRanker
from lightgbm import LGBMRanker
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import Isomap
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from xgboost import XGBRanker

import treadle as td
from real_flights import days


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One row of the table in docs/rooms/registry.md, and of the test."""

    library: str
    model: str
    #: The format that the package must have.
    stored: str
    task: Any
    #: The rows; a column `y` is the target.
    frame: Callable[[], pl.DataFrame]
    train: Callable[[td.TrainingData], Any]
    #: The numbers that the library itself gives for rows.
    native: Callable[[Any, pl.DataFrame], Any]

    @property
    def has_target(self) -> bool:
        return "y" in self.frame().columns

    @property
    def name(self) -> str:
        return f"{self.library}, {self.model}, {self.task.name}"


def table(cases: Sequence[Kind]) -> list[str]:
    """Return cases as rows of the table of the docs."""
    return [f"| {c.library} | {c.model} | {c.task.name} | `{c.stored}` |" for c in cases]


def diabetes() -> pl.DataFrame:
    """Patients, and how far their illness went within a year."""
    found = load_diabetes(scaled=False)
    return _columns(found.data, found.feature_names).with_columns(y=pl.Series(found.target))


def wine() -> pl.DataFrame:
    """Wines by their chemistry, and whether they are of the first grower."""
    found = load_wine()
    return _columns(found.data, found.feature_names).with_columns(y=pl.Series(found.target == 0))


def cells() -> pl.DataFrame:
    """Tumours by the shape of their cells, and whether they are malignant."""
    found = load_breast_cancer()
    named = [name.replace(" ", "_") for name in found.feature_names[:10]]
    return _columns(found.data[:, :10], named).with_columns(y=pl.Series(found.target == 0))


def _columns(values: np.ndarray, names: list[str]) -> pl.DataFrame:
    return pl.DataFrame(values.astype(np.float32), schema=[name.replace("/", "_") for name in names])


def dear(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """What is foreseen too low costs three times as much as what is foreseen too high."""
    return np.where(p < y, 3 * (y - p), p - y)


def margin(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The hinge loss of a margin."""
    return np.maximum(0, 1 - np.where(y > 0, p, -p))


def both(estimator: Any, frame: pl.DataFrame) -> np.ndarray:
    return np.column_stack([estimator.decision_function(frame), estimator.predict_proba(frame)[:, 1]])


def apart(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.abs(y - p[:, 1])


def _line(data: td.TrainingData) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(data.train.X, data.train.y)


def _cat(data: td.TrainingData) -> Any:
    model = CatBoostRanker(iterations=20, depth=4, verbose=0, allow_writing_files=False, thread_count=1)
    return model.fit(data.train.X.to_pandas(), data.train.y, group_id=data.train.queries)


def _native_density(model: Any, rows: pl.DataFrame) -> np.ndarray:
    """What the last step says of the scaled rows, as a density of the rows as they are."""
    if not hasattr(model, "steps"):
        return model.score_samples(rows)
    return model[-1].score_samples(model[:-1].transform(rows)) - np.log(model[0].scale_).sum()


def _untold(model: str, stored: str, task: Any, make: Callable[[], Any], native: Callable[..., Any]) -> Kind:
    return Kind(
        library="scikit-learn",
        model=model,
        stored=stored,
        task=task,
        frame=lambda: wine().drop("y"),
        train=lambda data: make().fit(data.train.X),
        native=native,
    )


UNTOLD = [
    *(
        _untold(model, stored, td.Density(), make, _native_density)
        for model, stored, make in (
            ("GaussianMixture", "onnx", lambda: GaussianMixture(3, random_state=0, reg_covar=1e-2)),
            (
                "pipeline, GaussianMixture (diag)",
                "onnx",
                lambda: make_pipeline(
                    StandardScaler(), GaussianMixture(2, covariance_type="diag", random_state=0)
                ),
            ),
            ("pipeline, KernelDensity", "sklearn", lambda: make_pipeline(StandardScaler(), KernelDensity())),
        )
    ),
    *(
        _untold(model, stored, td.Clustering(), make, lambda model, rows: model.predict(rows))
        for model, stored, make in (
            (
                "pipeline, KMeans",
                "onnx",
                lambda: make_pipeline(StandardScaler(), KMeans(3, random_state=0, n_init=1)),
            ),
            (
                "pipeline, GaussianMixture",
                "onnx",
                lambda: make_pipeline(StandardScaler(), GaussianMixture(3, random_state=0)),
            ),
            (
                "BayesianGaussianMixture",
                "sklearn",
                lambda: BayesianGaussianMixture(n_components=3, random_state=0),
            ),
        )
    ),
    *(
        _untold(model, stored, td.Embedding(size=3), make, lambda model, rows: model.transform(rows))
        for model, stored, make in (
            ("pipeline, PCA", "onnx", lambda: make_pipeline(StandardScaler(), PCA(3, whiten=True))),
            ("TruncatedSVD", "onnx", lambda: TruncatedSVD(3, random_state=0)),
            ("Isomap", "sklearn", lambda: Isomap(n_components=3)),
        )
    ),
    *(
        _untold(model, stored, td.Anomaly(share=0.1), make, lambda model, rows: -model.score_samples(rows))
        for model, stored, make in (
            ("IsolationForest", "onnx", lambda: IsolationForest(n_estimators=20, random_state=0)),
            (
                "pipeline, OneClassSVM",
                "sklearn",
                lambda: make_pipeline(StandardScaler(), OneClassSVM(nu=0.1)),
            ),
            (
                "pipeline, LocalOutlierFactor",
                "sklearn",
                lambda: make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
            ),
        )
    ),
]
KINDS = [
    *UNTOLD,
    Kind(
        library="LightGBM",
        model="LGBMRanker",
        stored="onnx",
        task=td.Ranking(by="query"),
        frame=lambda: days(100),
        train=lambda data: LGBMRanker(n_estimators=20, num_leaves=8, verbose=-1, n_jobs=1).fit(
            data.train.X, data.train.y, group=data.train.groups
        ),
        native=lambda model, rows: model.predict(rows),
    ),
    Kind(
        library="XGBoost",
        model="XGBRanker",
        stored="onnx",
        task=td.Ranking(by="query"),
        frame=lambda: days(100),
        train=lambda data: XGBRanker(n_estimators=20, max_depth=3, n_jobs=1).fit(
            data.train.X, data.train.y, qid=data.train.queries
        ),
        native=lambda model, rows: model.predict(rows),
    ),
    Kind(
        library="CatBoost",
        model="CatBoostRanker",
        stored="onnx",
        task=td.Ranking(by="query"),
        frame=lambda: days(100),
        train=_cat,
        native=lambda model, rows: model.predict(rows.to_pandas()),
    ),
    Kind(
        library="scikit-learn",
        model="HistGradientBoostingRegressor",
        stored="onnx",
        task=td.Custom(metrics=[td.Metric(dear, greater_is_better=False), "mae"]),
        frame=diabetes,
        train=lambda data: HistGradientBoostingRegressor(max_iter=10, loss="quantile", quantile=0.75).fit(
            data.train.X, data.train.y
        ),
        native=lambda model, rows: model.predict(rows),
    ),
    Kind(
        library="scikit-learn",
        model="pipeline, LogisticRegression by its `decision_function`",
        stored="sklearn",
        task=td.Custom(metrics=[td.Metric(margin, greater_is_better=False)], ask="decision_function"),
        frame=wine,
        train=_line,
        native=lambda model, rows: model.decision_function(rows),
    ),
    Kind(
        library="scikit-learn",
        model="LogisticRegression by a function (opt-in)",
        stored="pickle",
        task=td.Custom(
            metrics=[td.Metric(apart, greater_is_better=False)], ask=both, columns=["margin", "chance"]
        ),
        frame=wine,
        train=_line,
        native=both,
    ),
]
