"""Contributions are Shapley values: they add up, agree with the definition and with the shap package, and state their error."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from shapley_oracle import by_definition
from treadle.core.errors import InvalidInput
from treadle.evaluation.contributions import contributions
from treadle.evaluation.shapley import permutations

RANDOM = np.random.default_rng(5)
ROWS, BACKGROUND = 12, 9
FRAME = pl.DataFrame(
    {
        "size": RANDOM.normal(size=200),
        "count": RANDOM.integers(0, 5, 200),
        "shop": RANDOM.choice(["north", "south", "west"], 200),
    }
)
ROWS_OF, BEHIND = FRAME.head(ROWS), FRAME.tail(BACKGROUND)
WORTH = {"north": 0.5, "south": -1.0, "west": 0.0}


def linear(frame):
    shop = frame["shop"].replace_strict(WORTH, return_dtype=pl.Float64).to_numpy()
    return 2 * frame["size"].to_numpy() - 0.3 * frame["count"].to_numpy() + shop


def logistic(frame):
    return 1 / (1 + np.exp(-linear(frame)))


def mixed(frame):
    south = (frame["shop"] == "south").to_numpy()
    return linear(frame) + frame["size"].to_numpy() * frame["count"].to_numpy() * (1 + south)


@pytest.mark.parametrize(
    ("answer", "likely", "scale", "inside"),
    [(linear, False, "value", linear), (logistic, True, "log-odds", linear)],
    ids=["linear", "logistic"],
)
def test_a_sum_of_functions_is_explained_exactly(answer, likely, scale, inside):
    found = contributions(answer, ROWS_OF, BEHIND, likely=likely)

    assert (found.method, found.scale, found.error) == ("additive", scale, None)
    assert np.allclose(found.values, by_definition(inside, ROWS_OF, BEHIND), atol=1e-9)
    assert found.base[0] == pytest.approx(inside(BEHIND).mean())


def test_an_estimate_adds_up_and_lies_within_its_error():
    found = contributions(mixed, ROWS_OF, BEHIND)

    exact = by_definition(mixed, ROWS_OF, BEHIND)
    assert found.method == "permutations"
    assert np.allclose(found.values.sum(axis=1)[:, 0] + found.base[0], mixed(ROWS_OF), atol=1e-9)
    assert 0 < np.abs(found.values - exact).max() < np.abs(exact).max() / 10
    assert (np.abs(found.values - exact) <= 3 * found.error + 1e-9).all()


def test_rows_are_asked_about_in_portions(monkeypatch):
    whole = contributions(mixed, ROWS_OF, BEHIND)
    monkeypatch.setattr(permutations, "CELLS", 30)

    assert np.array_equal(contributions(mixed, ROWS_OF, BEHIND).values, whole.values)


def test_the_same_rows_give_the_same_numbers():
    first, second = (contributions(mixed, ROWS_OF, BEHIND) for _ in range(2))
    other = contributions(mixed, ROWS_OF, BEHIND, seed=1)

    assert np.array_equal(first.values, second.values)
    assert not np.array_equal(first.values, other.values)


def test_several_numbers_are_explained_each():
    def shares(frame):
        raw = np.exp(np.column_stack([linear(frame), frame["size"].to_numpy(), np.zeros(frame.height)]))
        return raw / raw.sum(axis=1, keepdims=True)

    found = contributions(shares, ROWS_OF, BEHIND, likely=True, outputs=("a", "b", "c"))

    logs = np.log(shares(ROWS_OF))
    centred = logs - logs.mean(axis=1, keepdims=True)
    assert (found.method, found.values.shape) == ("additive", (ROWS, 3, 3))
    assert np.allclose(found.values.sum(axis=1) + found.base, centred)
    assert found.frame().columns == ["size", "count", "shop", "_base", "_answer", "_output"]
    of_size = found.summary().filter(pl.col("column") == "size")["contribution"].item()
    assert of_size == pytest.approx(np.abs(found.values[:, 0]).mean())


def test_labels_that_hold_each_by_itself_have_odds_of_their_own():
    def labels(frame):
        return 1 / (1 + np.exp(-np.column_stack([linear(frame), frame["size"].to_numpy()])))

    found = contributions(labels, ROWS_OF, BEHIND, likely=True, outputs=("red", "blue"))

    assert (found.method, found.scale) == ("additive", "log-odds")
    assert np.allclose(found.values[:, :, 0], by_definition(linear, ROWS_OF, BEHIND)[:, :, 0])
    assert np.allclose(found.values[:, 1:, 1], 0)


def test_by_slice_an_input_matters_where_it_is_looked_at():
    def by_shop(frame):
        return frame["size"].to_numpy() * (frame["shop"] == "north").to_numpy()

    found = contributions(by_shop, FRAME, BEHIND, by="shop").summary()

    sizes = found.filter(pl.col("column") == "size")
    told = dict(zip(sizes["slice"], sizes["contribution"], strict=True))
    assert set(told) == {"", "shop=north", "shop=south", "shop=west"}
    assert told["shop=north"] > 2 * told["shop=south"]
    assert sizes["rows"].to_list()[0] == 200
    assert (found["low"] <= found["contribution"]).all()
    assert (found["low"] >= 0).all()


def test_certain_answers_are_estimated_as_they_are():
    found = contributions(lambda frame: (frame["size"] > 0).to_numpy() * 1.0, ROWS_OF, BEHIND, likely=True)

    assert found.scale == "probability"
    assert np.isfinite(found.values).all()


def test_one_row_and_one_background_row():
    found = contributions(linear, FRAME.head(1), FRAME.tail(1))

    assert found.summary()["low"].to_list() == found.summary()["contribution"].to_list()
    assert found.values.sum() + found.base[0] == pytest.approx(linear(FRAME.head(1))[0])


@pytest.mark.parametrize(
    ("rows", "background", "changes", "said"),
    [
        (FRAME.head(0), BEHIND, {}, "no rows to explain"),
        (ROWS_OF, FRAME.head(0), {}, "no background rows"),
        (ROWS_OF.drop("size"), BEHIND, {}, "no column 'size'"),
        (ROWS_OF, BEHIND, {"by": "town"}, "no column 'town'"),
    ],
)
def test_what_cannot_be_explained_is_said(rows, background, changes, said):
    with pytest.raises(InvalidInput, match=said):
        contributions(linear, rows, background, **changes)


def test_an_answer_that_is_none_for_each_row_is_refused():
    with pytest.raises(InvalidInput, match="shape"):
        contributions(lambda frame: np.zeros(3), ROWS_OF, BEHIND)
