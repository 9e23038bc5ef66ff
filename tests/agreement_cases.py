"""Every library with every task that it makes sense for: how a model is trained, and what it says itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import polars as pl

import kind_cases
from real_flights import Flights, flights
from wide_cases import WIDE

NUMBERS = ["distance", "hour", "temp", "wind_speed", "wind_gust", "precip"]
MIXED = ["carrier", "origin", *NUMBERS]
WHOLE = ["distance", "hour"]
CATBOOST = {"iterations": 40, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
#: Libraries that `make deep` installs; without them their cases are skipped.
DEEP = ("torch", "keras")


@dataclass(frozen=True)
class Case:
    """One row of the table in docs/rooms/registry.md, and of the test."""

    library: str
    model: str
    task: str
    #: The format that the package must have.
    stored: str
    inputs: list[str]
    #: Takes rows and their target; returns the model, and the function by which the library itself answers for rows.
    train: Callable[[Flights, np.ndarray], tuple[Any, Callable[[pl.DataFrame], Any]]]

    @property
    def name(self) -> str:
        return f"{self.library}, {self.model}, {self.task}"

    @property
    def needs(self) -> str:
        """The library that may be missing."""
        return {"PyTorch": "torch", "Keras": "keras"}.get(self.library, "")

    def data(self, **which: int) -> Flights:
        return flights(self.inputs, task=self.task, **which)


def table() -> str:
    """Return the cases as the table of the docs."""
    rows = [f"| {c.library} | {c.model} | {c.task} | `{c.stored}` |" for c in CASES]
    rows += kind_cases.table([*kind_cases.KINDS, *WIDE])
    return "\n".join(["| library | model | task | stored as |", "| --- | --- | --- | --- |", *rows])


def available(case: Case) -> bool:
    return not case.needs or find_spec(case.needs) is not None


def shares(model: Any) -> Callable[[pl.DataFrame], Any]:
    return lambda frame: model.predict_proba(frame)[:, 1]


def _sklearn(kind: str, task: str, *, from_line: bool = False, **options: Any) -> Callable[..., Any]:
    def train(data: Flights, y: np.ndarray) -> Any:
        from sklearn import ensemble, linear_model
        from sklearn.compose import make_column_transformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        found = next(getattr(m, kind) for m in (ensemble, linear_model) if hasattr(m, kind))
        prepare = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier", "origin"]),
            (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        )
        if from_line:
            start = linear_model.LogisticRegression() if task == "classification" else linear_model.Ridge()
            options.update(n_estimators=10, init=start)
        model = make_pipeline(prepare, found(**options)).fit(data.X, y)
        return model, shares(model) if task == "classification" else model.predict

    return train


def _xgboost(task: str, *, booster: bool = False, categories: bool = False) -> Callable[..., Any]:
    def train(data: Flights, y: np.ndarray) -> Any:
        import xgboost

        if booster:
            objective = "binary:logistic" if task == "classification" else "reg:squarederror"
            options = {"objective": objective, "nthread": 1}
            model = xgboost.train(options, xgboost.DMatrix(data.X, y), 40)
            return model, lambda frame: model.predict(xgboost.DMatrix(frame))
        kind = xgboost.XGBClassifier if task == "classification" else xgboost.XGBRegressor
        model = kind(n_estimators=40, n_jobs=1, enable_categorical=categories)
        typed = _typed if categories else _same
        model.fit(typed(data.X), y)
        ask = shares(model) if task == "classification" else model.predict
        return model, lambda frame: ask(typed(frame))

    return train


def _lightgbm(task: str, *, booster: bool = False, categories: bool = False) -> Callable[..., Any]:
    def train(data: Flights, y: np.ndarray) -> Any:
        import lightgbm

        if booster:
            objective = "binary" if task == "classification" else "regression"
            options = {"objective": objective, "verbose": -1, "num_threads": 1}
            held = lightgbm.Dataset(data.X.to_numpy(), y, feature_name=data.X.columns)
            model = lightgbm.train(options, held, 40)
            return model, lambda frame: model.predict(frame.to_numpy())
        kind = lightgbm.LGBMClassifier if task == "classification" else lightgbm.LGBMRegressor
        model = kind(n_estimators=40, n_jobs=1, verbose=-1)
        typed = (lambda frame: _typed(frame).to_pandas()) if categories else _same
        model.fit(typed(data.X), y)
        ask = shares(model) if task == "classification" else model.predict
        return model, lambda frame: ask(typed(frame))

    return train


def _catboost(task: str, *, categories: bool = False) -> Callable[..., Any]:
    def train(data: Flights, y: np.ndarray) -> Any:
        import catboost

        kind = catboost.CatBoostClassifier if task == "classification" else catboost.CatBoostRegressor
        model = kind(cat_features=["carrier", "origin"] if categories else None, **CATBOOST).fit(data.X, y)
        return model, shares(model) if task == "classification" else model.predict

    return train


def _river(task: str) -> Callable[..., Any]:
    def train(data: Flights, y: np.ndarray) -> Any:
        from river import compose, linear_model, preprocessing

        last = (
            linear_model.LogisticRegression() if task == "classification" else linear_model.LinearRegression()
        )
        scaled = compose.Select("distance", "hour") | preprocessing.StandardScaler()
        model = (scaled + (compose.Select("carrier") | preprocessing.OneHotEncoder())) | last
        for row, truth in zip(data.X.iter_rows(named=True), y.tolist(), strict=True):
            model.learn_one(row, bool(truth) if task == "classification" else truth)
        if task == "classification":
            return model, lambda frame: [
                model.predict_proba_one(r)[True] for r in frame.iter_rows(named=True)
            ]
        return model, lambda frame: [model.predict_one(r) for r in frame.iter_rows(named=True)]

    return train


def _torch(task: str) -> Callable[..., Any]:
    def train(data: Flights, y: np.ndarray) -> Any:
        import torch
        from sklearn.compose import make_column_transformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        torch.manual_seed(0)
        prepare = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier", "origin"]),
            (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        )
        x = torch.from_numpy(prepare.fit_transform(data.X).astype(np.float32))
        layers = [
            torch.nn.Linear(x.shape[1], 16),
            torch.nn.BatchNorm1d(16),
            torch.nn.ReLU(),
            torch.nn.Linear(16, 1),
        ]
        network = torch.nn.Sequential(*layers, *([torch.nn.Sigmoid()] if task == "classification" else []))
        loss = torch.nn.BCELoss() if task == "classification" else torch.nn.MSELoss()
        optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
        truth = torch.from_numpy(y.astype(np.float32)).reshape(-1, 1)
        for _ in range(30):
            optimiser.zero_grad()
            loss(network(x), truth).backward()
            optimiser.step()
        network.eval()

        def ask(frame: pl.DataFrame) -> Any:
            with torch.no_grad():
                return network(torch.from_numpy(prepare.transform(frame).astype(np.float32))).numpy().ravel()

        return make_pipeline(prepare, network), ask

    return train


def _keras(task: str) -> Callable[..., Any]:
    def train(data: Flights, y: np.ndarray) -> Any:
        import keras
        import torch

        keras.utils.set_random_seed(0)
        last = keras.layers.Dense(1, activation="sigmoid" if task == "classification" else None)
        layers = [
            keras.Input((2,)),
            keras.layers.Normalization(),
            keras.layers.Dense(8, activation="relu"),
            last,
        ]
        network = keras.Sequential(layers)
        x = data.X.to_numpy().astype(np.float32)
        layers[1].adapt(x)
        network.compile("adam", "binary_crossentropy" if task == "classification" else "mse")
        network.fit(x, y, epochs=2, verbose=0)

        def ask(frame: pl.DataFrame) -> Any:
            with torch.no_grad():
                return network(torch.from_numpy(frame.to_numpy().astype(np.float32))).numpy().ravel()

        return network, ask

    return train


def _function(task: str) -> Callable[..., Any]:
    def train(data: Flights, y: np.ndarray) -> Any:
        from sklearn.linear_model import LinearRegression

        line = LinearRegression().fit(data.X.to_numpy(), y)
        worth, start = line.coef_, line.intercept_

        def rule(frame: pl.DataFrame) -> np.ndarray:
            found = frame.to_numpy() @ worth + start
            return np.clip(found, 0, 1) if task == "classification" else found

        return rule, rule

    return train


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the strings as categories, those that training has not seen as missing: XGBoost takes no others."""
    known = _known()
    return frame.with_columns(
        pl.col(name).cast(pl.Enum(levels), strict=False).cast(pl.Categorical)
        for name, levels in known.items()
    )


def _known() -> dict[str, list[str]]:
    seen = flights(["carrier", "origin"], task="classification").X
    return {name: sorted(seen[name].unique()) for name in seen.columns}


def _named(kind: str, options: dict[str, Any]) -> str:
    return f"pipeline, {kind}{' on a linear model' if 'from_line' in options else ''}"


def _same(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


BOTH = ("classification", "regression")
CASES = [
    *(
        Case("scikit-learn", _named(kinds[i], options), task, stored, MIXED, _sklearn(kinds[i], task, **options))
        for kinds, stored, options in (
            (("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), "onnx", {"max_iter": 10}),
            (("RandomForestClassifier", "RandomForestRegressor"), "onnx", {"n_estimators": 20, "max_depth": 8}),
            (("LogisticRegression", "Ridge"), "onnx", {}),
            (("GradientBoostingClassifier", "GradientBoostingRegressor"), "sklearn", {"from_line": True}),
        )
        for i, task in enumerate(BOTH)
    ),
    *(Case("XGBoost", "estimator", task, "onnx", NUMBERS, _xgboost(task)) for task in BOTH),
    *(Case("XGBoost", "booster", task, "onnx", NUMBERS, _xgboost(task, booster=True)) for task in BOTH),
    *(Case("XGBoost", "categories", task, "onnx", MIXED, _xgboost(task, categories=True)) for task in BOTH),
    *(Case("LightGBM", "estimator", task, "onnx", NUMBERS, _lightgbm(task)) for task in BOTH),
    *(Case("LightGBM", "booster", task, "onnx", NUMBERS, _lightgbm(task, booster=True)) for task in BOTH),
    *(Case("LightGBM", "categories", task, "onnx", MIXED, _lightgbm(task, categories=True)) for task in BOTH),
    *(Case("CatBoost", "estimator", task, "onnx", NUMBERS, _catboost(task)) for task in BOTH),
    *(Case("CatBoost", "categories", task, "catboost", MIXED, _catboost(task, categories=True)) for task in BOTH),
    *(Case("PyTorch", "pipeline, network", task, "onnx", MIXED, _torch(task)) for task in BOTH),
    *(Case("Keras", "network", task, "onnx", WHOLE, _keras(task)) for task in BOTH),
    *(Case("River", "pipeline, linear", task, "river", ["carrier", *WHOLE], _river(task)) for task in BOTH),
    *(Case("Python", "plain function (opt-in)", task, "pickle", WHOLE, _function(task)) for task in BOTH),
]  # fmt: skip
