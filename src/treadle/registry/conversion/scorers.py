"""How estimators without a target are written as graph nodes: densities, how usual a row is, and clusters.

`SCORERS` and `CLUSTERS` are the whole list; what is not in it stays in the library's own format.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from treadle.registry.conversion import trees
from treadle.registry.conversion.graph import Block, Graph, Unconvertible, matrix


def gaussian_mixture(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """GaussianMixture: the log of the sum of weighted normal densities."""
    parts, ones = _components(model, blocks, graph), graph.constant([1], np.int64)
    return graph.add("ReduceLogSumExp", parts, ones, keepdims=1)


def mixture_clusters(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """GaussianMixture: the most probable component."""
    return _place(graph.add("ArgMax", _components(model, blocks, graph), axis=1, keepdims=1), graph)


def nearest_centre(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """KMeans: the nearest centre; the row's own square is the same for all of them."""
    x = graph.cast(matrix(graph, blocks, floating=True), "float64")
    centres = np.asarray(model.cluster_centers_, dtype=np.float64)
    weights, squares = graph.constant(-2 * centres.T), graph.constant((centres**2).sum(axis=1))
    return _place(graph.add("ArgMin", graph.add("Gemm", x.name, weights, squares), axis=1, keepdims=1), graph)


def _place(name: str, graph: Graph) -> str:
    return graph.add("Cast", name, to=11)


def _components(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write the log density of each component of a mixture, with the log of its weight: shape (rows, components).

    Each component turns its distance into one of unit variance by the Cholesky factor of its precision.
    """
    x = graph.cast(matrix(graph, blocks, floating=True), "float64")
    parts = []
    for place in range(model.n_components):
        factor = _factor(model, place)
        offset = graph.constant(-model.means_[place] @ factor, np.float64)
        apart = graph.add("Gemm", x.name, graph.constant(factor, np.float64), offset)
        squares = graph.add("ReduceSumSquare", apart, graph.constant([1], np.int64), keepdims=1)
        fixed = math.log(model.weights_[place]) + float(np.linalg.slogdet(factor)[1])
        fixed -= 0.5 * x.width * math.log(2 * math.pi)
        half = graph.add("Mul", squares, graph.constant([-0.5]))
        parts.append(graph.add("Add", half, graph.constant([fixed])))
    return graph.add("Concat", *parts, axis=1)


def isolation_forest(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """IsolationForest: minus two to the power of minus the mean depth of a row, over that of an average row."""
    x = graph.cast(matrix(graph, blocks, floating=True), "float32")
    if any(not np.array_equal(chosen, np.arange(x.width)) for chosen in model.estimators_features_):
        msg = "IsolationForest whose trees see some of the columns"
        raise Unconvertible(msg)
    members = [_depths(one.tree_) for one in model.estimators_]
    total = trees.sums_of_trees(x, [members], graph)
    whole = len(members) * float(_average_depth(np.array([model._max_samples]))[0])
    share = graph.add("Mul", total, graph.constant([-math.log(2) / whole]))
    return graph.add("Neg", graph.add("Exp", share))


SCORERS: dict[str, Callable[[Any, Sequence[Block], Graph], str]] = {
    "GaussianMixture": gaussian_mixture,
    "IsolationForest": isolation_forest,
}


CLUSTERS: dict[str, Callable[[Any, Sequence[Block], Graph], str]] = {
    "GaussianMixture": mixture_clusters,
    "KMeans": nearest_centre,
    "MiniBatchKMeans": nearest_centre,
}


def clusters(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write the number of each row's cluster, as a double.

    Raises:
        Unconvertible: no form of the estimator is known.
    """
    name = type(model).__name__
    if name not in CLUSTERS or not type(model).__module__.startswith("sklearn."):
        msg = f"no form of the clusters of {name} is known"
        raise Unconvertible(msg)
    return CLUSTERS[name](model, blocks, graph)


def scores(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write what `score_samples` of a fitted estimator gives.

    Raises:
        Unconvertible: no form of it is known.
    """
    name = type(model).__name__
    if name not in SCORERS or not type(model).__module__.startswith("sklearn."):
        msg = f"no form of {name}.score_samples is known"
        raise Unconvertible(msg)
    return SCORERS[name](model, blocks, graph)


def _factor(model: Any, place: int) -> np.ndarray:
    """Return the factor of a component's precision, of shape (columns, columns)."""
    held = model.precisions_cholesky_
    if model.covariance_type == "full":
        return np.asarray(held[place])
    if model.covariance_type == "tied":
        return np.asarray(held)
    columns = model.means_.shape[1]
    return np.diag(held[place]) if model.covariance_type == "diag" else np.eye(columns) * held[place]


def _depths(tree: Any) -> trees.Tree:
    """Return a tree whose leaves hold how deep they lie, and how much deeper their rows would lie apart."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children come after their parent
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return trees.of_scikit_tree(tree, depth + _average_depth(tree.n_node_samples))


def _average_depth(rows: np.ndarray) -> np.ndarray:
    """Return the mean depth of a row in a random tree of so many (Liu, Ting and Zhou, "Isolation forest", 2008)."""
    many = np.maximum(rows.astype(np.float64), 2)
    found = 2.0 * (np.log(np.maximum(many - 1, 1)) + np.euler_gamma) - 2.0 * (many - 1) / many
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, found))
