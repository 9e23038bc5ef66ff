from __future__ import annotations

import numpy as np
import pytest

from treadle.core.contrast import contrast


def made(random, units=400, rows=3):
    """Rows of units of which a third is treated, with a value of the unit's own and an effect of 0.5."""
    of = np.repeat(np.arange(units), rows)
    treated = (random.random(units) < 1 / 3)[of]
    own = random.normal(size=units)[of]
    values = own + random.normal(size=units * rows) + 0.5 * treated
    return values, np.where(treated, 3.0, 1.5), treated, of


def test_means_are_weighed_and_parts_add_up_to_nothing():
    values, weights, treated, units = made(np.random.default_rng(1))

    found = contrast(values, weights=weights, treated=treated, units=units)

    assert found.treatment == pytest.approx(np.average(values[treated], weights=weights[treated]))
    assert found.control == pytest.approx(np.average(values[~treated], weights=weights[~treated]))
    assert (found.n, found.n_control + found.n_treatment) == (400, 400)
    assert found.parts.sum() == pytest.approx(0, abs=1e-9)


def test_the_variance_is_that_of_the_difference_over_many_samples():
    random = np.random.default_rng(2)

    seen = [contrast(v, weights=w, treated=t, units=u) for v, w, t, u in (made(random) for _ in range(800))]

    spread = np.var([one.difference for one in seen])
    assert np.mean([one.variance / one.n for one in seen]) == pytest.approx(spread, rel=0.15)
    assert np.mean([one.difference for one in seen]) == pytest.approx(0.5, abs=0.02)


def test_weights_undo_a_share_that_changes_with_time():
    """On the second day all values are higher by 10, and more units are treated: a plain mean would call that an effect."""
    random = np.random.default_rng(3)
    day = np.repeat([0, 1], 2_000)
    share = np.where(day == 0, 0.05, 0.5)
    treated = random.random(4_000) < share
    values = 10.0 * day + random.normal(size=4_000)
    weights = 1 / np.where(treated, share, 1 - share)

    found = contrast(values, weights=weights, treated=treated, units=np.arange(4_000))

    assert abs(found.difference) < 3 * np.sqrt(found.variance / found.n)
    assert values[treated].mean() - values[~treated].mean() > 3


@pytest.mark.parametrize("treated", [[True] * 4, [False] * 4, [True, True, True, False]])
def test_two_sides_of_fewer_than_two_units_say_nothing(treated):
    ones = np.ones(4)

    assert contrast(ones, weights=ones, treated=np.array(treated), units=np.arange(4)) is None
