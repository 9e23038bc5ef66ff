"""Values on the wire: what goes comes back the same, and what a stranger writes makes nothing but data."""

from __future__ import annotations

import base64
import math
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.app.wire import faults
from treadle.app.wire.values import decoded, digest_of, encoded, frame_bytes
from treadle.core import errors
from treadle.core.errors import InvalidInput, NotOffered, TooLarge, TreadleError
from treadle.core.people import Member

AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=50)
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.timedeltas(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.dictionaries(st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def around(value: Any, *, trusted: bool = True) -> Any:
    import msgspec

    kept: dict[str, bytes] = {}

    def keep(data: bytes) -> str:
        kept[digest_of(data)] = data
        return digest_of(data)

    written = msgspec.json.decode(msgspec.json.encode(encoded(value, keep)))
    return decoded(written, kept.__getitem__, trusted=trusted)


@given(plain)
def test_what_goes_comes_back(value: Any) -> None:
    found = around(value)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        Member(name="ü\n", role="admin", since=AT, parents=("a",)),
        (Member(name="a", role="viewer", since=AT), {"$": 1}, {1: (2,)}, {AT: None}),
        Path("a/b"),
        time(1, 2),
        date(2026, 1, 1),
        timedelta(days=-1, microseconds=3),
        frozenset({1, 2}),
        b"x" * 100_000,
    ],
    ids=str,
)
def test_records_and_moments_come_back(value: Any) -> None:
    assert around(value) == value


def test_numbers_that_json_has_not_come_back() -> None:
    assert math.isnan(around(math.nan))
    assert around([math.inf, -math.inf]) == [math.inf, -math.inf]
    assert around(np.float64(1.5)) == 1.5


@pytest.mark.parametrize("rows", [0, 3, 200_000])
def test_frames_and_arrays_come_back(rows: int) -> None:
    frame = pl.DataFrame(
        {"a": range(rows), "b": [AT] * rows, "c": ["é"] * rows},
        schema={
            "a": pl.Int16() if rows < 10 else pl.Int64(),
            "b": pl.Datetime("us", "UTC"),
            "c": pl.Categorical(),
        },
    )

    assert around(frame).equals(frame)
    assert around(frame.lazy()).collect().schema == frame.schema
    assert (around(np.arange(rows)) == np.arange(rows)).all()


@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TreadleError)],
)
def test_every_error_comes_back_as_itself(kind: type[TreadleError]) -> None:
    found = faults.made(faults.told(kind("what came, what to do")))

    assert (type(found), str(found)) == (kind, "what came, what to do")


def test_what_is_no_data_does_not_go() -> None:
    with pytest.raises(NotOffered):
        encoded(lambda: None, lambda data: "")
    with pytest.raises(NotOffered):
        encoded(object(), lambda data: "")


@pytest.mark.parametrize(
    "value",
    [
        {"$": "record", "of": "os:system", "v": {"command": "true"}},
        {"$": "record", "of": "subprocess:Popen", "v": {"args": "true"}},
        {"$": "record", "of": "treadle.app.workspace:Workspace", "v": {}},
        {"$": "record", "of": "treadle.core.settings:os.environ", "v": {}},
        {"$": "record", "of": "treadle.core.people:Member.__init__", "v": {}},
        {"$": "record", "of": "treadle.core.people:msgspec.Struct", "v": {}},
        {"$": "record", "of": "treadle.not.there:X", "v": {}},
        {"$": "record", "of": "treadle.core.people:Member", "v": {"nothing": 1}},
        {"$": "record"},
        {"$": "frame", "v": "AAAA"},
        {"$": "array", "v": "AAAA"},
        {"$": "bytes", "v": "not base64!"},
        {"$": "datetime", "v": "yesterday"},
        {"$": "span", "v": [10**30]},
        {"$": ["x"]},
        {"$": "nothing"},
    ],
    ids=str,
)
def test_a2_what_a_stranger_writes_is_refused_and_imports_nothing(value: Any) -> None:
    import sys

    before = set(sys.modules)

    with pytest.raises(InvalidInput):
        decoded(value, lambda digest: b"", trusted=False)
    assert {name for name in set(sys.modules) - before if name.startswith("treadle")} == set()


def test_values_nested_without_end_are_refused() -> None:
    value: Any = []
    for _ in range(1000):
        value = [value]

    with pytest.raises(InvalidInput, match="nested"):
        decoded(value, lambda digest: b"", trusted=False)


def test_an_array_of_objects_is_not_unpickled() -> None:
    import base64
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array([object()], dtype=object), allow_pickle=True)

    with pytest.raises(InvalidInput):
        decoded(
            {"$": "array", "v": base64.b64encode(buffer.getvalue()).decode()}, lambda _: b"", trusted=False
        )


def test_a_record_of_a_stranger_has_the_types_that_it_says() -> None:
    of = f"{Member.__module__}:Member"
    since = {"$": "datetime", "v": AT.isoformat()}
    right = {"$": "record", "of": of, "v": {"name": "ann", "role": "viewer", "since": since}}
    wrong = {**right, "v": {**right["v"], "name": [1], "role": "root"}}

    assert decoded(right, dict[str, bytes]().__getitem__, trusted=False).name == "ann"
    with pytest.raises(InvalidInput):
        decoded(wrong, dict[str, bytes]().__getitem__, trusted=False)


def test_a_frame_that_unpacks_to_far_more_than_it_is_is_not_read() -> None:
    """40 KB would take three gigabytes; honest frames of any kind of column pass."""
    batch = frame_bytes(pl.DataFrame({"x": pl.zeros(4_000_000, eager=True)}))
    bomb = base64.b64encode(several(batch, 100)).decode()
    honest = pl.DataFrame(
        {
            "n": [1, None, 3],
            "t": ["a", "b" * 100, None],
            "c": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
            "l": [[1], [], None],
            "b": [True, None, False],
        }
    )

    with pytest.raises(TooLarge, match="unpacks to"):
        decoded({"$": "frame", "v": bomb}, dict[str, bytes]().__getitem__, trusted=False)
    kept: dict[str, bytes] = {}
    for frame in (honest, honest.clear(), pl.DataFrame({"x": np.arange(100_000)})):
        sent = encoded(frame, lambda data: kept.setdefault(digest_of(data), data) and digest_of(data))
        assert decoded(sent, kept.__getitem__, trusted=False).equals(frame)


def several(stream: bytes, number: int) -> bytes:
    """Return a stream with its batches so many times: the schema comes first, and the mark of the end last."""
    first = 8 + int.from_bytes(stream[4:8], "little")
    return stream[:first] + stream[first:-8] * number + stream[-8:]
