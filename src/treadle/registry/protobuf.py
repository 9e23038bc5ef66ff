"""Looks through the bytes of an ONNX model for tensors that are kept outside of it, without the onnx library."""

from __future__ import annotations

from collections.abc import Iterator

from treadle.core.errors import PackageRefused

#: Message → field number → the message that the field holds (onnx.proto; all other fields hold no tensor).
_HOLDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 64


def refuse_external_data(model: bytes) -> None:
    """Accept only a model that holds all its own tensors.

    Raises:
        PackageRefused: a tensor names another file, or the bytes are no ONNX model.
    """
    try:
        found = any(_external(memoryview(model), "model", 0))
    except (IndexError, ValueError) as error:
        msg = "The file is not an ONNX model: its bytes cannot be read."
        raise PackageRefused(msg) from error
    if found:
        msg = (
            "The ONNX model keeps tensors in another file (external data), which a package may not. "
            "Save it with all its data inside: onnx.save(model, path, save_as_external_data=False)."
        )
        raise PackageRefused(msg)


def _external(message: memoryview, kind: str, depth: int) -> Iterator[bool]:
    if depth > _DEEPEST:
        msg = "nested too deeply"
        raise ValueError(msg)
    inner = _HOLDS.get(kind, {})
    for number, wire, value in fields(message):
        if kind == "tensor":
            yield number in {_EXTERNAL_DATA, _DATA_LOCATION} and value != 0
        elif number in inner and wire == _BYTES and isinstance(value, memoryview):
            yield from _external(value, inner[number], depth + 1)


def fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield the number, wire type and value of each field (Protocol Buffers, encoding specification)."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, wire, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in {_FIXED32, _FIXED64}:
            length = 4 if wire == _FIXED32 else 8
        else:
            msg = f"wire type {wire}"
            raise ValueError(msg)
        if at + length > end:
            msg = "cut short"
            raise ValueError(msg)
        yield tag >> 3, wire, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            msg = "number too long"
            raise ValueError(msg)
