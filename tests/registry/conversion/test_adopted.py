"""An ONNX model from elsewhere answers the same once it takes and gives what the signature says."""

from __future__ import annotations

import numpy as np
import pytest

from treadle.core.answers import numbers
from treadle.core.errors import InvalidInput
from treadle.core.signature import Field, Signature
from treadle.registry.conversion.adopted import adopted
from treadle.registry.formats.onnx import OnnxModel

INPUTS = (Field(name="a", kind="float"), Field(name="b", kind="integer"))
YES_NO = Signature(
    inputs=INPUTS, outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))
)
NUMBER = Signature(inputs=INPUTS, outputs=(Field(name="prediction", kind="float"),))
CLASSES = Field(name="probabilities", kind="float", columns=("x", "y", "z"))
WHICH = Signature(inputs=INPUTS, outputs=(Field(name="prediction", kind="category"), CLASSES))
X = np.random.default_rng(0).integers(0, 9, (60, 2)).astype(np.float64)
COLUMNS = {"a": X[:, 0].astype(np.float32), "b": X[:, 1].astype(np.int64)}


def exported(model, width=2, **options):
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    initial = [("matrix", FloatTensorType([None, width]))]
    return skl2onnx.to_onnx(
        model, initial_types=initial, options=options or None, target_opset={"": 21, "ai.onnx.ml": 3}
    )


def answers(graph, signature):
    return numbers(OnnxModel(graph.SerializeToString(), signature=signature).predict(COLUMNS), signature)


def classifier(classes):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(X, X[:, 0].astype(int) % classes)


def test_one_matrix_and_two_columns_of_probabilities():
    model = classifier(2)

    given = answers(adopted(exported(model, zipmap=False), signature=YES_NO), YES_NO)

    assert given == pytest.approx(model.predict_proba(X)[:, 1], abs=1e-5)


def test_several_classes():
    model = classifier(3)

    given = answers(adopted(exported(model, zipmap=False), signature=WHICH), WHICH)

    assert np.allclose(given, model.predict_proba(X), atol=1e-5)


def test_a_number():
    from sklearn.linear_model import Ridge

    model = Ridge().fit(X, X[:, 0])

    given = answers(adopted(exported(model), signature=NUMBER), NUMBER)

    assert given == pytest.approx(model.predict(X), abs=1e-4)


def test_inputs_by_name_of_any_rank_and_type():
    from onnx import helper

    graph = helper.make_graph(
        [helper.make_node("Add", ["b", "a"], ["total"])],
        "sum",
        [helper.make_tensor_value_info("b", 11, [None]), helper.make_tensor_value_info("a", 11, [None])],
        [helper.make_tensor_value_info("total", 11, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)

    assert answers(adopted(model, signature=NUMBER), NUMBER) == pytest.approx(X.sum(axis=1))


@pytest.mark.parametrize(
    ("graph", "signature", "output", "said"),
    [
        (lambda: exported(classifier(2)), YES_NO, "", "no tensor"),
        (lambda: exported(classifier(3), zipmap=False), YES_NO, "", r"shape \(rows, 1 or 2\)"),
        (lambda: exported(classifier(2), zipmap=False), YES_NO, "answer", "called 'answer'"),
        (
            lambda: exported(classifier(2), zipmap=False),
            Signature(inputs=INPUTS[:1], outputs=YES_NO.outputs),
            "",
            "takes 2 columns, and 1 are given: a",
        ),
        (
            lambda: exported(classifier(2), zipmap=False),
            Signature(inputs=(INPUTS[0], Field(name="c", kind="string")), outputs=YES_NO.outputs),
            "",
            "'c' is of the kind string",
        ),
    ],
    ids=["maps", "classes", "output", "width", "strings"],
)
def test_what_does_not_fit_is_said(graph, signature, output, said):
    with pytest.raises(InvalidInput, match=said):
        adopted(graph(), signature=signature, output=output)
