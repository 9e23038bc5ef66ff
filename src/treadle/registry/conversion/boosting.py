"""What the boosted trees of other libraries share when they are written as nodes: categories, links, answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from treadle.registry.conversion.graph import Block, Graph, Unconvertible, single_columns
from treadle.registry.conversion.transformers import lookup


def numbered(
    blocks: Sequence[Block], levels: Mapping[int, Sequence[Any]], graph: Graph, *, dtype: str
) -> Block:
    """Return all columns as one matrix; strings become the numbers that the library knows them by.

    `levels` has the categories of a column in the order of their numbers. A category that training has not seen is NaN,
    and so is a missing string, which comes as the empty one, unless that was a category of its own.

    Raises:
        Unconvertible: a column of strings has no categories.
    """
    columns = single_columns(graph, blocks)
    for index, column in enumerate(columns):
        if column.dtype != "string":
            continue
        if index not in levels:
            msg = f"the column {column.name!r} holds strings, and the model knows no categories for it"
            raise Unconvertible(msg)
        keys = [str(level) for level in levels[index]]
        codes = np.arange(len(keys), dtype=np.float64)
        name = lookup(graph, column, keys=keys, values=codes, default=float("nan"))
        columns[index] = Block(name=name, dtype="float64", origins=(None,))
    return replace(graph.join(columns, dtype), framed=False)


def changed(x: Block, chosen: Sequence[int], change: Callable[[Block], str], graph: Graph) -> Block:
    """Return the matrix with some of its columns put through nodes that `change` writes."""
    if not chosen:
        return x
    columns = [
        replace(column, name=change(column)) if index in chosen else column
        for index, column in enumerate(single_columns(graph, [x]))
    ]
    return graph.join(columns, x.dtype)


def linked(graph: Graph, raw: str, link: str) -> str:
    """Write the inverse of a link, by the operator's name; the empty name is the identity."""
    return graph.add(link, raw) if link else raw


def added(graph: Graph, raw: str, offset: float, *, scale: float = 1.0) -> str:
    """Write `raw * scale + offset`, leaving out what changes nothing."""
    if scale != 1.0:
        raw = graph.add("Mul", raw, graph.constant([scale], np.float64))
    return graph.add("Add", raw, graph.constant([offset], np.float64)) if offset else raw


def more_likely(graph: Graph, probability: str) -> str:
    """Write whether the positive class is the more probable one."""
    return graph.add("Greater", probability, graph.constant([0.5]))
