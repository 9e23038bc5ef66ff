from __future__ import annotations

import numpy as np

from treadle.monitoring.ratio import check

HALVES = {"control": 0.5, "treatment": 0.5}


def counts(control, treatment):
    return {"control": int(control), "treatment": int(treatment)}


def first_broken(share, *, random, step, most):
    """How many units had been seen when a bug that gives the treatment a share was first found; None: it was not."""
    treated = np.cumsum(random.binomial(step, share, most // step))
    for number, count in enumerate(treated, start=1):
        if check([(counts(number * step - count, count), HALVES)]).is_broken:
            return number * step
    return None


def test_right_shares_are_hardly_ever_called_wrong_however_often_one_looks():
    random = np.random.default_rng(5)

    wrong = sum(first_broken(0.5, random=random, step=100, most=20_000) is not None for _ in range(300))

    assert wrong <= 300 * 0.01 + 4


def test_half_a_point_is_found_with_as_many_units_as_a_planned_test_needs():
    """A single chi-squared test at 1 % needs 117,000 units for that with a power of 80 %; a look at any time, a few more."""
    random = np.random.default_rng(6)

    found = [first_broken(0.505, random=random, step=5_000, most=900_000) for _ in range(40)]

    assert None not in found
    assert np.median(found) < 1.5 * 117_000


def test_a_large_deviation_is_found_with_few_units():
    assert check([(counts(200, 100), HALVES)]).is_broken
    assert not check([(counts(160, 140), HALVES)]).is_broken


def test_stretches_with_other_shares_are_added_up():
    growing = [
        (counts(9_500, 500), {"control": 0.95, "treatment": 0.05}),
        (counts(5_050, 4_950), HALVES),
    ]

    found = check(growing)

    assert not found.is_broken
    assert found.expected == {"control": 9_500 + 5_000, "treatment": 500 + 5_000}
    assert check([(counts(9_500, 500), HALVES)]).is_broken


def test_a_side_that_should_get_nothing_may_have_nothing():
    none = {"control": 1.0, "treatment": 0.0}

    assert not check([(counts(10, 0), none)]).is_broken
    assert check([(counts(10, 1), none)]).is_broken
    assert check([]).told() == "no units yet"
