"""LightGBM models that have no form in ONNX stay in the library's own text, and a damaged text is refused."""

import re

import lightgbm
import polars as pl
import pytest

from real_flights import flights
from treadle.core.answers import numbers
from treadle.core.errors import PackageRefused
from treadle.registry.format import TOLERANCE, Trial, differences
from treadle.registry.formats import lightgbm as found

DATA = ["distance", "hour"]


@pytest.fixture(scope="module")
def text():
    data = flights(DATA, task="regression")
    options = {"n_estimators": 4, "verbose": -1, "n_jobs": 1, "min_data_per_group": 10}
    model = lightgbm.LGBMRegressor(**options).fit(
        data.X.to_numpy().astype(float), data.minutes, categorical_feature=[1]
    )
    return model.booster_.model_to_string()


def test_linear_leaves_stay_as_they_are_and_say_why():
    data = flights(DATA, task="regression")
    rows = data.X.cast(pl.Float64)
    model = lightgbm.LGBMRegressor(linear_tree=True, n_estimators=9, verbose=-1, n_jobs=1)
    model.fit(rows, data.minutes)
    trial = Trial(data.columns, model.predict(rows))

    saved = found.save(model, task="regression", signature=data.signature, trial=trial)
    loaded = found.load(saved.files, task="regression", signature=data.signature)

    assert (saved.format, set(saved.files)) == ("lightgbm", {"model.txt"})
    assert "linear models in its leaves" in saved.notes[0]
    assert (
        differences(numbers(loaded.predict(data.columns), data.signature), trial.expected).max() < TOLERANCE
    )


def test_a_whole_text_is_taken(text):
    signature = flights(DATA, task="regression").signature

    assert found.load({"model.txt": text.encode()}, task="regression", signature=signature)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("left_child=", "left_child=9999 "),
        (r"\nright_child=-?\d+", "\nright_child=-99"),
        ("\nsplit_feature=", "\nsplit_feature=9 "),
        ("\nnum_leaves=", "\nnum_leaves=9"),
        ("\nmax_feature_idx=1", "\nmax_feature_idx=0"),
        ("\ncat_boundaries=0 ", "\ncat_boundaries=0 99 "),
        ("\ncat_threshold=", "\ncat_threshold=1 "),
        ("\nend of trees\n", "\n"),
        ("\nparameters:\n", "\n"),
        ("tree\nversion", "version"),
        ("\nleaf_value=", "\nleaf_value=x "),
        ("\nTree=1\n", "\n"),
    ],
)
def test_a_text_that_the_library_would_die_of_is_refused(text, old, new):
    damaged, times = re.subn(old, new, text, count=1)
    assert times == 1
    signature = flights(DATA, task="regression").signature

    with pytest.raises(PackageRefused, match="cannot be read"):
        found.load({"model.txt": damaged.encode()}, task="regression", signature=signature)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_half_a_text_is_refused(text, share):
    signature = flights(DATA, task="regression").signature

    with pytest.raises(PackageRefused, match="cannot be read"):
        found.load(
            {"model.txt": text[: int(len(text) * share)].encode()}, task="regression", signature=signature
        )
