from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.data.inference import inferred
from treadle.data.raw import Raw


def kinds(*frames, form="text", mixed=()):
    raws = [Raw(file="f", frame=pl.DataFrame(frame), form=form, mixed=frozenset(mixed)) for frame in frames]
    return {column.name: column.kind for column in inferred(raws, name="d").columns}


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", None, "-2"], "int"),
        (["1", "2.0"], "float"),
        (["true", "False"], "bool"),
        (["0", "1"], "int"),
        (["2013-01-31"], "date"),
        (["2013-01-31 05:00", "2013-01-31T05:00:00Z"], "datetime"),
        (["02139", "10001"], "str"),
        (["1", "x"], "str"),
        ([None, None], "str"),
    ],
)
def test_text_has_the_narrowest_type_that_all_cells_have(cells, kind):
    assert kinds({"x": pl.Series(cells, dtype=pl.String)}) == {"x": kind}


def test_types_of_several_files_are_reconciled():
    first = {"a": ["1"], "b": ["1"], "c": pl.Series([None], dtype=pl.String)}
    second = {"a": ["1.5"], "b": ["x"], "c": ["7"]}

    assert kinds(first, second) == {"a": "float", "b": "str", "c": "int"}


def test_typed_files_keep_their_types():
    frame = {"a": [1], "b": [1.5], "c": [True], "d": [datetime(2013, 1, 1)], "e": ["1"]}  # noqa: DTZ001 - a moment without a zone is meant

    assert kinds(frame, form="typed") == {"a": "int", "b": "float", "c": "bool", "d": "datetime", "e": "str"}


def test_json_moments_are_found_and_numbers_of_both_types_are_floats():
    frame = {"at": ["2013-01-31T05:00:00Z"], "x": ["1.5"], "code": ["12"]}

    assert kinds(frame, form="json", mixed=["x"]) == {"at": "datetime", "x": "float", "code": "str"}


def test_nothing_can_be_inferred_from_no_row():
    with pytest.raises(InvalidInput, match="no row has come to learn its types from"):
        kinds({"x": []})


def test_rows_that_are_none_teach_nothing():
    frame = pl.DataFrame({"n": ["1", "too few"], "m": ["2", None]})

    spec = inferred([Raw(file="f", frame=frame, form="text", broken={2: "has 1 cells"})], name="d")

    assert [column.kind for column in spec.columns] == ["int", "int"]


def test_lists_of_numbers_are_vectors():
    cells = ["[1, 2.5]", None, "[]"]

    assert kinds({"v": cells}) == {"v": "vector"}
    assert kinds({"v": cells}, form="json", mixed=["v"]) == {"v": "vector"}
    assert kinds({"v": [[1.5], None]}, form="typed") == {"v": "vector"}
    assert kinds({"v": ["[1, 2.5]", "[a]"]}) == {"v": "str"}
