"""Fits in processes of their own, which import nothing but what a fit needs."""

from __future__ import annotations

import numpy as np

_DATA: dict[str, np.ndarray] = {}


def load(file: str) -> None:
    """Read the rows, once in each process."""
    _DATA.update(np.load(file))


def fit(params: tuple[float, int, int]) -> float:
    """Fit once, and return the loss on the validation rows."""
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.metrics import log_loss

    rate, depth, trees = params
    learner = GradientBoostingClassifier(
        learning_rate=rate, max_depth=depth, n_estimators=trees, random_state=0
    ).fit(_DATA["X"], _DATA["y"])
    return float(log_loss(_DATA["vy"], learner.predict_proba(_DATA["vX"])[:, 1]))
