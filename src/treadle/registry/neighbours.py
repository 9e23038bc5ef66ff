"""With how many rows at a time a model is called, so that no row's answer depends on the rows beside it.

ONNX Runtime computes several numbers at once where it can, and those that are left over at the end one by one; `exp` of a
double has other last bits one way than the other. So a row that is alone may get another last bit than it gets among
others. Called with a multiple of a few rows, the last one repeated, every row goes the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

import numpy as np

from treadle.registry.protobuf import fields

Columns = Mapping[str, np.ndarray]
Predict = Callable[[Columns], Mapping[str, np.ndarray]]

#: Operators whose numbers left over are rounded in another way; a few golden rows need not show it.
_ROUNDS = {
    *("Sigmoid", "Exp", "Log", "Tanh", "Softplus", "Erf", "Gelu", "Mish", "Elu", "Selu", "Celu", "Swish"),
    *("Softmax", "LogSoftmax", "Pow", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
}
#: What is tried, one after the other. Two doubles or four floats are what a processor takes at once by default.
MULTIPLES = (1, 2, 4, 8)
_SAMPLES, _SIZES = 16, (2, 3, 5, 8)
_GRAPH, _NODE, _OPERATOR = 7, 1, 4


def at_least(model: bytes) -> int:
    """Return the multiple that the operators of an ONNX model call for, whatever its golden rows show.

    Raises:
        ValueError, IndexError: the bytes are no ONNX model.
    """
    return MULTIPLES[1] if any(name in _ROUNDS for name in _operators(model)) else 1


def is_steady(predict: Predict, samples: Columns) -> bool:
    """Return whether samples get the same bits alone, a few at a time and all together."""
    rows = min(_SAMPLES, len(next(iter(samples.values()))))
    alone = [_bits(predict(_part(samples, row, row + 1))) for row in range(rows)]
    for size in (*_SIZES, rows):
        for start in range(0, rows - size + 1, size):
            together = _bits(predict(_part(samples, start, start + size)))
            for name, found in together.items():
                if found != [row[name][0] for row in alone[start : start + size]]:
                    return False
    return True


def padded(values: np.ndarray, multiple: int) -> np.ndarray:
    """Return an array whose last row is repeated until there is a multiple of so many."""
    more = -len(values) % multiple
    return np.concatenate((values, *(values[-1:],) * more)) if more else values


def _operators(model: bytes) -> Iterator[str]:
    for number, _, graph in fields(memoryview(model)):
        if number == _GRAPH:
            for part, _, node in fields(cast("memoryview", graph)):
                if part == _NODE:
                    yield from (
                        bytes(cast("memoryview", value)).decode()
                        for at, _, value in fields(cast("memoryview", node))
                        if at == _OPERATOR
                    )


def _part(samples: Columns, start: int, end: int) -> dict[str, np.ndarray]:
    return {name: values[start:end] for name, values in samples.items()}


def _bits(outputs: Mapping[str, np.ndarray]) -> dict[str, list[bytes] | list[object]]:
    """Return each row of each output as what can be compared."""
    return {
        name: values.tolist() if values.dtype == object else [row.tobytes() for row in values]
        for name, values in outputs.items()
    }
