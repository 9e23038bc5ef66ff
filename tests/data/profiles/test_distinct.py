from __future__ import annotations

import polars as pl
import pytest

from treadle.data.profiles.distinct import estimate, registers


@pytest.mark.parametrize("distinct", [0, 1, 2, 50, 1_000, 20_000, 300_000])
def test_different_values_are_estimated_closely(distinct: int):
    rows = pl.LazyFrame(
        {"x": list(range(distinct)) * (2 if distinct < 30_000 else 1)}, schema={"x": pl.Int64}
    )

    found = estimate(registers(rows, "x").collect())

    # Four standard errors of 4,096 registers.
    assert abs(found - distinct) <= max(1, 0.065 * distinct)


@pytest.mark.parametrize("values", [[None, "a", "b", "a"], [None, 1.5, -1.5, 1.5], [None, True, False]])
def test_a_missing_value_is_no_value(values: list):
    found = estimate(registers(pl.LazyFrame({"x": values}), "x").collect())

    assert found == 2
