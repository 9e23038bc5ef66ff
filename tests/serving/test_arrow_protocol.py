"""Arrow streams over HTTP, against a real server, and bytes that are none."""

from __future__ import annotations

import io
import random
import urllib.error
import urllib.request
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from treadle.core.errors import InvalidInput, TooLarge
from treadle.core.signature import Field, Signature
from treadle.serving import arrow_stream
from treadle.serving.predictions import Predictions
from treadle.serving.protocols import arrow
from treadle.serving.requests import Reader
from treadle.serving.web import Request

TYPE = {"Content-Type": "application/vnd.apache.arrow.stream"}
FRAME = pl.DataFrame({"distance": [1400, 200], "temp": [None, 3.5], "carrier": ["UA", "Ü"]})


def of_polars(frame, **options):
    stream = io.BytesIO()
    frame.write_ipc_stream(stream, **options)
    return stream.getvalue()


def of_arrow(table, **options):
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema, **options) as writer:
        writer.write_table(table)
    return stream.getvalue()


def ask(server, body, *, query="", headers=TYPE):
    url = f"http://127.0.0.1:{server.port}/v1/endpoints/fares/predict{query}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers)) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.mark.parametrize(
    "body",
    [
        of_polars(FRAME),
        of_polars(
            FRAME.with_columns(pl.col("carrier").cast(pl.Categorical), pl.col("distance").cast(pl.Int16))
        ),
        of_arrow(FRAME.to_arrow()),
        of_arrow(pa.Table.from_pandas(FRAME.to_pandas())),
        of_arrow(
            pa.Table.from_pandas(
                pd.DataFrame({"distance": [1400.0, 200.0], "temp": [np.nan, 3.5], "carrier": ["UA", "Ü"]})
            )
        ),
        of_arrow(
            pa.Table.from_batches([*FRAME[:1].to_arrow().to_batches(), *FRAME[1:].to_arrow().to_batches()])
        ),
    ],
    ids=["polars", "categories", "pyarrow", "pandas", "floats", "batches"],
)
def test_frames_are_answered_with_frames(shared, body):
    status, headers, data = ask(shared, body)

    answer = pl.read_ipc_stream(io.BytesIO(data))
    assert status == 200
    assert answer.drop("prediction_id").rows() == [(True, 0.007), (False, 0.007)]
    assert pa.ipc.open_stream(data).read_all().num_rows == 2
    assert (headers["treadle-endpoint"], headers["treadle-version"]) == ("fares", "7")
    assert answer["prediction_id"][1] == headers["treadle-id"] + "-1"


def test_the_address_says_who_asks_and_which_columns_are_keys(shared):
    status, headers, _ = ask(
        shared,
        of_polars(FRAME.with_columns(flight_id=pl.Series([1, 2]))),
        query="?id=a1&subject=p&keys=flight_id",
    )

    assert (status, headers["treadle-id"]) == (200, "a1")
    scan = Predictions(shared.tables, root=shared.root).scan("fares")
    logged = scan.filter(pl.col("request_id") == "a1").sort("row").collect()
    assert logged["key"].to_list() == ['{"flight_id":1}', '{"flight_id":2}']


@pytest.mark.parametrize(
    ("body", "query", "said"),
    [
        (b"", "", "no schema"),
        (b"PK\x03\x04" * 100, "", "Arrow stream"),
        (of_polars(FRAME)[:-300], "", "Arrow stream"),
        (of_polars(FRAME, compression="zstd"), "", "compressed"),
        (of_polars(FRAME.drop("temp")), "", "temp"),
        (of_polars(FRAME.with_columns(speed=1)), "", "speed"),
        (of_polars(FRAME.with_columns(distance=pl.lit("far"))), "", "distance[0]"),
        (of_polars(FRAME.with_columns(distance=pl.lit(1.5))), "", "distance[0]"),
        (of_polars(FRAME[:0]), "", "no rows"),
        (of_polars(FRAME), "?keys=speed", "speed"),
        (of_polars(FRAME), "?subjects=p", "subjects"),
        (of_polars(FRAME.with_columns(carrier=pl.lit([1, 2]))), "", "carrier[0]"),
        (of_polars(FRAME.with_columns(k=pl.lit(b"\xff"))), "?keys=k", "key column"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(shared, body, query, said):
    status, _, answer = ask(shared, body, query=query)

    assert status == 400
    assert said in answer.decode()


def test_another_media_type_is_told_both_that_are_read(shared):
    status, _, answer = ask(shared, b"<rows/>", headers={"Content-Type": "text/xml"})

    assert status == 415
    assert b"application/vnd.apache.arrow.stream or application/json" in answer


def test_a_few_bytes_that_claim_many_rows_are_refused():
    body = of_polars(pl.DataFrame({"a": pl.Series([None] * 5, dtype=pl.Null)}))

    with pytest.raises(TooLarge, match="batch of 5 rows"):
        arrow_stream.rows_of(body, most=4)
    assert arrow_stream.rows_of(body, most=5) == 5


def test_moments_and_dates_are_read_whatever_their_unit():
    fields = (Field(name="at", kind="timestamp"), Field(name="day", kind="date", nullable=True))
    reader = Reader(Signature(inputs=fields), max_rows=10)
    days = pd.DataFrame({"at": pd.to_datetime(["2013-01-01T05:15Z"]), "day": pd.to_datetime(["2013-01-02"])})

    batch = _parse(of_arrow(pa.Table.from_pandas(days))).read(reader)

    assert batch.values["at"] == [datetime(2013, 1, 1, 5, 15, tzinfo=UTC)]
    assert batch.values["day"] == [date(2013, 1, 2)]


def test_damaged_streams_are_refused_and_nothing_else():
    draw, whole = random.Random(0), [of_polars(FRAME), of_arrow(FRAME.to_arrow().combine_chunks())]
    fields = [Field(name="distance", kind="integer"), Field(name="temp", kind="float", nullable=True)]
    reader = Reader(Signature(inputs=(*fields, Field(name="carrier", kind="category"))), max_rows=100)
    seen = {True: 0, False: 0}
    for _ in range(3_000):
        body = bytearray(draw.choice(whole))
        for _ in range(draw.randint(1, 4)):
            body[draw.randrange(len(body))] = draw.choice([0, 1, 127, 128, 255, draw.randrange(256)])
        try:
            _parse(bytes(body[: draw.choice([len(body), draw.randrange(len(body))])])).read(reader)
            seen[True] += 1
        except InvalidInput:
            seen[False] += 1

    assert min(seen.values()) > 100


def _parse(body):
    return arrow.parse(Request(method="POST", path="/", headers={}, body=body, received=0.0))
