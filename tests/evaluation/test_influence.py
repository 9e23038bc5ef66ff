from __future__ import annotations

import numpy as np
import pytest

from treadle.core import plugins
from treadle.evaluation.influence import Scored
from treadle.evaluation.measures import metric
from treadle.testing.populations import measured, populations_of

ROWS = 200


def rows(name, *, ties=False):
    measure = measured(name)
    found = populations_of(measure)["unlike"]
    p = found.first[:ROWS].round(1) if ties and found.first.ndim == 1 else found.first[:ROWS]
    return measure, found.y[:ROWS], p


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", plugins.available("metric"))
def test_it_is_the_derivative_by_the_weight_of_a_row(name, ties):
    measure, y, p = rows(name, ties=ties)
    counts = 1.0 + np.arange(ROWS) % 3
    found = Scored(measure, y, p, counts).influence
    if found is None:
        pytest.skip("the metric offers no way to it")

    # Where weights are counts, more of all rows may change the metric as well; that is not any row's doing.
    more = 1e-5 * counts
    drift = (measure.value(y, p, counts + more) - measure.value(y, p, counts - more)) / 2e-5
    for row in range(0, ROWS, 17):
        step = np.zeros(ROWS)
        step[row] = 1e-5
        slope = (measure.value(y, p, counts + step) - measure.value(y, p, counts - step)) / 2e-5

        assert found[row] == pytest.approx(slope * counts.sum() - drift, abs=1e-4)
    assert counts @ found == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "recall"])
def test_it_has_no_value_where_the_metric_has_none(name):
    measure, y, p = rows(name)

    with np.errstate(invalid="ignore", divide="ignore"):
        found = Scored(measure, np.zeros_like(y), p).influence

    assert np.isnan(found).all()


def test_only_rows_that_count_decide():
    measure, y, p = rows("recall")

    assert Scored(measure, y, p).deciding.tolist() == (y == 1).tolist()
    assert Scored(metric("log_loss"), y, p).deciding is None


def test_noise_raises_only_a_metric_that_adds_up_absolute_means():
    measure, y, p = rows("calibration_error")

    assert Scored(measure, y, p).excess() > 0.01
    assert Scored(metric("brier"), y, p).excess() == 0.0
    assert Scored(measure, y, p).excess(np.arange(ROWS)) == pytest.approx(
        Scored(measure, y, p, np.ones(ROWS)).excess()
    )
