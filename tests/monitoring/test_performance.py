"""Performance by day or week and version, recomputed here with plain NumPy."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.monitoring.performance import Measure, normal_interval, performance

BRIER = Measure(
    name="brier", value=lambda y, p: float(np.mean((y - p) ** 2)), per_row=lambda y, p: (y - p) ** 2
)
START = datetime(2013, 1, 3, tzinfo=UTC)  # a Thursday


def frame(rows: int = 400) -> pl.DataFrame:
    draw = np.random.default_rng(1)
    known = draw.random(rows) < 0.9
    outcome = [
        float(value) if is_known else None
        for value, is_known in zip(draw.random(rows) < 0.3, known, strict=True)
    ]
    return pl.DataFrame(
        {
            "at": [START + timedelta(hours=int(hour)) for hour in draw.integers(0, 24 * 20, rows)],
            "version": draw.integers(1, 3, rows),
            "probability": draw.random(rows),
            "outcome": outcome,
        }
    )


def test_every_number_is_that_of_a_plain_loop() -> None:
    rows = frame()

    found = performance(rows, [BRIER], prediction="probability")

    expected: dict[tuple[datetime, int], list[float]] = {}
    for row in rows.iter_rows(named=True):
        if row["outcome"] is not None:
            day = row["at"].replace(hour=0)
            monday = day - timedelta(days=day.weekday())
            expected.setdefault((monday, row["version"]), []).append(
                (row["outcome"] - row["probability"]) ** 2
            )
    assert found["n"].sum() == rows["outcome"].count()
    assert {(r["start"], r["version"]) for r in found.iter_rows(named=True)} == set(expected)
    for r in found.iter_rows(named=True):
        losses = expected[r["start"], r["version"]]
        reach = 1.959963984540054 * np.std(losses, ddof=1) / math.sqrt(len(losses))
        assert r["n"] == len(losses)
        assert r["value"] == pytest.approx(np.mean(losses), abs=1e-12)
        assert r["low"] == pytest.approx(np.mean(losses) - reach, abs=1e-12)
        assert r["high"] == pytest.approx(np.mean(losses) + reach, abs=1e-12)


def test_days_are_finer_than_weeks() -> None:
    days = performance(frame(), [BRIER], prediction="probability", every="1d")

    assert days["start"].n_unique() == 20
    assert days["n"].sum() == frame()["outcome"].count()


def test_an_interval_handed_in_goes_first() -> None:
    own = Measure(name="own", value=lambda y, p: 0.5, interval=lambda y, p, confidence: (0.0, confidence))

    found = performance(frame(), [own], prediction="probability", confidence=0.9)

    assert found.select("low", "high").unique().rows() == [(0.0, 0.9)]


def test_what_does_not_exist_is_null() -> None:
    rows = frame().filter(pl.col("outcome").is_not_null()).head(1)
    undefined = Measure(name="auc", value=lambda y, p: math.nan)

    found = performance(rows, [BRIER, undefined], prediction="probability")

    assert found["n"].to_list() == [1, 1]
    assert found["value"].null_count() == 1
    assert found["low"].null_count() == 2


def test_nothing_known_is_an_empty_frame() -> None:
    found = performance(
        frame().with_columns(outcome=pl.lit(None, pl.Float64)), [BRIER], prediction="probability"
    )

    assert found.is_empty()
    assert found.columns == ["start", "model", "version", "metric", "n", "value", "low", "high"]


def test_the_normal_interval_covers_the_mean_as_often_as_it_says() -> None:
    draw = np.random.default_rng(7)

    hits = sum(
        low <= 0.5 <= high for low, high in (normal_interval(draw.random(200), 0.9) for _ in range(2000))
    )

    assert 0.88 < hits / 2000 < 0.92


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"every": "2d"}, "Expected '1h', '1d', '1w', '1mo', 'all'"), ({"confidence": 95}, "between 0 and 1")],
)
def test_what_is_no_bucket_and_no_confidence_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        performance(frame(), [BRIER], prediction="probability", **changes)  # type: ignore[arg-type]


def test_a_prediction_that_is_missing_is_refused() -> None:
    rows = frame().with_columns(outcome=1.0, probability=None)

    with pytest.raises(InvalidInput, match="400 predictions with an outcome have no 'probability'"):
        performance(rows, [BRIER], prediction="probability")
