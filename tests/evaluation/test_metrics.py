from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as theirs

from treadle.core import plugins
from treadle.core.errors import InvalidInput, NotFound
from treadle.evaluation.measures import metric
from treadle.evaluation.objective import Objective

Y = [1, 0, 1, 0]
P = [0.9, 0.2, 0.4, 0.6]
CLASSIFICATION = {
    "log_loss": lambda y, p, w: theirs.log_loss(y, p, sample_weight=w, labels=[0, 1]),
    "brier": lambda y, p, w: theirs.brier_score_loss(y, p, sample_weight=w),
    "accuracy": lambda y, p, w: theirs.accuracy_score(y, p > 0.5, sample_weight=w),
    "precision": lambda y, p, w: theirs.precision_score(y, p > 0.5, sample_weight=w),
    "recall": lambda y, p, w: theirs.recall_score(y, p > 0.5, sample_weight=w),
    "f1": lambda y, p, w: theirs.f1_score(y, p > 0.5, sample_weight=w),
    "roc_auc": lambda y, p, w: theirs.roc_auc_score(y, p, sample_weight=w),
    "balanced_accuracy": lambda y, p, w: theirs.balanced_accuracy_score(y, p > 0.5, sample_weight=w),
    "average_precision": lambda y, p, w: theirs.average_precision_score(y, p, sample_weight=w),
}
MULTICLASS = {
    "log_loss": lambda y, p, w: theirs.log_loss(y, p, sample_weight=w, labels=range(4)),
    "brier": lambda y, p, w: theirs.brier_score_loss(y, p, sample_weight=w, labels=range(4)),
    "accuracy": lambda y, p, w: theirs.accuracy_score(y, p.argmax(axis=1), sample_weight=w),
    "balanced_accuracy": lambda y, p, w: theirs.balanced_accuracy_score(y, p.argmax(axis=1), sample_weight=w),
    "macro_f1": lambda y, p, w: theirs.f1_score(y, p.argmax(axis=1), average="macro", sample_weight=w),
    "roc_auc": lambda y, p, w: theirs.roc_auc_score(y, p, multi_class="ovr", sample_weight=w),
}
MULTILABEL = {
    "log_loss": lambda y, p, w: np.mean(
        [theirs.log_loss(a, b, sample_weight=w, labels=[0, 1]) for a, b in zip(y.T, p.T, strict=True)]
    ),
    "brier": lambda y, p, w: np.mean(
        [theirs.brier_score_loss(a, b, sample_weight=w) for a, b in zip(y.T, p.T, strict=True)]
    ),
    "accuracy": lambda y, p, w: theirs.accuracy_score(y, p > 0.5, sample_weight=w),
    "hamming": lambda y, p, w: theirs.hamming_loss(y, p > 0.5, sample_weight=w),
    "micro_f1": lambda y, p, w: theirs.f1_score(y, p > 0.5, average="micro", sample_weight=w),
    "macro_f1": lambda y, p, w: theirs.f1_score(y, p > 0.5, average="macro", sample_weight=w),
    "roc_auc": lambda y, p, w: theirs.roc_auc_score(y, p, average="macro", sample_weight=w),
    "average_precision": lambda y, p, w: theirs.average_precision_score(
        y, p, average="macro", sample_weight=w
    ),
}
REGRESSION = {
    "mae": lambda y, p, w: theirs.mean_absolute_error(y, p, sample_weight=w),
    "rmse": lambda y, p, w: theirs.root_mean_squared_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: theirs.r2_score(y, p, sample_weight=w),
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("log_loss", -(math.log(0.9) + math.log(0.8) + math.log(0.4) + math.log(0.4)) / 4),
        ("brier", (0.01 + 0.04 + 0.36 + 0.36) / 4),
        ("accuracy", 0.5),
        ("precision", 0.5),
        ("recall", 0.5),
        ("f1", 0.5),
        ("roc_auc", 0.75),
        ("average_precision", (1 + 2 / 3) / 2),
        ("calibration_error", (0.1 + 0.2 + 0.6 + 0.6) / 4),
    ],
)
def test_values_of_four_answers_computed_by_hand(name, expected):
    assert metric(name).value(Y, P) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mae", (1 + 2 + 3) / 3),
        ("rmse", ((1 + 4 + 9) / 3) ** 0.5),
        ("r2", 1 - (1 + 4 + 9) / (4 + 1 + 9)),
        ("smape", 2 * (1 / 3 + 2 / 6 + 3 / 9) / 3),
    ],
)
def test_values_of_three_estimates_computed_by_hand(name, expected):
    y, p = [1.0, 2.0, 6.0], [2.0, 4.0, 3.0]

    assert metric(name).value(y, p) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("rounded", [16, 1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_classification_agrees_with_scikit_learn(name, weighted, rounded):
    random = np.random.default_rng(3)
    p = random.random(2_000).round(rounded)
    y = (random.random(2_000) < p).astype(int)
    weight = random.integers(0, 5, 2_000).astype(float) if weighted else None

    assert metric(name).value(y, p, weight) == pytest.approx(CLASSIFICATION[name](y, p, weight), rel=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MULTICLASS)
def test_several_classes_agree_with_scikit_learn(name, weighted):
    random = np.random.default_rng(7)
    p = random.dirichlet([1, 2, 3, 4], 2_000)
    y = (p.cumsum(axis=1) < random.random((2_000, 1))).sum(axis=1)
    weight = random.integers(0, 5, 2_000).astype(float) if weighted else None

    assert metric(name).value(y, p, weight) == pytest.approx(MULTICLASS[name](y, p, weight), rel=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MULTILABEL)
def test_labels_agree_with_scikit_learn(name, weighted):
    random = np.random.default_rng(9)
    p = random.random((2_000, 4)).round(2) * [1.0, 0.8, 0.5, 0.2]
    y = (random.random(p.shape) < p).astype(int)
    weight = random.integers(0, 5, 2_000).astype(float) if weighted else None

    assert metric(name).value(y, p, weight) == pytest.approx(MULTILABEL[name](y, p, weight), rel=1e-10)


@pytest.mark.parametrize("name", MULTILABEL)
def test_labels_refuse_what_is_no_probability_or_label(name):
    with pytest.raises(InvalidInput, match=r"predictions in row 1 are \[0.2, 1.7\]. Expected probabilities"):
        metric(name).value([[0, 1], [1, 0]], [[0.5, 0.5], [0.2, 1.7]])
    with pytest.raises(InvalidInput, match=r"outcomes in row 0 are \[2.0, 1.0\]. Expected 0 or 1"):
        metric(name).value([[2, 1], [1, 0]], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(InvalidInput, match="shape"):
        metric(name).value([[0, 1], [1, 0]], [[0.5], [0.5]])


def test_labels_that_no_row_has_or_all_have_are_left_out_of_what_ranks_rows():
    y, p = [[1, 0, 1], [0, 0, 1], [1, 0, 1]], [[0.9, 0.2, 0.3], [0.1, 0.4, 0.3], [0.7, 0.1, 0.9]]

    assert metric("roc_auc").value(y, p) == 1
    assert metric("average_precision").value(y, p) == 1
    assert metric("macro_f1").value(y, p) == pytest.approx((1 + 0.5) / 2)


def test_a_class_that_a_model_does_not_know_costs_what_certainty_costs():
    known = [[0.7, 0.3, 0.0], [0.2, 0.8, 0.0]]

    assert metric("log_loss").value([0, 2], known) == pytest.approx((-math.log(0.7) + 36.04) / 2, abs=1e-2)
    assert metric("accuracy").value([0, 2], known) == 0.5
    assert metric("balanced_accuracy").value([0, 2], known) == 0.5
    assert metric("macro_f1").value([0, 2], known) == pytest.approx((1 + 0 + 0) / 3)
    assert metric("roc_auc").value([0, 2], known) == pytest.approx((1 + 0.5) / 2)


def test_classes_that_no_row_has_are_left_out():
    sure = [[0.9, 0.1, 0.0], [0.4, 0.6, 0.0]]

    assert metric("macro_f1").value([0, 1], sure) == 1
    assert metric("balanced_accuracy").value([0, 1], sure) == 1
    assert metric("roc_auc").value([0, 1], sure) == 1


@pytest.mark.parametrize("name", MULTICLASS)
def test_several_classes_refuse_what_is_no_distribution_or_class(name):
    with pytest.raises(InvalidInput, match=r"prediction in row 1 adds up to 0.9. Expected"):
        metric(name).value([0, 1], [[0.5, 0.5], [0.2, 0.7]])
    with pytest.raises(InvalidInput, match=r"outcome in row 0 is 2. Expected the number of a class, 0 to 1"):
        metric(name).value([2, 1], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(InvalidInput, match=r"shape \(2, 1\)"):
        metric(name).value([0, 0], [[1.0], [1.0]])


@pytest.mark.parametrize("weighted", [False, True])
def test_pinball_agrees_with_scikit_learn(weighted):
    random = np.random.default_rng(8)
    y, p = random.normal(size=500), np.sort(random.normal(size=(500, 3)), axis=1)
    weight = random.random(500) if weighted else None
    each = [
        theirs.mean_pinball_loss(y, p[:, place], alpha=level, sample_weight=weight)
        for place, level in enumerate([0.1, 0.5, 0.9])
    ]

    found = metric("pinball").over(["0.1", "0.5", "0.9"]).value(y, p, weight)

    assert found == pytest.approx(np.mean(each), rel=1e-10)


def test_what_intervals_hold_and_how_wide_they_are():
    y, p = [1.0, 2.0, 3.0, 9.0], [[0.0, 4.0], [0.0, 4.0], [1.0, 3.0], [1.0, 3.0]]
    columns = ["0.25", "0.75"]

    values = {
        name: metric(name).over(columns).value(y, p)
        for name in ("coverage", "coverage_error", "interval_width")
    }

    assert values == {"coverage": 0.75, "coverage_error": (0.25 + 0) / 2, "interval_width": 3.0}


def test_quantiles_need_their_levels():
    with pytest.raises(InvalidInput, match="none are known"):
        metric("pinball").value([1.0], [[1.0]])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", REGRESSION)
def test_regression_agrees_with_scikit_learn(name, weighted):
    random = np.random.default_rng(4)
    y = 1e4 + random.normal(size=2_000)
    p = y + random.normal(size=2_000)
    weight = random.random(2_000) if weighted else None

    assert metric(name).value(y, p, weight) == pytest.approx(REGRESSION[name](y, p, weight), rel=1e-8)


def test_certainty_that_is_wrong_costs_a_finite_amount():
    assert metric("log_loss").value([0], [1.0]) == pytest.approx(theirs.log_loss([0], [1.0], labels=[0, 1]))


@pytest.mark.parametrize(
    ("name", "y", "p"),
    [
        ("roc_auc", [1, 1], [0.2, 0.8]),
        ("roc_auc", [0, 0], [0.2, 0.8]),
        ("average_precision", [0, 0], [0.2, 0.8]),
        ("precision", [0, 1], [0.2, 0.5]),
        ("recall", [0, 0], [0.2, 0.8]),
        ("f1", [0, 0], [0.2, 0.3]),
        ("r2", [0.1, 0.1, 0.1], [1.0, 2.0, 3.0]),
    ],
)
def test_what_has_no_value_is_nan(name, y, p):
    assert math.isnan(metric(name).value(y, p))


def test_calibration_in_bins_counts_the_mean_of_each_bin():
    y, p = [1, 0, 1, 1, 0], [0.75, 0.72, 0.78, 0.71, 1.0]

    assert metric("calibration_error").value(y, p) == pytest.approx((4 * abs(0.75 - 0.74) + 1.0) / 5)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_classification_refuses_what_is_no_probability_or_class(name):
    with pytest.raises(InvalidInput, match=r"prediction in row 1 is 1.5. Expected a probability"):
        metric(name).value([0, 1], [0.5, 1.5])
    with pytest.raises(InvalidInput, match=r"outcome in row 0 is 2. Expected 0 or 1"):
        metric(name).value([2, 1], [0.5, 0.5])


def test_directions_are_as_everybody_knows_them():
    greater = {name for name in plugins.available("metric") if metric(name).greater_is_better}

    assert greater == {
        *("accuracy", "average_precision", "balanced_accuracy", "coverage", "f1", "macro_f1", "micro_f1"),
        *("map", "mrr", "ndcg", "precision", "r2", "recall", "roc_auc", "simplified_silhouette", "v_measure"),
    }


def test_an_unknown_metric_is_answered_with_the_nearest():
    with pytest.raises(NotFound, match="Did you mean 'log_loss'"):
        metric("logloss")


def test_an_objective_of_quantiles_knows_their_levels():
    y, p, columns = [1.0, 2.0], [[0.0, 4.0], [3.0, 5.0]], ["0.25", "0.75"]
    objective = Objective({"pinball": 1.0, "interval_width": 0.5}).measure.over(columns)
    pinball, width = (metric(name).over(columns).value(y, p) for name in ("pinball", "interval_width"))

    assert objective.value(y, p) == pytest.approx(-pinball - 0.5 * width)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["mae", "rmse", "smape"])
def test_several_numbers_a_row_are_scored_together(name, weighted):
    random = np.random.default_rng(7)
    y = random.normal(size=(300, 3))
    p = y + random.normal(size=y.shape)
    weight = random.integers(0, 3, 300) if weighted else None

    flat = None if weight is None else np.repeat(weight, 3)
    assert metric(name).value(y, p, weight) == pytest.approx(metric(name).value(y.ravel(), p.ravel(), flat))
    for other in (p[:, :2], p[:200], p[:, 0]):
        with pytest.raises(InvalidInput, match="shape"):
            metric(name).value(y, other)
