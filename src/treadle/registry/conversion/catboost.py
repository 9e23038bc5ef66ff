"""CatBoost's trees as nodes: inputs rounded to float32, `x > border` goes right, double sums.

Read from the library's own JSON. Categorical, text and embedding features are left to the library itself: it turns them into
statistics of the target, for which there is no operator.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from treadle.registry.conversion import boosting
from treadle.registry.conversion.estimators import Binary
from treadle.registry.conversion.graph import Block, Graph, Unconvertible
from treadle.registry.conversion.trees import Tree, sum_of_trees

#: Loss → operator from the sum of the trees to the prediction.
LINKS = {
    "CrossEntropy": "Sigmoid",
    "Expectile": "",
    "Huber": "",
    "LogCosh": "",
    "Logloss": "Sigmoid",
    "MAE": "",
    "MAPE": "",
    "PairLogit": "",
    "Poisson": "Exp",
    "Quantile": "",
    "QueryRMSE": "",
    "QuerySoftMax": "",
    "RMSE": "",
    "Tweedie": "Exp",
    "YetiRank": "",
}


def classifier(model: Any, blocks: Sequence[Block], graph: Graph) -> Binary:
    """Write a classifier of two classes.

    Raises:
        Unconvertible: its loss gives no probability.
    """
    held = _read(model)
    if LINKS.get(_loss(held)) != "Sigmoid":
        msg = f"CatBoost's loss {_loss(held)!r} gives no probability"
        raise Unconvertible(msg)
    probability = graph.add("Sigmoid", _sum(held, blocks, graph))
    return Binary(boosting.more_likely(graph, probability), probability)


def regressor(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write a regressor.

    Raises:
        Unconvertible: no form of its loss or of its features is known.
    """
    held = _read(model)
    if _loss(held) not in LINKS:
        msg = f"CatBoost with the loss {_loss(held)!r}"
        raise Unconvertible(msg)
    return boosting.linked(graph, _sum(held, blocks, graph), LINKS[_loss(held)])


def _read(model: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        model.save_model(str(path), format="json")
        return json.loads(path.read_bytes())


def _loss(held: Any) -> str:
    return str(held["model_info"]["params"]["loss_function"]["type"])


def _sum(held: Any, blocks: Sequence[Block], graph: Graph) -> str:
    about = held["features_info"]
    others = [kind for kind in about if kind != "float_features" and about[kind]]
    if others:
        msg = f"CatBoost with {others[0].replace('_', ' ')}"
        raise Unconvertible(msg)
    floats = about["float_features"]
    x = boosting.numbered(blocks, {}, graph, dtype="float32")
    if x.width != len(floats):
        msg = f"CatBoost was trained on {len(floats)} columns, and {x.width} come"
        raise Unconvertible(msg)
    scale, (bias, *more) = held["scale_and_bias"]
    if more:
        msg = "CatBoost with several outputs"
        raise Unconvertible(msg)
    total = sum_of_trees(x, _trees(held, floats), graph)
    return boosting.added(graph, total, float(bias), scale=float(scale))


def _trees(held: Any, floats: Any) -> Iterator[Tree]:
    right = {one["flat_feature_index"] for one in floats if one["nan_value_treatment"] == "AsTrue"}
    where = {one["feature_index"]: one["flat_feature_index"] for one in floats}
    for raw in held.get("oblivious_trees", ()):
        yield _tree(_Nodes.of_oblivious(raw, where), right)
    for raw in held.get("trees", ()):
        yield _tree(_Nodes.of_nested(raw, where), right)


class _Nodes:
    """A tree's nodes as growing lists, the root first."""

    def __init__(self) -> None:
        self.feature: list[int] = []
        self.border: list[float] = []
        self.children: list[tuple[int, int]] = []
        self.value: list[float] = []

    @classmethod
    def of_oblivious(cls, raw: Any, where: dict[int, int]) -> _Nodes:
        """Write out a tree whose nodes of one depth share a split; the last split is the root's.

        Leaf number: bit i is set where split i is passed.
        """
        nodes, depth = cls(), len(raw["splits"] or ())
        for level, split in enumerate(reversed(raw["splits"] or ())):
            for place in range(2**level):
                first = 2 ** (level + 1) - 1 + 2 * place
                nodes._split(split, where, (first, first + 1))
        for value in raw["leaf_values"]:
            nodes._leaf(value)
        assert len(nodes.value) == 2 ** (depth + 1) - 1
        return nodes

    @classmethod
    def of_nested(cls, raw: Any, where: dict[int, int]) -> _Nodes:
        """Write out a tree that is kept as nodes within nodes."""
        nodes = cls()
        waiting, number = [raw], 1
        for node in waiting:  # grows while it is walked: breadth first
            if "split" not in node:
                nodes._leaf(node["value"])
                continue
            nodes._split(node["split"], where, (number, number + 1))
            waiting += [node["left"], node["right"]]
            number += 2
        return nodes

    def _split(self, split: Any, where: dict[int, int], children: tuple[int, int]) -> None:
        if split["split_type"] != "FloatFeature":
            msg = f"CatBoost with splits of the type {split['split_type']}"
            raise Unconvertible(msg)
        self.feature.append(where[split["float_feature_index"]])
        self.border.append(float(np.float32(split["border"])))
        self.children.append(children)
        self.value.append(0.0)

    def _leaf(self, value: Any) -> None:
        if isinstance(value, list):
            msg = "CatBoost with several numbers in one leaf"
            raise Unconvertible(msg)
        self.feature.append(0)
        self.border.append(0.0)
        self.children.append((-1, -1))
        self.value.append(float(value))


def _tree(nodes: _Nodes, missing_right: set[int]) -> Tree:
    children, feature = np.array(nodes.children), np.array(nodes.feature)
    return Tree(
        leaf=children[:, 0] < 0,
        feature=feature,
        threshold=np.array(nodes.border),
        left=children[:, 0],
        right=children[:, 1],
        missing_left=~np.isin(feature, list(missing_right)),
        value=np.array(nodes.value),
        members={},
    )
