"""What guards promise: who is no worse stays, however often they look; who is worse goes, also where rows are alike."""

from __future__ import annotations

import os

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidDeclaration
from treadle.core.hashing import BUCKETS, bucket
from treadle.core.rollout import Stage
from treadle.serving import guards
from treadle.serving.effects import apart, paired
from treadle.serving.guard import CHALLENGER, PRIMARY, Case
from treadle.serving.tallies import Tally
from treadle.testing.guards import Rows

FULL = bool(os.environ.get("TREADLE_FULL"))
TRIALS = 2_000 if FULL else 150
#: The errors that guards may make here; each test looks far oftener than once.
ALPHA = 0.05
STAGE = Stage(share=0.5, bake=0, requests=0)


def share_of(wrong):
    """The share of trials that went wrong, and what is accepted of it: `ALPHA`, and what chance adds to so few trials."""
    return wrong / TRIALS, ALPHA + 3 * (ALPHA * (1 - ALPHA) / TRIALS) ** 0.5


def test_an_equal_challenger_is_not_rolled_back_for_its_errors():
    random, guard = np.random.default_rng(7), guards.Errors(margin=0, alpha=ALPHA)

    wrong = 0
    for _ in range(TRIALS):
        failed = np.cumsum(random.random((2, 4_000)) < 0.02, axis=1)
        for n in np.geomspace(20, 4_000, 40, dtype=int):
            sides = [Tally(requests=int(n), failed=int(side[n - 1])) for side in failed]
            if guard.judge(Case(stage=STAGE, primary=sides[0], challenger=sides[1])).status == "bad":
                wrong += 1
                break

    rate, accepted = share_of(wrong)
    assert rate <= accepted


def test_an_equal_challenger_is_not_rolled_back_for_its_latency():
    random, guard = np.random.default_rng(7), guards.Latency(ratio=1, alpha=ALPHA)

    wrong = 0
    for _ in range(TRIALS // 3):
        sides = [Tally(), Tally()]
        for _ in range(10):
            for side in sides:
                for seconds in random.lognormal(-6, 1, 100):
                    side.answered(float(seconds))
            if guard.judge(Case(stage=STAGE, primary=sides[0], challenger=sides[1])).status == "bad":
                wrong += 1
                break

    assert wrong / (TRIALS // 3) <= ALPHA


def world(random, *, subjects, each, effect=0.0, trend=0.0):
    """Requests of subjects that differ, in two steps of 10 and 50 %, while outcomes change with time."""
    n = subjects * each
    subject = random.integers(0, subjects, n)
    place, nature = random.random(subjects), random.normal(0, 1, subjects)
    share = np.where(np.arange(n) < n // 2, 0.1, 0.5)
    mine = place[subject] < share
    value = nature[subject] + random.normal(0, 1, n) + trend * np.arange(n) / n + effect * mine
    return pl.DataFrame(
        {
            "arm": np.where(mine, CHALLENGER, PRIMARY),
            "unit": subject,
            "propensity": np.where(mine, share, 1 - share),
            "shadow": np.zeros(n, dtype=bool),
            "value": value,
        }
    )


@pytest.mark.parametrize("trend", [0.0, 5.0])
def test_bounds_hold_at_every_look_though_subjects_come_again_and_times_change(trend):
    random = np.random.default_rng(7)

    wrong = 0
    for _ in range(TRIALS):
        rows = world(random, subjects=1_500, each=3, trend=trend)
        for n in (1_500, 2_500, 3_500, 4_500):
            effect = apart(rows.head(n), "value", alpha=ALPHA, planned=200)
            if not effect.low <= 0 <= effect.high:
                wrong += 1
                break

    rate, accepted = share_of(wrong)
    assert rate <= accepted


def test_a_difference_is_found_although_shares_and_times_change():
    rows = world(np.random.default_rng(7), subjects=10_000, each=2, effect=0.5, trend=5.0)

    effect = apart(rows, "value", alpha=0.01, planned=200)

    assert 0 < effect.low < 0.5 < effect.high
    assert effect.difference == pytest.approx(0.5, abs=0.2)


def test_on_the_same_rows_a_tenth_of_the_difference_is_found():
    random, n = np.random.default_rng(7), 3_000
    nature = random.normal(0, 3, n)
    sides = [
        pl.DataFrame(
            {
                "arm": [arm] * n,
                "unit": [f"user-{i % 1_000}" for i in range(n)],
                "request_id": [f"r{i}" for i in range(n)],
                "row": [0] * n,
                "shadow": [arm == CHALLENGER] * n,
                "loss": nature + shift + random.normal(0, 0.3, n),
            }
        )
        for arm, shift in ((PRIMARY, 0.0), (CHALLENGER, 0.1))
    ]

    effect = paired(pl.concat(sides), "loss", alpha=0.01, planned=200)

    assert (effect.how, effect.n) == ("paired", 1_000)
    assert 0 < effect.low < 0.1 < effect.high


def test_rows_that_nobody_drew_lots_for_are_left_out():
    rows = world(np.random.default_rng(7), subjects=500, each=2)
    more = rows.head(300).with_columns(pl.lit(1.0).alias("propensity"), pl.lit(99.0).alias("value"))

    found = [apart(frame, "value", alpha=0.01, planned=200) for frame in (rows, pl.concat([rows, more]))]

    assert found[0] == found[1]


def test_a_slow_tail_is_found_where_the_median_is_the_same():
    random, sides = np.random.default_rng(7), [Tally(), Tally()]
    for number, side in enumerate(sides):
        for seconds in random.lognormal(-6, 0.2, 3_000):
            slow = number == 1 and random.random() < 0.15
            side.answered(float(seconds) * (10 if slow else 1))

    verdict = guards.Latency().judge(Case(stage=STAGE, primary=sides[0], challenger=sides[1]))

    assert verdict.status == "bad"
    assert verdict.reason.startswith("Its 95% quantile")


@pytest.mark.parametrize(("slack", "status"), [(0.0, "bad"), (0.004, "bad"), (0.02, "fine")])
def test_what_is_slower_by_less_than_the_slack_is_accepted(slack, status):
    random, sides = np.random.default_rng(7), [Tally(), Tally()]
    for side, times in zip(sides, (1, 10), strict=True):
        for seconds in random.lognormal(-7.2, 0.2, 3_000):  # 0.75 ms, and 7.5 ms
            side.answered(float(seconds) * times)

    verdict = guards.Latency(slack=slack).judge(Case(stage=STAGE, primary=sides[0], challenger=sides[1]))

    assert verdict.status == status
    assert ("ms more" in verdict.reason) == (slack > 0)


def test_a_business_number_may_be_any_expression_over_the_log():
    guard = guards.Business("CASE WHEN prediction > 0.5 THEN outcome - 1 ELSE 0 END", larger_is_better=True)
    random, n = np.random.default_rng(7), 4_000
    mine = random.random(n) < 0.5
    frame = pl.DataFrame(
        {
            "arm": np.where(mine, CHALLENGER, PRIMARY),
            "unit": np.arange(n),
            "propensity": np.full(n, 0.5),
            "shadow": np.zeros(n, dtype=bool),
            "prediction": np.where(mine, 1.0, 0.0),
            "outcome": random.random(n),
        }
    )

    verdict = guard.judge(Case(stage=STAGE, logged=Rows(frame)))

    assert (verdict.status, round(verdict.challenger, 1), verdict.primary) == ("bad", -0.5, 0.0)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: guards.Errors(margin=-1), "margin=-1"),
        (lambda: guards.Errors(margin="1 %"), "margin='1 %'"),
        (lambda: guards.Errors(alpha=1), "alpha=1"),
        (lambda: guards.Errors(min_requests=0), "min_requests=0"),
        (lambda: guards.Latency(ratio=0.5), "ratio=0.5"),
        (lambda: guards.Latency(ratio="fast"), "ratio='fast'"),
        (lambda: guards.Latency(quantiles=[1.5]), "quantiles"),
        (lambda: guards.Latency(quantiles=[]), "quantiles"),
        (lambda: guards.Latency(slack=-1), "slack=-1"),
        (lambda: guards.Drift(answers=2), "answers=2"),
        (lambda: guards.Drift(inputs=0), "inputs=0"),
        (lambda: guards.Outcome(min_outcomes=1.5), "min_outcomes=1.5"),
        (lambda: guards.Business("SELECT FROM"), "SQL expression"),
        (lambda: guards.Business(margin=-0.1), "margin=-0.1"),
    ],
)
def test_guards_that_cannot_be_are_refused(make, told):
    with pytest.raises(InvalidDeclaration, match=told):
        make()


def test_a_guard_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(AttributeError, match="business, drift, errors, latency, outcome"):
        _ = guards.Weather


def test_an_input_of_which_hardly_any_value_comes_twice_is_no_drift():
    random, rows = np.random.default_rng(7), 4_000
    frame = pl.DataFrame(
        {
            "revision": [2] * rows,
            "arm": [CHALLENGER, PRIMARY] * (rows // 2),
            "unit": [str(unit) for unit in range(rows)],
            "probability": random.random(rows),
            "prediction": [0.0] * rows,
            "outputs": [None] * rows,
            "inputs": [f'{{"tail": "N{tail}"}}' for tail in random.integers(0, 5_000, rows)],
        }
    )

    verdict = guards.Drift().judge(Case(stage=STAGE, logged=Rows(frame)))

    assert verdict.status == "fine", verdict.reason


def test_a_quantile_of_which_the_first_variant_has_given_too_few_answers_rolls_nobody_back():
    random, guard = np.random.default_rng(7), guards.Latency(ratio=1, quantiles=[0.99], alpha=ALPHA)
    case = Case(stage=STAGE, primary=Tally(), challenger=Tally())

    for side, count in ((case.primary, 100), (case.challenger, 20_000)):
        for seconds in random.lognormal(-6, 1, count):
            side.answered(min(float(seconds), 0.01 if side is case.primary else 1.0))

    assert guard.judge(case).status == "fine"


def test_rows_that_are_always_logged_beside_a_sample_make_nobody_worse():
    """What is not just answered is always logged: a challenger that abstains on the rows that are hard for both is no worse."""
    random, rows = np.random.default_rng(7), 20_000
    ours, hard = random.random(rows) < 0.5, random.random(rows) < 0.3
    always = ours & hard
    frame = pl.DataFrame(
        {
            "arm": np.where(ours, CHALLENGER, PRIMARY),
            "unit": [str(unit) for unit in range(rows)],
            "propensity": 0.5,
            "shadow": False,
            "sampled": np.where(always, 1.0, 0.1),
            "value": np.where(hard, 0.0, 1.0),
        }
    ).filter(pl.Series(always | (random.random(rows) < 0.1)))

    effect = apart(frame, "value", alpha=ALPHA, planned=200)

    assert effect is not None
    assert effect.low < 0 < effect.high, effect.told()


def in_the_log(frame, *, always, fraction=0.1):
    """What is logged of requests: those of the sample, and some whatever it says."""
    chosen = np.array([bucket(request, salt="log") < fraction * BUCKETS for request in frame["request_id"]])
    said = frame.with_columns(pl.Series("sampled", np.where(always, 1.0, fraction)))
    return said.filter(pl.Series(always | chosen))


def test_pairs_that_are_always_logged_beside_a_sample_make_nobody_worse():
    """On the rows on which both abstain the challenger is worse, on the others better: of all requests they are a tenth."""
    random, rows = np.random.default_rng(7), 20_000
    hard = random.random(rows) < 0.1
    nature = random.normal(0, 0.3, rows)
    sides = [
        pl.DataFrame(
            {
                "arm": arm,
                "unit": [f"user-{row}" for row in range(rows)],
                "request_id": [f"r{row}" for row in range(rows)],
                "row": 0,
                "shadow": arm == CHALLENGER,
                "loss": nature + (np.where(hard, 0.9, -0.1) if arm == CHALLENGER else 0.0),
            }
        )
        for arm in (PRIMARY, CHALLENGER)
    ]

    logged = pl.concat(in_the_log(side, always=hard) for side in sides)
    effect = paired(logged, "loss", alpha=ALPHA, planned=200)

    assert effect.low <= 0 <= effect.high, effect.told()


def test_a_pair_is_as_likely_logged_as_its_row_that_is_likelier_left_out():
    """Only the challenger abstains on hard rows: these pairs are in the sample like all others."""
    random, rows = np.random.default_rng(7), 20_000
    hard = random.random(rows) < 0.1
    frame = {"unit": [f"user-{row}" for row in range(rows)], "request_id": [f"r{row}" for row in range(rows)]}
    ours = pl.DataFrame(
        {**frame, "arm": CHALLENGER, "row": 0, "shadow": True, "loss": np.where(hard, 1.0, 0.0)}
    )
    theirs = pl.DataFrame({**frame, "arm": PRIMARY, "row": 0, "shadow": False, "loss": 0.0})

    logged = pl.concat(
        [in_the_log(ours, always=hard), in_the_log(theirs, always=np.zeros(rows, dtype=bool))],
        how="diagonal_relaxed",
    )
    effect = paired(logged, "loss", alpha=ALPHA, planned=200)

    assert effect.low <= 0.1 <= effect.high, effect.told()


def test_answers_that_are_always_logged_beside_a_sample_are_no_drift():
    """Both sides answer alike, but the challenger hands its likeliest answers to a person: they are all logged."""
    random, rows = np.random.default_rng(7), 60_000
    ours, said = random.random(rows) < 0.5, random.random(rows)
    frame = pl.DataFrame(
        {
            "revision": 2,
            "arm": np.where(ours, CHALLENGER, PRIMARY),
            "unit": [str(row) for row in range(rows)],
            "request_id": [f"r{row}" for row in range(rows)],
            "probability": said,
            "prediction": 0.0,
            "outputs": pl.Series([None] * rows, dtype=pl.String),
            "inputs": "{}",
        }
    )

    logged = in_the_log(frame, always=ours & (said > 0.7))
    verdict = guards.Drift().judge(Case(stage=STAGE, logged=Rows(logged)))

    assert verdict.status == "fine", verdict.reason
    assert verdict.challenger < 0.1
