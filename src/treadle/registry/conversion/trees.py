"""Decision trees as one `TreeEnsemble` node in double precision, as scikit-learn itself holds them.

A float32 input widened to double compares with a double threshold exactly as in scikit-learn, so no threshold is
rounded and no row near one changes sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.registry.conversion.graph import ML, Block, Graph, tensor

#: Modes of a node in the operator's specification: `x <= split`, and `x is one of the members`.
_LESS_OR_EQUAL, _MEMBER = 0, 6
_SUM = 1


@dataclass(frozen=True)
class Tree:
    """One tree as arrays of shape (nodes,); node 0 is the root."""

    leaf: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    #: Node → the categories that go left; a node that is not in it compares with its threshold.
    members: Mapping[int, Sequence[int]]


def of_scikit_tree(tree: Any, values: np.ndarray) -> Tree:
    """Return a tree of the classes DecisionTree, RandomForest, ExtraTrees and GradientBoosting."""
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count, dtype=np.uint8))
    return Tree(
        leaf=tree.children_left < 0,
        feature=tree.feature,
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_left=missing,
        value=values,
        members={},
    )


def of_histogram_tree(predictor: Any) -> Tree:
    """Return a tree of HistGradientBoosting; a category that training had not seen has become NaN before."""
    nodes = predictor.nodes
    members = {
        int(i): [c for c in range(256) if predictor.raw_left_cat_bitsets[row, c // 32] >> (c % 32) & 1]
        for i, row in ((i, nodes["bitset_idx"][i]) for i in np.flatnonzero(nodes["is_categorical"]))
    }
    return Tree(
        leaf=nodes["is_leaf"].astype(bool),
        feature=nodes["feature_idx"],
        threshold=nodes["num_threshold"],
        left=nodes["left"],
        right=nodes["right"],
        missing_left=nodes["missing_go_to_left"],
        value=nodes["value"],
        members=members,
    )


def sum_of_trees(x: Block, trees: Iterable[Tree], graph: Graph) -> str:
    """Write the sum of the trees' values, a double of shape (rows, 1)."""
    return sums_of_trees(x, [trees], graph)


def sums_of_trees(x: Block, ensembles: Sequence[Iterable[Tree]], graph: Graph) -> str:
    """Write the sum of each ensemble's values, a double of shape (rows, ensembles)."""
    parts = _Parts()
    for target, trees in enumerate(ensembles):
        for tree in trees:
            parts.add(tree, target=target)
            split = ~tree.leaf
            for feature, threshold in zip(tree.feature[split], tree.threshold[split], strict=True):
                origin = x.origins[feature]
                if origin is not None:
                    points = graph.thresholds.setdefault(origin.field, [])
                    points.append(threshold * origin.scale + origin.shift)
    attributes = parts.attributes(targets=len(ensembles))
    return graph.add("TreeEnsemble", graph.cast(x, "float64").name, domain=ML, **attributes)


class _Parts:
    """The attributes of the node, growing tree by tree: inner nodes and leaves are numbered apart."""

    def __init__(self) -> None:
        self.ints: dict[str, list[int]] = {
            name: []
            for name in (
                "nodes_featureids",
                "nodes_truenodeids",
                "nodes_falsenodeids",
                "nodes_trueleafs",
                "nodes_falseleafs",
                "nodes_missing_value_tracks_true",
                "tree_roots",
            )
        }
        self.splits: list[float] = []
        self.modes: list[int] = []
        self.members: list[float] = []
        self.weights: list[float] = []
        self.targets: list[int] = []

    def add(self, tree: Tree, *, target: int) -> None:
        """Append one tree, whose values are added to a target. A tree that is only a leaf becomes a node both of whose sides are that leaf."""
        self.ints["tree_roots"].append(len(self.modes))
        if tree.leaf[0]:
            self._node(feature=0, split=0.0, members=(), missing=1)
            self._sides([(True, len(self.weights)), (True, len(self.weights))])
            self.weights.append(float(tree.value[0]))
            self.targets.append(target)
            return
        inner, leaves = np.flatnonzero(~tree.leaf), np.flatnonzero(tree.leaf)
        number = dict(zip(inner.tolist(), range(len(self.modes), len(self.modes) + len(inner)), strict=True))
        number |= dict(
            zip(leaves.tolist(), range(len(self.weights), len(self.weights) + len(leaves)), strict=True)
        )
        for i in inner.tolist():
            self._node(
                feature=int(tree.feature[i]),
                split=float(tree.threshold[i]),
                members=tree.members.get(i),
                missing=int(tree.missing_left[i]),
            )
            self._sides([(bool(tree.leaf[c]), number[int(c)]) for c in (tree.left[i], tree.right[i])])
        self.weights += tree.value[leaves].tolist()
        self.targets += [target] * len(leaves)

    def attributes(self, *, targets: int) -> dict[str, Any]:
        """Return the node's attributes."""
        extra = {"membership_values": tensor(np.array(self.members))} if self.members else {}
        return {
            **self.ints,
            **extra,
            "n_targets": targets,
            "aggregate_function": _SUM,
            "post_transform": 0,
            "nodes_splits": tensor(np.array(self.splits)),
            "nodes_modes": tensor(np.array(self.modes, dtype=np.uint8)),
            "leaf_targetids": self.targets,
            "leaf_weights": tensor(np.array(self.weights)),
        }

    def _node(self, *, feature: int, split: float, members: Sequence[int] | None, missing: int) -> None:
        self.ints["nodes_featureids"].append(feature)
        self.ints["nodes_missing_value_tracks_true"].append(missing)
        self.modes.append(_MEMBER if members else _LESS_OR_EQUAL)
        self.splits.append(0.0 if members else split)
        if members:
            self.members += [*map(float, members), float("nan")]

    def _sides(self, sides: Sequence[tuple[bool, int]]) -> None:
        for side, (is_leaf, number) in zip(("true", "false"), sides, strict=True):
            self.ints[f"nodes_{side}leafs"].append(int(is_leaf))
            self.ints[f"nodes_{side}nodeids"].append(number)
