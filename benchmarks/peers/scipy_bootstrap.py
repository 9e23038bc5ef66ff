"""The interval of `evaluation/bootstrap` with SciPy: prints the CPU seconds of one interval."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from scipy import stats


def main() -> None:
    """Read the rows and take the interval, percentile method, paired."""
    rows = np.load(Path(sys.argv[1]) / "rows.npz")
    draws = int(sys.argv[2])

    def difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return (a - b).mean(axis=axis)

    began = time.process_time()
    loss = [-np.where(rows["y"] > 0, np.log(p), np.log1p(-p)) for p in (rows["a"], rows["b"])]
    stats.bootstrap(
        loss,
        difference,
        n_resamples=draws,
        batch=50,
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    print(json.dumps(time.process_time() - began))


if __name__ == "__main__":
    main()
