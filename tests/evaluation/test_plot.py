"""Plots show what other code counts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from treadle.core import plugins
from treadle.evaluation.plot import Plot, plots
from treadle.evaluation.snapshots import Snapshot


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


def snapshot_of(y: np.ndarray, *, names: tuple[str, ...] = ()) -> Snapshot:
    return Snapshot(dataset="d", version=1, rows="", y=y, names=names)


def plotted(name: str, y: np.ndarray, p: np.ndarray, *, names: tuple[str, ...] = ()) -> Plot:
    found = plugins.load("plot", name).plot(snapshot_of(y, names=names), {"candidate": p})
    assert isinstance(found, Plot)
    return found


def test_what_is_found_is_what_scikit_learn_counts(random: np.random.Generator) -> None:
    y = random.integers(0, 2, 150).astype(float)
    p = (y + random.normal(size=150)).round(1)

    (roc,) = plotted("roc", y, p).lines
    (both,) = plotted("precision_recall", y, p).lines

    false, found, _ = roc_curve(y, p, drop_intermediate=False)
    assert np.allclose(roc.x, false)
    assert np.allclose(roc.y, found)
    precision, recall, _ = precision_recall_curve(y, p)
    assert np.allclose(both.x, recall[:-1][::-1])
    assert np.allclose(both.y, precision[:-1][::-1])


def test_probabilities_that_keep_what_they_say_lie_on_the_diagonal(random: np.random.Generator) -> None:
    p = random.uniform(size=20_000)
    y = (random.uniform(size=20_000) < p).astype(float)

    (line,) = plotted("calibration", y, p).lines

    assert len(line.x) == 10
    assert np.allclose(line.x, line.y, atol=0.05)
    assert np.mean((np.array(line.low) <= line.x) & (line.x <= np.array(line.high))) >= 0.8


def test_of_several_classes_the_most_probable_one_counts() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])

    (line,) = plotted("calibration", np.array([0, 1, 2]), p, names=("a", "b", "c")).lines

    assert (line.x, line.y) == ((pytest.approx(0.7), pytest.approx(0.8)), (0.5, 1.0))


def test_each_step_ahead_has_its_error() -> None:
    y, p = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 4.0], [4.0, 4.0]])

    (line,) = plotted("ahead", y, p, names=("1h", "2h")).lines

    assert (line.x, line.y) == ((1.0, 2.0), (0.5, 1.0))


def test_a_level_is_the_share_of_rows_below() -> None:
    y, p = np.arange(10.0), np.tile([1.0, 8.0], (10, 1))

    (line,) = plotted("levels", y, p, names=("0.1", "0.9")).lines

    assert (line.x, line.y) == ((0.1, 0.9), (0.2, 0.9))


def test_estimates_are_beside_the_mean_of_what_came(random: np.random.Generator) -> None:
    p = np.repeat([1.0, 5.0], 50)
    y = p + random.normal(size=100)

    (line,) = plotted("estimated", y, p).lines

    assert line.x == (1.0, 5.0)
    assert line.y == (pytest.approx(y[:50].mean()), pytest.approx(y[50:].mean()))
    assert line.high[0] - line.y[0] == pytest.approx(1.959964 * y[:50].std(ddof=1) / np.sqrt(50))


def test_a_task_has_the_plots_that_name_it_and_no_rows_have_none() -> None:
    y, p = np.array([0.0, 1.0] * 5), np.linspace(0, 1, 10)

    found = plots(snapshot_of(y), {"candidate": p}, task="classification")
    only = plots(snapshot_of(np.zeros(10)), {"candidate": p}, task="classification")

    assert {one.title for one in found} == {
        "Reliability",
        "ROC",
        "Precision and recall",
    }
    assert [one.title for one in only] == ["Reliability"]
    assert plots(snapshot_of(y), {"candidate": p}, task="clustering") == ()
    assert plots(snapshot_of(y[:0]), {"candidate": p[:0]}, task="classification") == ()
