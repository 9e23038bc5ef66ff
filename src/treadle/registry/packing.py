"""Rewrites an ONNX model so that it takes matrices instead of single columns, without the onnx library.

What is taken off the front of the graph are the steps that look at each column by itself: `LabelEncoder`, `Cast`, `Concat`,
`Gather` of columns, `Identity`. The tensors that they hand to the rest become the inputs. Whoever loads the result compares
its answers with the original's, bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np

from treadle.core.packing import Column, Matrix, Number
from treadle.core.signature import Signature
from treadle.registry.protobuf import fields

_TYPES: dict[int, str] = {1: "float32", 7: "int64", 8: "string", 11: "float64"}
_NUMBERS = {"float32": 1, "int64": 7, "float64": 11}
_GRAPH, _NODE, _INITIALIZER, _INPUT = 7, 1, 5, 11
_PLAIN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}


@dataclass(frozen=True)
class Packed:
    """A rewritten model, and what it is fed."""

    model: bytes
    matrices: tuple[Matrix, ...]


class _Node(msgspec.Struct, frozen=True):
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


#: A tensor that is still columns of the inputs: its type and them.
_Columns = tuple[str, tuple[Column, ...]]


def packed(model: bytes, signature: Signature) -> Packed | None:
    """Return a model that takes matrices; None: nothing would be won, or it begins in a way that is not known.

    Raises:
        ValueError, IndexError, KeyError: the bytes are no ONNX model that can be read here.
    """
    graph = next(bytes(cast("memoryview", v)) for n, _, v in fields(memoryview(model)) if n == _GRAPH)
    parts = [(number, wire, value) for number, wire, value in fields(memoryview(graph))]
    nodes = [_node(memoryview(cast("memoryview", v))) for n, _, v in parts if n == _NODE]
    constants = {name: values for n, _, v in parts if n == _INITIALIZER for name, values in _constant(v)}
    known = _followed(nodes, signature, constants)
    inner = {name for node in nodes if node.outputs[0] in known for name in node.outputs}
    wanted = [
        name
        for node in nodes
        if node.outputs[0] not in inner
        for name in (*node.inputs, *node.attributes.get("captured", ()))
        if name in known
    ]
    frontier = list(dict.fromkeys(wanted))
    answers = {name for n, _, v in parts if n == 12 for name in _name_of(cast("memoryview", v))}
    if answers & set(known) or not inner or any(known[name][0] == "string" for name in frontier):
        return None
    if len(frontier) >= len(signature.inputs):
        return None
    matrices = tuple(Matrix(name, cast("Number", known[name][0]), known[name][1]) for name in frontier)
    return Packed(_rewritten(model, parts, nodes, inner, matrices), matrices)


def _followed(
    nodes: Sequence[_Node], signature: Signature, constants: Mapping[str, np.ndarray]
) -> dict[str, _Columns]:
    """Follow the inputs through the nodes that look at each column by itself."""
    known: dict[str, _Columns] = {
        field.name: (field.tensor, (Column(field.name, () if field.tensor == "string" else (field.tensor,)),))
        for field in signature.inputs
    }
    for node in nodes:
        made = _made(node, known, constants)
        if made is not None and len(node.outputs) == 1:
            known[node.outputs[0]] = made
    return known


def _made(node: _Node, known: Mapping[str, _Columns], constants: Mapping[str, np.ndarray]) -> _Columns | None:
    given = [known.get(name) for name in node.inputs]
    first = given[0] if given else None
    if first is None:
        return None
    dtype, columns = first
    if node.op == "Identity":
        return first
    if node.op == "LabelEncoder" and dtype == "string":
        return _looked_up(node, columns)
    if node.op == "Cast" and dtype != "string":
        return _cast(columns, dtype, _TYPES.get(node.attributes.get("to", 0), ""))
    if node.op == "Concat" and None not in given and node.attributes.get("axis") in {1, -1}:
        every = cast("list[_Columns]", given)
        same = {kind for kind, _ in every} == {dtype} and dtype != "string"
        return (dtype, tuple(column for _, part in every for column in part)) if same else None
    if node.op == "Gather" and node.attributes.get("axis") == 1 and dtype != "string":
        places = constants.get(node.inputs[1])
        if places is not None and places.ndim == 1:
            return dtype, tuple(columns[place] for place in places.tolist())
    return None


def _cast(columns: tuple[Column, ...], dtype: str, to: str) -> _Columns | None:
    """Change the type of columns; a float that becomes an integer is left to the runtime."""
    if to not in _NUMBERS or (to == "int64" and dtype != "int64"):
        return None
    return to, tuple(
        msgspec.structs.replace(column, types=(*column.types, cast("Number", to)))
        if column.table is None
        else msgspec.structs.replace(
            column,
            types=(cast("Number", to),),
            table={text: _rounded(number, to) for text, number in column.table.items()},
            default=_rounded(column.default, to),
        )
        for column in columns
    )


def _rounded(number: float, dtype: str) -> float:
    return cast("float", np.dtype(dtype).type(number).item())


def _looked_up(node: _Node, columns: tuple[Column, ...]) -> _Columns | None:
    keys, values = node.attributes.get("keys_tensor"), node.attributes.get("values_tensor")
    default = node.attributes.get("default_tensor")
    if keys is None or values is None or default is None or len(columns) != 1 or columns[0].table is not None:
        return None
    dtype = values.dtype.name
    if keys.dtype != object or dtype not in _NUMBERS or len(keys) != len(values):
        return None
    # Of equal keys the first counts, as in the runtime.
    table = dict(zip(reversed(keys.tolist()), reversed(values.tolist()), strict=True))
    number = default.reshape(-1).tolist()[0]
    return dtype, (Column(columns[0].field, (cast("Number", dtype),), table, number),)


def _rewritten(
    model: bytes,
    parts: Sequence[tuple[int, int, int | memoryview]],
    nodes: Sequence[_Node],
    inner: set[str],
    matrices: Sequence[Matrix],
) -> bytes:
    graph = bytearray()
    following = iter(nodes)
    for number, wire, value in parts:
        if number == _INPUT or (number == _NODE and next(following).outputs[0] in inner):
            continue
        graph += _field(number, wire, value)
    for matrix in matrices:
        graph += _field(_INPUT, 2, _described(matrix))
    whole = bytearray()
    for number, wire, value in fields(memoryview(model)):
        whole += _field(number, wire, bytes(graph) if number == _GRAPH else value)
    return bytes(whole)


def _described(matrix: Matrix) -> bytes:
    """Return an input as ONNX describes it: name, element type and a shape of (any, columns)."""
    rows, width = _field(2, 2, b"rows"), _field(1, 0, len(matrix.columns))
    shape = _field(1, 2, rows) + _field(1, 2, width)
    tensor = _field(1, 0, _NUMBERS[matrix.dtype]) + _field(2, 2, shape)
    return _field(1, 2, matrix.name.encode()) + _field(2, 2, _field(1, 2, tensor))


def _node(message: memoryview) -> _Node:
    inputs, outputs, op, domain = [], [], "", ""
    attributes: dict[str, Any] = {}
    for number, _, value in fields(message):
        if number == 5:
            name, held = _attribute(cast("memoryview", value))
            attributes[name] = held
        elif number in {1, 2, 4, 7}:
            text = bytes(cast("memoryview", value)).decode()
            if number == 1:
                inputs.append(text)
            elif number == 2:
                outputs.append(text)
            elif number == 4:
                op = text
            else:
                domain = text
    if any(held is _GRAPHS for held in attributes.values()):
        msg = "a node holds a graph, which may use tensors of this one"
        raise ValueError(msg)
    return _Node(
        op if domain in _PLAIN_DOMAINS else f"{domain}:{op}", tuple(inputs), tuple(outputs), attributes
    )


_GRAPHS = object()


def _attribute(message: memoryview) -> tuple[str, Any]:
    name = ""
    held: Any = None
    for number, _, value in fields(message):
        if number == 1:
            name = bytes(cast("memoryview", value)).decode()
        elif number == 3:
            held = value
        elif number == 5:
            held = _tensor(cast("memoryview", value))[1]
        elif number in {6, 11}:
            held = _GRAPHS
    return name, held


def _constant(value: int | memoryview) -> Iterator[tuple[str, np.ndarray]]:
    name, values = _tensor(cast("memoryview", value), only_small=True)
    if values is not None:
        yield name, values


def _tensor(message: memoryview, *, only_small: bool = False) -> tuple[str, np.ndarray | None]:
    """Return a tensor's name and values; None: it is of another type, or larger than what is looked for."""
    dims: list[int] = []
    name, kind, raw, texts = "", 0, b"", []
    for number, wire, value in fields(message):
        if number == 1:
            dims += [cast("int", value)] if wire == 0 else list(_varints(bytes(cast("memoryview", value))))
        elif number == 2:
            kind = cast("int", value)
        elif number == 6:
            texts.append(bytes(cast("memoryview", value)).decode())
        elif number == 8:
            name = bytes(cast("memoryview", value)).decode()
        elif number == 9:
            raw = bytes(cast("memoryview", value))
    dtype = _TYPES.get(kind)
    if dtype is None or (only_small and len(raw) > 65_536):
        return name, None
    values = np.array(texts, dtype=object) if dtype == "string" else np.frombuffer(raw, dtype=dtype)
    return name, values.reshape(dims) if int(np.prod(dims, dtype=np.int64)) == values.size else None


def _varints(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


def _name_of(message: memoryview) -> Iterator[str]:
    for number, _, value in fields(message):
        if number == 1:
            yield bytes(cast("memoryview", value)).decode()


def _field(number: int, wire: int, value: int | bytes | memoryview) -> bytes:
    """Return one field as Protocol Buffers write it."""
    head = _written(number << 3 | wire)
    if isinstance(value, int):
        return head + _written(value)
    return head + (_written(len(value)) if wire == 2 else b"") + bytes(value)


def _written(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
