"""CatBoost models with categories stay in the library's own file, and a damaged file is refused."""

import catboost
import pytest

from real_flights import flights
from treadle.core.answers import numbers
from treadle.core.errors import PackageRefused
from treadle.registry.format import TOLERANCE, Trial, differences
from treadle.registry.formats import catboost as found

QUIET = {"iterations": 20, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
DATA = ["carrier", "origin", "distance", "temp"]


def test_categories_stay_as_they_are_and_say_why():
    data = flights(DATA, task="classification")
    model = catboost.CatBoostClassifier(cat_features=["carrier", "origin"], **QUIET).fit(data.X, data.late)
    trial = Trial(data.columns, model.predict_proba(data.X)[:, 1])

    saved = found.save(model, task="classification", signature=data.signature, trial=trial)
    loaded = found.load(saved.files, task="classification", signature=data.signature)

    assert (saved.format, set(saved.files)) == ("catboost", {"model.cbm"})
    assert "CatBoost with categorical features" in saved.notes[0]
    assert (
        differences(numbers(loaded.predict(data.columns), data.signature), trial.expected).max() < TOLERANCE
    )


def test_a_prediction_goes_through_the_link_of_its_loss_after_loading_too():
    data = flights(DATA, task="regression")
    model = catboost.CatBoostRegressor(cat_features=["carrier", "origin"], loss_function="Poisson", **QUIET)
    model.fit(data.X, abs(data.minutes))
    trial = Trial(data.columns, model.predict(data.X))

    saved = found.save(model, task="regression", signature=data.signature, trial=trial)
    loaded = found.load(saved.files, task="regression", signature=data.signature)

    assert trial.expected.min() > 0
    assert (
        differences(numbers(loaded.predict(data.columns), data.signature), trial.expected).max() < TOLERANCE
    )


@pytest.mark.parametrize("data", [b"", b"CBM1", b"\x80\x04\x95", b"CBM1" + b"\xff" * 64])
def test_another_file_is_refused(data):
    signature = flights(["distance"], task="regression").signature

    with pytest.raises(PackageRefused, match="cannot be read"):
        found.load({"model.cbm": data}, task="regression", signature=signature)
