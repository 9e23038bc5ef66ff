"""The interval of `evaluation/bootstrap-million` with SciPy: prints the CPU seconds of so many draws.

A hundredth of the draws are taken and counted a hundredfold, after it was seen that twice the draws take twice the
time. The interval of that hundredth must be the Student interval, within what chance does to so few draws.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
from scipy import stats

SHARE = 100


def main() -> None:
    """Read the rows, take a part of the draws twice over, and scale."""
    rows = np.load(Path(sys.argv[1]) / "rows.npz")
    draws = int(sys.argv[2]) // SHARE
    loss = [-np.log(np.where(rows["y"] > 0, p, 1 - p)) for p in (rows["a"], rows["b"])]
    half_time, _ = taken(loss, draws // 2)
    whole_time, interval = taken(loss, draws)
    growth = whole_time / half_time
    assert 1.5 < growth < 2.6, f"twice the draws took {growth:.2f} times as long"
    difference = loss[0] - loss[1]
    half = stats.norm.ppf(0.975) * difference.std(ddof=1) / math.sqrt(len(difference))
    ends = np.array([interval.low, interval.high]) - difference.mean()
    assert np.abs(np.abs(ends) - half).max() < 0.6 * half, "SciPy's interval is another"
    print(json.dumps(whole_time * SHARE))


def taken(loss: list[np.ndarray], draws: int) -> tuple[float, object]:
    """Return the CPU seconds of so many draws, and the interval."""

    def difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return (a - b).mean(axis=axis)

    began = time.process_time()
    found = stats.bootstrap(
        loss,
        difference,
        n_resamples=draws,
        batch=5,
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return time.process_time() - began, found.confidence_interval


if __name__ == "__main__":
    main()
