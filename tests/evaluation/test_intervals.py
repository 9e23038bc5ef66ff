from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from treadle.core import plugins
from treadle.core.errors import InvalidInput, NotFound
from treadle.evaluation import bootstrap, cells
from treadle.evaluation.intervals import chosen_for, interval
from treadle.evaluation.measures import metric
from treadle.evaluation.methods import delong, diebold_mariano
from treadle.evaluation.pair import Pair, codes_of
from treadle.testing.populations import measured, populations_of


def pair(name, *, rows=1_000, population="unlike", **more):
    measure = measured(name)
    found = populations_of(measure)[population]
    return Pair(
        measure=measure, y=found.y[:rows], first=found.first[:rows], second=found.second[:rows], **more
    )


@pytest.mark.parametrize("name", ["log_loss", "brier", "mae"])
def test_of_many_rows_it_is_the_paired_t_test(name):
    given = pair(name, rows=4_000, population="twins")
    rows = given.measure.per_row(given.y, given.first) - given.measure.per_row(given.y, given.second)
    expected = stats.ttest_1samp(rows, 0).confidence_interval(0.95)

    found = interval(given)

    assert found.method == "influence"
    assert found.low == pytest.approx(expected.low, abs=0.02 * (expected.high - expected.low))
    assert found.high == pytest.approx(expected.high, abs=0.02 * (expected.high - expected.low))
    assert found.low <= expected.low


# A draw of a silhouette costs milliseconds, so that thousands of them take a quarter of a minute.
SLOW = ("simplified_silhouette",)


@pytest.mark.parametrize(
    "name", [name for name in plugins.available("metric") if not metric(name).is_folded and name not in SLOW]
)
def test_the_methods_agree_on_thousands_of_rows(name):
    given = pair(name, rows=4_000)

    found, drawn = interval(given), interval(given, method="bootstrap")

    width = drawn.high - drawn.low
    assert found.low == pytest.approx(drawn.low, abs=0.1 * width)
    assert found.high == pytest.approx(drawn.high, abs=0.1 * width)


@pytest.mark.parametrize(
    "name", [name for name in plugins.available("metric") if "ranking" not in metric(name).tasks]
)
def test_a_row_that_stands_for_many_is_as_good_as_many(name):
    given = pair(name, rows=300)
    counts = 1.0 + np.arange(300) % 4
    again = np.repeat(np.arange(300), counts.astype(int))
    many = Pair(measure=given.measure, y=given.y[again], first=given.first[again], second=given.second[again])

    short, long = interval(replace(given, counts=counts)), interval(many)

    assert short.n == long.n
    assert (short.low, short.difference, short.high) == pytest.approx(
        (long.low, long.difference, long.high), rel=1e-4, abs=1e-9
    )


@pytest.mark.parametrize("name", ["log_loss", "f1", "roc_auc", "calibration_error"])
def test_repeated_rows_of_one_group_add_no_certainty(name):
    given = pair(name, rows=400)
    again = np.repeat(np.arange(400), 5)
    repeated = Pair(
        measure=given.measure,
        y=given.y[again],
        first=given.first[again],
        second=given.second[again],
        groups=again,
    )

    once, tied, naive = (
        interval(given, method="influence"),
        interval(repeated),
        interval(replace(repeated, groups=None)),
    )

    assert (tied.n, tied.units) == (2_000, 400)
    assert tied.high - tied.low == pytest.approx(once.high - once.low, rel=1e-6)
    assert naive.high - naive.low < 0.6 * (once.high - once.low)


def test_five_rows_of_one_mind_are_not_enough():
    y = np.ones(200)
    first, second = np.full(200, 0.9), np.where(np.arange(200) < 5, 0.1, 0.9)
    given = Pair(measure=metric("accuracy"), y=y, first=first, second=second)

    assert interval(given).method == "mcnemar"
    assert interval(given).low <= 0
    assert interval(given, method="influence").low <= 0


@pytest.mark.parametrize("only", range(3, 12))
@pytest.mark.parametrize("other", [0, 1, 3])
def test_mcnemar_is_never_surer_than_the_exact_test(only, other):
    y, first, second = np.ones(300), np.full(300, 0.9), np.full(300, 0.9)
    second[:only], first[only : only + other] = 0.1, 0.1

    found = interval(Pair(measure=metric("accuracy"), y=y, first=first, second=second))

    exact = stats.binomtest(only, only + other, 0.5).pvalue
    assert found.low <= 0 <= found.high or exact <= 0.05


def test_rows_on_which_two_never_differ_do_not_show_that_they_are_equal():
    y = np.tile([0.0, 1.0], 200)
    first, second = np.where(y == 1, 0.9, 0.1), np.where(y == 1, 0.8, 0.2)

    for name in ("accuracy", "roc_auc", "recall", "precision"):
        found = interval(Pair(measure=metric(name), y=y, first=first, second=second))

        assert found.difference == 0
        assert found.low < -0.005
        assert found.high > 0.005


def test_delong_is_the_textbooks():
    given = pair("roc_auc", rows=300)
    placed = []
    for p in (given.first, given.second):
        above, below = p[given.y == 1], p[given.y == 0]
        wins = (above[:, None] > below) + 0.5 * (above[:, None] == below)
        placed.append((wins.mean(axis=1), wins.mean(axis=0)))
    variance = sum(
        np.var(placed[0][side] - placed[1][side], ddof=1) / len(placed[0][side]) for side in (0, 1)
    )
    difference = placed[0][0].mean() - placed[1][0].mean()

    low, high = delong.ends(given, alpha=0.05)

    half = stats.norm.ppf(0.975) * np.sqrt(variance)
    assert (low, high) == pytest.approx((difference - half, difference + half))


def test_diebold_mariano_is_the_farther_of_two_ends():
    random = np.random.default_rng(4)
    noise = random.normal(size=303)
    errors = noise[:-3] + noise[1:-2] + noise[2:-1] + noise[3:]
    y = np.zeros(300)
    given = Pair(
        measure=metric("mae"), y=y, first=errors, second=np.ones(300), times=np.arange(300), horizon=4
    )
    series = np.abs(errors) - 1
    moved = series - series.mean()
    variance = (moved @ moved + 2 * sum(moved[lag:] @ moved[:-lag] for lag in (1, 2, 3))) / 300
    correction = (300 + 1 - 8 + 4 * 3 / 300) / 300
    half = stats.t.ppf(0.975, 299) * np.sqrt(variance / 300 / correction)
    waves = np.cos(np.pi * np.arange(1, 18)[:, None] * (np.arange(300) + 0.5) / 300) * np.sqrt(2 / 300)
    other = stats.t.ppf(0.975, 17) * np.sqrt(np.mean((waves @ moved) ** 2) / 300)
    half = max(half, other)

    found = interval(given)

    assert found.method == "diebold_mariano"
    assert (found.low, found.high) == pytest.approx((series.mean() - half, series.mean() + half), rel=2e-3)


def test_several_series_of_one_moment_are_one_observation():
    given = pair("mae", rows=300)
    again = np.tile(np.arange(300), 3)
    one = replace(given, times=np.arange(300), horizon=2)
    three = Pair(
        measure=given.measure,
        y=given.y[again],
        first=given.first[again],
        second=given.second[again],
        times=again,
        horizon=2,
    )

    assert diebold_mariano.ends(three, alpha=0.05) == pytest.approx(diebold_mariano.ends(one, alpha=0.05))


def test_too_short_a_history_has_no_interval():
    given = pair("mae", rows=6, times=np.arange(6), horizon=4)

    assert not interval(given).is_defined


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("accuracy", {}, "mcnemar"),
        ("accuracy", {"groups": np.arange(300) % 50}, "influence"),
        ("accuracy", {"scale": 1.01}, "influence"),
        ("roc_auc", {}, "influence"),
        ("mae", {"times": np.arange(300), "horizon": 1}, "diebold_mariano"),
        ("mae", {"times": np.arange(300)}, "influence"),
    ],
)
def test_the_method_that_fits_best_is_taken(name, more, expected):
    assert expected == chosen_for(pair(name, rows=300, **more)).NAME


@pytest.mark.parametrize(
    ("name", "method", "text"),
    [
        ("log_loss", "mcnemar", "log_loss is no share of hits. Those that fit: influence, bootstrap"),
        ("log_loss", "delong", "it is for roc_auc, not for log_loss"),
        ("log_loss", "diebold_mariano", "the rows are no forecasts"),
    ],
)
def test_a_method_that_does_not_fit_is_refused(name, method, text):
    with pytest.raises(InvalidInput, match=text):
        interval(pair(name), method=method)


def test_an_unknown_method_is_named():
    with pytest.raises(NotFound, match="bootstrap"):
        interval(pair("log_loss"), method="bootstap")


def test_few_rows_that_decide_have_no_interval():
    given = pair("recall", rows=2_000, population="rare")
    some = np.concatenate([np.flatnonzero(given.y == 0), np.flatnonzero(given.y == 1)[:12]])
    given = replace(given, y=given.y[some], first=given.first[some], second=given.second[some])

    found = interval(given)

    assert not found.is_defined
    assert found.why.startswith("Only 12 of ")
    assert found.why.endswith("rows decide recall; at least 30 are needed.")


@pytest.mark.parametrize("name", ["groups", "times", "counts"])
def test_what_ties_rows_is_one_for_each(name):
    with pytest.raises(InvalidInput, match=f"9 {name} for 10 rows"):
        pair("log_loss", rows=10, **{name: np.arange(9)})


def test_groups_are_numbered_as_they_come():
    assert codes_of(np.array(["b", None, "a", "b", None], dtype=object)).tolist() == [0, 1, 2, 0, 1]


def test_cells_give_the_spread_of_the_plain_bootstrap():
    random = np.random.default_rng(7)
    values = np.exp(random.normal(size=60_000))
    plain = np.concatenate(
        [block @ values / block.sum(axis=1) for block in bootstrap.weights(60_000, draws=4_000, seed=1)]
    )

    drawn = cells.means(values, draws=4_000, seed=2)

    width = np.quantile(plain, 0.975) - np.quantile(plain, 0.025)
    assert drawn.std() == pytest.approx(plain.std(), rel=0.05)
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(
        np.quantile(plain, [0.025, 0.975]), abs=0.06 * width
    )


def test_one_row_that_outweighs_all_others_is_drawn_by_itself():
    values = np.zeros(30_000)
    values[7] = 30_000.0

    drawn = cells.means(values, draws=4_000, seed=0)

    times = drawn.round().astype(int)
    assert set(times) <= set(range(10))
    assert times.mean() == pytest.approx(1, abs=0.06)
    assert np.mean(times == 0) == pytest.approx(np.exp(-1), abs=0.03)


@pytest.mark.parametrize("mean", [1, 8, 488, 40_000])
def test_a_poisson_number_has_its_mean_and_variance(mean):
    table = cells.poisson(mean)

    assert len(table) == 65_536
    assert table.mean() == pytest.approx(mean)
    assert table.var() == pytest.approx(mean)
    assert np.mean((table - mean) ** 3) == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("method", ["influence", "bootstrap"])
@pytest.mark.parametrize("grouped", [False, True])
def test_truths_of_several_numbers_are_compared_by_row(method, grouped):
    random = np.random.default_rng(4)
    y = random.normal(size=(400, 3))
    first, second = y + random.normal(size=y.shape), y + 1.3 * random.normal(size=y.shape)
    groups = random.integers(0, 50, 400) if grouped else None
    found = interval(
        Pair(measure=metric("mae"), y=y, first=first, second=second, groups=groups), method=method
    )

    ours, theirs = (np.abs(one - y).mean(axis=1) for one in (first, second))
    pair = Pair(measure=metric("mae"), y=np.zeros(400), first=ours, second=theirs, groups=groups)
    assert found == interval(pair, method=method)
    assert found.low < found.difference < found.high < 0


def test_of_several_numbers_that_two_never_differ_in_the_next_row_may_tell_them_apart():
    y = (np.random.default_rng(4).random((200, 3)) < 0.1).astype(float)
    found = interval(Pair(measure=metric("mae"), y=y, first=y + 0.2, second=y - 0.2))

    assert found.difference == pytest.approx(0)
    assert found.low < 0 < found.high
