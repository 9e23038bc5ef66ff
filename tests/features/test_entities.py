from __future__ import annotations

import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.features.entities import NOBODY, Coding, comparable


@pytest.mark.parametrize(
    ("asked", "others"),
    [
        ([5, 3, None, 5], [4, 6, 2, -(2**63), 2**63 - 1, None]),
        ([10**15, -(10**15), None, 10**15], [0, 10**15 + 1, None]),
        (["ü", "u", None, "ü"], ["", "U", None]),
    ],
    ids=["close numbers", "far numbers", "texts"],
)
def test_equal_entities_have_equal_numbers_and_others_none(asked, others):
    frame = pl.DataFrame({"a": asked})
    coding = Coding(frame)

    first, second, missing, again = coding.codes(frame)
    strangers = coding.codes(pl.DataFrame({"a": pl.Series(others, dtype=frame.schema["a"])}))

    assert first == again != second
    assert missing == NOBODY
    assert {first, second} <= set(range(coding.count))
    # A number between those asked about is nobody's, but may have a place.
    assert not {first, second} & set(strangers)
    assert strangers[-1] == NOBODY


def test_several_columns_are_one_entity():
    frame = pl.DataFrame({"a": ["x", "x", "y", "x", None], "b": [1, 2, 1, 1, 1]})

    codes = Coding(frame).codes(frame)

    assert codes[0] == codes[3]
    assert len(set(codes)) == 4
    assert codes[4] == NOBODY


@pytest.mark.parametrize("dtype", [pl.Int64, pl.String])
def test_nobody_asks(dtype):
    frame = pl.DataFrame({"a": []}, schema={"a": dtype})
    coding = Coding(frame)

    assert coding.count == 0
    assert coding.codes(frame.clear(2)).tolist() == [NOBODY, NOBODY]


def test_types_of_one_kind_become_one_type():
    left = pl.DataFrame({"a": pl.Series([1], dtype=pl.Int8), "b": pl.Series(["x"], dtype=pl.Categorical)})
    right = pl.DataFrame({"b": ["x"], "a": pl.Series([1], dtype=pl.UInt32)})

    asked, offered = comparable(left, right, names=["a", "b"], view="v")

    assert asked.schema == offered.schema == {"a": pl.Int64, "b": pl.String}


def test_types_of_two_kinds_are_refused():
    left, right = pl.DataFrame({"a": [1]}), pl.DataFrame({"a": ["1"]})

    with pytest.raises(InvalidInput, match="'a' is Int64 in the rows and String in feature view 'v'"):
        comparable(left, right, names=["a"], view="v")
