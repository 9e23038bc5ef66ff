"""CPU of the interval of a paired difference, against NumPy doing the plain resampling and against SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness import Benchmark, Peer, cpu_of
from treadle.evaluation.bootstrap import paired
from treadle.evaluation.measures import metric

DRAWS = 2_000


@dataclass
class Input:
    """True values and two models' probabilities."""

    folder: Path
    y: npt.NDArray[np.float64]
    a: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]


def prepare(folder: Path, quick: bool) -> Input:
    """Make 20,000 rows, also as a file for the peers."""
    rows = 2_000 if quick else 20_000
    random = np.random.default_rng(0)
    p = random.beta(2, 5, rows)
    y = (random.random(rows) < p).astype(np.float64)
    a, b = (np.clip(p + random.normal(0, scale, rows), 0.01, 0.99) for scale in (0.05, 0.1))
    np.savez(folder / "rows.npz", y=y, a=a, b=b)
    return Input(folder, y, a, b)


def ours(given: Input) -> float:
    """Take the interval of the difference in log loss."""
    measure = metric("log_loss")
    return cpu_of(lambda: paired(measure, given.y, first=given.a, second=given.b, draws=DRAWS))


def floor(given: Input) -> float:
    """Resample the differences of the losses with one index array a draw, and average."""

    def work() -> None:
        loss = [-np.where(given.y > 0, np.log(p), np.log1p(-p)) for p in (given.a, given.b)]
        difference, random = loss[0] - loss[1], np.random.default_rng(0)
        rows = len(difference)
        means = [difference[random.integers(0, rows, rows)].mean() for _ in range(DRAWS)]
        np.quantile(means, [0.025, 0.975])

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="the 95 % interval of a paired difference in log loss: 20,000 rows, 2,000 draws",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        "scipy.stats.bootstrap": Peer(
            script="scipy_bootstrap.py",
            packages=("scipy==1.*",),
            arguments=lambda given: [str(given.folder), str(DRAWS)],
        )
    },
    floors=1.5,
)
