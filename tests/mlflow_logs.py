"""Runs where MLflow is and Treadle is not: registers two models as a team that knows nothing of Treadle does.

Arguments: a name for each. The first is a graph in the flavour onnx, whose weights MLflow keeps in a file beside it; the second
a class of Python, which MLflow pickles. It prints the answer of the first to a row of ones.
"""

from __future__ import annotations

import json
import sys

import mlflow
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

WIDE = 1024


class Doubles(mlflow.pyfunc.PythonModel):
    """Runs code wherever it is read."""

    def predict(self, context, model_input, params=None):
        return model_input


def graph() -> object:
    """Return a sum of the inputs, each multiplied by a weight of which there are a thousand."""
    weights = numpy_helper.from_array(np.linspace(0, 1, 2 * WIDE, dtype=np.float32).reshape(2, WIDE), "w")
    nodes = [
        helper.make_node("Concat", ["size", "count"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "w"], ["wide"]),
        helper.make_node("ReduceMean", ["wide"], ["prediction"], axes=[1], keepdims=1),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("size", "count")]
    output = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])
    made = helper.make_graph(nodes, "sum", inputs, [output], [weights])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def main(safe: str, pickled: str) -> None:
    """Register both, and let an alias point at the first."""
    model = graph()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    one = np.ones((1, 1), dtype=np.float32)
    answer = session.run(None, {"size": one, "count": one})[0]
    with mlflow.start_run():
        logged = mlflow.onnx.log_model(model, name="model", registered_model_name=safe)
        mlflow.pyfunc.log_model(name="code", python_model=Doubles(), registered_model_name=pickled)
    mlflow.MlflowClient().set_registered_model_alias(safe, "champion", logged.registered_model_version)
    sys.stdout.write("\n" + json.dumps(float(answer[0, 0])) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
