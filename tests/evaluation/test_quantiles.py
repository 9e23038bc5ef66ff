from __future__ import annotations

import pytest
from scipy import stats

from treadle.evaluation.quantiles import normal, sign_test, student, wilson


@pytest.mark.parametrize("share", [0.5, 0.9, 0.975, 0.9975, 0.0125])
@pytest.mark.parametrize("degrees", [10, 29, 199, 10**6])
def test_students_t_is_scipys(share, degrees):
    assert student(share, degrees) == pytest.approx(stats.t.ppf(share, degrees), abs=2e-3 * (30 / degrees))


def test_the_normal_quantile_is_scipys():
    assert normal(0.975) == pytest.approx(stats.norm.ppf(0.975))


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 0), (0, 6), (7, 3), (120, 90), (15_000, 14_800)])
def test_the_sign_test_is_scipys(first, second):
    expected = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0

    assert sign_test(first, second) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(("hits", "n"), [(0, 50), (3, 40), (40, 40), (510, 1_000)])
def test_wilsons_interval_is_scipys(hits, n):
    expected = stats.binomtest(hits, n).proportion_ci(0.95, "wilson")

    assert wilson(hits, n) == pytest.approx((expected.low, expected.high))


def test_a_share_of_nothing_may_be_anything():
    assert wilson(0, 0) == (0.0, 1.0)
