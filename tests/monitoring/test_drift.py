"""Rows against a reference: silence where nothing changes, findings where something does, and where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import DigestMismatch, InvalidInput, NotFound, SchemaTooNew
from treadle.monitoring import reference as references
from treadle.monitoring.drift import Asked, Drift, Finding, compare
from treadle.monitoring.reference import Reference, build, from_bytes, to_bytes

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CODES = np.array(["UA", "AA", "DL", "B6"])


def rows(count: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {f"x{i}": random.standard_normal(count) for i in range(6)}
        | {f"c{i}": random.choice(CODES, count, p=[0.6, 0.2, 0.15, 0.05]) for i in range(4)}
    )


def compared(reference: Reference, frame: pl.DataFrame, **said: object) -> Drift:
    return compare(reference, {"input": frame}, version="delay/3", source="rows", at=NOW, **said)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return build({"input": rows(50_000, 0)}, importance={"x0": 0.5, "x1": 0.01})


@pytest.mark.parametrize(("n", "windows"), [(200, 150), (1_000, 100), (10_000, 30)])
def test_nothing_is_found_where_nothing_changed(learnt: Reference, n: int, windows: int) -> None:
    alarms = sum(bool(compared(learnt, rows(n, 1_000 + seed)).drifted) for seed in range(windows))

    # 1 % of the windows may have one: more than 6 of 150 would come once in ten thousand times.
    assert alarms <= 5


@pytest.mark.parametrize(
    ("change", "column", "detector"),
    [
        (pl.col("x0") + 0.2, "x0", "values"),
        (pl.col("x0") * 1.4, "x0", "values"),
        (pl.when(pl.int_range(pl.len()) % 100 == 0).then(50.0).otherwise("x1").alias("x1"), "x1", "range"),
        (pl.when(pl.int_range(pl.len()) % 20 == 0).then(None).otherwise("x2").alias("x2"), "x2", "missing"),
        (
            pl.when(pl.int_range(pl.len()) % 100 == 0).then(pl.lit("WN")).otherwise("c0").alias("c0"),
            "c0",
            "unseen",
        ),
        (
            pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.lit("B6")).otherwise("c1").alias("c1"),
            "c1",
            "categories",
        ),
    ],
    ids=["moved", "wider", "beyond", "missing", "new", "commoner"],
)
def test_a_change_is_found_and_said(learnt: Reference, change: pl.Expr, column: str, detector: str) -> None:
    found = compared(learnt, rows(5_000, 9).with_columns(change))

    assert {(one.column, one.detector) for one in found.drifted} >= {(column, detector)}
    assert {one.column for one in found.drifted} == {column}
    assert column in found.text


def test_a_change_too_small_to_matter_is_none_however_many_rows_there_are() -> None:
    random = np.random.default_rng(2)
    learnt = build({"input": pl.DataFrame({"x": random.standard_normal(1_000_000)})})
    frame = pl.DataFrame({"x": random.standard_normal(1_000_000) + 0.01})

    found = compared(learnt, frame)
    strict = compared(learnt, frame, asked=Asked(least={"values": 0.002}))

    assert found.drifted == ()
    assert min(one.p for one in found.findings) < 1e-6
    assert [one.column for one in strict.drifted] == ["x"]


def test_what_the_model_depends_on_comes_first(learnt: Reference) -> None:
    found = compared(learnt, rows(5_000, 3).with_columns(pl.col("x0", "x1") + 0.5))

    assert [one.column for one in found.drifted] == ["x0", "x1"]
    assert found.drifted[0].importance == 0.5


def test_a_finding_says_since_when_and_where(learnt: Reference) -> None:
    frame = rows(4_000, 5)
    time = pl.Series([NOW + timedelta(minutes=minute) for minute in range(4_000)])
    changed = (pl.int_range(pl.len()) >= 2_000) & (pl.col("c0") == "UA")

    found = compared(
        learnt, frame.with_columns(pl.when(changed).then(None).otherwise("x3").alias("x3")), time=time
    ).drifted[0]

    assert found.column == "x3"
    assert found.slice == "c0=UA"
    assert found.since is not None
    assert abs(found.since - time[2_000]) < timedelta(minutes=30)


def test_a_column_that_is_gone_is_noted(learnt: Reference) -> None:
    found = compared(learnt, rows(500, 5).drop("x3"))

    assert found.notes == ("The window has no column 'x3', so it was not compared.",)


def test_chosen_columns_and_roles_are_compared_alone(learnt: Reference) -> None:
    found = compared(learnt, rows(500, 5), asked=Asked(columns=["x1"], detectors=["values", "missing"]))

    assert {(one.column, one.detector) for one in found.findings} == {("x1", "values"), ("x1", "missing")}


@pytest.mark.parametrize(
    ("said", "error", "match"),
    [
        ({"rate": 1.5}, InvalidInput, "between 0 and 1"),
        ({"detectors": ["psi"]}, NotFound, "detector"),
        ({"least": {"values": -1}}, InvalidInput, "share of rows"),
        ({"columns": ["x9"]}, InvalidInput, "no column 'x9'"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    learnt: Reference, said: dict[str, object], error: type, match: str
) -> None:
    with pytest.raises(error, match=match):
        compared(learnt, rows(10, 5), asked=Asked(**said))  # type: ignore[arg-type]


def test_a_reference_comes_back_from_its_bytes(learnt: Reference) -> None:
    data = to_bytes(learnt)

    found = from_bytes(data)

    assert len(data) < 1_000_000
    assert to_bytes(found) == data
    assert compared(found, rows(500, 5)) == compared(learnt, rows(500, 5))


def test_bytes_that_are_no_reference_are_refused(learnt: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    data = to_bytes(learnt)
    with pytest.raises(DigestMismatch, match="no reference"):
        from_bytes(b"nothing")
    with pytest.raises(DigestMismatch, match="no reference"):
        from_bytes(data[:-100])

    monkeypatch.setattr(references, "_LAYOUT", 0)
    with pytest.raises(SchemaTooNew, match="Upgrade Treadle"):
        from_bytes(data)


def test_moments_are_not_compared() -> None:
    frame = pl.DataFrame({"at": [NOW, NOW], "x": [1.0, 2.0]})

    assert set(build({"input": frame}).columns["input"]) == {"x"}


def test_a_finding_of_all_columns_together_is_named_so() -> None:
    finding = Finding(
        role="input", column="", detector="domain", p=0.0, corrected=0.0, effect=0.3, floor=0.0, least=0.1, drifted=True, text="They can be told apart."
    )  # fmt: skip
    found = Drift(
        version="delay/1", source="endpoint:delay", at=datetime(2026, 1, 1, tzinfo=UTC), rows=10, reference_rows=10, rate=0.01, findings=(finding,)
    )  # fmt: skip

    assert found.text.endswith("all columns together: They can be told apart.")
