"""A call of a model, and the check of what it gave: the same for a request and for a part of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import TypeVar

import numpy as np

from treadle.core.answers import shape_of
from treadle.core.errors import ModelFailed
from treadle.core.records import Variant

Outputs = TypeVar("Outputs", bound=Mapping[str, np.ndarray])


def answered(
    ask: Callable[[], Outputs], *, columns: Mapping[str, tuple[str, ...]], rows: int, variant: Variant
) -> Outputs:
    """Call a model and return its outputs; `columns` are those of the outputs that have several.

    Raises:
        ModelFailed: the model raised, or its answer is not what its signature says, finite and with a `prediction`.
    """
    try:
        outputs = ask()
    except Exception as error:
        msg = f"Model {variant.model}/{variant.version} failed: {type(error).__name__}: {error}"
        raise ModelFailed(msg) from error
    for name, values in outputs.items():
        if values.shape != (shape_of(columns[name], rows) if name in columns else (rows,)):
            msg = f"Model {variant.model}/{variant.version} gave {name} of shape {values.shape} for {rows} rows."
            raise ModelFailed(msg)
        if values.dtype.kind == "f" and not _is_finite(values):
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            bad = values[row] if values.ndim == 1 else values[row].tolist()
            msg = f"Model {variant.model}/{variant.version} gave {name} {bad} for row {row}."
            raise ModelFailed(msg)
    if "prediction" not in outputs:
        msg = f"Model {variant.model}/{variant.version} gave no 'prediction', only {', '.join(outputs)}."
        raise ModelFailed(msg)
    return outputs


def _is_finite(values: np.ndarray) -> bool:
    # One number is looked at sooner by Python than by NumPy.
    return isfinite(values.item()) if values.size == 1 else bool(np.isfinite(values).all())
