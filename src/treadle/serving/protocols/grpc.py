"""The Open Inference Protocol, version 2, over gRPC: Triton's and KServe's clients work unchanged.

Setting `serving.grpc_port` opens its door. Each method is what the HTTP path of the same meaning does, with the same token
(metadata `authorization`), limits and log: `ModelInfer` is `POST /v2/models/{endpoint}/infer` with a protobuf body, which
may be sent there as well (`Content-Type: application/x-protobuf`). Tensors come raw or typed, and go back as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from treadle.core.errors import InvalidInput
from treadle.core.settings import ServingSettings
from treadle.serving import tensors
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.grpc_door import Door
from treadle.serving.grpc_service import Respond
from treadle.serving.inference_messages import message
from treadle.serving.inference_wire import Inference, Tensor, told, written
from treadle.serving.inference_wire import read as read_inference
from treadle.serving.protocols import v2
from treadle.serving.requests import Batch, Reader
from treadle.serving.web import Request, Response

#: Of `POST` at these paths the bodies that are said to be this are read here.
PREDICT = v2.PREDICT
MEDIA_TYPES, PUBLIC = ("application/x-protobuf", "application/protobuf"), ()
_BODY = (("content-type", MEDIA_TYPES[0]),)
_TYPED = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def door(respond: Respond, settings: ServingSettings) -> Door | None:
    """Return what listens for gRPC; None: it is not asked for.

    Raises:
        MissingExtra: what gRPC needs is not installed.
    """
    return Door(respond, settings) if settings.grpc_port else None


def parse(request: Request) -> Call:
    """Read a request.

    Raises:
        InvalidInput: it is no `ModelInferRequest`, or not whole.
    """
    body = read_inference(request.body)
    _check_address(body, request)
    given = body.parameters
    subject, keys = given.get("subject"), given.get("keys")
    if len(body.raw) not in {0, len(body.inputs)}:
        msg = f"There are {len(body.raw)} raw contents for {len(body.inputs)} inputs. Expected one each, or none."
        raise InvalidInput(msg, field="raw_input_contents")
    return Call(
        read=lambda reader: _read(reader, body),
        id=body.id,
        subject=None if subject is None else str(subject),
        keys=None if keys is None else v2.keys_of(keys),
        version=v2.version_of(request),
        received=request.received,
        explain=v2.explain_of(given.get("explain")),
        asked=body,
    )


def _check_address(body: Inference, request: Request) -> None:
    """Refuse a message for another model or version than its address says.

    Raises:
        InvalidInput: it is.
    """
    for said, field, wanted in (
        ("endpoint", "model_name", body.name),
        ("version", "model_version", body.version),
    ):
        there = request.names.get(said)
        if wanted and there is not None and there != wanted:
            msg = f"{field} is {wanted[:60]!r}, but the address says {there[:60]!r}. Send the same, or leave {field} empty."
            raise InvalidInput(msg, field=field)


def render(answer: Answer, call: Call) -> Response:
    """Return the response: the outputs that were asked for, raw where the inputs were.

    Raises:
        InvalidInput: an output was asked for that the model does not have.
    """
    body: Inference = call.asked
    v2.check_wanted(body.outputs, answer)
    found = [(name, tensors.as_texts(answer.outputs[name])) for name in body.outputs or answer.outputs]
    about = [(name, tensors.datatype_of_array(values), values.shape) for name, values in found]
    variant = answer.variant
    if body.raw:
        whose = answer.endpoint, str(variant.version), answer.revision, variant.name, variant.model
        made = written(whose, answer.id, about, [tensors.to_bytes(values) for _, values in found])
        return Response(body=made, headers=_BODY)
    typed = message("ModelInferResponse")(
        model_name=answer.endpoint, model_version=str(variant.version), id=answer.id
    )
    for name, said in told(answer.revision, variant.name, variant.model).items():
        setattr(typed.parameters[name], *said)
    for (name, datatype, shape), (_, values) in zip(about, found, strict=True):
        output, flat = (
            typed.outputs.add(name=name, datatype=datatype, shape=shape),
            values.reshape(-1).tolist(),
        )
        texts = [str(value).encode() for value in flat] if datatype == "BYTES" else flat
        getattr(output.contents, _TYPED[datatype]).extend(texts)
    return Response(body=typed.SerializeToString(), headers=_BODY)


def refuse(message: str, field: str | None) -> bytes:
    """Return the body of a refusal; over gRPC it becomes the status' details."""
    return v2.refuse(message, field)


def pages() -> Mapping[str, Callable[[Dataplane, Request], Response]]:
    """Return nothing: what there is to see is shown by `v2`."""
    return {}


def _read(reader: Reader, body: Inference) -> Batch:
    columns: dict[str, Sequence[Any]] = {}
    for place, tensor in enumerate(body.inputs):
        if tensor.name in columns:
            msg = f"Input {tensor.name!r} came twice. Expected it once."
            raise InvalidInput(msg, field=tensor.name)
        field = reader.fields.get(tensor.name)
        count = tensors.count_of(tensor.name, tensor.shape)
        reader.check_count(count, tensor.name)
        if field is None:
            columns[tensor.name] = ()
            continue
        tensors.check_type(tensor.name, tensor.datatype, tensors.accepted(field))
        if body.raw:
            raw = body.raw[place]
            data: Sequence[Any] = tensors.from_bytes(tensor.datatype, raw, count, name=tensor.name)
        else:
            data = _typed(tensor, count)
        columns[tensor.name] = tensors.values_of(field, tensor.datatype, data)
    return reader.values(columns, place=lambda name, row: f"{name}[{row}]")


def _typed(tensor: Tensor, count: int) -> Sequence[Any]:
    where = _TYPED.get(tensor.datatype)
    data = list(getattr(tensor.contents, where)) if where else []
    if len(data) != count:
        place = f"contents.{where}" if where else "raw_input_contents"
        msg = f"Input {tensor.name!r} has {len(data)} values. Expected {count} of {tensor.datatype}, in {place}."
        raise InvalidInput(msg, field=tensor.name)
    if where == "bytes_contents":
        try:
            return [text.decode() for text in data]
        except UnicodeDecodeError as error:
            msg = f"Input {tensor.name!r} holds bytes that are not UTF-8: {error}."
            raise InvalidInput(msg, field=tensor.name) from error
    return data
