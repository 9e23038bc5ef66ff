from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import helper

from treadle.core.errors import InvalidInput, PackageRefused
from treadle.core.signature import Field, Signature
from treadle.registry.format import Trial
from treadle.registry.formats import onnx


def model(*, inputs=("x",), outputs=("prediction",), rank=2):
    shape = [None, 1][:rank]
    nodes = [helper.make_node("Identity", [inputs[0]], [name]) for name in outputs]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(name, 1, shape) for name in inputs],
            [helper.make_tensor_value_info(name, 1, shape) for name in outputs],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )


SIGNATURE = Signature(
    inputs=(Field(name="x", kind="float"),), outputs=(Field(name="prediction", kind="float"),)
)
X = np.array([1, 2, 3], dtype=np.float32)


def save(made, *, task="regression"):
    return onnx.save(made, task=task, signature=SIGNATURE, trial=Trial({"x": X}, X.astype(np.float64)))


@pytest.mark.parametrize("rank", [1, 2])
def test_a_users_own_model_answers(rank):
    saved = save(model(rank=rank))

    loaded = onnx.load(saved.files, task="regression", signature=SIGNATURE)

    assert loaded.predict({"x": X})["prediction"].tolist() == [1, 2, 3]


def test_many_threads_may_ask_at_once():
    loaded = onnx.load(save(model()).files, task="regression", signature=SIGNATURE)

    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda n: loaded.predict({"x": np.full(5, n, np.float32)})["prediction"][0], range(500))
        )

    assert found == list(range(500))


def test_an_input_that_the_signature_lacks_is_named():
    with pytest.raises(InvalidInput, match="takes wind, which the signature"):
        save(model(inputs=("wind",)))


def test_the_scored_output_must_be_there():
    with pytest.raises(PackageRefused, match="gives other. Expected an output 'prediction', which is scored"):
        save(model(outputs=("other",)))


def test_of_several_numbers_the_rest_of_the_answer_follows():
    columns = ("cat", "dog", "owl")
    scored = Field(name="probabilities", kind="float", columns=columns)
    outputs = (Field(name="prediction", kind="category", levels=columns), scored)
    signature = Signature(inputs=SIGNATURE.inputs, outputs=outputs)
    weights = helper.make_tensor("w", 1, [1, 3], [1.0, 0.0, -1.0])
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["score"]),
            helper.make_node("Softmax", ["score"], ["probabilities"], axis=1),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, [None, 1])],
        [helper.make_tensor_value_info("probabilities", 1, [None, 3])],
        initializer=[weights],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    x = np.array([2.0, -2.0], dtype=np.float32)

    saved = onnx.save(made, task="multiclass", signature=signature, trial=Trial({"x": x}, np.zeros((2, 3))))
    found = onnx.load(saved.files, task="multiclass", signature=signature).predict({"x": x})

    assert list(found) == ["prediction", "probabilities"]
    assert found["prediction"].tolist() == ["cat", "owl"]
    assert found["probabilities"].dtype == np.float64
    assert found["probabilities"].shape == (2, 3)
    assert found["probabilities"].sum(axis=1) == pytest.approx(1)
