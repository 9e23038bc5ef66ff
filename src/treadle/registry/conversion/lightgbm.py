"""LightGBM's trees as nodes: double thresholds, `x <= split`, sets of categories whose members go left.

Read from the library's own text (the rounds up to the best one, where early stopping found it). How a split decides is
in `include/LightGBM/tree.h` of its source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.core.errors import PackageRefused
from treadle.registry.conversion import boosting
from treadle.registry.conversion.estimators import Binary
from treadle.registry.conversion.graph import Block, Graph, Unconvertible
from treadle.registry.conversion.trees import Tree, sum_of_trees

#: Objective → operator from the sum of the trees to the prediction.
LINKS = {
    "binary": "Sigmoid",
    "cross_entropy": "Sigmoid",
    "fair": "",
    "gamma": "Exp",
    "huber": "",
    "lambdarank": "",
    "mape": "",
    "poisson": "Exp",
    "quantile": "",
    "rank_xendcg": "",
    "regression": "",
    "regression_l1": "",
    "tweedie": "Exp",
}
#: Bits of a split's decision: by a set of categories; where missing values go; what counts as missing.
_BY_SET, _DEFAULT_LEFT, _MISSING = 1, 2, 12
_MISSING_IS_ZERO, _MISSING_IS_NAN = 4, 8
#: What counts as zero: `kZeroThreshold`.
_ZERO = float(np.float32(1e-35))


@dataclass(frozen=True)
class Ensemble:
    """A booster's trees and what is done with their sum."""

    objective: str
    #: Parameters of the objective, such as the slope of a sigmoid.
    options: Mapping[str, str]
    trees: tuple[Mapping[str, str], ...]
    columns: int
    #: The mean of the trees counts, not their sum.
    averaged: bool
    #: The categories of the columns of strings, in the order of the columns.
    categories: list[list[Any]]


def classifier(model: Any, blocks: Sequence[Block], graph: Graph) -> Binary:
    """Write a classifier of two classes.

    Raises:
        Unconvertible: its objective gives no probability.
    """
    ensemble = read(model)
    if LINKS.get(ensemble.objective) != "Sigmoid":
        msg = f"LightGBM's objective {ensemble.objective!r} gives no probability"
        raise Unconvertible(msg)
    raw = _sum(ensemble, blocks, graph)
    slope = float(ensemble.options.get("sigmoid", 1.0))
    probability = graph.add("Sigmoid", boosting.added(graph, raw, 0.0, scale=slope))
    return Binary(boosting.more_likely(graph, probability), probability)


def regressor(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write a regressor.

    Raises:
        Unconvertible: no form of its objective or of its trees is known.
    """
    ensemble = read(model)
    if ensemble.objective not in LINKS or "sqrt" in ensemble.options:
        msg = f"LightGBM with the objective {ensemble.objective!r}"
        raise Unconvertible(msg)
    return boosting.linked(graph, _sum(ensemble, blocks, graph), LINKS[ensemble.objective])


def read(model: Any) -> Ensemble:
    """Return the trees of a fitted estimator or booster.

    Raises:
        Unconvertible: it gives several numbers for a row.
    """
    text = getattr(model, "booster_", model).model_to_string()
    head, trees = _parts(text)
    about = _fields(head)
    if int(about["num_tree_per_iteration"]) > 1:
        msg = "LightGBM with several outputs"
        raise Unconvertible(msg)
    objective, *options = (about.get("objective") or "none").split()
    return Ensemble(
        objective=objective,
        options={name: value for name, _, value in (option.partition(":") for option in options)},
        trees=trees,
        columns=int(about["max_feature_idx"]) + 1,
        averaged="average_output" in head.splitlines(),
        categories=json.loads(text.rpartition("\npandas_categorical:")[2]) or [],
    )


def check(text: str) -> None:
    """Refuse a text that LightGBM would end the process over, or follow to places outside of its arrays.

    Raises:
        PackageRefused: it is cut short, or a node points outside of its tree.
    """
    head, trees = _parts(text)
    about = _fields(head)
    try:
        marks = ("\nend of trees\n", "\nparameters:\n", "\nend of parameters")
        whole = text.startswith("tree\n") and all(mark in text for mark in marks)
        columns = int(about["max_feature_idx"]) + 1
        sound = len(about["tree_sizes"].split()) == len(trees) and all(_sound(one, columns) for one in trees)
    except (KeyError, ValueError, IndexError) as error:
        msg = f"The LightGBM model cannot be read: {type(error).__name__}: {error}"
        raise PackageRefused(msg) from error
    if not whole or not sound:
        msg = "The LightGBM model cannot be read: it is cut short, or one of its nodes points outside of its tree."
        raise PackageRefused(msg)


def _sound(fields: Mapping[str, str], columns: int) -> bool:
    """Return whether a tree's arrays are as long as they must be and hold only places that exist."""
    leaves, inner = int(fields["num_leaves"]), int(fields["num_leaves"]) - 1
    lengths = {"leaf_value": leaves} | dict.fromkeys(
        ("split_feature", "threshold", "decision_type", "left_child", "right_child"), inner
    )
    arrays = {name: _numbers(fields, name, float) for name in lengths}
    if leaves < 1 or any(len(arrays[name]) != length for name, length in lengths.items()):
        return False
    children = np.concatenate([arrays["left_child"], arrays["right_child"]])
    by_set = (arrays["decision_type"].astype(np.int64) & _BY_SET) > 0
    ends = _numbers(fields, "cat_boundaries", int)
    sets = arrays["threshold"][by_set]
    return bool(
        ((children >= -leaves) & (children < max(inner, 1))).all()
        and ((arrays["split_feature"] >= 0) & (arrays["split_feature"] < columns)).all()
        and ((sets >= 0) & (sets < len(ends) - 1)).all()
        and (np.diff(ends, prepend=0) >= 0).all()
        and (not len(ends) or ends[-1] == len(_numbers(fields, "cat_threshold", int)))
    )


def _parts(text: str) -> tuple[str, tuple[Mapping[str, str], ...]]:
    """Return what stands before the trees, and the fields of each tree."""
    head, *trees = re.split(r"\n+Tree=\d+\n", text.partition("\nend of trees")[0])
    return head, tuple(map(_fields, trees))


def _fields(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, is_pair, value in pairs if is_pair}


def _sum(ensemble: Ensemble, blocks: Sequence[Block], graph: Graph) -> str:
    trees = [_tree(fields) for fields in ensemble.trees]
    x = _matrix(ensemble, blocks, graph)
    if x.width != ensemble.columns:
        msg = f"LightGBM was trained on {ensemble.columns} columns, and {x.width} come"
        raise Unconvertible(msg)
    total = sum_of_trees(x, trees, graph)
    return graph.add("Div", total, graph.constant([float(len(trees))])) if ensemble.averaged else total


def _matrix(ensemble: Ensemble, blocks: Sequence[Block], graph: Graph) -> Block:
    strings = [index for index, column in enumerate(_flat(blocks)) if column == "string"]
    if len(strings) != len(ensemble.categories):
        msg = f"LightGBM knows categories of {len(ensemble.categories)} columns, and {len(strings)} of strings come"
        raise Unconvertible(msg)
    known = dict(zip(strings, ensemble.categories, strict=True))
    x = boosting.numbered(blocks, known, graph, dtype="float64")
    by_set, zero = _special(ensemble)
    x = boosting.changed(x, sorted(by_set - set(strings)), _truncated(graph), graph)
    return boosting.changed(x, sorted(zero), _zero_as_missing(graph), graph)


def _flat(blocks: Sequence[Block]) -> list[str]:
    return [block.dtype for block in blocks for _ in range(block.width)]


def _special(ensemble: Ensemble) -> tuple[set[int], set[int]]:
    """Return the columns that are split by sets, and those whose zeros count as missing.

    Raises:
        Unconvertible: zero is missing in one split of a column and not in another.
    """
    by_set: set[int] = set()
    zero: dict[int, set[bool]] = {}
    for fields in ensemble.trees:
        kinds = _numbers(fields, "decision_type", int)
        for feature, kind in zip(
            _numbers(fields, "split_feature", int).tolist(), kinds.tolist(), strict=True
        ):
            if kind & _BY_SET:
                by_set.add(feature)
            else:
                zero.setdefault(feature, set()).add(kind & _MISSING == _MISSING_IS_ZERO)
    if any(len(answers) > 1 for answers in zero.values()):
        msg = "LightGBM that takes zero as missing in some splits of a column only"
        raise Unconvertible(msg)
    return by_set, {feature for feature, answers in zero.items() if True in answers}


def _truncated(graph: Graph) -> Callable[[Block], str]:
    """Cut off what stands behind the point, as the cast to an integer does."""

    def change(column: Block) -> str:
        negative = graph.add("Less", column.name, graph.constant([0.0]))
        return graph.add("Where", negative, graph.add("Ceil", column.name), graph.add("Floor", column.name))

    return change


def _zero_as_missing(graph: Graph) -> Callable[[Block], str]:
    def change(column: Block) -> str:
        size = graph.add("Abs", column.name)
        is_zero = graph.add("LessOrEqual", size, graph.constant([_ZERO]))
        return graph.add("Where", is_zero, graph.constant([np.nan]), column.name)

    return change


def _tree(fields: Mapping[str, str]) -> Tree:
    """Return one tree: its inner nodes first, then its leaves."""
    if int(fields.get("is_linear", 0)):
        msg = "LightGBM with linear models in its leaves"
        raise Unconvertible(msg)
    values = _numbers(fields, "leaf_value", float)
    inner, nodes = len(values) - 1, 2 * len(values) - 1
    kind = _numbers(fields, "decision_type", int)
    at = _numbers(fields, "threshold", float)
    by_set = (kind & _BY_SET) > 0
    missing = np.where(
        (kind & _MISSING) > 0, (kind & _DEFAULT_LEFT) > 0, at >= 0.0
    )  # where nothing was missing in training, NaN counts as zero

    def whole(part: np.ndarray, rest: Any) -> np.ndarray:
        return np.concatenate([part, np.full(nodes - inner, rest, dtype=part.dtype)])

    children = {side: _numbers(fields, f"{side}_child", int) for side in ("left", "right")}
    left, right = (np.where(ids < 0, inner + ~ids, ids) for ids in children.values())
    return Tree(
        leaf=np.arange(nodes) >= inner,
        feature=whole(_numbers(fields, "split_feature", int), 0),
        threshold=whole(np.where(by_set, -np.inf, at), 0.0),
        left=whole(left, 0),
        right=whole(right, 0),
        missing_left=whole(missing & ~by_set, False),
        value=np.concatenate([np.zeros(inner), values]),
        members=_members(fields, np.flatnonzero(by_set), at),
    )


def _members(fields: Mapping[str, str], nodes: np.ndarray, at: np.ndarray) -> dict[int, list[int]]:
    """Return the sets of a tree's nodes, which are kept as bits in words of 32."""
    ends, words = _numbers(fields, "cat_boundaries", int), _numbers(fields, "cat_threshold", int)
    found = {}
    for node in nodes.tolist():
        number = int(at[node])
        bits = words[ends[number] : ends[number + 1]].tolist()
        found[node] = [32 * i + bit for i, word in enumerate(bits) for bit in range(32) if word >> bit & 1]
    return found


def _numbers(fields: Mapping[str, str], name: str, kind: type) -> np.ndarray:
    return np.array(fields.get(name, "").split(), dtype=np.int64 if kind is int else np.float64)
