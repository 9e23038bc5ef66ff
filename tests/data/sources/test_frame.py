from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.data.contracts import Contract
from treadle.data.datasets import Dataset
from treadle.data.sources.frame import Frame

ROWS = {"id": [1, 2, 3], "name": ["a", None, "Zoë"], "score": [0.5, None, 1.5]}


class Speaks:
    """Something that only speaks Arrow."""

    def __init__(self, frame):
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema=None):
        return self._frame.__arrow_c_stream__(requested_schema)


class Row(Contract):
    id: int
    name: str | None
    score: float | None


def read(tmp_path, source, after=None):
    """Return the rows of each batch, and the last position."""
    with source.batches(tmp_path, after=after, key=("id",)) as batches:
        found = list(batches)
    return [batch.raw.frame.rows() for batch in found], found[-1].position if found else after


@pytest.mark.parametrize(
    "rows",
    [
        pl.DataFrame(ROWS),
        pl.DataFrame(ROWS).lazy(),
        pa.table(ROWS),
        pd.DataFrame(ROWS),
        pd.DataFrame(ROWS, index=["x", "y", "z"]),
        Speaks(pl.DataFrame(ROWS)),
        lambda: pl.DataFrame(ROWS),
        lambda: pd.DataFrame(ROWS),
    ],
    ids=["polars", "lazy", "pyarrow", "pandas", "pandas index", "capsule", "function", "pandas function"],
)
def test_every_frame_gives_the_same_rows(tmp_path, rows):
    found, _ = read(tmp_path, Frame(rows))

    assert found == [[(1, "a", 0.5), (2, None, None), (3, "Zoë", 1.5)]]


def test_a_frame_is_read_in_slices_and_goes_on_after_the_last_one(tmp_path):
    source = Frame(pl.DataFrame({"id": range(10)}), batch_rows=4)
    with source.batches(tmp_path, after=None, key=("id",)) as batches:
        position = next(batches).position

    found, position = read(tmp_path, source, position)

    assert found == [[(4,), (5,), (6,), (7,)], [(8,), (9,)]]
    assert read(tmp_path, source, position) == ([], position)


@pytest.mark.parametrize(
    "other",
    [
        {"id": [1, 2, 3], "name": ["a", None, "Zoe"], "score": [0.5, None, 1.5]},
        {"id": [3, 2, 1], "name": ["Zoë", None, "a"], "score": [1.5, None, 0.5]},
        {"id": [1, 2, 3], "title": ["a", None, "Zoë"], "score": [0.5, None, 1.5]},
    ],
    ids=["cell", "order", "name"],
)
def test_another_content_is_read_from_its_beginning(tmp_path, other):
    _, position = read(tmp_path, Frame(pl.DataFrame(ROWS)))

    found, _ = read(tmp_path, Frame(pl.DataFrame(other)), position)

    assert sum(map(len, found)) == 3


def test_categories_are_told_by_their_text_and_not_by_their_number(tmp_path):
    first, second = (pd.DataFrame({"id": [1], "c": pd.Categorical([text])}) for text in ("a", "b"))
    _, position = read(tmp_path, Frame(first))

    assert read(tmp_path, Frame(second), position)[0] == [[(1, "b")]]


def test_nested_cells_and_moments_are_digested(tmp_path):
    rows = pl.DataFrame(
        {"id": [1], "v": [[0.5, 1.5]], "at": [datetime(2013, 1, 1, tzinfo=UTC)], "s": [{"a": 1}], "e": [b"x"]}
    )
    _, position = read(tmp_path, Frame(rows))

    assert read(tmp_path, Frame(rows.clone()), position)[0] == []
    assert read(tmp_path, Frame(rows.with_columns(v=pl.lit([0.5, 2.5]))), position)[0] != []


@pytest.mark.parametrize("rows", [[{"id": 1}], {"id": [1]}, np.zeros(3), "rows", 7, pl.Series([1])])
def test_what_is_no_frame_is_refused(rows):
    with pytest.raises(
        InvalidDeclaration, match="is no data frame. Expected one of Polars, pandas or PyArrow"
    ):
        Frame(rows)


def test_a_function_that_fails_or_returns_no_frame_is_told(tmp_path):
    def fails():
        raise ConnectionError("no such host")

    with pytest.raises(SourceUnreadable, match="frame 'sales' failed: ConnectionError: no such host"):
        read(tmp_path, Frame(fails, name="sales"))
    with pytest.raises(SourceUnreadable, match="returned list; expected a data frame"):
        read(tmp_path, Frame(lambda: [1]))


def test_a_frame_becomes_a_dataset_and_is_not_read_again(datasets):
    held = [pd.DataFrame(ROWS)]
    dataset = Dataset("rows", source=Frame(lambda: held[0]), contract=Row, key="id")

    first = datasets.ingest(dataset)
    again = datasets.ingest(dataset)
    held[0] = pd.DataFrame({"id": [3, 4], "name": ["Zoë", "d"], "score": [1.5, np.nan]})
    second = datasets.ingest(dataset)

    assert (first.rows, again) == (3, None)
    assert (second.rows, second.accepted, second.repeated) == (4, 1, 1)
    assert datasets.quarantine("rows").height == 0
