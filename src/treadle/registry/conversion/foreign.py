"""Parts that we do not know ourselves, written by skl2onnx on one matrix of numbers and set into our graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from treadle.core.optional import require
from treadle.registry.conversion.graph import Block, Graph, Unconvertible

_TARGET = {"": 21, "ai.onnx.ml": 3}


def transformer(step: Any, x: Block, graph: Graph) -> Block:
    """Write a transformer of numbers and return its output in the type that scikit-learn gives.

    Raises:
        Unconvertible: skl2onnx does not know it either.
    """
    (name,) = _written(step, x, graph, count=1, options=None)
    probe = step.transform(np.zeros((1, x.width), dtype=x.dtype))
    probe = probe.toarray() if hasattr(probe, "toarray") else np.asarray(probe)
    out = Block(name=name, dtype=graph.foreign_dtype, origins=(None,) * probe.shape[1])
    return graph.cast(out, "float32" if probe.dtype == np.float32 else "float64")


def classifier(model: Any, x: Block, graph: Graph) -> str:
    """Write a classifier and return the name of the classes' probabilities, a double of shape (rows, classes)."""
    _, shares = _written(model, x, graph, count=2, options={"zipmap": False})
    block = Block(name=shares, dtype="", origins=(None,) * len(model.classes_))
    return graph.cast(block, "float64").name


def regressor(model: Any, x: Block, graph: Graph) -> str:
    """Write a regressor and return the name of its prediction, a double of shape (rows, 1)."""
    (name,) = _written(model, x, graph, count=1, options=None)
    column = graph.add("Reshape", name, graph.constant([-1, 1], np.int64))
    return graph.cast(Block(name=column, dtype="", origins=(None,)), "float64").name


def _written(step: Any, x: Block, graph: Graph, *, count: int, options: dict[str, Any] | None) -> list[str]:
    """Set what skl2onnx writes into the graph, and return the names of the outputs."""
    graph.is_mixed = True
    skl2onnx = require("skl2onnx", extra="sklearn")
    types = require("skl2onnx.common.data_types", extra="sklearn")
    kind = {"float64": types.DoubleTensorType, "float32": types.FloatTensorType}[graph.foreign_dtype]
    try:
        model = skl2onnx.to_onnx(
            step, initial_types=[("x", kind([None, x.width]))], options=options, target_opset=_TARGET
        )
    # skl2onnx raises whatever its parts raise (RuntimeError, TypeError, KeyError, its own and NumPy's classes);
    # each means that there is no ONNX form.
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        msg = f"no exact form of {type(step).__name__} is known, and skl2onnx failed: {type(error).__name__}: {first}"
        raise Unconvertible(msg) from error
    prefix = f"treadle:foreign_{len(graph.nodes)}_"
    inner = require("onnx.compose", extra="sklearn").add_prefix(model, prefix).graph
    graph.rename(graph.cast(x, graph.foreign_dtype).name, f"{prefix}x")
    graph.nodes.extend(inner.node)
    graph.foreign.extend(inner.initializer)
    if len(inner.output) != count:
        msg = f"{type(step).__name__} gives {len(inner.output)} outputs in ONNX, where {count} are expected"
        raise Unconvertible(msg)
    return [output.name for output in inner.output]
