"""An ONNX model from elsewhere, set into a graph that takes and gives what a signature says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.core.answers import scored
from treadle.core.errors import InvalidInput
from treadle.core.optional import require
from treadle.core.signature import Field, Signature
from treadle.registry.conversion.graph import tensor

_TYPES = {"float32": 1, "int64": 7, "string": 8}
_NUMBERS = {1: "float32", 11: "float64"}
_DOUBLE = 11
_PREFIX, _OWN = "given:", "treadle:"


def adopted(model: Any, *, signature: Signature, output: str = "") -> Any:
    """Return the model with one input of shape (rows, 1) for each field, and the scored numbers as its output.

    The model takes the fields by name, or all of them as one matrix in the signature's order. `output` names the tensor
    that holds the scored numbers; it may be left out where only one has their shape. Of two columns the second
    is the probability of the positive class.

    Raises:
        InvalidInput: inputs or outputs do not fit; the message says which there are.
    """
    onnx = require("onnx", extra="sklearn")
    given = _chosen(model, signature, output)
    opened = onnx.compose.add_prefix(model, _PREFIX)
    graph = opened.graph
    before, constants = _fed(onnx, graph, signature)
    last = scored(signature)
    after, more = _given(onnx, _PREFIX + given.name, last, width=_width(given))
    describe = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        [*before, *graph.node, *after],
        "adopted",
        [describe(field.name, _TYPES[field.tensor], [None, 1]) for field in signature.inputs],
        [describe(last.name, _DOUBLE, [None, max(1, len(last.columns))])],
        initializer=[*graph.initializer, *constants, *more],
        sparse_initializer=list(graph.sparse_initializer),
    )
    return onnx.helper.make_model(
        made,
        opset_imports=list(opened.opset_import),
        ir_version=model.ir_version,
        functions=list(opened.functions),
    )


def _chosen(model: Any, signature: Signature, output: str) -> Any:
    """Return the output that holds the scored numbers."""
    last = scored(signature)
    wanted = {len(last.columns)} if last.columns else {1, 2} if last.name == "probability" else {1}
    there = list(model.graph.output)
    fitting = [one for one in there if _kind(one) in _NUMBERS and _width(one) in {*wanted, 0}]
    named = [one for one in fitting if one.name == (output or last.name)]
    found = named or ([] if output else fitting)
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"{one.name} ({_told(one)})" for one in there)
    width = " or ".join(map(str, sorted(wanted)))
    msg = (
        f"The ONNX model gives {shown}. Expected one tensor of float numbers of shape (rows, {width}), which is the {last.name}"
        f"{f', called {output!r}' if output else '; name it with output='}. (scikit-learn's converter: zipmap=False.)"
    )
    raise InvalidInput(msg, field="output")


def _fed(onnx: Any, graph: Any, signature: Signature) -> tuple[list[Any], list[Any]]:
    """Return nodes that make the model's own inputs of one column for each field, and their constants."""
    held = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in held]
    if len(inputs) == 1 and inputs[0].name.removeprefix(_PREFIX) not in signature.names:
        return _matrix(onnx, inputs[0], signature.inputs), []
    strange = [n for one in inputs if (n := one.name.removeprefix(_PREFIX)) not in signature.names]
    if strange:
        msg = (
            f"The ONNX model takes {', '.join(one.name.removeprefix(_PREFIX) for one in inputs)}. Expected inputs called as the "
            f"columns are ({', '.join(signature.names)}), or one matrix of all of them; {strange[0]!r} is none."
        )
        raise InvalidInput(msg, field=strange[0])
    shape = tensor(np.array([-1], dtype=np.int64), name=f"{_OWN}flat")
    nodes: list[Any] = []
    for one in inputs:
        name = one.name.removeprefix(_PREFIX)
        column = _cast(onnx, nodes, name, signature.field(name), one)
        flat = len(one.type.tensor_type.shape.dim) == 1
        nodes.append(
            onnx.helper.make_node(
                "Reshape" if flat else "Identity", [column, shape.name] if flat else [column], [one.name]
            )
        )
    return nodes, [shape]


def _matrix(onnx: Any, one: Any, fields: Sequence[Field]) -> list[Any]:
    width = _width(one)
    if width not in {0, len(fields)}:
        names = ", ".join(field.name for field in fields)
        msg = f"The ONNX model takes {width} columns, and {len(fields)} are given: {names}. Name those that it takes: inputs=[...]"
        raise InvalidInput(msg, field="inputs")
    nodes: list[Any] = []
    columns = [_cast(onnx, nodes, field.name, field, one) for field in fields]
    nodes.append(onnx.helper.make_node("Concat", columns, [one.name], axis=1))
    return nodes


def _cast(onnx: Any, nodes: list[Any], name: str, field: Field, one: Any) -> str:
    """Return the name of a column in the type that the model takes."""
    wanted = _kind(one)
    if wanted == _TYPES[field.tensor]:
        return name
    if 8 in {wanted, _TYPES[field.tensor]}:
        msg = f"The ONNX model takes {_told(one)} where the column {name!r} is of the kind {field.kind}."
        raise InvalidInput(msg, field=name)
    made = f"{_OWN}cast_{len(nodes)}"
    nodes.append(onnx.helper.make_node("Cast", [name], [made], to=wanted))
    return made


def _given(onnx: Any, name: str, last: Field, *, width: int) -> tuple[list[Any], list[Any]]:
    """Return nodes that make the scored output of the model's own, and their constants."""
    make = onnx.helper.make_node
    shape = tensor(np.array([-1, max(1, len(last.columns))], dtype=np.int64), name=f"{_OWN}shape")
    nodes, constants = [make("Cast", [name], [f"{_OWN}double"], to=_DOUBLE)], [shape]
    taken = f"{_OWN}double"
    if last.name == "probability" and width == 2:
        constants.append(tensor(np.array([1], dtype=np.int64), name=f"{_OWN}second"))
        nodes.append(make("Gather", [taken, f"{_OWN}second"], [f"{_OWN}positive"], axis=1))
        taken = f"{_OWN}positive"
    return [*nodes, make("Reshape", [taken, shape.name], [last.name])], constants


def _kind(one: Any) -> int:
    return int(one.type.tensor_type.elem_type)


def _width(one: Any) -> int:
    """Return the number of columns; 0: it is not said."""
    dims = one.type.tensor_type.shape.dim
    return 1 if len(dims) == 1 else int(dims[1].dim_value) if len(dims) == 2 else -1


def _told(one: Any) -> str:
    onnx = require("onnx", extra="sklearn")
    if not one.type.HasField("tensor_type"):
        return "no tensor"
    dims = ", ".join(str(dim.dim_value or "rows") for dim in one.type.tensor_type.shape.dim)
    return f"{onnx.TensorProto.DataType.Name(_kind(one)).lower()} of shape ({dims})"


def is_graph(model: Any) -> bool:
    """Return whether a model is an ONNX graph."""
    return type(model).__name__ == "ModelProto"
