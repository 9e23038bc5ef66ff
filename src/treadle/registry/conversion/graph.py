"""An ONNX graph while it is being written, and the columns that flow through it.

Every column carries the type that scikit-learn would hold at the same place, so that each rounding happens
in both or in neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from treadle.core.errors import TreadleError
from treadle.core.optional import require
from treadle.core.signature import Field

#: Versions of the operator sets that graphs are written in; ONNX Runtime 1.20 and newer read them.
OPSETS = {"": 21, "ai.onnx.ml": 5}
IR_VERSION = 10
#: What all names inside a graph start with, so that none is an input's.
_OWN = "treadle:"
ML = "ai.onnx.ml"
#: The newest version of the machine-learning operators in which all that skl2onnx writes is valid.
_MIXED_ML_VERSION = 4
_ONNX_TYPES = {"float32": 1, "int64": 7, "string": 8, "bool": 9, "float64": 11}


class Unconvertible(TreadleError):
    """A part of a pipeline has no exact form in ONNX that this package knows."""


@dataclass(frozen=True)
class Origin:
    """Where a column comes from: `input = column * scale + shift`."""

    field: str
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Block:
    """Neighbouring columns of one type: a tensor of shape (rows, width)."""

    name: str
    dtype: str
    #: The input that each column is an affine function of; None: it is not.
    origins: tuple[Origin | None, ...]
    #: Still a column of the Polars frame: scikit-learn makes float64 of those, and keeps an array's float32.
    framed: bool = False

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.origins)


@dataclass
class Graph:
    """Nodes and constants in the order in which they run."""

    nodes: list[Any] = field(default_factory=list)
    constants: dict[tuple[str, tuple[int, ...], bytes], Any] = field(default_factory=dict)
    #: Split points of trees and the like, by input: where a small step may change the answer.
    thresholds: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    #: Constants of parts that skl2onnx wrote, and the type that those parts compute in.
    foreign: list[Any] = field(default_factory=list)
    foreign_dtype: str = "float64"
    #: Whether skl2onnx wrote a part.
    is_mixed: bool = False

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        helper = require("onnx", extra="sklearn").helper
        name = f"{_OWN}{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Return the name of a constant tensor; equal ones are kept once."""
        array = np.asarray(values, dtype=dtype)
        data = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        key = (array.dtype.str, array.shape, data)
        if key not in self.constants:
            self.constants[key] = tensor(array, name=f"{_OWN}constant_{len(self.constants)}")
        return str(self.constants[key].name)

    def cast(self, block: Block, dtype: str) -> Block:
        """Return the block in another type."""
        if block.dtype == dtype:
            return block
        return replace(block, name=self.add("Cast", block.name, to=_ONNX_TYPES[dtype]), dtype=dtype)

    def rename(self, name: str, to: str) -> None:
        """Give a node's output the name of an output of the graph."""
        helper = require("onnx", extra="sklearn").helper
        self.nodes.append(helper.make_node("Identity", [name], [to]))

    def join(self, blocks: Sequence[Block], dtype: str) -> Block:
        """Return blocks side by side in one type: neighbours of one type are joined before they are cast."""
        runs: list[list[Block]] = []
        for block in blocks:
            if runs and runs[-1][0].dtype == block.dtype:
                runs[-1].append(block)
            else:
                runs.append([block])
        return self._side_by_side([self.cast(self._side_by_side(run), dtype) for run in runs])

    def columns(self, block: Block, indices: Sequence[int]) -> Block:
        """Return some columns of a block, in the order asked for."""
        if list(indices) == list(range(block.width)):
            return block
        name = self.add("Gather", block.name, self.constant(indices, np.int64), axis=1)
        return replace(block, name=name, origins=tuple(block.origins[i] for i in indices))

    def model(self, inputs: Sequence[Field], outputs: Mapping[str, str], *, widths: Mapping[str, int]) -> Any:
        """Return the finished model: an input of shape (rows, 1) for each field, outputs by name and type.

        `widths` are the columns of outputs that have more than one.
        """
        onnx = require("onnx", extra="sklearn")
        describe = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            self.nodes,
            "model",
            [describe(f.name, _ONNX_TYPES[f.tensor], [None, 1]) for f in inputs],
            [
                describe(name, _ONNX_TYPES[dtype], [None, widths.get(name, 1)])
                for name, dtype in outputs.items()
            ],
            initializer=[*self.constants.values(), *self.foreign],
        )
        versions = OPSETS | ({ML: _MIXED_ML_VERSION} if self.is_mixed and not self._has_trees() else {})
        opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in versions.items()]
        return onnx.helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="treadle"
        )

    def _has_trees(self) -> bool:
        return any(node.op_type == "TreeEnsemble" for node in self.nodes)

    def _side_by_side(self, blocks: Sequence[Block]) -> Block:
        if len(blocks) == 1:
            return blocks[0]
        origins = tuple(origin for block in blocks for origin in block.origins)
        name = self.add("Concat", *(block.name for block in blocks), axis=1)
        return Block(name=name, dtype=blocks[0].dtype, origins=origins)


def tensor(values: Any, *, name: str = "") -> Any:
    """Return an array as an ONNX tensor that holds its own data."""
    return require("onnx.numpy_helper", extra="sklearn").from_array(np.asarray(values), name)


def inputs_of(fields: Sequence[Field], *, framed: bool = True) -> list[Block]:
    """Return the blocks that a graph starts from: one column for each field."""
    return [Block(name=f.name, dtype=f.tensor, origins=(Origin(f.name),), framed=framed) for f in fields]


def common(blocks: Sequence[Block]) -> str:
    """Return the type of a matrix made of these blocks, as NumPy and Polars make one.

    Raises:
        Unconvertible: strings stand beside numbers.
    """
    kinds = {block.dtype for block in blocks}
    if len(kinds) == 1:
        return kinds.pop()
    if "string" in kinds:
        msg = "strings stand beside numbers in one matrix"
        raise Unconvertible(msg)
    return "float32" if kinds <= {"bool", "float32"} else "float64" if kinds != {"bool", "int64"} else "int64"


def matrix(graph: Graph, blocks: Sequence[Block], *, floating: bool = False) -> Block:
    """Return all columns as one matrix; `floating`: in the float type that scikit-learn would pick."""
    dtype = common(blocks)
    if floating and dtype == "string":
        msg = "numbers are expected where strings come"
        raise Unconvertible(msg)
    if floating and (dtype != "float32" or any(block.framed for block in blocks)):
        dtype = "float64"
    return replace(graph.join(blocks, dtype), framed=False)


def single_columns(graph: Graph, blocks: Sequence[Block]) -> list[Block]:
    """Return every column as a block of its own."""
    return [
        block if block.width == 1 else graph.columns(block, [index])
        for block in blocks
        for index in range(block.width)
    ]
