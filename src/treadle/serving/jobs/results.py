"""What a job came to: the answer to its rows, or the files that its rows were scored into; told as JSON or as Parquet."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import msgspec

from treadle.core.errors import InvalidInput, NotFound
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Call
from treadle.serving.protocols import rows

#: Predictions of a page at most.
MOST = 10_000


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a job."""

    rows: int
    #: The answer as JSON, without its predictions.
    answer: bytes
    #: The predictions as JSON, one for each row; none where they are in parts.
    predictions: list[msgspec.Raw] = []
    #: Parquet files of scored rows, by digest, among the objects of jobs.
    parts: list[str] = []


def of_answer(answer: Answer, call: Call) -> Result:
    """Return the result that an answer is."""
    told = msgspec.json.decode(rows.render(answer, call).body, type=dict[str, msgspec.Raw])
    predictions = msgspec.json.decode(told.pop("predictions"), type=list[msgspec.Raw])
    return Result(rows=answer.batch.rows, answer=msgspec.json.encode(told), predictions=predictions)


def pack(result: Result) -> bytes:
    """Return a result as bytes."""
    return msgspec.json.encode(result)


def unpack(data: bytes) -> Result:
    """Read a result."""
    return msgspec.json.decode(data, type=Result)


def page(result: Result, query: Mapping[str, str]) -> bytes:
    """Return some of a result as JSON: all of the answer, and the predictions from `offset` on, at most `limit`.

    Raises:
        InvalidInput: offset or limit is no number.
    """
    offset, limit = whole(query, "offset", 0), whole(query, "limit", MOST)
    told = msgspec.json.decode(result.answer, type=dict[str, msgspec.Raw])
    some: dict[str, Any] = {**told, "rows": result.rows}
    if result.parts:
        some["parts"] = len(result.parts)
    else:
        some |= {"offset": offset, "predictions": result.predictions[offset : offset + limit]}
    return msgspec.json.encode(some)


def parquet(result: Result) -> bytes:
    """Return the predictions as a Parquet file; several numbers by their columns' names."""
    import polars as pl

    plain = [_flat(msgspec.json.decode(one)) for one in result.predictions]
    data = io.BytesIO()
    pl.DataFrame(plain, infer_schema_length=None).write_parquet(data)
    return data.getvalue()


def part_of(result: Result, query: Mapping[str, str]) -> str:
    """Return the digest of the part that is asked for.

    Raises:
        NotFound: there is no such part.
    """
    number = whole(query, "part", 0)
    if number >= len(result.parts):
        msg = f"The result has {len(result.parts)} parts. Expected part=0 to {len(result.parts) - 1}."
        raise NotFound(msg)
    return result.parts[number]


def whole(query: Mapping[str, str], name: str, usual: int) -> int:
    """Return a parameter that is a whole number.

    Raises:
        InvalidInput: it is none.
    """
    text = query.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        msg = f"The parameter {name!r} is {text[:60]!r}. Expected a whole number from 0."
        raise InvalidInput(msg, field=name)
    return int(text)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        found |= (
            {f"{name}_{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        )
    return found
