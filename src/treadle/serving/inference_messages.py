"""The messages of the Open Inference Protocol for gRPC, made at run time from a table of their fields.

Names and numbers are those of the specification (package `inference`, service `GRPCInferenceService`). They are registered in a pool of
their own: a program that has loaded `tritonclient`, which registers the same names, can serve too. No generated code: it
would be bound to the version of the compiler that made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from treadle.core.errors import InvalidInput
from treadle.core.optional import require

SERVICE = "inference.GRPCInferenceService"

_PARAMETERS = "map InferParameter"
_TENSOR = {
    "name": (1, "string"),
    "datatype": (2, "string"),
    "shape": (3, "repeated int64"),
    "parameters": (4, _PARAMETERS),
    "contents": (5, "InferTensorContents"),
}
_NAME_VERSION = {"name": (1, "string"), "version": (2, "string")}
#: Message → field → (number, type); a dotted name is a message inside another one.
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": (1, "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": _NAME_VERSION,
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {**_NAME_VERSION, "extensions": (3, "repeated string")},
    "ModelMetadataRequest": _NAME_VERSION,
    "ModelMetadataResponse": {
        "name": (1, "string"),
        "versions": (2, "repeated string"),
        "platform": (3, "string"),
        "inputs": (4, "repeated ModelMetadataResponse.TensorMetadata"),
        "outputs": (5, "repeated ModelMetadataResponse.TensorMetadata"),
    },
    "ModelMetadataResponse.TensorMetadata": {
        "name": (1, "string"),
        "datatype": (2, "string"),
        "shape": (3, "repeated int64"),
    },
    "InferParameter": {
        "bool_param": (1, "oneof bool"),
        "int64_param": (2, "oneof int64"),
        "string_param": (3, "oneof string"),
        "double_param": (4, "oneof double"),
        "uint64_param": (5, "oneof uint64"),
    },
    "InferTensorContents": {
        "bool_contents": (1, "repeated bool"),
        "int_contents": (2, "repeated int32"),
        "int64_contents": (3, "repeated int64"),
        "uint_contents": (4, "repeated uint32"),
        "uint64_contents": (5, "repeated uint64"),
        "fp32_contents": (6, "repeated float"),
        "fp64_contents": (7, "repeated double"),
        "bytes_contents": (8, "repeated bytes"),
    },
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, _PARAMETERS),
        "inputs": (5, "repeated ModelInferRequest.InferInputTensor"),
        "outputs": (6, "repeated ModelInferRequest.InferRequestedOutputTensor"),
        "raw_input_contents": (7, "repeated bytes"),
    },
    "ModelInferRequest.InferInputTensor": _TENSOR,
    "ModelInferRequest.InferRequestedOutputTensor": {"name": (1, "string"), "parameters": (2, _PARAMETERS)},
    "ModelInferResponse": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, _PARAMETERS),
        "outputs": (5, "repeated ModelInferResponse.InferOutputTensor"),
        "raw_output_contents": (6, "repeated bytes"),
    },
    "ModelInferResponse.InferOutputTensor": _TENSOR,
    "ModelStreamInferResponse": {"error_message": (1, "string"), "infer_response": (2, "ModelInferResponse")},
}


@cache
def message(name: str) -> Any:
    """Return the class of a message, by its name in the specification.

    Raises:
        MissingExtra: protobuf is not installed.
    """
    factory = require("google.protobuf.message_factory", extra="grpc")
    return factory.GetMessageClass(_pool().FindMessageTypeByName(f"inference.{name}"))


def decoded(name: str, data: bytes) -> Any:
    """Read a message.

    Raises:
        InvalidInput: the bytes are no such message.
    """
    try:
        return message(name).FromString(data)
    except (_decode_error(), UnicodeDecodeError) as error:
        msg = f"The {len(data)} bytes are no {name} of the Open Inference Protocol: {error}."
        raise InvalidInput(msg) from error


@cache
def _decode_error() -> type[Exception]:
    found: type[Exception] = require("google.protobuf.message", extra="grpc").DecodeError
    return found


@cache
def _pool() -> Any:
    descriptors = require("google.protobuf.descriptor_pb2", extra="grpc")
    pools = require("google.protobuf.descriptor_pool", extra="grpc")
    file = descriptors.FileDescriptorProto(name="open_inference.proto", package="inference", syntax="proto3")
    made: dict[str, Any] = {}
    for name, fields in FIELDS.items():
        outer, _, inner = name.rpartition(".")
        place = made[outer].nested_type.add() if outer else file.message_type.add()
        place.name = inner
        made[name] = place
        for field, (number, kind) in fields.items():
            _add(place, f".inference.{name}", field, number=number, kind=kind)
    pool = pools.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add(place: Any, full: str, name: str, *, number: int, kind: str) -> None:
    """Add one field to a message's descriptor."""
    how, _, what = kind.rpartition(" ")
    field = place.field.add(name=name, number=number, label=3 if how in {"repeated", "map"} else 1)
    if how == "oneof":
        if not place.oneof_decl:
            place.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    if how == "map":
        entry = place.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add(entry, full, "key", number=1, kind="string")
        _add(entry, full, "value", number=2, kind=what)
        what = f"{full.removeprefix('.inference.')}.{entry.name}"
    if what in _SCALARS:
        field.type = _SCALARS[what]
    else:
        field.type, field.type_name = _MESSAGE, f".inference.{what}"


#: Names of types → their numbers in descriptors.
_SCALARS = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "uint32": 13,
}
_MESSAGE = 11


def parameters(given: Any) -> Iterator[tuple[str, Any]]:
    """Return the names and values of a map of parameters; one without a value is left out."""
    for name, parameter in given.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is not None:
            yield name, getattr(parameter, kind)
