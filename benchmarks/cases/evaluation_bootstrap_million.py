"""CPU of 10,000 draws of a paired difference on a million rows, against SciPy's bootstrap.

SciPy draws every row of every draw, so its time is proportional to draws times rows: the peer takes a hundredth of the
draws on all rows and counts a hundred times that, having checked on two sizes that the time grows as the draws do. The
intervals must agree, which the floor does too: it is the t-interval that a million rows make exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness import Benchmark, Peer, cpu_of
from treadle.evaluation.bootstrap import paired
from treadle.evaluation.interval import Interval
from treadle.evaluation.measures import metric

DRAWS = 10_000
#: Ends may differ by so much of the width: what chance does to the quantiles of 10,000 draws.
AGREE = 0.03


@dataclass
class Input:
    """True values and two models' probabilities."""

    folder: Path
    y: npt.NDArray[np.float64]
    a: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]
    draws: int

    def checked(self, found: Interval) -> None:
        """Refuse an interval that is not the one that the Student interval of so many rows is."""
        low, high = student(self)
        width = high - low
        assert max(abs(found.low - low), abs(found.high - high)) <= AGREE * width, (found, low, high)


def prepare(folder: Path, quick: bool) -> Input:
    """Make a million rows, also as a file for the peers."""
    rows = 100_000 if quick else 1_000_000
    random = np.random.default_rng(0)
    p = random.beta(2, 5, rows)
    y = (random.random(rows) < p).astype(np.float64)
    a, b = (np.clip(p + random.normal(0, scale, rows), 0.01, 0.99) for scale in (0.05, 0.1))
    np.savez(folder / "rows.npz", y=y, a=a, b=b)
    return Input(folder, y, a, b, DRAWS)


def ours(given: Input) -> float:
    """Take the interval of the difference in log loss, by drawing."""
    found: list[Interval] = []
    took = cpu_of(
        lambda: found.append(
            paired(metric("log_loss"), given.y, first=given.a, second=given.b, draws=given.draws)
        )
    )
    given.checked(found[0])
    return took


def floor(given: Input) -> float:
    """Take the losses of both and sort their differences, which any way to draw them needs."""
    return cpu_of(lambda: np.sort(losses(given)))


def losses(given: Input) -> npt.NDArray[np.float64]:
    """Return the difference in loss of each row."""
    one, other = (-np.log(np.where(given.y > 0, p, 1 - p)) for p in (given.a, given.b))
    return np.asarray(one - other)


def student(given: Input) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference, by the normal distribution."""
    difference = losses(given)
    half = 1.959964 * difference.std(ddof=1) / math.sqrt(len(difference))
    return float(difference.mean() - half), float(difference.mean() + half)


BENCHMARK = Benchmark(
    title="the 95 % interval of a paired difference in log loss: 1,000,000 rows, 10,000 draws",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        "scipy.stats.bootstrap": Peer(
            script="scipy_bootstrap_million.py",
            packages=("scipy==1.*",),
            arguments=lambda given: [str(given.folder), str(given.draws)],
        )
    },
    ahead={"scipy.stats.bootstrap": 50},
    floors=6,
    rounds=3,
)
