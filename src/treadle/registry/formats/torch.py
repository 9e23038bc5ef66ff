"""PyTorch: a network becomes ONNX, with all its answers the same, or is refused: its weights alone answer nothing.

A network gets one float32 tensor of shape (rows, inputs), in the order of the signature, and answers in the task's own
numbers: a probability for classification (end it with `Sigmoid` or `Softmax`), else the prediction. Where there are
strings or missing values, return `make_pipeline(fitted_transformers, network)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput, UnsafeFormat
from treadle.core.optional import require
from treadle.core.servable import Servable
from treadle.core.signature import Field, Signature
from treadle.registry.asked import Asked
from treadle.registry.conversion import torch as conversion
from treadle.registry.conversion.faithful import SINGLE, faithful
from treadle.registry.conversion.pipelines import conversions, last_step
from treadle.registry.format import Example, Saved, Trial, libraries
from treadle.registry.formats import onnx
from treadle.registry.native import NativeModel

NAME = "torch"
FILE = onnx.FILE
classifier, regressor = conversion.classifier, conversion.regressor


def accepts(model: Any) -> bool:
    """Return whether the object is a network, or a pipeline of scikit-learn that ends in one."""
    return _is_network(last_step(model))


def estimator(model: Any, *, signature: Signature) -> Asked:
    """Return the network with scikit-learn's methods.

    Raises:
        InvalidInput: it would be given strings.
    """
    torch = require("torch", extra="torch")
    network = last_step(model)
    steps = [step for _, step in model.steps[:-1]] if network is not model else []
    strings = [field.name for field in signature.inputs if field.tensor == "string"]
    if strings and not steps:
        msg = (
            f"The network would be given the strings of {strings[0]!r}. Return make_pipeline(transformers, network) "
            "with fitted transformers that make numbers of them, or leave the column out with inputs=[…]."
        )
        raise InvalidInput(msg, field=strings[0])

    def answer(rows: Any) -> Any:
        for step in steps:
            rows = step.transform(rows)
        values = rows.to_numpy() if isinstance(rows, pl.DataFrame) else np.asarray(rows)
        with torch.inference_mode():
            found = network(torch.from_numpy(np.array(values, dtype=np.float32)))
        shares = found.cpu().numpy().astype(np.float64)
        return shares.reshape(len(values)) if shares.size == len(values) else shares

    network.eval()
    names = getattr(model, "feature_names_in_", signature.names) if steps else signature.names
    return Asked(answer, names=list(names), signature=signature)


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:
    """Convert to ONNX and compare.

    Raises:
        UnsafeFormat: an answer would change, or there is no form in ONNX: only its code could answer.
    """
    asked = estimator(model, signature=signature)
    native = NativeModel(asked, task=task, signature=signature)
    candidates = conversions(model, task=task, signature=signature, like=asked)
    found = faithful(candidates, native, trial, task=task, signature=signature, decisive=SINGLE)
    if isinstance(found, Saved):
        return found
    msg = (
        f"The network {type(last_step(model)).__name__} has no faithful ONNX form, and without its code its weights "
        f"answer nothing: {found}. Build it from operators that ONNX knows, or declare allow_pickle=True at the model."
    )
    raise UnsafeFormat(msg)


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> Servable:
    """Return the model in ONNX Runtime: a network is stored as nothing else."""
    return onnx.load(files, task=task, signature=signature)


def example() -> Example:
    """Return a small network of two layers."""
    torch = require("torch", extra="torch")
    torch.manual_seed(0)
    layers = (torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    signature = Signature(
        inputs=(Field(name="distance", kind="integer"), Field(name="wind", kind="float")),
        outputs=(Field(name="prediction", kind="float"),),
    )
    rng = np.random.default_rng(0)
    columns: dict[str, np.ndarray] = {
        "distance": rng.integers(80, 500, 64),
        "wind": rng.normal(10, 5, 64).astype(np.float32),
    }
    network = torch.nn.Sequential(*layers)
    expected = estimator(network, signature=signature).predict(np.column_stack(list(columns.values())))
    return Example(network, "regression", signature, Trial(columns, expected))


def _is_network(model: Any) -> bool:
    return "torch" in libraries(model) and any(kind.__name__ == "Module" for kind in type(model).__mro__)
