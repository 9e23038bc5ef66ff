"""What MLflow's own scoring server speaks: `/invocations`, `/ping`, `/health` and `/version`.

The body is JSON with one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`, or CSV with a header. The
answer is `{"predictions": […]}`: a list of objects, as MLflow gives for a frame, or of values where the model has one
output. `params` may hold `id`, `subject` and `keys` (names of columns, or one object for each row); with CSV they stand
in the address. A client whose address ends in `/v1/endpoints/<endpoint>` asks that endpoint; one whose address does not
asks `serving.default_endpoint`, the one of `?endpoint=`, or the only one there is.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import msgspec

from treadle.core.errors import InvalidInput
from treadle.core.signature import Field
from treadle.serving import columns, schemas
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.requests import Batch, Reader, malformed, shown
from treadle.serving.web import Request, Response, reply

_AT = "/v1/endpoints/{endpoint}"
#: What bodies may be said to be.
MEDIA_TYPES = ("application/json", "text/csv", "", "application/x-www-form-urlencoded")
#: Paths at which predictions are asked for, by POST.
PREDICT = ("/invocations", f"{_AT}/invocations")
#: What may stand in the address.
QUERY = columns.QUERY
#: The pages that need no token: what asks whether a server is well often has none. Which endpoints there are is not told.
PUBLIC = ("/ping", "/health")
_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_TEXT = (("content-type", "text/plain; charset=utf-8"),)
#: What a text in CSV is read as; the other kinds are texts in JSON too.
_TYPED: dict[str, type] = {"integer": int, "float": float, "boolean": bool}


def parse(request: Request) -> Call:
    """Read a request.

    Raises:
        InvalidInput: the body is not of one of the five kinds.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/csv":
        return _call(request, _Csv(request.body), {})
    body = _decoded(request.body)
    if not isinstance(body, dict):
        msg = f"The body is {shown(body)}. Expected an object with one of {', '.join(_FORMATS)}."
        raise InvalidInput(msg)
    given = [name for name in _FORMATS if name in body]
    if len(given) != 1:
        msg = f"The body has {' and '.join(given) or 'none'} of {', '.join(_FORMATS)}. Expected one of them."
        raise InvalidInput(msg)
    params = body.get("params") or {}
    if not isinstance(params, dict):
        msg = f"The params are {shown(params)}. Expected an object."
        raise InvalidInput(msg, field="params")
    return _call(request, _READ[given[0]](body[given[0]]), params)


def render(answer: Answer, call: Call) -> Response:  # noqa: ARG001 - other protocols ask what was wanted
    """Return the response to a request."""
    if len(answer.outputs) == 1 and not answer.columns:
        return reply({"predictions": answer.outputs["prediction"].tolist()})
    return reply({"predictions": answer.rows()})


def content(reader: Reader) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema and an example of a request and of its answer, by media type."""
    names, row = list(reader.fields), schemas.example_row(reader)
    cells = {"type": "array", "minItems": 1, "items": {"type": "array"}}
    split = schemas.plain({"columns": {"type": "array", "items": {"enum": names}}, "data": cells}, ["data"])
    forms = schemas.one_of(
        dataframe_split=split,
        dataframe_records=schemas.rows(reader),
        instances={"type": "array", "minItems": 1},
        inputs={"type": ["object", "array"]},
    )
    params = dict.fromkeys(("id", "subject"), schemas.ID)
    body = {"type": "object", **forms}
    body["properties"] = {**body["properties"], "params": {"type": "object", "properties": params}}
    example = {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}
    lines = [",".join(row), ",".join("" if v is None else str(v) for v in row.values())]
    said = schemas.plain({"predictions": {"type": "array"}}, ["predictions"])
    return (
        {
            "application/json": {"schema": body, "example": example},
            "text/csv": {"schema": {"type": "string"}, "example": "\n".join(lines)},
        },
        {"application/json": {"schema": said}},
    )


def refuse(message: str, field: str | None) -> bytes:
    """Return the body of a refusal, as MLflow says it."""
    text = f"{field}: {message}" if field else message
    return msgspec.json.encode({"error_code": "BAD_REQUEST", "message": text})


def pages() -> Mapping[str, Callable[[Dataplane, Request], Response]]:
    """Return what this protocol shows about the server, by path, by GET."""
    shown_at = {"ping": _ping, "health": _ping, "version": _version}
    return {f"{at}/{name}": page for at in ("", _AT) for name, page in shown_at.items()}


class _Named:
    """Columns by their names."""

    def __init__(self, found: Mapping[str, Sequence[Any]]) -> None:
        self.found = found

    def of(self, reader: Reader) -> Mapping[str, Sequence[Any]]:
        """Return them as the signature's reader wants them."""
        del reader
        return self.found


class _Placed(_Named):
    """Rows of values without names, in the order of the signature."""

    def __init__(self, rows: list[Any]) -> None:
        super().__init__({})
        self._rows = rows

    def of(self, reader: Reader) -> Mapping[str, Sequence[Any]]:
        """Return them by the names of the signature."""
        reader.check_count(len(self._rows), "rows")
        return columns.of_rows(self._rows, list(reader.fields))


class _Csv(_Named):
    """Columns of texts, which the signature types; an empty text is a missing value."""

    def __init__(self, body: bytes) -> None:
        try:
            lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
            names = next(lines, [])
            rows = [row for row in lines if row]
        except (csv.Error, UnicodeDecodeError) as error:
            msg = f"The body is not CSV: {error}. Expected a header and one line for each row, in UTF-8."
            raise InvalidInput(msg) from error
        if len(set(names)) != len(names) or not names:
            msg = f"The header has {len(names)} names, of which {len(set(names))} differ. Expected each once."
            raise InvalidInput(msg, field="header")
        super().__init__(columns.of_rows(rows, names))

    def of(self, reader: Reader) -> Mapping[str, Sequence[Any]]:
        """Return them as values; what is none stays a text, for the reader to refuse."""
        reader.check_count(len(next(iter(self.found.values()), ())), "rows")
        return {
            name: [_of_text(reader.fields.get(name), text) for text in texts]
            for name, texts in self.found.items()
        }


def _call(request: Request, given: _Named, params: Mapping[str, Any]) -> Call:
    beside = columns.asked(request.query, params)

    def read(reader: Reader) -> Batch:
        return columns.read(reader, given.of(reader), beside)

    return Call(
        read=read,
        id=beside.id,
        subject=beside.subject,
        keys=columns.keys_of(given.found, beside),
        received=request.received,
    )


def _decoded(body: bytes) -> Any:
    """Return a JSON body; NaN, which Python's own writer makes of missing numbers, is read too."""
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        msg = "The body is nested too deeply. Expected rows of plain values."
        raise InvalidInput(msg) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if b"NaN" not in body:
            raise malformed(error, body) from error
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise malformed(error, body) from error


def _split(given: Any) -> _Named:
    names, rows = (given.get("columns"), given.get("data")) if isinstance(given, dict) else (None, None)
    if rows is None or not isinstance(rows, list):
        msg = f"dataframe_split is {shown(given)}. Expected an object with 'columns' and 'data', two arrays."
        raise InvalidInput(msg, field="dataframe_split")
    if names is None:
        return _Placed(rows)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        msg = f"The columns are {shown(names)}. Expected an array of names."
        raise InvalidInput(msg, field="dataframe_split.columns")
    if len(set(names)) != len(names):
        msg = f"Of the {len(names)} columns {len(set(names))} differ. Expected each once."
        raise InvalidInput(msg, field="dataframe_split.columns")
    return _Named(columns.of_rows(rows, names))


def _records(given: Any) -> _Named:
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        msg = f"The rows are {shown(given)}. Expected an array of objects."
        raise InvalidInput(msg, field="dataframe_records")
    names = list(given[0]) if given else []
    for number, row in enumerate(given):
        if row.keys() != given[0].keys():
            differ = sorted(row.keys() ^ given[0].keys())
            msg = f"Row {number} has other fields than row 0: {', '.join(differ)[:200]}. Expected the same in each."
            raise InvalidInput(msg, field=f"dataframe_records[{number}].{differ[0][:60]}")
    return _Named({name: [row[name] for row in given] for name in names})


def _instances(given: Any) -> _Named:
    if isinstance(given, list) and given and isinstance(given[0], dict):
        return _records(given)
    if not isinstance(given, list):
        msg = f"It is {shown(given)}. Expected an array of objects, or of arrays of values in the signature's order."
        raise InvalidInput(msg, field="instances")
    return _Placed([row if isinstance(row, list) else [row] for row in given])


def _inputs(given: Any) -> _Named:
    if not isinstance(given, dict):
        return _instances(given)
    return _Named({name: _column(name, values) for name, values in given.items()})


def _column(name: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        return [values]
    if values and all(isinstance(part, list) and len(part) == 1 for part in values):
        return [part[0] for part in values]
    if any(isinstance(part, list | dict) for part in values):
        msg = f"Input {name[:60]!r} holds arrays or objects. Expected one value for each row."
        raise InvalidInput(msg, field=f"inputs.{name[:60]}")
    return values


_READ: Mapping[str, Callable[[Any], _Named]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def _of_text(field: Field | None, text: str) -> Any:
    if text == "":
        return None
    kind = _TYPED.get(field.kind) if field else None
    if kind is None:
        return text
    try:
        return msgspec.convert(text.strip(), kind, strict=False)
    except msgspec.ValidationError:
        return text


def _ping(plane: Dataplane, request: Request) -> Response:
    endpoint = request.names.get("endpoint")
    well = plane.looked and (endpoint in plane.loaded if endpoint else not plane.unanswered)
    return Response(status=200 if well else 503, body=b"\n", headers=_TEXT)


def _version(plane: Dataplane, request: Request) -> Response:  # noqa: ARG001 - pages have one shape
    try:
        found = metadata.version("treadle")
    except metadata.PackageNotFoundError:
        found = "source"
    return Response(body=found.encode(), headers=_TEXT)
