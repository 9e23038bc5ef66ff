"""Values as callers wrote them are taken in the type that a dataset has them in."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl
import pytest

from treadle.loop.served import in_kind


@pytest.mark.parametrize(
    ("written", "dtype", "expected"),
    [
        (["true", "false", "maybe"], pl.Boolean(), [True, False, None]),
        (["5", "x"], pl.Int64(), [5, None]),
        (["2025-03-01", "soon"], pl.Date(), [date(2025, 3, 1), None]),
        (["2025-03-01T10:00:00+00:00"], pl.Datetime("us", "UTC"), [datetime(2025, 3, 1, 10, tzinfo=UTC)]),
        (["2025-03-01T10:00:00Z"], pl.Datetime("ms", "UTC"), [datetime(2025, 3, 1, 10, tzinfo=UTC)]),
        (["2025-03-01T10:00:00"], pl.Datetime("us"), [datetime(2025, 3, 1, 10)]),  # noqa: DTZ001
        (["10:30:00", "noon"], pl.Time(), [time(10, 30), None]),
        (["AA", "ZZ"], pl.Enum(["AA", "UA"]), ["AA", None]),
    ],
)  # fmt: skip
def test_what_a_caller_wrote_gets_the_type_of_the_dataset(
    written: list[str], dtype: pl.DataType, expected: list[Any]
) -> None:
    found = in_kind(pl.Series("key", written), dtype)

    assert found.dtype == dtype
    assert found.to_list() == expected
