"""The Open Inference Protocol, version 2, over HTTP, with its binary tensors: Triton's and KServe's clients work unchanged.

An endpoint is a `model` of the protocol; its columns are tensors of shape [rows] or [rows, 1], and an output of several
numbers is one of shape [rows, numbers], whose metadata name these (`parameters.columns`). What the protocol has
no word for travels in `parameters`: `subject` and `keys` (JSON text: an array of objects) in a request; revision,
variant and model in an answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import msgspec

from treadle.core.errors import InvalidInput
from treadle.core.signature import Field
from treadle.serving import schemas, tensors
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.entries import key_text
from treadle.serving.requests import Batch, Reader, envelope, shown
from treadle.serving.routing import JSON_TYPES
from treadle.serving.web import JSON, Request, Response, reply

#: What bodies may be said to be, and the pages that need no token.
MEDIA_TYPES, PUBLIC = JSON_TYPES, ()
#: Paths at which predictions are asked for, by POST.
PREDICT = ("/v2/models/{endpoint}/infer", "/v2/models/{endpoint}/versions/{version}/infer")
_HEADER = "inference-header-content-length"
_EXTENSIONS = ["binary_tensor_data"]


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Body(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[_Output] = []


class _Tensor(msgspec.Struct):
    """An output, written from a struct as the whole answer is: that takes a fraction of the time that mappings take."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET


class _By(msgspec.Struct):
    revision: int
    variant: str
    model: str


class _Said(msgspec.Struct):
    model_name: str
    model_version: str
    id: str
    parameters: _By
    outputs: list[_Tensor]


_BODY, _ENCODER = msgspec.json.Decoder(_Body), msgspec.json.Encoder()
_KEYS = msgspec.json.Decoder(list[dict[str, str | int | float | bool | None]])


def parse(request: Request) -> Call:
    """Read a request, its JSON and the binary tensors behind it.

    Raises:
        InvalidInput: it is not of this shape.
    """
    body, binary = _split(request)
    subject, keys = body.parameters.get("subject"), body.parameters.get("keys")
    return Call(
        read=lambda reader: _read(reader, body, binary),
        id=body.id,
        subject=None if subject is None else str(subject),
        keys=None if keys is None else keys_of(keys),
        version=version_of(request),
        received=request.received,
        explain=explain_of(body.parameters.get("explain")),
        asked=body,
    )


def render(answer: Answer, call: Call) -> Response:
    """Return the response: the outputs that were asked for, binary where that was asked for.

    Raises:
        InvalidInput: an output was asked for that the model does not have.
    """
    body: _Body = call.asked
    outputs, blobs, variant = [], [], answer.variant
    everything = bool(body.parameters.get("binary_data_output", False))
    for name, binary in _wanted(body, answer, everything):
        values = tensors.as_texts(answer.outputs[name])
        told = _Tensor(name, tensors.datatype_of_array(values), values.shape)
        if binary:
            blobs.append(tensors.to_bytes(values))
            told.parameters = {"binary_data_size": len(blobs[-1])}
        else:
            told.data = values.reshape(-1).tolist()
        outputs.append(told)
    by = _By(answer.revision, variant.name, variant.model)
    head = _ENCODER.encode(_Said(answer.endpoint, str(variant.version), answer.id, by, outputs))
    if not blobs:
        return Response(body=head)
    headers = (("content-type", "application/octet-stream"), (_HEADER, str(len(head))))
    return Response(body=b"".join((head, *blobs)), headers=headers)


def content(reader: Reader) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema and an example of a request and of its answer, by media type."""
    shape: dict[str, Any] = {
        "type": "array",
        "minItems": 1,
        "maxItems": 2,
        "items": {"type": "integer", "minimum": 0},
    }
    tensor = {
        "name": {"type": "string"},
        "shape": shape,
        "datatype": {"type": "string"},
        "data": {"type": "array"},
    }
    one = {
        "oneOf": [
            schemas.plain(
                {
                    **tensor,
                    "name": {"const": name},
                    "datatype": {"enum": sorted(tensors.accepted(field))},
                    "data": {"type": "array", "minItems": 1, "items": schemas.value(field)},
                },
                list(tensor),
            )
            for name, field in reader.fields.items()
        ]
    }
    body = {
        "inputs": {"type": "array", "minItems": 1, "items": one},
        "id": schemas.ID,
        "parameters": {"type": "object"},
    }
    row = schemas.example_row(reader)
    example: list[dict[str, Any]] = [
        {"name": name, "shape": [1], "datatype": tensors.datatype_of(reader.fields[name]), "data": [value]}
        for name, value in row.items()
    ]
    for sent in example:
        if reader.fields[sent["name"]].kind in {"timestamp", "date"}:
            sent["datatype"] = "BYTES"
    told: dict[str, Any] = {name: {"type": "string"} for name in ("id", "model_name", "model_version")}
    outputs = {"type": "array", "items": schemas.plain(tensor, ["name", "shape", "datatype"])}
    told |= {"outputs": outputs, "parameters": {"type": "object"}}
    return (
        {"application/json": {"schema": schemas.plain(body, ["inputs"]), "example": {"inputs": example}}},
        {"application/json": {"schema": schemas.plain(told, list(told))}, "application/octet-stream": {}},
    )


def refuse(message: str, field: str | None) -> bytes:
    """Return the body of a refusal: the protocol's clients expect one string."""
    return msgspec.json.encode({"error": f"{field}: {message}" if field else message})


def pages() -> Mapping[str, Callable[[Dataplane, Request], Response]]:
    """Return what this protocol shows about the server and its models, by path, by GET."""
    return {
        "/v2": _server,
        "/v2/models/{endpoint}": _model,
        "/v2/models/{endpoint}/versions/{version}": _model,
        "/v2/models/{endpoint}/ready": _model_ready,
        "/v2/models/{endpoint}/versions/{version}/ready": _model_ready,
    }


def _server(plane: Dataplane, request: Request) -> Response:  # noqa: ARG001 - pages have one shape
    return reply({"name": "treadle", "version": _release(), "extensions": _EXTENSIONS})


def _release() -> str:
    try:
        return metadata.version("treadle")
    except metadata.PackageNotFoundError:
        return "source"


def _model(plane: Dataplane, request: Request) -> Response:
    name = request.names["endpoint"]
    loaded, _, reader = plane.reader(name, version_of(request))
    inputs = [_taken(field, optional=name in reader.optional) for name, field in reader.fields.items()]
    outputs = [_described(field) for field in reader.signature.outputs]
    versions = sorted({str(variant.version) for variant in loaded.revision.variants})
    return reply(
        {"name": name, "versions": versions, "platform": "treadle", "inputs": inputs, "outputs": outputs}
    )


def _taken(field: Field, *, optional: bool) -> dict[str, Any]:
    told = {"name": field.name, "datatype": tensors.datatype_of(field), "shape": [-1]}
    return {**told, "parameters": {"optional": True}} if optional else told


def _described(field: Field) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": field.name,
        "datatype": "FP64" if field.kind == "float" else tensors.datatype_of(field),
        "shape": [-1, len(field.columns)] if field.columns else [-1],
    }
    return {**told, "parameters": {"columns": list(field.columns)}} if field.columns else told


def _model_ready(plane: Dataplane, request: Request) -> Response:
    plane.reader(request.names["endpoint"], version_of(request))
    return Response(headers=(JSON,))


def explain_of(given: Any) -> bool:
    """Return whether the parameter `explain` asks what the inputs add.

    Raises:
        InvalidInput: it is neither true nor false.
    """
    if given is not None and not isinstance(given, bool):
        msg = f"The parameter 'explain' is {shown(given)}. Expected true or false."
        raise InvalidInput(msg, field="parameters.explain")
    return bool(given)


def keys_of(given: Any) -> list[str]:
    """Read the parameter `keys`: JSON text of an array of objects.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return [key_text(key) for key in envelope(_KEYS, str(given).encode())]
    except InvalidInput as error:
        msg = f"The parameter 'keys' is {shown(given)}. Expected the JSON text of an array of objects, one for each row."
        raise InvalidInput(msg, field="parameters.keys") from error


def version_of(request: Request) -> int | None:
    """Read the version in the path; None: there is none.

    Raises:
        InvalidInput: it is no number.
    """
    given = request.names.get("version")
    if given is None:
        return None
    if not given.isascii() or not given.isdecimal() or len(given) > 9:
        msg = f"Version {shown(given)} is not a number. Expected a model version, as 3."
        raise InvalidInput(msg, field="version")
    return int(given)


def _split(request: Request) -> tuple[_Body, bytes]:
    length = request.headers.get(_HEADER)
    if length is None:
        return envelope(_BODY, request.body), b""
    if not length.isascii() or not length.isdecimal() or int(length[:12]) > len(request.body):
        msg = f"The header {_HEADER} is {length[:20]!r}. Expected the length of the JSON part, at most {len(request.body)}."
        raise InvalidInput(msg)
    size = int(length)
    return envelope(_BODY, request.body[:size]), request.body[size:]


def _read(reader: Reader, body: _Body, binary: bytes) -> Batch:
    columns: dict[str, Sequence[Any]] = {}
    fields, place, checked = reader.fields, 0, 0
    for tensor in body.inputs:
        name, datatype = tensor.name, tensor.datatype
        if name in columns:
            msg = f"Input {name!r} came twice. Expected it once."
            raise InvalidInput(msg, field=name)
        size = tensor.parameters.get("binary_data_size")
        count = tensors.count_of(name, tensor.shape)
        if count != checked or not count:
            reader.check_count(count, name)
            checked = count
        field = fields.get(name)
        if field is None:
            columns[name] = ()
            continue
        tensors.check_type(name, datatype, tensors.accepted(field))
        if size is None:
            data = _flat(tensor, count)
        else:
            size = _checked_size(tensor, size, len(binary) - place)
            data = tensors.from_bytes(datatype, binary[place : place + size], count, name=name)
            place += size
        columns[name] = tensors.values_of(field, datatype, data)
    if place != len(binary) and all(name in reader.fields for name in columns):
        msg = (
            f"{len(binary)} bytes stand behind the JSON, but the inputs' binary_data_size add up to {place}."
        )
        raise InvalidInput(msg)
    return reader.values(columns, place=lambda name, row: f"{name}[{row}]")


def _checked_size(tensor: _Input, size: Any, left: int) -> int:
    if type(size) is not int or not 0 <= size <= left:
        msg = f"Input {tensor.name!r} says it has {shown(size)} bytes. Expected a number up to {left}, which are left."
        raise InvalidInput(msg, field=tensor.name)
    return size


def _flat(tensor: _Input, count: int) -> list[Any]:
    data = tensor.data
    if isinstance(data, msgspec.UnsetType):
        msg = f"Input {tensor.name!r} has no data. Expected 'data', or 'binary_data_size' in its parameters."
        raise InvalidInput(msg, field=tensor.name)
    if len(tensor.shape) == 2 and data and isinstance(data[0], list) and all(map(_is_alone, data)):
        data = [part[0] for part in data]
    if len(data) != count:
        msg = f"Input {tensor.name!r} has {len(data)} values. Expected {math.prod(tensor.shape)}, as its shape says."
        raise InvalidInput(msg, field=tensor.name)
    return data


def _is_alone(part: Any) -> bool:
    return isinstance(part, list) and len(part) == 1


def check_wanted(asked: Mapping[str, Mapping[str, Any]], answer: Answer) -> None:
    """Refuse outputs that are asked for and not there.

    Raises:
        InvalidInput: the model does not have one, or it is asked for as classes.
    """
    for name, parameters in asked.items():
        if name not in answer.outputs:
            msg = f"Unknown output {name!r}. Available: {', '.join(answer.outputs)}."
            raise InvalidInput(msg, field="outputs")
        if "classification" in parameters:
            msg = (
                "The classification extension is not supported. Read the output with the probability instead."
            )
            raise InvalidInput(msg, field="outputs")


def _wanted(body: _Body, answer: Answer, everything: bool) -> list[tuple[str, bool]]:
    if not body.outputs:
        return [(name, everything) for name in answer.outputs]
    check_wanted({output.name: output.parameters for output in body.outputs}, answer)
    return [(o.name, bool(o.parameters.get("binary_data", everything))) for o in body.outputs]
