"""How much a pipeline stretches space before its last step: what turns a density of its inner space into one of its inputs.

A density of z = A x + b at x is that of z times |det A|. Without it, a pipeline could be made better by scaling alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from treadle.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

#: How far the stretch may differ between two places, relative to the largest, and still be rounding.
_ROUNDING = 1e-6


def log_stretch(estimator: Any) -> float:
    """Return log |det A| of the steps before the last one, which must be affine and keep the number of columns; else 0.

    Raises:
        InvalidInput: a step bends space, or drops or adds columns.
    """
    import numpy as np

    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    parts = [part for _, part in getattr(estimator, "steps", ())]
    steps = [part for part in parts[:-1] if part not in (None, "passthrough")]
    inner = log_stretch(parts[-1]) if parts else 0.0
    if not steps:
        return inner
    first, second = (_slopes(_through(estimator, steps), place) for place in _places(estimator))
    bends = first.shape != second.shape or not np.allclose(
        first, second, rtol=0, atol=_ROUNDING * max(1e-300, float(np.abs(first).max()))
    )
    sign, size = np.linalg.slogdet(first) if first.shape[0] == first.shape[1] else (0.0, 0.0)
    if bends or not sign:
        names = ", ".join(type(step).__name__ for step in steps)
        msg = (
            f"The steps before the density ({names}) bend space, or drop or add columns, so what comes after them is no density of "
            "the inputs. Expected scaling, shifting or turning only; or return a function that gives the log density itself."
        )
        raise InvalidInput(msg)
    return inner + float(size)


def _places(estimator: Any) -> np.ndarray:
    import numpy as np

    return np.random.default_rng(0).normal(size=(2, int(estimator.n_features_in_)))


def _through(estimator: Any, steps: list[Any]) -> Callable[[np.ndarray], np.ndarray]:
    import numpy as np
    import polars as pl

    names = getattr(estimator, "feature_names_in_", None)

    def through(points: np.ndarray) -> np.ndarray:
        found: Any = points if names is None else pl.DataFrame(points, schema=[str(name) for name in names])
        for step in steps:
            found = step.transform(found)
        return np.asarray(found.todense() if hasattr(found, "todense") else found, dtype=np.float64)

    return through


def _slopes(through: Callable[[np.ndarray], np.ndarray], place: np.ndarray) -> np.ndarray:
    """Return the derivative at a place, by central differences of one unit: exact for what is affine."""
    import numpy as np

    steps = np.eye(len(place))
    return np.asarray(through(place + steps) - through(place - steps)) / 2
