"""A whole fitted pipeline as an ONNX model: our own exact forms, and skl2onnx for the parts that we do not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.core.answers import aligned, scored
from treadle.core.signature import Field, Signature
from treadle.core.stretch import log_stretch
from treadle.registry.conversion.estimators import classifier, labels, regressor, regressors, shares
from treadle.registry.conversion.graph import Block, Graph, Unconvertible, inputs_of, matrix
from treadle.registry.conversion.scorers import clusters, scores
from treadle.registry.conversion.transformers import transform


@dataclass(frozen=True)
class Converted:
    """An ONNX model that has not been compared with its original yet."""

    model: Any
    #: Values of an input at which an answer may change, by input.
    thresholds: dict[str, list[float]]
    notes: tuple[str, ...] = ()


def conversions(estimator: Any, *, task: str, signature: Signature, like: Any = None) -> Iterator[Converted]:
    """Write a fitted estimator or pipeline as an ONNX model with an input of shape (rows, 1) for each field.

    Outputs are `prediction` and, for classification, `probability` of the positive class, each (rows, 1); for several
    classes or labels only their `probabilities`, of shape (rows, classes), as for several numbers only these, from which the rest of an answer follows. Where
    skl2onnx writes a part, there is a second form in which that part computes in single precision: some of its
    parts only exist so. `like` names the columns and classes (`feature_names_in_`, `classes_`) of an estimator that does
    not do so itself.

    Raises:
        Unconvertible: neither we nor skl2onnx know a form of one of its parts.
    """
    graph = Graph()
    try:
        yield _convert(
            estimator, graph, task=task, signature=signature, like=estimator if like is None else like
        )
    except Unconvertible:
        if not graph.is_mixed:
            raise
    if graph.is_mixed:
        yield _convert(
            estimator,
            Graph(foreign_dtype="float32"),
            task=task,
            signature=signature,
            like=estimator if like is None else like,
        )


def last_step(estimator: Any) -> Any:
    """Return the estimator at the end of nested pipelines and searches."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(getattr(estimator, "steps", None), list):
            estimator = estimator.steps[-1][1]
        else:
            return estimator


def _convert(estimator: Any, graph: Graph, *, task: str, signature: Signature, like: Any) -> Converted:
    named = hasattr(like, "feature_names_in_")
    blocks = inputs_of(_in_order(like, signature), framed=named)
    if not named:
        blocks = [matrix(graph, blocks)]
    whole = estimator
    while hasattr(estimator, "steps") or hasattr(estimator, "best_estimator_"):
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
            continue
        for _, step in estimator.steps[:-1]:
            blocks = transform(step, blocks, graph)
        estimator = estimator.steps[-1][1]
    last = scored(signature)
    outputs = {last.name: "float64"}
    if last.independent:
        graph.rename(labels(estimator, blocks, graph, count=len(last.columns)), last.name)
    elif last.name == "probabilities":
        graph.rename(_in_place(like, shares(estimator, blocks, graph), last.columns, graph), last.name)
    elif last.method == "transform":
        graph.rename(_embedded(estimator, blocks, graph), last.name)
    elif task == "clustering":
        graph.rename(clusters(estimator, blocks, graph), last.name)
    elif last.columns:
        _must_be_predicted(last)
        graph.rename(regressors(estimator, blocks, graph, count=len(last.columns)), last.name)
    elif task == "classification":
        answer = classifier(estimator, blocks, graph)
        boolean = any(out.name == "prediction" and out.kind == "boolean" for out in signature.outputs)
        kind = _classes(like, answer.positive, graph, boolean=boolean)
        outputs = {"prediction": kind, "probability": "float64"}
        graph.rename(answer.probability, "probability")
    elif last.method == "score_samples":
        _score(estimator, blocks, graph, last, whole=whole)
    else:
        _must_be_predicted(last)
        graph.rename(regressor(estimator, blocks, graph), last.name)
    model = graph.model(signature.inputs, outputs, widths={last.name: max(1, len(last.columns))})
    return Converted(model=model, thresholds=graph.thresholds, notes=tuple(dict.fromkeys(graph.notes)))


def _score(estimator: Any, blocks: Sequence[Block], graph: Graph, last: Field, *, whole: Any) -> None:
    """Write a score, its sign turned or with how much the whole pipeline stretches space."""
    found = scores(estimator, blocks, graph)
    if last.turned == "negated":
        found = graph.add("Neg", found)
    elif last.turned == "stretched" and (stretch := log_stretch(whole)):
        found = graph.add("Add", found, graph.constant([stretch]))
    graph.rename(found, last.name)


def _embedded(estimator: Any, blocks: Sequence[Block], graph: Graph) -> str:
    """Write what a transformer at the end of a pipeline makes of its inputs, as one matrix in double precision."""
    found = matrix(graph, transform(estimator, blocks, graph), floating=True)
    return graph.cast(found, "float64").name


def _must_be_predicted(last: Field) -> None:
    if last.method not in {"", "predict"}:
        msg = f"no form of {last.method} is known"
        raise Unconvertible(msg)


def _in_order(estimator: Any, signature: Signature) -> list[Any]:
    """Return the fields in the order in which the estimator was fitted."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return list(signature.inputs)
    missing = [name for name in names if name not in signature.names]
    if missing:
        msg = f"the model was fitted with a column {missing[0]!r} that its signature does not have"
        raise Unconvertible(msg)
    return [signature.field(str(name)) for name in names]


def _in_place(estimator: Any, given: str, columns: Sequence[str], graph: Graph) -> str:
    """Put the estimator's probabilities into the columns of the signature; 0 where the estimator lacks the class."""
    classes = list(estimator.classes_)
    places = aligned(np.eye(len(classes)), classes, columns=columns, source=type(estimator).__name__)
    if len(classes) == len(columns) and np.array_equal(places, np.eye(len(columns))):
        return given
    return graph.add("MatMul", given, graph.constant(places, np.float64))


def _classes(estimator: Any, positive: str, graph: Graph, *, boolean: bool) -> str:
    """Write the predicted class as true or false or in the type of the classes, and return that type."""
    classes = np.asarray(estimator.classes_)
    if len(classes) != 2:
        msg = f"{len(classes)} classes, where 2 are expected"
        raise Unconvertible(msg)
    if boolean or classes.dtype == bool:
        graph.rename(positive, "prediction")
        return "bool"
    dtype = "string" if classes.dtype.kind in "OUS" else "int64"
    held = np.array([[str(c) for c in classes]], dtype=object) if dtype == "string" else classes.reshape(1, 2)
    no, yes = (graph.constant(held[:, [i]], object if dtype == "string" else np.int64) for i in (0, 1))
    graph.rename(graph.add("Where", positive, yes, no), "prediction")
    return dtype
