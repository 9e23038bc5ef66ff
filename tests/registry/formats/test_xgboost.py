"""XGBoost models that have no form in ONNX stay in the library's own file, and a damaged file is refused."""

import numpy as np
import polars as pl
import pytest
import xgboost

from real_flights import NUMBERS, flights
from treadle.core.answers import numbers
from treadle.core.errors import InvalidInput, PackageRefused
from treadle.registry.format import TOLERANCE, Trial, differences
from treadle.registry.formats import xgboost as found


def test_a_linear_booster_stays_as_it_is_and_says_why():
    data = flights(NUMBERS, task="regression")
    model = xgboost.XGBRegressor(booster="gblinear", missing=0.0, n_jobs=1).fit(data.X, data.minutes)
    trial = Trial(data.columns, model.predict(data.X))

    saved = found.save(model, task="regression", signature=data.signature, trial=trial)
    loaded = found.load(saved.files, task="regression", signature=data.signature)

    assert (saved.format, set(saved.files)) == ("xgboost", {"model.ubj", "about.json"})
    assert "no faithful ONNX form: XGBoost with the booster 'gblinear'" in saved.notes[0]
    assert (
        differences(numbers(loaded.predict(data.columns), data.signature), trial.expected).max() < TOLERANCE
    )


def test_an_unseen_category_counts_as_missing_in_onnx_as_in_the_library():
    data = flights(["carrier", "distance"], task="classification")
    known = data.X.filter(pl.col("carrier") != "HA")
    model = xgboost.XGBClassifier(enable_categorical=True, n_estimators=5, n_jobs=1)
    model.fit(known.with_columns(pl.col("carrier").cast(pl.Categorical)), data.late[: known.height])
    asked = found.estimator(model, signature=data.signature)
    trial = Trial(data.columns, asked.predict_proba(data.X)[:, 1])

    saved = found.save(model, task="classification", signature=data.signature, trial=trial)

    assert saved.format == "onnx"
    assert "counts as missing; XGBoost would raise an error" in " ".join(saved.notes)
    missing = asked.predict_proba(pl.DataFrame({"carrier": ["HA", ""], "distance": [700, 700]}))
    assert missing[0].tolist() == missing[1].tolist()


def test_categories_that_are_numbers_are_refused_with_the_way_out():
    data = flights(["hour", "distance"], task="regression")
    typed = data.X.to_pandas().astype({"hour": "category"})
    model = xgboost.XGBRegressor(enable_categorical=True, n_estimators=3).fit(typed, data.minutes)

    with pytest.raises(InvalidInput, match="make strings of such columns before they become categories"):
        found.estimator(model, signature=data.signature)


@pytest.mark.parametrize("data", [b"", b"{", b"{L", b"\x80\x04\x95", b"{}", b"{L" + b"\xff" * 64])
def test_another_file_is_refused_and_the_process_lives(data):
    signature = flights(["distance"], task="regression").signature

    with pytest.raises(PackageRefused):
        found.load({"model.ubj": data, "about.json": b"{}"}, task="regression", signature=signature)


def test_rows_without_names_are_taken_in_the_order_of_the_signature():
    data = flights(NUMBERS, task="regression")
    model = xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(data.X.to_numpy(), data.minutes)
    trial = Trial(data.columns, model.predict(data.X.to_numpy()).astype(np.float64))

    saved = found.save(model, task="regression", signature=data.signature, trial=trial)

    assert saved.format == "onnx"
