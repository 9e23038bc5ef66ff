from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from treadle.core.errors import InvalidInput
from treadle.evaluation.blend import Blend
from treadle.evaluation.intervals import interval
from treadle.evaluation.measures import metric
from treadle.evaluation.objective import Objective
from treadle.evaluation.pair import Pair

RANDOM = np.random.default_rng(8)
SIGNAL = RANDOM.normal(size=3_000)
Y = (RANDOM.random(3_000) < 1 / (1 + np.exp(-SIGNAL))).astype(float)
ANSWERS = {
    name: 1 / (1 + np.exp(-(SIGNAL + size * RANDOM.normal(size=3_000))))
    for name, size in {"a": 0.8, "b": 1.0, "c": 1.2, "d": 3.0}.items()
}


def half(values, first):
    return values[:1_500] if first else values[1_500:]


@pytest.mark.parametrize("on", ["log_loss", "brier"])
def test_of_convex_metrics_it_is_the_optimum(on):
    stacked, measure = np.stack(list(ANSWERS.values())), metric(on)
    best = minimize(
        lambda weights: measure.value(Y, np.clip(weights @ stacked, 0, 1)),
        np.full(4, 0.25),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-12},
    )

    found = Blend.tuned(ANSWERS, Y, on=on)

    assert sum(found.weights.values()) == pytest.approx(1)
    assert min(found.weights.values()) >= 0
    assert measure.value(Y, found.predict(ANSWERS)) == pytest.approx(best.fun, abs=1e-6)


@pytest.mark.parametrize("on", ["roc_auc", "accuracy", "f1", Objective({"log_loss": 1, "roc_auc": 1})])
def test_of_any_metric_it_is_no_worse_than_the_best_model(on):
    measure = on.measure if isinstance(on, Objective) else metric(on)

    found = Blend.tuned(ANSWERS, Y, on=on)

    assert measure.value(Y, found.predict(ANSWERS)) >= max(measure.value(Y, p) for p in ANSWERS.values())


def test_tuned_on_some_rows_it_is_better_on_others():
    validation = {name: half(p, True) for name, p in ANSWERS.items()}
    test = {name: half(p, False) for name, p in ANSWERS.items()}

    found = Blend.tuned(validation, half(Y, True), on="log_loss")

    compared = interval(
        Pair(measure=metric("log_loss"), y=half(Y, False), first=found.predict(test), second=test["a"])
    )
    assert compared.high < 0


def test_answers_may_be_several_numbers_a_row():
    pairs = {name: np.column_stack([1 - p, p]) for name, p in ANSWERS.items()}
    blend = Blend(weights={"a": 0.25, "b": 0.75, "c": 0.0})

    found = blend.predict({name: pairs[name] for name in ("a", "b")})

    assert found == pytest.approx(0.25 * pairs["a"] + 0.75 * pairs["b"])


def test_a_model_that_is_left_out_is_named():
    with pytest.raises(InvalidInput, match="needs the answers of b; there are those of a"):
        Blend(weights={"a": 0.5, "b": 0.5}).predict({"a": Y})


@pytest.mark.parametrize("given", [{}, {"a": Y, "b": Y[:-1]}])
def test_answers_have_one_shape(given):
    with pytest.raises(InvalidInput, match="Expected one shape, and at least one model"):
        Blend.tuned(given, Y, on="brier")


def test_forecasts_of_several_steps_are_blended_alike():
    y = RANDOM.normal(size=(400, 3))
    answers = {"low": y - 1, "high": y + 3}

    blend = Blend.tuned(answers, y, on="rmse")

    assert blend.weights == pytest.approx({"low": 0.75, "high": 0.25}, abs=1e-6)
    assert blend.predict(answers) == pytest.approx(y, abs=1e-5)
