"""Metrics of clusters and embeddings: as scikit-learn has them, or as computed row by row."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, v_measure_score

from treadle.core.errors import InvalidInput
from treadle.evaluation.measures import metric

RANDOM = np.random.default_rng(0)
GROUPS = RANDOM.integers(0, 4, 400)
X = np.column_stack([3 * GROUPS, GROUPS % 2]) + RANDOM.normal(size=(400, 2))


def by_hand(x, labels):
    """The value of each row, one after the other."""
    found = []
    for row, label in enumerate(labels):
        others = (labels == label) & (np.arange(len(x)) != row)
        if not others.any():
            found.append(0.0)
            continue
        a = np.linalg.norm(x[row] - x[others].mean(axis=0))
        b = min(np.linalg.norm(x[row] - x[labels == one].mean(axis=0)) for one in set(labels) - {label})
        found.append((b - a) / max(a, b))
    return np.mean(found)


@pytest.mark.parametrize("clusters", [2, 4, 40])
def test_a_silhouette_compares_with_the_centres_of_the_others(clusters):
    labels = KMeans(clusters, n_init=1, random_state=0).fit_predict(X)

    assert metric("simplified_silhouette").value(X, labels) == pytest.approx(by_hand(X, labels))


def test_the_right_number_of_clusters_has_the_best_silhouette():
    far = np.column_stack([GROUPS % 2, GROUPS // 2]) * 8 + RANDOM.normal(size=(400, 2))
    found = {
        many: metric("simplified_silhouette").value(
            far, KMeans(many, n_init=3, random_state=0).fit_predict(far)
        )
        for many in (2, 3, 4, 6, 20, 200)
    }

    assert max(found, key=found.get) == 4
    assert metric("simplified_silhouette").value(X, np.arange(400)) == 0


def test_one_cluster_has_no_silhouette():
    assert np.isnan(metric("simplified_silhouette").value(X, np.zeros(400)))
    with pytest.raises(InvalidInput, match="inputs have the shape"):
        metric("simplified_silhouette").value(GROUPS, GROUPS)


@pytest.mark.parametrize("clusters", [2, 4, 9])
def test_v_measure_agrees_with_scikit_learn(clusters):
    labels = KMeans(clusters, n_init=1, random_state=0).fit_predict(X)

    assert metric("v_measure").value(GROUPS, labels) == pytest.approx(
        v_measure_score(GROUPS, labels), rel=1e-12
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_unexplained_agrees_with_scikit_learn(weighted):
    inputs = RANDOM.normal(size=(400, 5)) @ RANDOM.normal(size=(5, 5)) + 7
    vectors = np.column_stack([inputs[:, 0] ** 2, inputs[:, 1] + RANDOM.normal(size=400)])
    weight = RANDOM.random(400) if weighted else None
    line = LinearRegression().fit(vectors, inputs, weight)
    explained = r2_score(inputs, line.predict(vectors), sample_weight=weight, multioutput="raw_values")
    spread = np.array([np.cov(column, aweights=weight, ddof=0) for column in inputs.T])

    found = metric("unexplained").value(inputs, vectors, weight)

    assert found == pytest.approx(1 - explained @ spread / spread.sum(), rel=1e-9)


def test_principal_components_leave_the_least():
    inputs = RANDOM.normal(size=(400, 5)) @ RANDOM.normal(size=(5, 5))
    model = PCA(2).fit(inputs)

    least = metric("unexplained").value(inputs, model.transform(inputs))

    assert least == pytest.approx(1 - model.explained_variance_ratio_.sum())
    assert least < metric("unexplained").value(inputs, inputs[:, :2])
    assert metric("unexplained").value(inputs, np.zeros((400, 2))) == pytest.approx(1)
