from __future__ import annotations

import numpy as np
import pytest

from treadle.core.sequential import distance, distribution_radius, mean_radius, rate_bounds

LOOKS = (50, 100, 200, 400, 800, 1_600, 3_200)


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.5, 0.97])
def test_bounds_of_a_rate_hold_at_every_look(rate):
    random = np.random.default_rng(7)
    hits = np.cumsum(random.random((300, LOOKS[-1])) < rate, axis=1)

    missed = 0
    for series in hits:
        bounds = [rate_bounds(int(series[n - 1]), n, alpha=0.1) for n in LOOKS]
        missed += not all(low <= rate <= high for low, high in bounds)

    assert missed / 300 <= 0.1


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (0, 10), (10, 10), (1, 1_000_000), (999_999, 1_000_000)])
def test_bounds_of_a_rate_hold_what_was_seen(hits, n):
    low, high = rate_bounds(hits, n, alpha=0.01)

    assert 0 <= low <= (hits / n if n else 0) <= high <= 1


def test_bounds_of_a_mean_hold_at_every_look():
    random = np.random.default_rng(7)
    looks = np.arange(100, 3_000, 50)

    missed = 0
    for _ in range(400):
        values = random.exponential(1.0, 3_000)
        means = np.cumsum(values) / np.arange(1, 3_001)
        squares = np.cumsum(values**2) / np.arange(1, 3_001)
        radii = [
            mean_radius(float(squares[n - 1] - means[n - 1] ** 2), int(n), alpha=0.1, planned=500)
            for n in looks
        ]
        missed += bool((np.abs(means[looks - 1] - 1) > radii).any())

    assert missed / 400 <= 0.1


def test_the_bound_of_a_distribution_holds_at_every_look():
    random = np.random.default_rng(7)

    missed = 0
    for _ in range(300):
        values = random.random(2_000)
        for n in (50, 200, 800, 2_000):
            grid = np.sort(values[:n])
            off = max(abs(np.arange(1, n + 1) / n - grid).max(), abs(np.arange(n) / n - grid).max())
            missed += off > distribution_radius(n, alpha=0.1)

    assert missed / 300 <= 0.1


def test_the_distance_is_that_of_kolmogorov_and_smirnov():
    from scipy import stats

    random = np.random.default_rng(7)
    one, other = random.normal(0, 1, 300), random.normal(0.3, 1, 500).round(1)

    assert distance(one, other) == pytest.approx(stats.ks_2samp(one, other).statistic)
