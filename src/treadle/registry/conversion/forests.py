"""The trees of an ONNX model, read back from its `TreeEnsemble` node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.core.forest import Forest
from treadle.core.optional import require
from treadle.core.signature import Signature

if TYPE_CHECKING:
    import polars as pl

_DOUBLE, _MEMBER, _SUM = 11, 6, 1


def forest(data: bytes, *, signature: Signature) -> Forest | None:
    """Return the trees of a model that has one sum of them, as our conversions write it; else None."""
    onnx = require("onnx", extra="sklearn")
    model = onnx.load_model_from_string(data)
    found = [node for node in model.graph.node if node.op_type.startswith("TreeEnsemble")]
    if len(found) != 1 or found[0].op_type != "TreeEnsemble":
        return None
    about = {one.name: onnx.helper.get_attribute_value(one) for one in found[0].attribute}
    modes = onnx.numpy_helper.to_array(about["nodes_modes"])
    if set(modes.tolist()) - {0, _MEMBER} or about["aggregate_function"] != _SUM or about["post_transform"]:
        return None
    held = {name: onnx.numpy_helper.to_array(about[name]) for name in ("nodes_splits", "leaf_weights")}
    return Forest(
        feature=np.array(about["nodes_featureids"]),
        split=held["nodes_splits"],
        missing_yes=np.array(about["nodes_missing_value_tracks_true"], dtype=bool),
        yes=np.array(about["nodes_truenodeids"]),
        no=np.array(about["nodes_falsenodeids"]),
        yes_leaf=np.array(about["nodes_trueleafs"], dtype=bool),
        no_leaf=np.array(about["nodes_falseleafs"], dtype=bool),
        roots=tuple(about["tree_roots"]),
        target=np.array(about["leaf_targetids"]),
        weight=held["leaf_weights"],
        targets=int(about["n_targets"]),
        members=_members(onnx, about, modes),
        matrix=_matrix(onnx, model, found[0].input[0], signature),
    )


def _members(onnx: Any, about: dict[str, Any], modes: np.ndarray) -> dict[int, tuple[float, ...]]:
    """Return the members of each node that compares with several: lists behind one another, each ended by NaN."""
    if "membership_values" not in about:
        return {}
    values = onnx.numpy_helper.to_array(about["membership_values"])
    parts = np.split(values, np.flatnonzero(np.isnan(values)) + 1)
    nodes = np.flatnonzero(modes == _MEMBER).tolist()
    return {node: tuple(part[:-1].tolist()) for node, part in zip(nodes, parts, strict=False)}


def _matrix(onnx: Any, model: Any, name: str, signature: Signature) -> Any:
    """Return what makes of encoded rows the numbers that the trees look at."""
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, _DOUBLE, None))
    runtime = require("onnxruntime", extra="serve")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    taken = {one.name for one in session.get_inputs()}

    def matrix(rows: pl.DataFrame) -> np.ndarray:
        feed = {
            field.name: (
                np.array(rows[field.name].to_list(), dtype=object)
                if field.tensor == "string"
                else rows[field.name].to_numpy()
            ).reshape(-1, 1)
            for field in signature.inputs
            if field.name in taken
        }
        found: np.ndarray = session.run([name], feed)[0]
        return found

    return matrix
