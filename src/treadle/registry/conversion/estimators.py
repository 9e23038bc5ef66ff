"""How each estimator is written as graph nodes: scikit-learn's by the name of its class, others by their format.

`CLASSIFIERS`, `MULTICLASS` and `REGRESSORS` are the whole list (labels are written as one classifier each); what is not in them is left to skl2onnx. An estimator of another
library is written by the functions `classifier`, `shares` and `regressor` of the format that is called like the library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.core import plugins
from treadle.registry.conversion import foreign, trees
from treadle.registry.conversion.graph import Block, Graph, Unconvertible, matrix, single_columns
from treadle.registry.conversion.transformers import transform
from treadle.registry.format import libraries


@dataclass(frozen=True)
class Binary:
    """Names of the outputs of a binary classifier."""

    #: Whether the positive class is the answer (bool).
    positive: str
    #: Probability of the positive class (double).
    probability: str


def histogram_classifier(model: Any, blocks: Sequence[Block], graph: Graph) -> Binary:
    """HistGradientBoosting: sigmoid of a sum; positive where the sum is above zero."""
    raw = _histogram_sum(model, blocks, graph)
    return Binary(_above(graph, raw, "Greater", 0.0), graph.add("Sigmoid", raw))


def gradient_classifier(model: Any, blocks: Sequence[Block], graph: Graph) -> Binary:
    """GradientBoosting: sigmoid of a sum; positive where the sum is not below zero."""
    raw = _boosted_sum(model, blocks, graph)
    scaled = graph.add("Mul", raw, graph.constant([2.0])) if model.loss == "exponential" else raw
    return Binary(_above(graph, raw, "GreaterOrEqual", 0.0), graph.add("Sigmoid", scaled))


def forest_classifier(model: Any, blocks: Sequence[Block], graph: Graph) -> Binary:
    """RandomForest, ExtraTrees, DecisionTree: the mean share of the positive class in the leaves."""
    mean = _forest_mean(model, blocks, graph, columns=[1])
    return Binary(_above(graph, mean, "Greater", 0.5), mean)


def linear_classifier(model: Any, blocks: Sequence[Block], graph: Graph) -> Binary:
    """LogisticRegression: sigmoid of a weighted sum."""
    score = _weighted_sum(model, blocks, graph)
    return Binary(_above(graph, score, "Greater", 0.0), graph.add("Sigmoid", score))


def histogram_shares(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """HistGradientBoosting of several classes: softmax of a sum for each."""
    return graph.add("Softmax", _histogram_sum(model, blocks, graph), axis=1)


def gradient_shares(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """GradientBoosting of several classes: softmax of a sum for each."""
    return graph.add("Softmax", _boosted_sum(model, blocks, graph), axis=1)


def forest_shares(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """RandomForest, ExtraTrees, DecisionTree: the mean share of each class in the leaves."""
    return _forest_mean(model, blocks, graph, columns=range(len(model.classes_)))


def linear_shares(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """LogisticRegression: softmax of a weighted sum for each class."""
    if model.coef_.shape[0] != len(model.classes_):
        msg = f"LogisticRegression with {model.coef_.shape[0]} sums for {len(model.classes_)} classes"
        raise Unconvertible(msg)
    return graph.add("Softmax", _weighted_sum(model, blocks, graph), axis=1)


def histogram_regressor(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """HistGradientBoosting: a sum, through the inverse of the loss's link."""
    raw = _histogram_sum(model, blocks, graph)
    link = type(model._loss.link).__name__
    if link not in {"IdentityLink", "LogLink"}:
        msg = f"HistGradientBoostingRegressor with {link}"
        raise Unconvertible(msg)
    return graph.add("Exp", raw) if link == "LogLink" else raw


def gradient_regressor(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """GradientBoosting: a sum."""
    return _boosted_sum(model, blocks, graph)


def forest_regressor(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """RandomForest, ExtraTrees, DecisionTree: the mean of the leaves."""
    return _forest_mean(model, blocks, graph, columns=[0])


def linear_regressor(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Linear models: a weighted sum."""
    return _weighted_sum(model, blocks, graph)


CLASSIFIERS: dict[str, Callable[[Any, Sequence[Block], Graph], Binary]] = {
    "HistGradientBoostingClassifier": histogram_classifier,
    "GradientBoostingClassifier": gradient_classifier,
    "RandomForestClassifier": forest_classifier,
    "ExtraTreesClassifier": forest_classifier,
    "DecisionTreeClassifier": forest_classifier,
    "LogisticRegression": linear_classifier,
}
MULTICLASS: dict[str, Callable[[Any, Sequence[Block], Graph], str]] = {
    "HistGradientBoostingClassifier": histogram_shares,
    "GradientBoostingClassifier": gradient_shares,
    "RandomForestClassifier": forest_shares,
    "ExtraTreesClassifier": forest_shares,
    "DecisionTreeClassifier": forest_shares,
    "LogisticRegression": linear_shares,
}
REGRESSORS: dict[str, Callable[[Any, Sequence[Block], Graph], str]] = {
    "HistGradientBoostingRegressor": histogram_regressor,
    "GradientBoostingRegressor": gradient_regressor,
    "RandomForestRegressor": forest_regressor,
    "ExtraTreesRegressor": forest_regressor,
    "DecisionTreeRegressor": forest_regressor,
    "LinearRegression": linear_regressor,
    "Ridge": linear_regressor,
    "Lasso": linear_regressor,
    "ElasticNet": linear_regressor,
}


def classifier(model: Any, blocks: Sequence[Block], graph: Graph) -> Binary:
    """Write a fitted binary classifier.

    Raises:
        Unconvertible: neither we nor skl2onnx know a form of it.
    """
    write = CLASSIFIERS.get(type(model).__name__) if _is_own(model) else _of_format(model, "classifier")
    if write:
        return write(model, blocks, graph)
    shares = foreign.classifier(model, matrix(graph, blocks, floating=True), graph)
    share = graph.add("Gather", shares, graph.constant([1], np.int64), axis=1)
    return Binary(_above(graph, share, "Greater", 0.5), share)


def shares(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write a fitted classifier of several classes, and return the name of their probabilities, in its own order.

    Raises:
        Unconvertible: neither we nor skl2onnx know a form of it.
    """
    if len(getattr(model, "classes_", ())) == 2:
        yes = classifier(model, blocks, graph).probability
        return graph.add("Concat", graph.add("Sub", graph.constant([[1.0]]), yes), yes, axis=1)
    write = MULTICLASS.get(type(model).__name__) if _is_own(model) else _of_format(model, "shares")
    if write:
        return str(write(model, blocks, graph))
    return foreign.classifier(model, matrix(graph, blocks, floating=True), graph)


def labels(model: Any, blocks: Sequence[Block], graph: Graph, *, count: int) -> str:
    """Write a fitted classifier of several labels, and return the name of their probabilities (rows, labels).

    Raises:
        Unconvertible: neither we nor skl2onnx know a form of it.
    """
    kind = type(model).__name__
    if kind in {"OneVsRestClassifier", "MultiOutputClassifier"} and len(model.estimators_) == count:
        columns = [_of_label(one, blocks, graph) for one in model.estimators_]
    elif CLASSIFIERS.get(kind) is forest_classifier and _is_own(model) and model.n_outputs_ == count:
        columns = [_forest_of_label(model, place, blocks, graph) for place in range(count)]
    else:
        msg = f"no exact form of {kind} with several labels is known"
        raise Unconvertible(msg)
    return graph.add("Concat", *columns, axis=1)


def _of_label(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write the classifier of one label, which may be a pipeline; of a label that never changed it is a constant."""
    classes = list(getattr(model, "classes_", ()))
    if type(model).__name__ == "_ConstantPredictor":
        return _same_for_all(graph, blocks, float(np.asarray(model.y_).ravel()[0]))
    if len(classes) == 1:
        return _same_for_all(graph, blocks, float(classes[0]))
    while isinstance(getattr(model, "steps", None), list):
        for _, step in model.steps[:-1]:
            blocks = transform(step, blocks, graph)
        model = model.steps[-1][1]
    return classifier(model, blocks, graph).probability


def _forest_of_label(model: Any, place: int, blocks: Sequence[Block], graph: Graph) -> str:
    known = np.asarray(model.classes_[place]).tolist()
    if len(known) == 1:
        return _same_for_all(graph, blocks, float(known[0]))
    return _forest_mean(model, blocks, graph, columns=[known.index(1)], place=place)


def _same_for_all(graph: Graph, blocks: Sequence[Block], value: float) -> str:
    """Write one number for each row."""
    first = graph.cast(matrix(graph, single_columns(graph, blocks)[:1], floating=True), "float64").name
    here = graph.add("IsNaN", first)
    same = graph.constant([[value]], np.float64)
    return graph.add("Where", here, same, same)


def regressor(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write a fitted regressor.

    Raises:
        Unconvertible: neither we nor skl2onnx know a form of it.
    """
    write = REGRESSORS.get(type(model).__name__) if _is_own(model) else _of_format(model, "regressor")
    if write:
        return write(model, blocks, graph)
    return foreign.regressor(model, matrix(graph, blocks, floating=True), graph)


def regressors(model: Any, blocks: Sequence[Block], graph: Graph, *, count: int) -> str:
    """Write a fitted regressor of several numbers, and return the name of these (rows, numbers).

    Raises:
        Unconvertible: no exact form of it is known.
    """
    write = REGRESSORS.get(type(model).__name__) if _is_own(model) else None
    if type(model).__name__ == "MultiOutputRegressor" and len(model.estimators_) == count:
        columns = [regressor(one, blocks, graph) for one in model.estimators_]
    elif write is linear_regressor and np.atleast_2d(model.coef_).shape[0] == count:
        return _weighted_sum(model, blocks, graph)
    elif write is forest_regressor and model.n_outputs_ == count:
        columns = [_forest_mean(model, blocks, graph, columns=[0], place=place) for place in range(count)]
    else:
        msg = f"no exact form of {type(model).__name__} with several numbers is known"
        raise Unconvertible(msg)
    return graph.add("Concat", *columns, axis=1)


def _is_own(model: Any) -> bool:
    return type(model).__module__.startswith("sklearn.")


def _of_format(model: Any, what: str) -> Callable[[Any, Sequence[Block], Graph], Any]:
    """Return the function by which the format of the model's library writes it."""
    for library in libraries(model):
        if library in plugins.available("format") and library != "sklearn":
            found: Any = getattr(plugins.load("format", library), what, None)
            if found is not None:
                return found  # type: ignore[no-any-return]
    name = type(model).__name__
    known = any(library in plugins.available("format") for library in libraries(model))
    why = f"no exact form of {name} with several classes is known" if what == "shares" and known else ""
    raise Unconvertible(why or f"{name} is not a part of scikit-learn")


def _above(graph: Graph, name: str, op: str, bound: float) -> str:
    return graph.add(op, name, graph.constant([bound]))


def _weighted_sum(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    x = graph.cast(matrix(graph, blocks, floating=True), "float64")
    coefficients = np.atleast_2d(model.coef_)
    weights = graph.constant(coefficients.T, np.float64)
    offset = graph.constant(np.broadcast_to(model.intercept_, (len(coefficients),)), np.float64)
    return graph.add("Gemm", x.name, weights, offset)


def _histogram_sum(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    if model._preprocessor is not None:
        x = _with_categories(model, blocks, graph)
    else:
        x = graph.cast(matrix(graph, blocks, floating=True), "float64")
    ensembles = [map(trees.of_histogram_tree, ensemble) for ensemble in zip(*model._predictors, strict=True)]
    totals = trees.sums_of_trees(x, ensembles, graph)
    return graph.add("Add", totals, graph.constant(model._baseline_prediction.ravel(), np.float64))


def _with_categories(model: Any, blocks: Sequence[Block], graph: Graph) -> Block:
    """Number the categories as the estimator's own preprocessor does: those columns first, unseen as NaN."""
    columns = single_columns(graph, blocks)
    chosen = [column for column, yes in zip(columns, model.is_categorical_, strict=True) if yes]
    others = [column for column, yes in zip(columns, model.is_categorical_, strict=True) if not yes]
    encoder = model._preprocessor.named_transformers_["encoder"]
    return graph.join([*transform(encoder, chosen, graph), *others], "float64")


def _boosted_sum(model: Any, blocks: Sequence[Block], graph: Graph) -> str:
    if model.init_ != "zero" and not type(model.init_).__name__.startswith("Dummy"):
        msg = f"GradientBoosting that starts from a {type(model.init_).__name__}"
        raise Unconvertible(msg)
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32)).ravel()
    ensembles = [
        [trees.of_scikit_tree(one.tree_, model.learning_rate * one.tree_.value[:, 0, 0]) for one in stages]
        for stages in model.estimators_.T
    ]
    totals = trees.sums_of_trees(_float32(graph, blocks), ensembles, graph)
    return graph.add("Add", totals, graph.constant(start, np.float64))


def _forest_mean(
    model: Any, blocks: Sequence[Block], graph: Graph, *, columns: Sequence[int], place: int = 0
) -> str:
    members = list(getattr(model, "estimators_", [model]))
    ensembles = [
        [trees.of_scikit_tree(one.tree_, one.tree_.value[:, place, column]) for one in members]
        for column in columns
    ]
    totals = trees.sums_of_trees(_float32(graph, blocks), ensembles, graph)
    if len(members) == 1:
        return totals
    return graph.add("Div", totals, graph.constant([float(len(members))]))


def _float32(graph: Graph, blocks: Sequence[Block]) -> Block:
    """Round to float32 first: what these trees compare is float32."""
    x = matrix(graph, blocks, floating=True)
    return graph.cast(x, "float32")
