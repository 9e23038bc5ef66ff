"""Requests and answers of `ModelInfer` as bytes, without a message object for each.

A client repeats nearly all of a request: the names, types and shapes of its tensors. So a request is cut into its fields, and
those that were seen before are looked up. Of an answer only the id and the numbers are new; the rest is made once. What is
written in another way than clients write it is read by protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from treadle.core.errors import InvalidInput
from treadle.serving.inference_messages import decoded, message, parameters

#: Fields of `ModelInferRequest`, as they begin: number and "so many bytes follow".
_NAME, _VERSION, _ID, _PARAMETER, _INPUT, _OUTPUT, _RAW = (n << 3 | 2 for n in range(1, 8))
#: Fields of `ModelInferResponse`.
_ANSWER_ID, _ANSWER_RAW = b"\x1a", b"\x32"
#: Longer fields are not remembered.
_LONGEST = 160


class Tensor(msgspec.Struct, frozen=True):
    """An input, without its raw contents."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    #: Typed contents, as the message has them.
    contents: Any


class Inference(msgspec.Struct):
    """A request."""

    name: str = ""
    version: str = ""
    id: str = ""
    parameters: dict[str, Any] = {}
    inputs: list[Tensor] = []
    #: Outputs that are asked for, with their parameters.
    outputs: dict[str, dict[str, Any]] = {}
    raw: list[bytes] = []


class _Strange(Exception):
    """It is not written as clients write it."""


def addressed(data: bytes) -> tuple[str, str]:
    """Return the name and the version of the model that a request is for, which clients write first.

    Raises:
        InvalidInput: the bytes are no `ModelInferRequest`.
    """
    try:
        name, end = _first(data, 0, _NAME)
        version, _ = _first(data, end, _VERSION)
    except (IndexError, UnicodeDecodeError):
        name = version = ""
    if name:
        return name, version
    found = decoded("ModelInferRequest", data)
    return found.model_name, found.model_version


def _first(data: bytes, at: int, field: int) -> tuple[str, int]:
    """Return a short text, where it stands at a place, and the place behind it."""
    if len(data) <= at or data[at] != field or data[at + 1] > 127:
        return "", at
    end = at + 2 + data[at + 1]
    return data[at + 2 : end].decode(), end


def read(data: bytes) -> Inference:
    """Read a request.

    Raises:
        InvalidInput: the bytes are no `ModelInferRequest`.
    """
    try:
        return _cut(data)
    except (IndexError, UnicodeDecodeError, InvalidInput, _Strange):
        found = decoded("ModelInferRequest", data)
    return Inference(
        found.model_name,
        found.model_version,
        found.id,
        dict(parameters(found.parameters)),
        [_tensor(tensor) for tensor in found.inputs],
        {output.name: dict(parameters(output.parameters)) for output in found.outputs},
        list(found.raw_input_contents),
    )


def _cut(data: bytes) -> Inference:
    found, at, size = Inference(), 0, len(data)
    inputs, raw = found.inputs, found.raw
    while at < size:
        tag, length = data[at], data[at + 1]
        at += 2
        if length > 127:
            length, at = _long(data, at - 1)
        piece = data[at : at + length]
        at += length
        if at > size:
            raise _Strange
        if tag == _RAW:
            raw.append(piece)
        elif tag == _INPUT:
            inputs.append(_known_tensor(piece) if length <= _LONGEST else _tensor_of(piece))
        elif tag == _NAME:
            found.name = piece.decode()
        elif tag == _VERSION:
            found.version = piece.decode()
        elif tag == _ID:
            found.id = piece.decode()
        elif tag == _PARAMETER:
            found.parameters |= _known_parameters(piece) if length <= _LONGEST else _parameters_of(piece)
        elif tag == _OUTPUT:
            name, more = _known_output(piece) if length <= _LONGEST else _output_of(piece)
            found.outputs[name] = more
        else:
            raise _Strange
    return found


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Return the length that begins at a place, and where it ends."""
    length = shift = 0
    while shift < 35:
        byte = data[at]
        at += 1
        length |= (byte & 127) << shift
        if byte < 128:
            return length, at
        shift += 7
    raise _Strange


def _tensor_of(piece: bytes) -> Tensor:
    return _tensor(decoded("ModelInferRequest.InferInputTensor", piece))


def _tensor(found: Any) -> Tensor:
    return Tensor(found.name, found.datatype, tuple(found.shape), found.contents)


def _parameters_of(piece: bytes) -> dict[str, Any]:
    # One entry of the map, as a message that has nothing else.
    entry = bytes((_PARAMETER,)) + varint(len(piece)) + piece
    return dict(parameters(decoded("ModelInferRequest", entry).parameters))


def _output_of(piece: bytes) -> tuple[str, dict[str, Any]]:
    found = decoded("ModelInferRequest.InferRequestedOutputTensor", piece)
    return found.name, dict(parameters(found.parameters))


_known_tensor = lru_cache(maxsize=4096)(_tensor_of)
_known_parameters = lru_cache(maxsize=1024)(_parameters_of)
_known_output = lru_cache(maxsize=1024)(_output_of)


def written(
    about: tuple[str, str, int, str, str],
    request: str,
    outputs: Sequence[tuple[str, str, tuple[int, ...]]],
    raw: Sequence[bytes],
) -> bytes:
    """Return an answer with raw contents: whose it is (see `_frame`), its id, and name, type and shape of each output."""
    head, tail = _frame(about, tuple(outputs))
    named = request.encode()
    parts = [head, _ANSWER_ID, varint(len(named)), named, tail]
    for values in raw:
        parts += (_ANSWER_RAW, varint(len(values)), values)
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _frame(
    about: tuple[str, str, int, str, str], outputs: tuple[tuple[str, str, tuple[int, ...]], ...]
) -> tuple[bytes, bytes]:
    """Return what stands before and behind an answer's id; `about` is endpoint, version, revision, variant and model."""
    endpoint, version, revision, variant, model = about
    tail = message("ModelInferResponse")()
    for name, said in told(revision, variant, model).items():
        setattr(tail.parameters[name], *said)
    for name, datatype, shape in outputs:
        tail.outputs.add(name=name, datatype=datatype, shape=shape)
    head = message("ModelInferResponse")(model_name=endpoint, model_version=version)
    return head.SerializeToString(), tail.SerializeToString()


def told(revision: int, variant: str, model: str) -> Mapping[str, tuple[str, Any]]:
    """Return the parameters of an answer: name → field and value."""
    return {
        "revision": ("int64_param", revision),
        "variant": ("string_param", variant),
        "model": ("string_param", model),
    }


def varint(number: int) -> bytes:
    """Return a length as protobuf writes it."""
    if number < 128:
        return _ONE[number]
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    made.append(number)
    return bytes(made)


_ONE = [bytes((number,)) for number in range(128)]
