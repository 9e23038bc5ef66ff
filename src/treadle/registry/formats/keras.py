"""Keras 3 on the PyTorch backend: a network becomes ONNX as one of PyTorch does. On other backends it is refused.

Keras' own file is not used: it may hold Python code (layers of the class `Lambda`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from treadle.core.errors import UnsafeFormat
from treadle.core.optional import require
from treadle.core.servable import Servable
from treadle.core.signature import Signature
from treadle.registry.asked import Asked
from treadle.registry.conversion.pipelines import last_step
from treadle.registry.format import Example, Saved, Trial, libraries
from treadle.registry.formats import torch

NAME = "keras"
FILE = torch.FILE
classifier, regressor = torch.classifier, torch.regressor


def accepts(model: Any) -> bool:
    """Return whether the object is a Keras model, or a pipeline of scikit-learn that ends in one."""
    last = last_step(model)
    return NAME in libraries(last) and any(kind.__name__ == "Layer" for kind in type(last).__mro__)


def estimator(model: Any, *, signature: Signature) -> Asked:
    """Return the network with scikit-learn's methods."""
    return torch.estimator(_on_torch(model), signature=signature)


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:
    """Convert to ONNX and compare.

    Raises:
        UnsafeFormat: it runs on another backend than PyTorch, or has no faithful form in ONNX.
    """
    return torch.save(_on_torch(model), task=task, signature=signature, trial=trial)


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> Servable:
    """Return the model in ONNX Runtime: a network is stored as nothing else."""
    return torch.load(files, task=task, signature=signature)


def example() -> Example:
    """Return a small network of two layers."""
    keras = require("keras", extra="keras")
    plain = torch.example()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    network = keras.Sequential([keras.Input((2,)), layers.Dense(8, activation="relu"), layers.Dense(1)])
    rows = np.column_stack(list(plain.trial.columns.values()))
    expected = estimator(network, signature=plain.signature).predict(rows)
    return Example(network, plain.task, plain.signature, Trial(plain.trial.columns, expected))


def _on_torch(model: Any) -> Any:
    if "torch" not in libraries(last_step(model)):
        msg = (
            "A Keras model is stored through PyTorch, and this one runs on another backend. Set KERAS_BACKEND=torch "
            "before Keras is imported, load its weights there, and return that."
        )
        raise UnsafeFormat(msg)
    return model
