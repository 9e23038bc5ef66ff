"""Plain JSON: rows as objects, or columns as arrays, at `/v1/endpoints/{endpoint}/predict`.

`{"rows": [{"carrier": "UA", "distance": 1400}], "subject": "customer-7", "keys": [{"flight_id": "x"}]}` is answered by
`{"id": …, "version": 3, …, "predictions": [{"prediction_id": …, "prediction": true, "probability": 0.81}]}`, one for
each row. Several numbers, as the probability of each class, are an object by their names. Instead of `rows` there may be `columns`: `{"carrier": ["UA"], "distance": [1400]}`. `key` may stand for
`keys` where there is one row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from treadle.core.errors import InvalidInput
from treadle.core.records import Variant
from treadle.serving import schemas
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Call, Dataplane, Loaded
from treadle.serving.entries import key_text
from treadle.serving.requests import Batch, Reader, envelope
from treadle.serving.routing import JSON_TYPES
from treadle.serving.web import Request, Response, refuse_plainly, reply

#: What bodies may be said to be, and the pages that need no token.
MEDIA_TYPES, PUBLIC = JSON_TYPES, ()
#: Paths at which predictions are asked for, by POST.
PREDICT = ("/v1/endpoints/{endpoint}/predict",)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The outer part of a request."""

    rows: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    columns: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: str = ""
    subject: str | int | None = None
    key: dict[str, str | int | float | bool | None] | None = None
    keys: list[dict[str, str | int | float | bool | None]] | None = None
    explain: bool = False


_BODY = msgspec.json.Decoder(_Body)
_ENCODER = msgspec.json.Encoder()


def parse(request: Request) -> Call:
    """Read a request.

    Raises:
        InvalidInput: the body is not JSON, or not of this shape.
    """
    body: _Body = envelope(_BODY, request.body)
    return Call(
        _reading(body),
        request.received,
        body.id,
        None if body.subject is None else str(body.subject),
        _keys(body),
        explain=body.explain,
    )


def render(answer: Answer, call: Call) -> Response:  # noqa: ARG001 - other protocols ask what was wanted
    """Return the response to a request."""
    variant, names = answer.variant, answer.outputs.names
    start, made = f"{answer.id}-", _row_of(names)
    if answer.batch.rows == 1:
        rows = [made(f"{start}0", *[answer.values(name)[0] for name in names])]
    else:
        ids = [start + number for number in _numbers(answer.batch.rows)]
        rows = list(map(made, ids, *map(answer.values, names)))
    said = (answer.id, answer.endpoint, answer.revision, variant.model, variant.version, variant.name, rows)
    return Response(200, _ENCODER.encode(_Said(*said)))


@lru_cache(maxsize=256)
def _numbers(rows: int) -> list[str]:
    return [str(row) for row in range(rows)]


class _Said(msgspec.Struct, gc=False):
    """An answer; structs are written in a fraction of the time that mappings take."""

    id: str
    endpoint: str
    revision: int
    model: str
    version: int
    variant: str
    predictions: list[Any]


@lru_cache(maxsize=256)
def _row_of(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """Return what a row's answer is written from: the id of its prediction and the outputs."""
    places = [f"f{place}" for place in range(len(names))]
    return msgspec.defstruct(
        "Row", ["prediction_id", *places], rename=dict(zip(places, names, strict=True)), gc=False
    )


def predictions(answer: Answer) -> list[dict[str, Any]]:
    """Return an answer as one mapping for each row, with the id of each prediction."""
    return [{"prediction_id": f"{answer.id}-{row}", **said} for row, said in enumerate(answer.rows())]


def content(reader: Reader) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema and an example of a request and of its answer, by media type."""
    beside = {
        "id": schemas.ID,
        "subject": {"type": ["string", "integer", "null"]},
        "key": {"oneOf": [schemas.KEY, {"type": "null"}]},
        "keys": {"oneOf": [{"type": "array", "items": schemas.KEY}, {"type": "null"}]},
        "explain": {"type": "boolean", "default": False},
    }
    either = schemas.one_of(rows=schemas.rows(reader), columns=schemas.table(reader))
    body = {"type": "object", **either, "additionalProperties": False}
    body["properties"] = {**body["properties"], **beside}
    said = schemas.answer(reader.signature, beside={"prediction_id": {"type": "string"}})
    told: dict[str, Any] = {name: {"type": "string"} for name in ("id", "endpoint", "model", "variant")}
    told |= {"revision": {"type": "integer"}, "version": {"type": "integer"}}
    told["predictions"] = {"type": "array", "items": said}
    example = {"rows": [schemas.example_row(reader)]}
    return (
        {"application/json": {"schema": body, "example": example}},
        {"application/json": {"schema": schemas.plain(told, list(told))}},
    )


def refuse(message: str, field: str | None) -> bytes:
    """Return the body of a refusal."""
    return refuse_plainly(message, field)


def pages() -> Mapping[str, Callable[[Dataplane, Request], Response]]:
    """Return what this protocol shows about endpoints, by path, by GET."""
    return {"/v1/endpoints": _list, "/v1/endpoints/{endpoint}": _show}


def describe(plane: Dataplane, name: str) -> dict[str, Any]:
    """Return what is loaded for one endpoint, and what was refused."""
    loaded, refused = plane.loaded.get(name), plane.refused.get(name)
    return {
        "endpoint": name,
        "revision": loaded.revision.revision if loaded else 0,
        "variants": [
            {"name": v.name, "model": v.model, "version": v.version, "weight": v.weight, **_loaded(loaded, v)}
            for v in (loaded.revision.variants if loaded else ())
        ],
        "refused": refused.revision if refused else None,
        "error": refused.error if refused else "",
    }


def _loaded(loaded: Loaded | None, variant: Variant) -> dict[str, Any]:
    """Return how a version was loaded: what computes it, bytes of memory, and whether its requests run together."""
    ready = loaded.ready.get((variant.model, variant.version)) if loaded else None
    if ready is None:
        return {}
    told: dict[str, Any] = {"provider": ready.provider, "memory": ready.memory, "joins": ready.joins}
    return {**told, "fallback": ready.fallback} if ready.fallback else told


def _list(plane: Dataplane, request: Request) -> Response:  # noqa: ARG001 - pages have one shape
    return reply({"endpoints": [describe(plane, name) for name in sorted({*plane.loaded, *plane.refused})]})


def _show(plane: Dataplane, request: Request) -> Response:
    name = request.names["endpoint"]
    if name not in plane.refused:
        signature = plane.reader(name)[2].signature
        return reply({**describe(plane, name), "inputs": signature.inputs, "outputs": signature.outputs})
    return reply(describe(plane, name))


def _reading(body: _Body) -> Callable[[Reader], Batch]:
    rows, columns = body.rows, body.columns
    if isinstance(rows, msgspec.Raw) and columns is msgspec.UNSET:
        return lambda reader: reader.rows(rows)
    if isinstance(columns, msgspec.Raw) and rows is msgspec.UNSET:
        return lambda reader: reader.table(columns)
    given = "neither" if rows is msgspec.UNSET else "both"
    msg = f"The body has {given} of 'rows' and 'columns'. Expected one: an array of objects, or an object of arrays."
    raise InvalidInput(msg, field="rows")


def _keys(body: _Body) -> list[str] | None:
    if body.keys is not None:
        return [key_text(key) for key in body.keys]
    return None if body.key is None else [key_text(body.key)]
