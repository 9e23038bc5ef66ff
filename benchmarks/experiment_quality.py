"""How often experiments conclude wrongly, and how often rightly: simulates at full size and writes docs/experiment-quality.md.

    python benchmarks/experiment_quality.py                  # a few minutes of one core
    python benchmarks/experiment_quality.py --repeats 200    # smaller
    python benchmarks/experiment_quality.py --print          # print instead of writing

Seeds are fixed, so the same size gives the same figures.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from treadle.core.contrast import contrast
from treadle.core.sequential import mean_radius
from treadle.monitoring.ratio import check
from treadle.monitoring.spending import bounds

PAGE = Path(__file__).parents[1] / "docs" / "experiment-quality.md"
ALPHA, POWER, EVERY = 0.05, 0.94, 100
HALVES = {"control": 0.5, "treatment": 0.5}
_NORMAL = NormalDist()
#: The bound of an ordinary test.
_ONE = _NORMAL.inv_cdf(1 - ALPHA / 2)


@dataclass(frozen=True)
class Kind:
    """A population of units: what one's outcome is, and how an effect changes it."""

    title: str
    units: int
    #: Takes a generator, the number of units and the effect; returns float64 of shape (units,).
    draw: Callable[[np.random.Generator, int, float], np.ndarray]
    #: The effect that one planned look at all units finds with a chance of 94 %.
    effect: float


def _sized(deviation: float, units: int) -> float:
    """The difference of means that a test at 5 % finds with a chance of 94 % among so many units, half on each side."""
    return (_NORMAL.inv_cdf(1 - ALPHA / 2) + _NORMAL.inv_cdf(POWER)) * 2 * deviation / math.sqrt(units)


_HEAVY = math.sqrt((math.exp(1.5**2) - 1) * math.exp(1.5**2))
KINDS = (
    Kind("normal", 10_000, lambda r, n, e: r.normal(size=n) + e, _sized(1.0, 10_000)),
    Kind(
        "rare: 1 in 100",
        20_000,
        lambda r, n, e: (r.random(n) < 0.01 + e).astype(float),
        _sized(math.sqrt(0.01 * 0.99), 20_000),
    ),
    Kind(
        "heavy tails: log-normal, σ = 1.5",
        10_000,
        lambda r, n, e: r.lognormal(0, 1.5, n) + e,
        _sized(_HEAVY, 10_000),
    ),
)


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description="Simulate how often experiments conclude wrongly.")
    parser.add_argument("--repeats", type=int, default=2_000, help="experiments of each kind")
    parser.add_argument("--print", action="store_true", help="print instead of writing the page")
    chosen = parser.parse_args()
    page = _page(chosen.repeats)
    if chosen.print:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")


def _page(repeats: int) -> str:
    chance = 100 * (ALPHA + 3.1 * math.sqrt(ALPHA * (1 - ALPHA) / repeats))
    lines = [
        "# Experiment quality",
        "",
        f"How often experiments of which the truth is known are called wrongly, and rightly: {repeats:,} simulated ones of each kind, with fixed seeds; "
        "`make simulate` makes this page again. Half of the units are on each side, and somebody looks after every hundredth unit.",
        "",
        f"At 5 %, chance alone gives up to {chance:.1f} % of {repeats:,} (99.9 %). `peeking` is an ordinary test, looked at each time; `once` is the same test after "
        f"the last unit. The effect is one that `once` finds with a chance of {POWER:.0%}.",
        "",
        "| outcomes | units | | peeking | `always` | `looks` (5) | `once` |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in KINDS:
        for title, effect in (("no effect", 0.0), ("an effect", kind.effect)):
            found = _simulated(kind, effect, repeats)
            rates = " | ".join(f"{100 * count / repeats:.1f} %" for count in found)
            lines.append(f"| {kind.title} | {kind.units:,} | {title} | {rates} |")
    lines += ["", *_shares(max(40, repeats // 10))]
    return "\n".join(lines) + "\n"


def _simulated(kind: Kind, effect: float, repeats: int) -> list[int]:
    """Return how often sides were called different: by peeking, `always`, `looks`, `once`."""
    random = np.random.default_rng(17)
    limits = bounds((0.2, 0.4, 0.6, 0.8, 1.0), alpha=ALPHA)
    planned = {kind.units * k // 5: limit for k, limit in enumerate(limits, start=1)}
    counts = [0, 0, 0, 0]
    for _ in range(repeats):
        treated = random.random(kind.units) < 0.5
        values = np.where(treated, kind.draw(random, kind.units, effect), kind.draw(random, kind.units, 0.0))
        n, z, radius, difference = _looks(values, treated)
        at = dict(zip(n.tolist(), z.tolist(), strict=True))
        counts[0] += bool((z > _ONE).any())
        counts[1] += bool((difference > radius).any())
        counts[2] += any(at[units] > limit for units, limit in planned.items())
        counts[3] += at[kind.units] > _ONE
    return counts


def _looks(values: np.ndarray, treated: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return units, z, half width of the interval and difference at each look: what `contrast` says, by running sums."""
    n = np.arange(EVERY, len(values) + 1, EVERY)
    difference, variance = np.zeros(len(n)), np.zeros(len(n))
    for side, sign in ((treated, 1.0), (~treated, -1.0)):
        count, total, squares = (np.cumsum(part * side)[n - 1] for part in (1.0, values, values**2))
        difference += sign * total / count
        # Of each unit its part is (value - mean) / count; the variance of one is n times the sum of their squares.
        variance += n * (squares - total**2 / count) / count**2
    _agrees(values, treated, difference[-1], variance[-1])
    z = np.abs(difference) / np.sqrt(np.maximum(variance, 1e-300) / n)
    pairs = zip(variance.tolist(), n.tolist(), strict=True)
    radius = np.array([mean_radius(one, units, alpha=ALPHA, planned=10_000) for one, units in pairs])
    known = variance > 0
    return n, np.where(known, z, 0.0), np.where(known, radius, np.inf), np.abs(difference)


def _agrees(values: np.ndarray, treated: np.ndarray, difference: float, variance: float) -> None:
    """Make sure that the running sums say at the end what the product does."""
    units = np.arange(len(values))
    found = contrast(values, weights=np.ones(len(values)), treated=treated, units=units)
    assert found is not None
    np.testing.assert_allclose([found.difference, found.variance], [difference, variance], rtol=1e-6)


def _shares(repeats: int) -> list[str]:
    """Return the table of the check of shares."""
    lines = [
        "## The check of shares",
        "",
        f"Sides that should have half each, looked at after every thousandth unit, at 1 %; {repeats} simulated bugs of each size. One chi-squared test at the end, at 1 %, "
        "needs the units in the last column to find it with a chance of 80 %; whoever looks all the time has to pay for it.",
        "",
        "| share | found within 1,000,000 units | half of them within | 80 % within | one test needs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for share in (0.5, 0.502, 0.505, 0.51, 0.55):
        random = np.random.default_rng(23)
        at = [_found(random, share) for _ in range(repeats)]
        inside = [n for n in at if n is not None]
        needs = "–" if share == 0.5 else f"{_chi_squared(share):,.0f}"
        quantiles = [
            f"{sorted(inside)[math.ceil(part * repeats) - 1]:,}" if len(inside) >= part * repeats else "–"
            for part in (0.5, 0.8)
        ]
        lines.append(f"| {share} | {100 * len(inside) / repeats:.1f} % | {' | '.join(quantiles)} | {needs} |")
    return lines


def _found(random: np.random.Generator, share: float) -> int | None:
    step, most = 1_000, 1_000_000
    treated = np.cumsum(random.binomial(step, share, most // step))
    for number, count in enumerate(treated, start=1):
        units = number * step
        if check([({"control": units - int(count), "treatment": int(count)}, HALVES)]).is_broken:
            return units
    return None


def _chi_squared(share: float) -> float:
    reach = _NORMAL.inv_cdf(1 - 0.01 / 2) + _NORMAL.inv_cdf(0.8)
    return (reach / (2 * (share - 0.5))) ** 2


if __name__ == "__main__":
    main()
