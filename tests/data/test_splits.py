from __future__ import annotations

import struct
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.data.splits import HashSplit, TimeSplit, assign

#: Buckets with the salt "flights". They may never change: rows would move between train and test.
GOLDEN = [
    (0, 3576),
    (1, 3419),
    (-1, 6334),
    (2**63 - 1, 9790),
    ("N14228", 4828),
    ("", 2606),
    ("Zürich", 9366),
    ("東京", 1713),
    ("🛫", 2159),
    ("550e8400-e29b-41d4-a716-446655440000", 1719),
    (date(2013, 1, 1), 843),
    (datetime(2013, 1, 1, 5, 15, tzinfo=UTC), 3198),
    (True, 3419),
    (("UA", 1545), 1949),
    (("UA", None), 959),
]


def buckets(frame, key, **options):
    spec = HashSplit(**options).spec("flights", key=key)
    return assign(frame, spec)["_bucket"].to_list()


@pytest.mark.parametrize(("key", "bucket"), GOLDEN, ids=str)
def test_golden_vectors(key, bucket):
    values = key if isinstance(key, tuple) else (key,)
    frame = pl.DataFrame({f"k{i}": pl.Series([value] * 3) for i, value in enumerate(values)})

    assert buckets(frame, frame.columns) == [bucket] * 3


@pytest.mark.parametrize(
    ("canonical", "bucket"),
    [
        (struct.pack("<q", -1), 6334),
        ("Zürich".encode(), 9366),
        (struct.pack("<q", 15706), 843),
        (struct.pack("<q", 1_357_017_300_000_000), 3198),
        (
            b"\x02" + struct.pack("<Q", 2) + b"UA" + b"\x01" + struct.pack("<Q", 8) + struct.pack("<q", 1545),
            1949,
        ),
    ],
)
def test_golden_vectors_follow_from_the_hash_alone(canonical, bucket):
    seed = xxhash.xxh64_intdigest(b"flights")

    assert xxhash.xxh64_intdigest(canonical, seed=seed) % 10_000 == bucket


@pytest.mark.parametrize(
    ("kind", "bucket"), [(pl.Int8, 3419), (pl.UInt32, 3419), (pl.Int64, 3419), (pl.String, 4253)]
)
def test_the_width_of_an_integer_does_not_matter_and_text_is_not_a_number(kind, bucket):
    assert buckets(pl.DataFrame({"k": pl.Series([1]).cast(kind)}), ["k"]) == [bucket]


def test_a_moment_has_the_same_bucket_in_every_unit_and_zone():
    moment = pl.Series([datetime(2013, 1, 1, 5, 15, tzinfo=UTC)])
    other = moment.dt.cast_time_unit("ms").dt.convert_time_zone("America/New_York")

    assert buckets(pl.DataFrame({"k": other}), ["k"]) == [3198]


def test_shares_and_sides():
    frame = assign(pl.DataFrame({"k": np.arange(100_000)}), HashSplit().spec("flights", key=["k"]))

    shares = dict(frame["_split"].value_counts(normalize=True).rows())

    assert shares["train"] == pytest.approx(0.8, abs=0.005)
    assert shares["test"] == pytest.approx(0.1, abs=0.005)
    assert frame.filter(pl.col("_split") == "train")["_bucket"].max() == 7999
    assert frame.filter(pl.col("_split") == "validation")["_bucket"].min() == 8000
    assert frame.filter(pl.col("_split") == "test")["_bucket"].min() == 9000


def test_another_salt_is_another_split():
    frame = pl.DataFrame({"k": range(1000)})

    assert buckets(frame, ["k"]) == buckets(frame, ["k"], salt="flights")
    assert buckets(frame, ["k"]) != buckets(frame, ["k"], salt="other")


def test_a_missing_group_is_a_group_of_its_own():
    frame = pl.DataFrame({"k": range(4), "g": ["a", None, "a", None]})

    found = buckets(frame, ["k"], group="g")

    assert found[0] == found[2]
    assert found[1] == found[3]
    assert found[0] == buckets(pl.DataFrame({"g": ["a"]}), ["g"])[0]


@pytest.mark.parametrize(
    "shares", [{"train": 0.9}, {"train": 1.2, "validation": -0.1, "test": -0.1}, {"train": float("nan")}]
)
def test_shares_that_do_not_add_up_are_refused(shares):
    with pytest.raises(InvalidDeclaration, match="add up to 1"):
        HashSplit(**shares)


@pytest.mark.parametrize(
    ("frame", "told"), [({"a": [1]}, "needs the column 'k'"), ({"k": [1.5]}, "type Float64")]
)
def test_rows_that_cannot_be_split_are_refused(frame, told):
    with pytest.raises(InvalidInput, match=told):
        buckets(pl.DataFrame(frame), ["k"])


rows = st.tuples(st.integers(-(2**63), 2**63 - 1), st.none() | st.text(max_size=3))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(rows, min_size=1, max_size=30), min_size=1, max_size=5), st.booleans())
def test_any_sequence_of_appends_keeps_every_row_in_its_split(appends, grouped):
    spec = HashSplit(group="g" if grouped else None).spec("d", key=["k"])
    schema = {"k": pl.Int64, "g": pl.String}
    seen: dict[object, str] = {}
    test: set[object] = set()

    for number in range(1, len(appends) + 1):
        rows_now = [row for append in appends[:number] for row in append]
        frame = assign(pl.DataFrame(rows_now, schema=schema, orient="row"), spec)
        now = {(row["g"] if grouped else row["k"]): row["_split"] for row in frame.iter_rows(named=True)}
        test_now = {unit for unit, side in now.items() if side == "test"}

        assert now.items() >= seen.items()
        assert test_now >= test
        assert frame.group_by("g" if grouped else "k").agg(pl.col("_split").n_unique())["_split"].max() == 1
        seen, test = now, test_now


def test_a_split_by_time_leaves_out_what_is_near_a_boundary():
    spec = TimeSplit(validation="2013-02-01", test=date(2013, 3, 1), embargo="2d").spec(
        "d", key=["k"], time="at"
    )
    days = pl.DataFrame(
        {
            "at": pl.datetime_range(
                datetime(2013, 1, 29, tzinfo=UTC), datetime(2013, 3, 2, tzinfo=UTC), "1d", eager=True
            )
        }
    )

    sides = dict(assign(days, spec).select(pl.col("at").dt.strftime("%m-%d"), "_split").rows())

    assert sides["01-29"] == "train"
    assert sides["01-30"] == sides["01-31"] == "embargo"
    assert sides["02-01"] == sides["02-26"] == "validation"
    assert sides["02-27"] == sides["02-28"] == "embargo"
    assert sides["03-01"] == "test"


def test_a_split_by_time_needs_moments_in_order_and_a_time():
    with pytest.raises(InvalidDeclaration, match="Expected the moment of validation before"):
        TimeSplit(validation="2013-02-01", test="2013-02-01")
    with pytest.raises(InvalidDeclaration, match="'soon' is no moment"):
        TimeSplit(validation="soon", test="2013-02-01")
    with pytest.raises(InvalidDeclaration, match="split by time and has none"):
        TimeSplit(validation="2013-02-01", test="2013-03-01").spec("d", key=["k"])
