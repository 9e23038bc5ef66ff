from __future__ import annotations

import numpy as np
import pytest

from treadle.core.signature import Field, Signature
from treadle.registry import neighbours
from treadle.registry.formats import onnx as onnx_format

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

ROWS, WIDTH = 1_500, 37
SIGNATURE = Signature(
    inputs=tuple(Field(name=f"x{i}", kind="float") for i in range(WIDTH)),
    outputs=(Field(name="prediction", kind="float"),),
)


def model(*nodes):
    """Return a model that sets its inputs side by side as `x`, casts them to doubles as `wide`, and does the rest."""
    helper = onnx.helper
    names = SIGNATURE.names
    weights = np.random.default_rng(0).normal(0, 1, (WIDTH, 1)).astype(np.float32)
    first = [
        helper.make_node("Concat", list(names), ["x"], axis=1),
        helper.make_node("Cast", ["x"], ["wide"], to=11),
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("ReduceSum", ["wide"], ["sum"], keepdims=1, noop_with_empty_axes=0),
    ]
    wanted = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        [node for node in first if node.output[0] in wanted | {"x", "wide"}] + list(nodes),
        "model",
        [helper.make_tensor_value_info(name, 1, [None, 1]) for name in names],
        [helper.make_tensor_value_info("prediction", 11, [None, 1])],
        [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.array([0]), "first")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return made.SerializeToString()


def sigmoid():
    helper = onnx.helper
    return model(
        helper.make_node("Gather", ["wide", "first"], ["one"], axis=1),
        helper.make_node("Sigmoid", ["one"], ["prediction"]),
    )


def product():
    return model(onnx.helper.make_node("Cast", ["product"], ["prediction"], to=11))


def copied():
    return model(onnx.helper.make_node("Gather", ["wide", "first"], ["prediction"], axis=1))


def columns(rows, seed):
    draw = np.random.default_rng(seed)
    return {name: draw.normal(0, 3, rows).astype(np.float32) for name in SIGNATURE.names}


def load(data):
    made = onnx_format.load({"model.onnx": data}, task="regression", signature=SIGNATURE)
    made.samples = columns(50, seed=1)
    made.steady()
    return made


@pytest.mark.parametrize("make", [sigmoid, product])
def test_a_row_gets_the_same_bits_in_any_company(make):
    loaded, rows = load(make()), columns(ROWS, seed=2)

    alone = [loaded.predict({n: v[i : i + 1] for n, v in rows.items()}) for i in range(ROWS)]
    together = loaded.predict(rows)["prediction"]
    odd = loaded.predict({n: v[:7] for n, v in rows.items()})["prediction"]

    assert together.shape == (ROWS,)
    assert np.concatenate([one["prediction"] for one in alone]).tobytes() == together.tobytes()
    assert odd.tobytes() == together[:7].tobytes()


def test_a_model_that_only_copies_is_called_with_what_came():
    assert neighbours.at_least(copied()) == 1
    assert load(copied())._multiple == 1


def test_operators_that_round_ask_for_pairs_whatever_the_samples_show():
    made = onnx_format.load({"model.onnx": sigmoid()}, task="regression", signature=SIGNATURE)

    assert neighbours.at_least(sigmoid()) == made._multiple == 2


def test_samples_that_differ_in_company_are_noticed():
    samples = {"x": np.arange(20, dtype=np.float32)}

    assert neighbours.is_steady(lambda given: {"y": given["x"] * 2}, samples)
    assert not neighbours.is_steady(lambda given: {"y": given["x"] + (len(given["x"]) == 3)}, samples)
