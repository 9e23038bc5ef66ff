"""Ranking: what may be declared, and how rows of a query come to a training function."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.core.records import Window
from treadle.training.data import TrainingData
from treadle.training.tasks.ranking import Ranking
from treadle.training.tasks.regression import Regression

WINDOW = Window(start=None, end=datetime(2026, 1, 1, tzinfo=UTC))
ROWS = pl.DataFrame(
    {
        "query": ["b", "a", "b", "c", "a", "b"],
        "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "grade": [0, 1, 2, 1, 0, 1],
        "_split": ["train", "train", "train", "validation", "train", "train"],
    }
)


def built(rows: pl.DataFrame, **more: object) -> TrainingData:
    return TrainingData.build(
        rows, target="grade", task=Ranking(by="query"), window=WINDOW, inputs=["x"], **more
    )


@pytest.mark.parametrize("by", ["", [], ["a", "a"], None, [3]])
def test_queries_are_of_columns(by: object) -> None:
    with pytest.raises(InvalidDeclaration, match=r"Ranking\(by="):
        Ranking(by=by)  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [0, -1, 2.5, True, None])
def test_a_cut_is_a_number_of_rows(cut: object) -> None:
    with pytest.raises(InvalidDeclaration, match=r"Ranking\(cut="):
        Ranking(cut=cut)  # type: ignore[arg-type]


def test_rows_come_query_by_query_with_the_size_of_each() -> None:
    data = built(ROWS)

    assert data.train.frame["query"].to_list() == ["a", "a", "b", "b", "b"]
    assert data.train.groups.tolist() == [2, 3]
    assert data.train.queries is not None
    assert data.train.queries.tolist() == [0, 0, 1, 1, 1]
    assert data.train.X["x"].to_list() == [2.0, 5.0, 1.0, 3.0, 6.0]
    assert data.train.y.tolist() == [1, 0, 0, 2, 1]
    assert data.validation.groups.tolist() == [1]


def test_a_query_on_both_sides_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"divides 1 of 2 queries, as query='b'.*group=\['query'\]"):
        built(ROWS.with_columns(query=pl.Series(["b", "a", "b", "b", "a", "b"])))


def test_rows_of_no_query_and_no_column_of_queries_are_refused() -> None:
    with pytest.raises(InvalidInput, match="The column 'query', whose rows belong together, is not there"):
        built(ROWS.drop("query"))
    with pytest.raises(InvalidInput, match="'query'.* has no value in 1 rows"):
        built(ROWS.with_columns(query=pl.when(pl.col("x") != 3).then("query")))
    with pytest.raises(InvalidInput, match="'query' has no value in row 1"):
        Ranking(by="query").truth(
            ROWS.with_columns(query=pl.Series(["a", None, "a", "a", "a", "a"])), "grade"
        )


def test_truth_is_the_relevance_and_the_query() -> None:
    assert Ranking(by="query").truth(ROWS.head(3), "grade").tolist() == [[0, 1], [1, 0], [2, 1]]


def test_a_relevance_is_not_negative_and_not_the_same_everywhere() -> None:
    with pytest.raises(InvalidInput, match="'grade' is -1 in row 1.*0 or more"):
        Ranking().target(pl.Series("grade", [0, -1]))
    with pytest.raises(InvalidInput, match="'grade' is 1 in all 5 training rows"):
        built(ROWS.with_columns(grade=pl.lit(1)))


def test_rows_of_other_questions_have_no_groups() -> None:
    data = TrainingData.build(ROWS, target="grade", task=Regression(), window=WINDOW, inputs=["x"])

    with pytest.raises(InvalidInput, match="of no queries"):
        _ = data.train.groups
