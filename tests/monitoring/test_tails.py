"""Tails of distributions, against closed forms and plain sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from treadle.monitoring import tails


@pytest.mark.parametrize("x", [3.0, 8.0, 20.0, 60.0])
def test_one_chi_square_is_the_normal_s_tail(x: float) -> None:
    # The hardest case of the approximation: the more chi-squares, the nearer.
    assert tails.quadratic(x, np.array([1.0])) == pytest.approx(math.erfc(math.sqrt(x / 2)), rel=0.1)


@pytest.mark.parametrize("x", [5.0, 15.0, 40.0])
def test_two_equal_chi_squares_are_exponential(x: float) -> None:
    assert tails.quadratic(x, np.ones(2)) == pytest.approx(math.exp(-x / 2), rel=0.08)


def test_anderson_and_darling_s_own_quantiles_come_out() -> None:
    # Upper points of the limit for continuous distributions: Marsaglia and Marsaglia (2004).
    weights = np.array([1 / (j * (j + 1)) for j in range(1, 400)])

    assert tails.quadratic(2.4924, weights) == pytest.approx(0.05, rel=0.06)
    assert tails.quadratic(3.8781, weights) == pytest.approx(0.01, rel=0.06)


@pytest.mark.parametrize(
    ("hits", "rows", "marked", "of"), [(3, 10, 7, 40), (0, 5, 2, 9), (5, 5, 5, 12), (2, 8, 30, 41)]
)
def test_draws_without_replacement_are_summed_exactly(hits: int, rows: int, marked: int, of: int) -> None:
    terms = [
        math.comb(marked, k) * math.comb(of - marked, rows - k) for k in range(hits, min(rows, marked) + 1)
    ]

    assert tails.drawn(hits, rows, marked=marked, of=of) == pytest.approx(
        sum(terms) / math.comb(of, rows), rel=1e-9
    )


def test_millions_of_rows_are_summed_too() -> None:
    found = tails.two_shares(10_600, 1_000_000, 10_000, 1_000_000)

    z = 600 / math.sqrt(2 * 10_300 * (1 - 0.0103))
    assert found == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.05)


def test_without_rows_or_hits_nothing_is_unlikely() -> None:
    assert (
        tails.two_shares(0, 10, 0, 10)
        == tails.two_shares(10, 10, 10, 10)
        == tails.two_shares(0, 0, 3, 9)
        == 1.0
    )


def test_a_correction_never_makes_a_p_smaller() -> None:
    p = np.random.default_rng(1).random(50) ** 3

    found = tails.corrected(p)

    assert (found >= p).all()
    assert (np.diff(found[np.argsort(p)]) >= 0).all()
