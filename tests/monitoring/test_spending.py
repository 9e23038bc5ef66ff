from __future__ import annotations

import numpy as np
import pytest

from treadle.monitoring.spending import bounds, spent


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (1, (1.960,)),
        (2, (2.963, 1.969)),
        (3, (3.710, 2.511, 1.993)),
        (5, (4.877, 3.357, 2.680, 2.290, 2.031)),
    ],
)
def test_bounds_are_those_in_the_tables(looks, expected):
    """Lan and DeMets' bounds in O'Brien and Fleming's shape, two-sided at 5 %, as published for equal steps."""
    found = bounds(tuple((number + 1) / looks for number in range(looks)), alpha=0.05)

    assert found == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("fractions", [(0.5, 1.0), (0.1, 0.2, 0.9, 1.0), tuple(np.arange(1, 21) / 20)])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_paths_without_an_effect_cross_as_often_as_alpha_says(fractions, alpha):
    random = np.random.default_rng(3)
    steps = np.sqrt(np.diff([0.0, *fractions])) * random.normal(size=(200_000, len(fractions)))
    z = np.cumsum(steps, axis=1) / np.sqrt(fractions)

    crossed = (np.abs(z) >= bounds(tuple(fractions), alpha=alpha)).any(axis=1).mean()

    assert crossed == pytest.approx(alpha, abs=4 * np.sqrt(alpha / 200_000))


def test_all_of_the_error_is_spent_at_the_last_look_and_next_to_none_at_the_first():
    assert spent(1.0, alpha=0.05) == pytest.approx(0.05)
    assert spent(0.2, alpha=0.05) < 1e-5
    assert spent(0.0, alpha=0.05) == 0
