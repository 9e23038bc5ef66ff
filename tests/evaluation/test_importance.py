from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.evaluation.importance import importance

RANDOM = np.random.default_rng(8)
ROWS = 3_000
FRAME = pl.DataFrame(
    {
        "strong": RANDOM.normal(size=ROWS),
        "weak": RANDOM.normal(size=ROWS),
        "none": RANDOM.normal(size=ROWS),
        "where": np.array(["north", "south"])[np.arange(ROWS) % 2],
    }
)
Y = (
    FRAME["strong"].to_numpy() * np.where(FRAME["where"] == "north", 2.0, 0.0)
    + 0.3 * FRAME["weak"].to_numpy()
    + RANDOM.normal(size=ROWS)
)


def model(frame):
    return (
        frame["strong"].to_numpy() * np.where(frame["where"] == "north", 2.0, 0.0)
        + 0.3 * frame["weak"].to_numpy()
    )


def of(found, column, part=""):
    return found.filter((pl.col("column") == column) & (pl.col("slice") == part)).row(0, named=True)


def test_the_column_that_answers_rest_on_comes_first():
    found = importance(model, FRAME, Y, on="rmse", columns=["none", "weak", "strong"])

    assert found["column"].to_list() == ["strong", "weak", "none"]
    assert of(found, "weak")["low"] > 0
    assert (of(found, "none")["low"], of(found, "none")["high"]) == (0, 0)


def test_it_is_what_a_mean_square_error_owes_to_a_column():
    """Dealing out a column of variance 1 and slope b anew adds 2 b² to the mean square error: here 0.18 to 1."""
    found = of(importance(model, FRAME, Y, on="rmse", columns=["weak"], repeats=20), "weak")

    assert found["low"] <= np.sqrt(1 + 0.18) - 1 <= found["high"]


def test_by_slice_it_is_seen_where_a_column_matters():
    found = importance(model, FRAME, Y, on="mae", columns=["strong", "weak"], by="where")

    assert of(found, "strong", "where=north")["low"] > 1
    assert of(found, "strong", "where=south")["high"] == 0
    assert of(found, "weak", "where=south")["low"] > 0
    assert of(found, "strong")["rows"] == 2 * of(found, "strong", "where=north")["rows"] == ROWS


def test_where_more_is_better_a_loss_is_a_fall():
    assert of(importance(model, FRAME, Y, on="r2", columns=["strong"]), "strong")["low"] > 0.3


def test_columns_that_say_the_same_are_dealt_out_together():
    twice = FRAME.with_columns(again=pl.col("strong"))

    def mean_of_both(frame):
        return frame["strong"].to_numpy() + frame["again"].to_numpy()

    y = 2 * FRAME["strong"].to_numpy()
    found = importance(mean_of_both, twice, y, on="mae", columns=["strong", ("strong", "again")])

    assert of(found, "strong, again")["importance"] > 1.7 * of(found, "strong")["importance"]


def test_the_interval_covers_what_many_rows_say():
    """Of intervals on 300 rows, about 95 % hold the importance that all of a very long table has."""
    random, held, repeats = np.random.default_rng(0), 0, 300
    truth = np.sqrt(1 + 0.18) - 1
    for seed in range(repeats):
        frame = pl.DataFrame({"x": random.normal(size=300)})
        y = 0.3 * frame["x"].to_numpy() + random.normal(size=300)
        found = importance(lambda rows: 0.3 * rows["x"].to_numpy(), frame, y, on="rmse", seed=seed)
        held += found["low"][0] <= truth <= found["high"][0]

    assert held / repeats > 0.91


def test_rows_of_a_group_are_not_taken_for_independent():
    again = np.repeat(np.arange(300), 10)
    repeated, y = FRAME[:300][again], Y[:300][again]

    rows = of(importance(model, repeated, y, on="mae", columns=["weak"]), "weak")
    groups = of(importance(model, repeated, y, on="mae", columns=["weak"], groups=again), "weak")

    assert groups["high"] - groups["low"] > 1.3 * (rows["high"] - rows["low"])


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(InvalidInput, match="no column 'week' to deal out.*Did you mean 'weak'"):
        importance(model, FRAME, Y, on="mae", columns=["week"])
