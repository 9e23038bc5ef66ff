from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from treadle.core.records import SplitSpec
from treadle.data.profiles.profile import profile
from treadle.data.profiles.records import Profile
from treadle.data.profiles.subject import Subject

AT = datetime(2013, 1, 1, tzinfo=UTC)
ROWS = 2_000


def kinds(found: Profile) -> set[tuple[str, str | None]]:
    return {(one.kind, one.column) for one in found.findings}


@pytest.fixture
def rows() -> pl.DataFrame:
    """Rows about which there is nothing to say."""
    random = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "id": range(ROWS),
            "at": [AT + timedelta(hours=n) for n in range(ROWS)],
            "x": random.normal(size=ROWS),
            "word": random.choice(["red", "green", "blue"], ROWS),
            "y": random.random(ROWS) < 0.3,
        }
    )


SUBJECT = Subject(key=("id",), time="at", outcomes=("y",), created_at=AT + timedelta(days=900))


def test_ordinary_rows_have_no_findings(rows: pl.DataFrame):
    assert profile(rows, SUBJECT).findings == ()


def text(values: list) -> pl.Series:
    return pl.Series((values * ROWS)[:ROWS])


def some(*, where: int, value: object, others: pl.Expr) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) % where == 0).then(pl.lit(value)).otherwise(others)


WIDE = pl.int_range(pl.len()) % 83 + 100
CASES = {
    "constant": pl.lit(7),
    "all-missing": pl.lit(None, dtype=pl.Int64),
    "missing": pl.when(pl.int_range(pl.len()) % 4 == 0).then(1.5 * WIDE),
    "identifier": pl.format("n{}", pl.int_range(pl.len())),
    "many-values": pl.format("n{}", pl.int_range(pl.len()) % 1_500),
    "nearly-constant": some(where=500, value="b", others=pl.lit("a")),
    "stand-in": some(where=20, value=-999, others=WIDE),
    "placeholder": some(where=20, value="N/A", others=pl.col("word")),
    "spelling": some(where=20, value="Red ", others=pl.col("word")),
    "number-as-text": (pl.int_range(pl.len()) % 300).cast(pl.String),
    "skewed": (2 * pl.col("x").shuffle(seed=1)).exp(),
    "no-day": some(where=30, value=datetime(1970, 1, 1, tzinfo=UTC), others=pl.col("at")),
    "strange-year": some(where=999, value=datetime(2999, 1, 1, tzinfo=UTC), others=pl.col("at")),
    "missing-stretch": pl.when(~pl.int_range(pl.len()).is_between(500, 1_000)).then(WIDE),
    "leakage": pl.when("y").then(WIDE).otherwise(0),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_strange_column_is_found(rows: pl.DataFrame, kind: str):
    found = profile(rows.with_columns(CASES[kind].alias("strange")), SUBJECT)

    assert (kind, "strange") in kinds(found)
    assert {column for _, column in kinds(found)} == {"strange"}


@pytest.mark.parametrize(
    "values",
    [
        pl.int_range(pl.len()) % 900,
        some(where=2, value=-1, others=pl.int_range(pl.len()) % 40),
        pl.format("00{}", pl.int_range(pl.len()) % 300),
        pl.date(1970, 1, 1) + pl.duration(days=pl.int_range(pl.len()) % 400),
        pl.format("A long text that is read as such, number {} of the rows", pl.int_range(pl.len())),
    ],
    ids=["many numbers", "minus one among small numbers", "codes", "days of 1970", "prose"],
)
def test_an_ordinary_column_is_not(rows: pl.DataFrame, values: pl.Expr):
    assert profile(rows.with_columns(values.alias("plain")), SUBJECT).findings == ()


def test_columns_that_say_the_same_are_found(rows: pl.DataFrame):
    found = profile(rows.with_columns(again=pl.col("x") * 2 + 1), SUBJECT)

    assert kinds(found) == {("twin", "again")}


def test_gaps_and_far_moments_are_found(rows: pl.DataFrame):
    gone = rows.filter(~pl.int_range(pl.len()).is_between(700, 900))
    far = gone.with_columns(
        pl.when(pl.col("id") == 5).then(AT - timedelta(days=9_000)).otherwise("at").alias("at")
    )

    assert ("gaps", None) in kinds(profile(gone, SUBJECT))
    assert ("far-times", "at") in kinds(profile(far, SUBJECT))


def test_nights_without_rows_are_a_rhythm_and_no_mistake(rows: pl.DataFrame):
    by_day = rows.head(1_400).with_columns(
        at=pl.lit(AT) + pl.duration(days=pl.int_range(pl.len()) // 100, minutes=pl.int_range(pl.len()) % 100)
    )

    (gaps,) = [one for one in profile(by_day, SUBJECT).findings if one.kind == "gaps"]

    assert gaps.level == "note"


def test_moments_after_the_version_are_told(rows: pl.DataFrame):
    early = Subject(key=("id",), time="at", created_at=AT)

    assert ("future", "at") in kinds(profile(rows, early))


@pytest.mark.parametrize(
    ("outcome", "kind", "level"),
    [
        (pl.lit(value=True), "outcome-constant", "alert"),
        (pl.int_range(pl.len()) % 200 == 0, "outcome-rare", "note"),
        (pl.when(pl.int_range(pl.len()) % 5 == 0).then("y"), "outcome-unknown", "warning"),
        (pl.when(pl.int_range(pl.len()) % 5 > 0).then("y"), "outcome-unknown", "note"),
    ],
)
def test_strange_outcomes_are_found(rows: pl.DataFrame, outcome: pl.Expr, kind: str, level: str):
    found = profile(rows.with_columns(y=outcome), SUBJECT).findings

    assert [(one.kind, one.level) for one in found if one.column == "y"] == [(kind, level)]


def test_a_split_that_is_not_as_declared_is_found(rows: pl.DataFrame):
    spec = SplitSpec(scheme="xxh64-v1", salt="", columns=("id",), train_below=8_000, validation_below=9_000)
    halves = rows.with_columns(
        pl.when(pl.int_range(ROWS) < 1_000).then(pl.lit("train")).otherwise(pl.lit("test")).alias("_split"),
        y=(pl.int_range(ROWS) % 3 == 0) & (pl.int_range(ROWS) < 1_000),
    )

    found = profile(halves, Subject(key=("id",), outcomes=("y",), split=spec))

    assert {kind for kind, _ in kinds(found)} >= {"split-size", "split-outcome"}


def test_quarantined_rows_are_told():
    found = profile(pl.DataFrame({"x": [1, 2, 3]}), Subject(dataset="d", quarantined=4))

    assert [one.text for one in found.findings] == ["4 rows are in quarantine: treadle datasets quarantine d"]


def test_the_gravest_come_first(rows: pl.DataFrame):
    strange = rows.with_columns(one=pl.lit(1), leak=CASES["leakage"], names=CASES["many-values"])

    levels = [one.level for one in profile(strange, SUBJECT).findings]

    assert levels == ["alert", "warning", "note"]
