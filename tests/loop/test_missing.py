"""An input that is missing in rows that a run asks about may be missing; a model that cannot do without it counts as uncertain there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from treadle.app.workspace import open_workspace
from treadle.core.errors import InvalidInput
from treadle.core.signature import Field, Signature
from treadle.loop.contenders import Contender

PROJECT = """
import treadle as td

rows = td.Dataset(
    "rows", source=td.Files("*.parquet"), key="id", time="at", outcome="y",
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)


@td.model(
    data=rows, target="y", inputs=["size", "count"], task=td.Classification(), forward="2d", seed=1,
    baselines=[td.baselines.Prior()],
    gates=[td.gates.Beats("baseline", min_rows=20), td.gates.NoWorse("champion", min_rows=20)],
)
def late(data, params, run):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=10, random_state=1).fit(data.train.X, data.train.y)
"""
SIZE = 900


def frame(first: int, days: int = 10) -> pl.DataFrame:
    random = np.random.default_rng(first)
    size, count = random.normal(size=SIZE), random.integers(0, 9, SIZE)
    at = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 2, 1), "1d", eager=True)[
        first % 20 : first % 20 + days
    ]
    return pl.DataFrame(
        {
            "id": np.arange(first * SIZE, (first + 1) * SIZE),
            "at": at[random.integers(0, days, SIZE)],
            "size": size,
            "count": count,
            "y": size + random.normal(0, 0.5, SIZE) > 0,
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "treadle.toml").write_text('[compute]\nengine = "inline"\n')
    (tmp_path / "project.py").write_text(PROJECT)
    return tmp_path


def without(rows: pl.DataFrame, column: str, ids: list[int]) -> pl.DataFrame:
    return rows.with_columns(pl.when(pl.col("id").is_in(ids)).then(None).otherwise(column).alias(column))


def of_split(root: Path, split: str) -> list[int]:
    with open_workspace(root) as workspace:
        workspace.ingest()
        found: list[int] = workspace.datasets.read("rows", split=split)["id"].to_list()
    return found


@pytest.mark.parametrize("part", ["validation", "test", "forward"])
def test_what_is_missing_in_any_row_that_is_asked_about_may_be_missing(root: Path, tmp_path: Path, part: str):
    rows = frame(0)
    rows.write_parquet(root / "rows.parquet")
    other = root / "other"
    other.mkdir()
    ids = (
        rows.filter(pl.col("at") >= rows["at"].max() - pl.duration(days=1))["id"].to_list()[:5]  # type: ignore[operator]
        if part == "forward"
        else of_split(root, part)[:5]
    )
    for name in ("treadle.toml", "project.py"):
        (other / name).write_text((root / name).read_text())
    without(rows, "count", ids).write_parquet(other / "rows.parquet")

    with open_workspace(other) as workspace:
        turn = workspace.run("late")
        fields = {field.name: field for field in workspace.models.get("late/1").signature.inputs}

    assert turn.run.status == "succeeded"
    assert (fields["count"].nullable, fields["count"].tensor) == (True, "float32")
    assert not fields["size"].nullable


def test_integers_that_are_always_there_stay_integers(root: Path):
    frame(0).write_parquet(root / "rows.parquet")

    with open_workspace(root) as workspace:
        workspace.run("late")

        assert workspace.models.get("late/1").signature.field("count").tensor == "int64"


def test_a_champion_that_cannot_do_without_a_value_is_uncertain_where_it_is_missing(root: Path):
    frame(0).write_parquet(root / "rows.parquet")
    with open_workspace(root) as workspace:
        workspace.run("late")
    second = frame(1)
    without(second, "size", second["id"].to_list()[:300]).write_parquet(root / "more.parquet")
    said: list[str] = []

    class Told:
        def step(self, text: str) -> None:
            said.append(text)

    with open_workspace(root, progress=Told()) as workspace:
        turn = workspace.run("late")

    assert [verdict.reference for verdict in turn.verdicts] == ["baseline:prior", "champion"]
    assert any("champion: 'size' has no value in" in text and "contract" in text for text in said)
    assert np.isfinite(turn.run.metrics["test.champion.log_loss"])


def contender(name: str, columns: tuple[str, ...] = ()) -> Contender:
    inputs = (Field(name="a", kind="float"),)
    signature = Signature(inputs=inputs, outputs=(Field(name=name, kind="float", columns=columns),))

    def answer(rows: pl.DataFrame) -> np.ndarray:
        assert not rows["a"].null_count()
        values = rows["a"].to_numpy()
        return np.column_stack([values, 1 - values]) if columns else values

    return Contender(answer, columns, signature)


ROWS = pl.DataFrame({"a": [0.2, None, 0.4]})


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (contender("probability"), [0.2, 0.5, 0.4]),
        (contender("prediction"), [0.2, 0.3, 0.4]),
        (contender("probabilities", ("x", "y")), [[0.2, 0.8], [0.5, 0.5], [0.4, 0.6]]),
    ],
)
def test_most_uncertain_is_between_the_classes_or_the_mean_of_its_answers(one: Contender, expected: list):
    found = one.over(one.columns, ROWS, fills=False, source="it")

    assert np.allclose(found, expected)


def test_who_can_answer_no_row_at_all_is_refused():
    with pytest.raises(InvalidInput, match=r"'a' has no value in 1 rows.*contract"):
        contender("prediction").over((), ROWS[1:2], fills=False, source="the champion")
