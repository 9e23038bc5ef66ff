"""ONNX: a graph of arithmetic without code, answered by ONNX Runtime. The format that servers like best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from treadle.core.answers import as_told, follows, in_order, numbers, scored
from treadle.core.errors import InvalidInput, PackageRefused
from treadle.core.optional import require
from treadle.core.signature import Field, Signature
from treadle.registry.asked import Asked
from treadle.registry.format import Example, Saved, Trial
from treadle.registry.protobuf import refuse_external_data

NAME = "onnx"
ENDINGS = (".onnx",)
FILE = "model.onnx"


class OnnxModel:
    """A session of ONNX Runtime with one thread: it is called by many threads, and a model is small."""

    def __init__(self, data: bytes, *, signature: Signature) -> None:
        runtime = require("onnxruntime", extra="serve")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._signature = signature
        self._scored = scored(signature)
        self._column = {given.name: len(given.shape) != 1 for given in self._session.get_inputs()}
        given = [found.name for found in self._session.get_outputs()]
        _check_names(self._column, given, signature)
        self._given = [field for field in (*signature.outputs[:-1], self._scored) if field.name in given]
        self._rest = [field for field in signature.outputs if field.name not in given]

    @property
    def signature(self) -> Signature:
        """The inputs it takes and the outputs it gives."""
        return self._signature

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer for encoded columns of shape (rows,)."""
        feed = {
            name: columns[name].reshape(-1, 1) if column else columns[name]
            for name, column in self._column.items()
        }
        values = self._session.run([field.name for field in self._given], feed)
        outputs = {f.name: _shaped(f, value) for f, value in zip(self._given, values, strict=True)}
        name = self._scored.name
        outputs[name] = in_order(outputs[name].astype(np.float64, copy=False), self._scored)
        if not self._rest:
            return outputs | {name: as_told(outputs[name], self._scored)}
        rest = {field.name: follows(field, outputs[name], self._scored) for field in self._rest}
        return {field.name: {**outputs, **rest}[field.name] for field in self._signature.outputs}


def accepts(model: Any) -> bool:
    """Return whether the object is an ONNX model."""
    return any(
        kind.__name__ == "ModelProto" and kind.__module__.startswith("onnx") for kind in type(model).__mro__
    )


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:  # noqa: ARG001 - the protocol's
    """Return the model as one file.

    Raises:
        InvalidInput: its inputs or outputs are not called as the signature says.
        PackageRefused: it keeps data in other files.
    """
    outputs = [output.name for output in model.graph.output]
    _check_names({given.name: True for given in model.graph.input}, outputs, signature)
    data = model.SerializeToString(deterministic=True)
    refuse_external_data(data)
    return Saved(format=NAME, files={FILE: data})


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> OnnxModel:  # noqa: ARG001 - the protocol's
    """Return the model in ONNX Runtime.

    Raises:
        PackageRefused: it keeps data in other files.
    """
    refuse_external_data(files[FILE])
    return OnnxModel(files[FILE], signature=signature)


def read(data: bytes) -> Any:
    """Return the model of a file.

    Raises:
        PackageRefused: it is none, or it keeps data in other files.
    """
    refuse_external_data(data)
    onnx = require("onnx", extra="sklearn")
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    # protobuf's own class, which has another name in each of its implementations, and the checker's.
    except Exception as error:
        msg = f"The file is not a valid ONNX model: {str(error)[:300]}"
        raise PackageRefused(msg) from error
    return model


def estimator(model: Any, *, signature: Signature) -> Asked:
    """Return the model with scikit-learn's methods, for frames of encoded columns."""
    data = model.SerializeToString(deterministic=True)
    refuse_external_data(data)
    session = OnnxModel(data, signature=signature)

    def answer(rows: Any) -> Any:
        columns = {
            field.name: np.array(rows[field.name].to_list(), dtype=object)
            if field.tensor == "string"
            else rows[field.name].to_numpy()
            for field in signature.inputs
        }
        return numbers(session.predict(columns), signature)

    return Asked(answer, names=signature.names, signature=signature)


def example() -> Example:
    """Return a model that doubles a number."""
    helper = require("onnx", extra="sklearn").helper
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["sum"]),
            helper.make_node("Cast", ["sum"], ["prediction"], to=11),
        ],
        "double",
        [helper.make_tensor_value_info("x", 1, [None, 1])],
        [helper.make_tensor_value_info("prediction", 11, [None, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    signature = Signature(
        inputs=(Field(name="x", kind="float"),), outputs=(Field(name="prediction", kind="float"),)
    )
    x = np.arange(8, dtype=np.float32)
    return Example(model, "regression", signature, Trial({"x": x}, 2.0 * x.astype(np.float64)))


def _shaped(field: Field, values: np.ndarray) -> np.ndarray:
    """Return an output as its field says: of shape (rows,) or (rows, columns), yes and no as booleans."""
    shaped = values.reshape(-1, len(field.columns)) if field.columns else values.reshape(-1)
    return shaped.astype(bool, copy=False) if field.kind == "boolean" else shaped


def _check_names(inputs: Mapping[str, bool], outputs: list[str], signature: Signature) -> None:
    extra = sorted(set(inputs) - set(signature.names))
    if extra:
        msg = f"The ONNX model takes {', '.join(extra)}, which the signature ({', '.join(signature.names)}) lacks."
        raise InvalidInput(msg, field=extra[0])
    wanted = scored(signature)
    if wanted.name not in outputs:
        many = f" of shape (rows, {len(wanted.columns)})" if wanted.columns else ""
        msg = f"The ONNX model gives {', '.join(outputs)}. Expected an output {wanted.name!r}{many}, which is scored."
        raise PackageRefused(msg)
