"""A PyTorch network as nodes: written by PyTorch's own exporter on one matrix of float32, set into our graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.core.optional import require
from treadle.registry.conversion import boosting
from treadle.registry.conversion.estimators import Binary
from treadle.registry.conversion.graph import OPSETS, Block, Graph, Unconvertible, matrix


def classifier(model: Any, blocks: Sequence[Block], graph: Graph) -> Binary:
    """Write a network that answers with the probability of class 1, or with those of two classes."""
    shares = _written(model, blocks, graph)
    if shares.width == 2:
        shares = graph.columns(shares, [1])
    probability = graph.cast(shares, "float64").name
    return Binary(boosting.more_likely(graph, probability), probability)


def regressor(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write a network that answers with one number."""
    return graph.cast(_written(model, blocks, graph), "float64").name


def _written(model: Any, blocks: Sequence[Block], graph: Graph) -> Block:
    """Set the network into the graph and return its output: float32 of shape (rows, width)."""
    x = graph.cast(matrix(graph, blocks, floating=True), "float32")
    exported = _exported(model, x.width)
    prefix = f"treadle:network_{len(graph.nodes)}_"
    inner = require("onnx.compose", extra="sklearn").add_prefix(exported, prefix).graph
    graph.rename(x.name, inner.input[0].name)
    graph.nodes.extend(inner.node)
    graph.foreign.extend(inner.initializer)
    width = _width(model, x.width)
    column = graph.add("Reshape", inner.output[0].name, graph.constant([-1, width], np.int64))
    return Block(name=column, dtype="float32", origins=(None,) * width)


def _width(model: Any, inputs: int) -> int:
    torch = require("torch", extra="torch")
    with torch.no_grad():
        found = model(torch.zeros(3, inputs))
    return int(found.numel() // 3)


def _exported(model: Any, width: int) -> Any:
    """Return the network as an ONNX model of its own, for any number of rows."""
    torch = require("torch", extra="torch")
    require("onnxscript", extra="torch")
    rows = torch.export.Dim("rows")
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _of_one_input(model),
                (torch.zeros(3, width),),
                dynamo=True,
                dynamic_shapes=({0: rows},),
                opset_version=OPSETS[""],
                verbose=False,
            )
    # The exporter raises whatever its passes raise; each means that this network has no form in ONNX.
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        msg = f"PyTorch's exporter failed: {type(error).__name__}: {first}"
        raise Unconvertible(msg) from error
    finally:
        logger.setLevel(before)
    exported = program.model_proto
    if len(exported.graph.input) != 1 or len(exported.graph.output) != 1 or exported.functions:
        msg = "the network has other than one input and one output"
        raise Unconvertible(msg)
    return exported


def _of_one_input(model: Any) -> Any:
    """Return the network with a plain signature: Keras' own takes any arguments, which the exporter does not follow."""
    torch = require("torch", extra="torch")

    class OfOneInput(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def forward(self, x: Any) -> Any:
            return self.network(x)

    return OfOneInput().eval()
