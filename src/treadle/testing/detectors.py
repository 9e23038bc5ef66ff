"""What every detector must do: stay silent while nothing changes, see what it is for, and never fail on strange windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.random import Generator, default_rng

from treadle.monitoring.detector import Case, Detector, Measured
from treadle.monitoring.summaries import count, learn

_WINDOWS = 100
_MANY = 40_000
_WORDS = np.array(
    [
        "late",
        "early",
        "gate",
        "delay",
        "crew",
        "storm",
        "fuel",
        "queue",
        "belt",
        "wing",
        "door",
        "ramp",
        "snow",
        "fog",
    ]
)


def check_declares_itself(detector: Detector) -> None:
    """It says what it looks at, and from which effect on that is worth a look."""
    assert detector.of in {"column", "rows"}
    assert 0 <= detector.least < 1


def check_p_values_are_valid(detector: Detector) -> None:
    """Where nothing has changed, a p-value of at most 0.1 comes in at most a tenth of the windows, but for chance."""
    random = default_rng(3)
    found: dict[str, list[float]] = {}
    for _ in range(_WINDOWS if detector.of == "column" else 10):
        before = frame(1_000, random)
        for case in cases(detector, before, frame(200, random)):
            measured = detector.measure(case)
            if measured is not None:
                found.setdefault(case.column, []).append(measured.p)

    assert found
    for column, values in found.items():
        low = sum(p <= 0.1 for p in values)
        assert low <= len(values) * 0.1 + 4 * np.sqrt(len(values) * 0.09), (column, low)


def check_a_change_is_seen(detector: Detector) -> None:
    """Some column of a window in which much has changed has a tiny p, an effect that counts, and a sentence."""
    best = min(_all(detector, changed(2_000)), key=lambda one: one.p)

    assert best.p < 1e-6, best
    assert best.effect >= detector.least
    assert best.effect > best.floor
    assert best.text.endswith(".")


def check_a_change_that_is_nothing_is_small(detector: Detector) -> None:
    """Of many rows that have hardly changed the effect is small, whatever the p."""
    random = default_rng(5)
    before, after = frame(_MANY, random), frame(_MANY, random)
    after = after.with_columns(pl.col("length") + 0.005)

    for case in cases(detector, before, after):
        measured = detector.measure(case)
        assert measured is None or measured.effect <= max(detector.least, 2 * measured.floor), case.column


def check_strange_windows_raise_nothing(detector: Detector) -> None:
    """No rows, one row, and rows without any value are compared without an error."""
    before = frame(500, default_rng(1))
    for after in (
        before.clear(),
        before.head(1),
        before.with_columns(pl.lit(None, kind).alias(name) for name, kind in before.schema.items()),
    ):
        for case in cases(detector, before, after):
            measured = detector.measure(case)
            assert measured is None or (0 <= measured.p <= 1 and np.isfinite(measured.effect))
    for case in cases(detector, before.clear(), before):
        measured = detector.measure(case)
        assert measured is None or 0 <= measured.p <= 1


def check_measuring_is_deterministic(detector: Detector) -> None:
    """The same rows give the same answer."""
    assert _all(detector, changed(500)) == _all(detector, changed(500))


#: All checks.
CHECKS: tuple[Callable[[Detector], None], ...] = (
    check_declares_itself,
    check_p_values_are_valid,
    check_a_change_is_seen,
    check_a_change_that_is_nothing_is_small,
    check_strange_windows_raise_nothing,
    check_measuring_is_deterministic,
)


def frame(rows: int, random: Generator) -> pl.DataFrame:
    """Return rows with numbers, counts, flags, categories and texts, of which some are missing."""
    drawn = random.integers(0, len(_WORDS), (rows, 4))
    some = pl.Series(random.random(rows) < 0.1)
    return pl.DataFrame(
        {
            "length": random.standard_normal(rows),
            "count": random.poisson(2, rows),
            "flag": random.random(rows) < 0.3,
            "carrier": random.choice(["UA", "AA", "DL", "B6", "F9"], rows, p=[0.5, 0.3, 0.15, 0.04, 0.01]),
            "remark": [
                " ".join(_WORDS[each]) + f" {number}"
                for number, each in zip(random.integers(1_000, 9_999, rows), drawn, strict=True)
            ],
        }
    ).with_columns(
        pl.when(some).then(None).otherwise(pl.col(name)).alias(name) for name in ("length", "carrier")
    )


def cases(detector: Detector, before: pl.DataFrame, after: pl.DataFrame) -> list[Case]:
    """Return what a detector is asked about two frames."""
    if detector.of == "rows":
        return [Case(column="", sample=before, rows=after)]
    learnt = {name: learn(before[name]) for name in before.columns}
    return [Case(column=name, before=one, now=count(after[name], one)) for name, one in learnt.items()]


def changed(rows: int) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Return rows and, beside them, rows of which each column has changed in its own way."""
    random = default_rng(7)
    before, after = frame(5 * rows, random), frame(rows, random)
    fifth = pl.int_range(pl.len()) % 5 == 0
    moved = after.with_columns(
        pl.when(fifth).then(pl.lit(99.0)).otherwise(pl.col("length") + 0.5).alias("length"),
        pl.when(fifth).then(pl.lit("ZZ")).otherwise("carrier").alias("carrier"),
        pl.when(fifth).then(pl.lit("volcano")).otherwise("remark").alias("remark"),
        pl.when(fifth).then(None).otherwise("count").alias("count"),
    )
    swapped = after.with_columns(
        pl.when(fifth).then(pl.lit("F9")).otherwise("carrier").alias("carrier"),
    )
    return [(before, moved), (before, swapped)]


def _all(detector: Detector, pairs: list[tuple[pl.DataFrame, pl.DataFrame]]) -> list[Measured]:
    asked = [case for before, after in pairs for case in cases(detector, before, after)]
    return [one for one in map(detector.measure, asked) if one is not None]
