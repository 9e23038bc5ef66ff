from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from treadle.registry.binding import OneRow
from treadle.registry.neighbours import padded
from treadle.registry.providers import session

helper = pytest.importorskip("onnx").helper
pytest.importorskip("onnxruntime")
FLOATS = 11
SEEN = {"share": lambda values: values.reshape(-1), "above": lambda values: values.reshape(-1)}


def model(*, told=FLOATS):
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=1),
        helper.make_node("Sigmoid", ["sum"], ["sigmoid"]),
        helper.make_node("Cast", ["sigmoid"], ["share"], to=told),
        helper.make_node("Greater", ["sum", "zero"], ["above"]),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", FLOATS, ["rows", 3])],
        [
            helper.make_tensor_value_info("share", told, ["rows", 1]),
            helper.make_tensor_value_info("above", 9, ["rows", 1]),
        ],
        [helper.make_tensor("axes", 7, [1], [1]), helper.make_tensor("zero", FLOATS, [1], [0.0])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return session(made.SerializeToString(), "cpu")


def bound(found, seen=SEEN):
    feed = {"x": np.ones((2, 3))}
    return OneRow(found, feed, dict(zip(seen, found.run(list(seen), feed), strict=True)), seen=seen)


def test_each_of_many_threads_gets_the_bits_of_its_own_row():
    found, rows = model(), np.random.default_rng(0).normal(0, 2, (600, 3))
    one = bound(found)

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda row: one({"x": row[None]}), rows))

    for row, answer in zip(rows, answers, strict=True):
        share, above = found.run(["share", "above"], {"x": padded(row[None], 2)})
        assert answer["share"].tobytes() == share[:1].tobytes()
        assert answer["above"].tolist() == [bool(above[0, 0])]


def test_an_answer_stays_as_it_was_when_the_next_row_comes():
    one = bound(model())

    first = one({"x": np.array([[1.0, 2.0, 3.0]])})
    kept = first["share"].tolist()
    one({"x": np.array([[-1.0, -2.0, -3.0]])})

    assert first["share"].tolist() == kept


def test_text_cannot_be_bound():
    with pytest.raises(ValueError, match="text"):
        bound(model(told=8))


def test_an_output_that_is_converted_cannot_be_bound():
    with pytest.raises(ValueError, match="converted"):
        bound(model(), {**SEEN, "share": lambda values: values.astype(np.float32)})


def test_a_row_that_does_not_fit_is_refused_and_the_next_one_answered():
    one = bound(model())
    expected = one({"x": np.ones((1, 3))})["share"].tolist()

    with pytest.raises(ValueError):
        one({"x": np.ones((1, 4))})

    assert one({"x": np.ones((1, 3))})["share"].tolist() == expected
