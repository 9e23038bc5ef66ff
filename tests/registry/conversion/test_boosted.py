"""XGBoost, LightGBM and CatBoost answer alike as ONNX, on thousands of real rows and on rows beside every split."""

import catboost
import lightgbm
import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from real_flights import NUMBERS, STRINGS, flights
from treadle.core import plugins
from treadle.core.answers import numbers
from treadle.registry.conversion.boundaries import boundary_rows
from treadle.registry.conversion.faithful import SINGLE, faithful
from treadle.registry.conversion.graph import Unconvertible
from treadle.registry.conversion.pipelines import conversions, last_step
from treadle.registry.format import TOLERANCE, Trial, differences
from treadle.registry.formats import onnx
from treadle.registry.native import NativeModel

#: XGBoost sums in single precision; the others, like us, in double.
SAME = {"xgboost": TOLERANCE, "lightgbm": 1e-12, "catboost": 1e-12}
QUIET = {"verbose": 0, "allow_writing_files": False, "thread_count": 1}


def xgb(kind="XGBRegressor", **options):
    return getattr(xgboost, kind)(**({"n_estimators": 60, "n_jobs": 1} | options))


def lgb(kind="LGBMRegressor", **options):
    return getattr(lightgbm, kind)(**({"n_estimators": 60, "n_jobs": 1, "verbose": -1} | options))


def cat(kind="CatBoostRegressor", **options):
    return getattr(catboost, kind)(**({"iterations": 60} | QUIET | options))


CLASSIFIERS = {
    "xgboost": lambda: xgb("XGBClassifier"),
    "xgboost, random forest": lambda: xgb("XGBRFClassifier", n_estimators=20),
    "lightgbm": lambda: lgb("LGBMClassifier"),
    "lightgbm, slope": lambda: lgb("LGBMClassifier", sigmoid=2.5, boosting_type="dart"),
    "lightgbm, random forest": lambda: lgb(
        "LGBMClassifier", boosting_type="rf", subsample=0.5, subsample_freq=1
    ),
    "catboost": lambda: cat("CatBoostClassifier"),
}
REGRESSORS = {
    "xgboost": xgb,
    "xgboost, dropped trees": lambda: xgb(booster="dart", rate_drop=0.3, n_estimators=20),
    "xgboost, a number for missing": lambda: xgb(missing=0.0),
    "xgboost, depth by loss": lambda: xgb(grow_policy="lossguide", max_leaves=20, tree_method="hist"),
    "xgboost, quantile": lambda: xgb(objective="reg:quantileerror", quantile_alpha=0.8),
    "lightgbm": lgb,
    "lightgbm, nothing is missing": lambda: lgb(use_missing=False),
    "lightgbm, zero is missing": lambda: lgb(zero_as_missing=True),
    "lightgbm, absolute": lambda: lgb(objective="mae"),
    "catboost": cat,
    "catboost, missing is large": lambda: cat(nan_mode="Max"),
    "catboost, leaf by leaf": lambda: cat(grow_policy="Lossguide"),
    "catboost, depthwise": lambda: cat(grow_policy="Depthwise", loss_function="MAE"),
}
COUNTED = {
    "xgboost, poisson": lambda: xgb(objective="count:poisson"),
    "xgboost, tweedie": lambda: xgb(objective="reg:tweedie"),
    "lightgbm, gamma": lambda: lgb(objective="gamma"),
    "lightgbm, tweedie": lambda: lgb(objective="tweedie"),
    "catboost, poisson": lambda: cat(loss_function="Poisson"),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_alike(name):
    data = flights(NUMBERS, task="classification")
    model = CLASSIFIERS[name]().fit(data.X, data.late)

    assert_alike(model, "classification", data)


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_answers_alike(name):
    data = flights(NUMBERS, task="regression")
    model = REGRESSORS[name]().fit(data.X, data.minutes)

    assert_alike(model, "regression", data)


@pytest.mark.parametrize("name", COUNTED)
def test_a_regressor_with_a_link_answers_alike(name):
    data = flights(NUMBERS, task="regression")
    model = COUNTED[name]().fit(data.X, np.maximum(data.minutes, 0) / 10 + 0.1)

    assert_alike(model, "regression", data)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_categories_that_are_strings_keep_their_numbers(library):
    data = flights([*STRINGS, *NUMBERS], task="classification")
    typed = data.X.with_columns(pl.col(STRINGS).cast(pl.Categorical))
    if library == "xgboost":
        model = xgb("XGBClassifier", enable_categorical=True, max_cat_to_onehot=1).fit(typed, data.late)
    else:
        model = lgb("LGBMClassifier", min_data_per_group=10).fit(typed.to_pandas(), data.late)

    assert model.predict_proba(typed if library == "xgboost" else typed.to_pandas())[:, 1] == pytest.approx(
        asked(model, data).predict_proba(data.X)[:, 1]
    )
    assert_alike(model, "classification", data)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_categories_that_are_numbers_are_cut_off_as_the_library_does(library):
    data = flights(["hour", "temp", "wind_speed"], task="regression")
    rows = data.X.to_numpy().astype(np.float64)
    rows[:, 1] = np.round(np.nan_to_num(rows[:, 1]) / 10)
    if library == "xgboost":
        model = xgb(feature_types=["c", "c", "q"], enable_categorical=True, max_cat_to_onehot=1)
        model.fit(np.maximum(rows, 0), data.minutes)
    else:
        model = lgb(min_data_per_group=10).fit(rows, data.minutes, categorical_feature=[0, 1])
    held = {**data.columns, "temp": (data.columns["temp"] / np.float32(7) - 2).astype(np.float32)}

    assert_alike(model, "regression", data, columns=held)


@pytest.mark.parametrize("library", SAME)
def test_the_rounds_after_the_best_one_are_left_out(library):
    data = flights(NUMBERS, task="classification")
    train, validation = (data.X[:1500], data.late[:1500]), (data.X[1500:], data.late[1500:])
    if library == "xgboost":
        model = xgb("XGBClassifier", n_estimators=300, early_stopping_rounds=3)
        model.fit(*train, eval_set=[validation], verbose=False)
        best = model.best_iteration
    elif library == "lightgbm":
        model = lgb("LGBMClassifier", n_estimators=300)
        stop = lightgbm.early_stopping(3, verbose=False)
        model.fit(*train, eval_X=validation[0], eval_y=validation[1], callbacks=[stop])
        best = model.best_iteration_
    else:
        model = cat("CatBoostClassifier", iterations=300)
        model.fit(*train, eval_set=validation, early_stopping_rounds=3)
        best = model.best_iteration_

    assert 0 < best < 290
    assert_alike(model, "classification", data)


@pytest.mark.parametrize("library", SAME)
@pytest.mark.parametrize("named", [True, False], ids=["names", "no names"])
def test_a_native_booster_answers_alike(library, named):
    data = flights(NUMBERS, task="classification")
    rows = data.X.to_numpy() if not named else data.X
    if library == "xgboost":
        given = xgboost.DMatrix(rows, data.late)
        model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, given, 30)
    elif library == "lightgbm":
        names = data.X.columns if named else "auto"
        given = lightgbm.Dataset(data.X.to_numpy(), data.late, feature_name=names)
        options = {"objective": "binary", "verbose": -1, "num_threads": 1}
        model = lightgbm.train(options, given, 30)
    else:
        model = catboost.CatBoost({"loss_function": "Logloss", "iterations": 30} | QUIET)
        model.fit(rows, data.late)

    assert_alike(model, "classification", data)


@pytest.mark.parametrize("library", SAME)
def test_a_pipeline_that_ends_in_boosted_trees_answers_alike(library):
    data = flights([*STRINGS, *NUMBERS], task="classification")
    last = {"xgboost": xgb, "lightgbm": lgb, "catboost": cat}[library]
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier"]),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["origin"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["temp", "wind_speed"]),
        remainder="passthrough",
    )
    kinds = {"xgboost": "XGBClassifier", "lightgbm": "LGBMClassifier", "catboost": "CatBoostClassifier"}
    model = make_pipeline(prepare.set_output(transform="default"), last(kinds[library]))
    model.fit(data.X, data.late)

    assert_alike(model, "classification", data)


def test_thresholds_that_are_one_step_off_are_found_with_the_worst_rows():
    data = flights(["temp", "wind_speed"], task="regression")
    model = xgb().fit(data.X, data.minutes)
    native = NativeModel(model, task="regression", signature=data.signature)
    trial = Trial(data.columns, numbers(native.predict(data.columns), data.signature))

    def shifted():
        for converted in conversions(model, task="regression", signature=data.signature):
            (node,) = (node for node in converted.model.graph.node if node.op_type == "TreeEnsemble")
            (splits,) = (a for a in node.attribute if a.name == "nodes_splits")
            held = np.frombuffer(splits.t.raw_data, np.float64).astype(np.float32)
            splits.t.raw_data = np.nextafter(held, np.float32(np.inf)).astype(np.float64).tobytes()
            yield converted

    reason = faithful(shifted(), native, trial, task="regression", signature=data.signature, decisive=SINGLE)

    assert "compared rows change their answer: row" in reason
    assert "instead of" in reason


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: xgb(booster="gblinear"), "booster 'gblinear'"),
        (lambda: xgb(objective="survival:cox"), "objective 'survival:cox'"),
        (lambda: lgb(linear_tree=True), "linear models in its leaves"),
        (lambda: lgb(reg_sqrt=True), "objective 'regression'"),
        (lambda: cat(loss_function="RMSEWithUncertainty"), "loss 'RMSEWithUncertainty'"),
    ],
    ids=["linear booster", "survival", "linear leaves", "square root", "uncertainty"],
)
def test_what_has_no_known_form_is_said(model, why):
    data = flights(["distance", "hour"], task="regression")
    fitted = model().fit(data.X.cast(pl.Float64), np.abs(data.minutes) + 1)

    with pytest.raises(Unconvertible, match=why):
        next(conversions(fitted, task="regression", signature=data.signature))


def asked(model, data):
    library = type(model).__module__.partition(".")[0]
    if library == "sklearn":
        return model
    return plugins.load("format", library).estimator(model, signature=data.signature)


def assert_alike(model, task, data, *, columns=None):
    """Compare with 10,000 other flights and with rows beside every split, each row on its own."""
    like = asked(model, data)
    native = NativeModel(like, task=task, signature=data.signature)
    converted = next(conversions(model, task=task, signature=data.signature, like=like))
    files = {onnx.FILE: converted.model.SerializeToString()}
    served = onnx.load(files, task=task, signature=data.signature)
    held = columns or flights(list(data.signature.names), task=task, rows=10_000, start=5000).columns
    library = type(last_step(model)).__module__.partition(".")[0]
    groups = {"given": held, **boundary_rows(data.signature, held, converted.thresholds)}
    assert "splits" in groups
    for rows in groups.values():
        expected, given = native.predict(rows), served.predict(rows)

        assert (
            differences(numbers(given, data.signature), numbers(expected, data.signature)).max()
            <= SAME[library]
        )
        if task == "classification":
            clear = np.abs(expected["probability"] - 0.5) > SINGLE
            assert given["prediction"][clear].tolist() == expected["prediction"][clear].tolist()
