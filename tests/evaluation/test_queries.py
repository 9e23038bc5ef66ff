"""Metrics of rankings: the values of each query, ties, and intervals over queries."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as theirs

from treadle.core.errors import InvalidInput
from treadle.evaluation.bootstrap import paired
from treadle.evaluation.intervals import interval
from treadle.evaluation.measures import metric
from treadle.evaluation.pair import Pair

RANDOM = np.random.default_rng(0)
QUERY = np.sort(RANDOM.integers(0, 60, 600))
RELEVANCE = RANDOM.integers(0, 4, 600) * (RANDOM.random(600) < 0.4)
SCORE = RANDOM.normal(size=600)
Y = np.column_stack([RELEVANCE, QUERY])


def by_query(value, p):
    parts = [query == QUERY for query in np.unique(QUERY)]
    return np.mean([value(RELEVANCE[part], p[part]) if RELEVANCE[part].any() else 0.0 for part in parts])


@pytest.mark.parametrize("digits", [16, 0])
@pytest.mark.parametrize("cut", [1, 3, 10, 1000])
def test_ndcg_agrees_with_scikit_learn(cut, digits):
    p = SCORE.round(digits)

    found = metric("ndcg").asked({"cut": cut}).value(Y, p)

    assert found == pytest.approx(by_query(lambda y, s: theirs.ndcg_score([y], [s], k=cut), p), rel=1e-12)


@pytest.mark.parametrize("digits", [16, 0])
def test_map_agrees_with_scikit_learn(digits):
    p = SCORE.round(digits)

    expected = by_query(lambda y, s: theirs.average_precision_score(y > 0, s), p)
    assert metric("map").value(Y, p) == pytest.approx(expected, rel=1e-12)


def test_mrr_is_one_over_the_place_of_the_first_relevant_row():
    y = [[0, 0], [2, 0], [1, 0], [0, 1], [0, 1], [3, 2]]

    assert metric("mrr").value(y, [3, 2, 1, 2, 1, 0]) == pytest.approx((1 / 2 + 0 + 1) / 3)


@pytest.mark.parametrize("name", ["ndcg", "mrr"])
def test_ties_count_as_in_a_random_order(name):
    p = SCORE.round(0)
    orders = [metric(name).value(Y, p + 0.1 * RANDOM.random(600)) for _ in range(500)]

    assert metric(name).value(Y, p) == pytest.approx(np.mean(orders), abs=4 * np.std(orders) / 500**0.5)


def test_a_query_counts_once_however_many_rows_it_has():
    y = [[1, 0], [0, 0], *([[0, 1]] * 50), [1, 1]]
    p = [1, 0, *range(50), 50]

    assert metric("mrr").value(y, p) == 1
    assert metric("mrr").value(y, np.negative(p)) == pytest.approx((1 / 2 + 1 / 51) / 2)


@pytest.mark.parametrize("name", ["ndcg", "mrr", "map"])
def test_an_interval_is_that_of_queries(name):
    better = RELEVANCE + SCORE
    value = metric(name)
    each = [
        value.value(Y[one == QUERY], better[one == QUERY]) - value.value(Y[one == QUERY], SCORE[one == QUERY])
        for one in np.unique(QUERY)
    ]

    found = paired(value, Y.astype(float), first=better, second=SCORE, groups=QUERY)

    assert found.units == len(each)
    assert found.difference == pytest.approx(np.mean(each))
    assert found.high - found.low == pytest.approx(2 * 2 * np.std(each) / len(each) ** 0.5, rel=0.15)


def test_a_truth_without_queries_and_a_negative_relevance_are_refused():
    with pytest.raises(InvalidInput, match="shape"):
        metric("ndcg").value([1.0, 0.0], [1.0, 0.0])
    with pytest.raises(InvalidInput, match="relevance in row 1 is -1"):
        metric("map").value([[1, 0], [-1, 0]], [1.0, 0.0])


@pytest.mark.parametrize("name", ["ndcg", "mrr", "map"])
def test_a_query_that_stands_for_many_is_as_good_as_many(name):
    often = 1 + np.arange(60) % 3
    copies = [np.flatnonzero(often[QUERY] > copy) for copy in range(3)]
    rows = np.concatenate(copies)
    queries = np.concatenate([QUERY[part] + 100 * copy for copy, part in enumerate(copies)])
    y, better = Y.astype(float), RELEVANCE + SCORE
    short = Pair(
        measure=metric(name), y=y, first=better, second=SCORE, groups=QUERY, counts=often[QUERY].astype(float)
    )
    long = Pair(
        measure=metric(name),
        y=np.column_stack([y[rows, 0], queries]),
        first=better[rows],
        second=SCORE[rows],
        groups=queries,
    )

    found, expected = interval(short), interval(long)

    assert (found.n, found.units) == (expected.n, expected.units)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-4)
