from __future__ import annotations

import numpy as np
import pytest

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.evaluation.abstention import Abstain, actions, confidence, measured, risk_curve

RANDOM = np.random.default_rng(8)
SURE = RANDOM.uniform(0.5, 1, 5_000)
WRONG = (RANDOM.random(5_000) > SURE).astype(float)


def test_the_confidence_is_that_of_the_most_probable_class():
    assert confidence([0.1, 0.7]).tolist() == [0.9, 0.7]
    assert confidence([[0.2, 0.5, 0.3]]).tolist() == [0.5]


def test_the_lowest_step_counts_whatever_the_order():
    steps = [Abstain(below=0.6, then="review"), Abstain(below=0.9, then="ask"), Abstain(below=0.1)]

    assert actions([0.9, 0.6, 0.59, 0.05], steps).tolist() == ["answer", "ask", "review", "abstain"]
    assert actions([0.1], []).tolist() == ["answer"]


def test_what_is_answered_is_less_often_wrong():
    found = measured(WRONG, SURE, [Abstain(below=0.8, then="review")])

    answered, handed = found.rows(named=True)
    assert (answered["action"], handed["action"]) == ("answer", "review")
    assert answered["low"] <= 0.1 <= answered["high"]
    assert handed["low"] <= 0.35 <= handed["high"]
    assert answered["share"] + handed["share"] == 1


def test_the_risk_of_each_coverage():
    found = risk_curve(WRONG, SURE)

    assert found.height == 200
    assert found["coverage"][-1] == 1
    assert found["risk"][-1] == pytest.approx(WRONG.mean())
    row = found.row(99, named=True)
    assert row["risk"] == pytest.approx(WRONG[row["confidence"] <= SURE].mean())


def test_a_risk_that_was_promised_is_kept():
    """Of 400 choices on 600 rows each, at most about 5 % may turn out riskier than promised."""
    broken = chosen = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        sure = random.uniform(0.5, 1, 600)
        wrong = (random.random(600) > sure).astype(float)
        try:
            below = Abstain.at_risk(wrong, sure, most=0.15).below
        except InvalidInput:
            continue
        chosen += 1
        broken += (1 - (1 + below) / 2) > 0.15

    assert chosen > 300
    assert broken / chosen <= 0.05


def test_it_answers_as_many_as_it_can():
    assert Abstain.at_risk(WRONG, SURE, most=0.15).below == pytest.approx(0.7, abs=0.08)
    assert Abstain.at_risk(np.zeros(5_000), SURE, most=0.15).below == SURE.min()


def test_a_risk_that_cannot_be_shown_is_refused():
    with pytest.raises(
        InvalidInput, match="On these 50 rows no confidence is shown to be wrong at most 0.01"
    ):
        Abstain.at_risk(WRONG[:50], SURE[:50], most=0.01)


@pytest.mark.parametrize(
    "arguments", [{"below": "high"}, {"below": float("nan")}, {"below": 0.5, "then": "wait"}]
)
def test_what_cannot_hold_is_refused(arguments):
    with pytest.raises(InvalidDeclaration):
        Abstain(**arguments)


def test_declarations_are_plain():
    assert Abstain(below=1, then="ask").spec() == {"below": 1.0, "then": "ask"}


def test_each_row_has_a_confidence():
    with pytest.raises(InvalidInput, match="1 confidences for 2 losses"):
        risk_curve([0, 1], [0.5])
