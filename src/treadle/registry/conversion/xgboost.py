"""XGBoost's trees as nodes: inputs rounded to float32, `x < split`, sets of categories whose members go right.

Read from the library's own JSON. The rounds after the best one, where early stopping found it, are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from treadle.registry.conversion import boosting
from treadle.registry.conversion.estimators import Binary
from treadle.registry.conversion.graph import Block, Graph, Unconvertible
from treadle.registry.conversion.trees import Tree, sum_of_trees

#: Objective → operator from the sum of the trees to the prediction (src/objective of XGBoost 3).
LINKS = {
    "binary:logistic": "Sigmoid",
    "reg:logistic": "Sigmoid",
    "count:poisson": "Exp",
    "reg:gamma": "Exp",
    "reg:tweedie": "Exp",
    "rank:map": "",
    "rank:ndcg": "",
    "rank:pairwise": "",
    "reg:absoluteerror": "",
    "reg:pseudohubererror": "",
    "reg:quantileerror": "",
    "reg:squarederror": "",
    "reg:squaredlogerror": "",
}
_MARGIN = {"Sigmoid": lambda share: math.log(share / (1 - share)), "Exp": math.log, "": float}


def classifier(model: Any, blocks: Sequence[Block], graph: Graph) -> Binary:
    """Write a classifier of two classes.

    Raises:
        Unconvertible: its objective gives no probability.
    """
    learner = _learner(model)
    objective = learner["objective"]["name"]
    if LINKS.get(objective) != "Sigmoid":
        msg = f"XGBoost's objective {objective!r} gives no probability"
        raise Unconvertible(msg)
    probability = graph.add("Sigmoid", _sum(model, learner, blocks, graph))
    return Binary(boosting.more_likely(graph, probability), probability)


def regressor(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write a regressor.

    Raises:
        Unconvertible: no form of its objective or of its trees is known.
    """
    learner = _learner(model)
    objective = learner["objective"]["name"]
    if objective not in LINKS:
        msg = f"XGBoost with the objective {objective!r}"
        raise Unconvertible(msg)
    return boosting.linked(graph, _sum(model, learner, blocks, graph), LINKS[objective])


def levels(booster: Any) -> dict[int, list[str]]:
    """Return the categories that a booster was trained with, by column, in the order of their numbers.

    Raises:
        Unconvertible: they are numbers, which the booster keeps in a form of its own.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    return {} if learner["gradient_booster"]["name"] == "gblinear" else _levels(_trees_of(learner)[0])


def _levels(model: Any) -> dict[int, list[str]]:
    found = {}
    for index, kept in enumerate(model.get("cats", {}).get("enc", ())):
        ends, data = kept.get("offsets"), kept["values"]
        if ends is None:
            msg = "XGBoost with categories that are numbers"
            raise Unconvertible(msg)
        text = bytes(value & 0xFF for value in data)
        if len(ends) > 1:
            found[index] = [text[a:b].decode() for a, b in pairwise(ends)]
    return found


def _learner(model: Any) -> Any:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    return json.loads(booster.save_raw("json"))["learner"]


def _trees_of(learner: Any) -> tuple[Any, list[float]]:
    """Return the part that holds the trees, and the weight of each tree (which DART gives them)."""
    booster = learner["gradient_booster"]
    if booster["name"] not in {"gbtree", "dart"}:
        msg = f"XGBoost with the booster {booster['name']!r}"
        raise Unconvertible(msg)
    model = booster["model"] if booster["name"] == "gbtree" else booster["gbtree"]["model"]
    return model, booster.get("weight_drop", [1.0] * len(model["trees"]))


def _sum(model: Any, learner: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write the sum of the trees and of the margin that they start from."""
    parameters = learner["learner_model_param"]
    if int(parameters["num_class"]) > 1 or int(parameters.get("num_target", 1)) > 1:
        msg = "XGBoost with several outputs"
        raise Unconvertible(msg)
    held, weights = _trees_of(learner)
    best = getattr(model, "best_iteration", None)
    used = len(held["trees"]) if best is None else held["iteration_indptr"][best + 1]
    trees = [_tree(raw, weight) for raw, weight in zip(held["trees"][:used], weights[:used], strict=True)]
    x = _matrix(model, learner, _levels(held), blocks, graph)
    if x.width != int(parameters["num_feature"]):
        msg = f"XGBoost was trained on {parameters['num_feature']} columns, and {x.width} come"
        raise Unconvertible(msg)
    start = json.loads(parameters["base_score"])
    (share,) = start if isinstance(start, list) else [start]
    margin = _MARGIN[LINKS[learner["objective"]["name"]]](share)
    return boosting.added(graph, sum_of_trees(x, trees, graph), margin)


def _matrix(model: Any, learner: Any, known: Any, blocks: Sequence[Block], graph: Graph) -> Block:
    x = boosting.numbered(blocks, known, graph, dtype="float32")
    if known:
        graph.notes.append(
            "A category that training had not seen counts as missing; XGBoost would raise an error."
        )
    missing = getattr(model, "missing", math.nan)
    if missing is not None and not math.isnan(missing):
        nan = graph.constant([math.nan], np.float32)
        is_missing = graph.add("Equal", x.name, graph.constant([missing], np.float32))
        x = Block(name=graph.add("Where", is_missing, nan, x.name), dtype="float32", origins=x.origins)
    categorical = [i for i, kind in enumerate(learner["feature_types"]) if kind == "c" and i not in known]
    return boosting.changed(x, categorical, lambda column: graph.add("Floor", column.name), graph)


def _tree(raw: Any, weight: float) -> Tree:
    left, right = np.array(raw["left_children"]), np.array(raw["right_children"])
    if int(raw["tree_param"]["size_leaf_vector"]) > 1:
        msg = "XGBoost with several numbers in one leaf"
        raise Unconvertible(msg)
    leaf = left < 0
    at = np.array(raw["split_conditions"], dtype=np.float32)
    default_left = np.array(raw["default_left"], dtype=bool)
    by_set = (np.array(raw["split_type"]) == 1) & ~leaf
    members = {
        node: raw["categories"][start : start + size]
        for node, start, size in zip(
            raw["categories_nodes"], raw["categories_segments"], raw["categories_sizes"], strict=True
        )
    }
    # For a float32 x, `x < t` is `x <= the float32 before t`. A set that is empty has no member: nothing is <= -inf.
    before = np.nextafter(at, np.float32(-np.inf)).astype(np.float64)
    return Tree(
        leaf=leaf,
        feature=np.array(raw["split_indices"]),
        threshold=np.where(by_set, -np.inf, before),
        left=np.where(by_set, right, left),
        right=np.where(by_set, left, right),
        missing_left=default_left ^ by_set,
        value=at.astype(np.float64) * np.float32(weight),
        members={int(node): found for node, found in members.items() if by_set[node] and found},
    )
