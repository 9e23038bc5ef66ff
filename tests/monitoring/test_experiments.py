"""What experiments conclude, from answers of which the truth is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from treadle.core.contrast import contrast
from treadle.core.errors import InvalidDeclaration
from treadle.core.sequential import mean_radius
from treadle.monitoring.experiment import Design, Experiment, OnlineMetric
from treadle.monitoring.experiments import Column, Seen, judged
from treadle.monitoring.spending import bounds

START = datetime(2026, 3, 2, tzinfo=UTC)
NOW = START + timedelta(days=10)
LOSS = Column(name="m", title="log_loss", larger_is_better=False)


def seen(units=4_000, *, effect=0.0, share=0.5, lost=0.0, harm=0.0, seed=1, guards=(), rows=1, days=10):
    """Answers of two variants: a loss of 1 ± 0.5, more by `effect` where the challenger answered.

    Of the challenger's units a share `lost` never reaches the log; the guard `g` is higher by `harm` there.
    """
    random = np.random.default_rng(seed)
    treated = random.random(units) < share
    there = ~(treated & (random.random(units) < lost))
    of = np.repeat(np.arange(units)[there], rows)
    on = treated[of]
    at = [START + timedelta(days=days * n / units) for n in of]
    frame = pl.DataFrame(
        {
            "arm": np.where(on, "treatment", "control"),
            "unit": [f"u{n}" for n in of],
            "revision": np.full(len(of), 3),
            "weight": 1 / np.where(on, share, 1 - share),
            "at": at,
            "known_at": at,
            "m": 1 + 0.5 * random.normal(size=len(of)) + effect * on,
            "g": 1 + 0.5 * random.normal(size=len(of)) + harm * on,
            "carrier": np.where(of % 3 == 0, "AA", "UA"),
        }
    ).with_columns(pl.col("at", "known_at").cast(pl.Datetime("us", "UTC")))
    return Seen(
        control="champion",
        treatment="challenger",
        since=START,
        rows=frame,
        metric=LOSS,
        guards=guards,
        shares={3: share},
    )


def told(experiment=None, **said):
    return judged(experiment or Experiment("x", endpoint="delay"), seen(**said), now=NOW)


def designed(**said):
    return Experiment("x", endpoint="delay", design=Design(**said))


@pytest.mark.parametrize(("effect", "expected"), [(-0.1, "better"), (0.1, "worse"), (0.0, "undecided")])
def test_a_difference_is_found_and_none_is_not(effect, expected):
    found = told(effect=effect)

    assert found.verdict == expected
    assert found.metric.low < effect < found.metric.high
    assert (found.metric.p < 0.05) == (expected != "undecided")
    assert found.units == 4_000


@pytest.mark.parametrize(("method", "planned"), [("always", None), ("once", 4)])
def test_a_handful_of_units_whose_values_happen_to_be_alike_decides_nothing(method, planned):
    few = seen(units=4)
    treated = pl.Series([False, False, True, True])
    rows = few.rows.with_columns(
        pl.when(treated).then(pl.lit("treatment")).otherwise(pl.lit("control")).alias("arm"),
        treated.cast(pl.Float64).alias("m"),
    )

    found = judged(designed(method=method, planned=planned), replace(few, rows=rows), now=NOW)

    assert found.verdict not in {"better", "worse"}
    assert (found.metric.control, found.metric.treatment, found.metric.low) == (0, 1, None)


def test_a_metric_that_is_good_when_large_turns_the_verdict_round():
    good = replace(seen(effect=0.1), metric=replace(LOSS, larger_is_better=True))

    assert judged(Experiment("x", endpoint="delay"), good, now=NOW).verdict == "better"


def test_sides_that_are_surely_alike_are_called_so():
    found = told(designed(effect=0.05), units=30_000)

    assert found.verdict == "same"
    assert "less than the 5.0% that are worth finding" in found.reason


def test_units_that_vanish_from_one_side_make_it_invalid_whatever_the_metric_says():
    found = told(units=20_000, effect=-0.5, lost=0.1)

    assert found.verdict == "invalid"
    assert "did not get their shares" in found.reason


def test_shares_of_a_sampled_log_say_nothing():
    sampled = replace(seen(units=20_000, effect=-0.5, lost=0.1), whole=False)

    found = judged(Experiment("x", endpoint="delay"), sampled, now=NOW)

    assert (found.verdict, found.ratio.told()) == ("better", "no units yet")


@pytest.mark.parametrize(("margin", "expected"), [(0.0, "harmful"), (0.5, "better")])
def test_a_guard_that_is_surely_worse_goes_before_a_better_metric(margin, expected):
    guard = Column(name="g", title="latency", larger_is_better=False, margin=margin)

    found = told(effect=-0.2, harm=0.2, guards=(guard,))

    assert found.verdict == expected
    assert found.guards[0].control == pytest.approx(1, abs=0.05)


def test_segments_show_where_and_hold_together():
    experiment = Experiment("x", endpoint="delay", segments=["carrier"])

    found = told(experiment, effect=-0.2)

    assert {(s.column, s.value) for s in found.segments} == {("carrier", "AA"), ("carrier", "UA")}
    one = next(s.difference for s in found.segments if s.value == "AA")
    assert one.high - one.low > found.metric.high - found.metric.low


def test_rows_of_one_subject_are_one_unit():
    once, often = told(units=2_000), told(units=2_000, rows=5)

    assert often.units == once.units == 2_000
    assert often.metric.n_control == once.metric.n_control


def test_how_long_it_takes_is_what_it_then_takes():
    early = told(units=2_000, effect=-0.02)
    assert early.verdict == "undecided"
    assert early.left == pytest.approx((early.needed - 2_000) / 2_000 * 10 * 86_400, rel=0.05)

    decided = [told(units=early.needed, effect=-0.02, seed=seed).verdict == "better" for seed in range(12)]

    assert sum(decided) >= 6  # a power of 80 %: fewer come about in one of 250 such tests


def test_planned_looks_tell_nothing_between_them_and_the_same_later():
    experiment = designed(method="looks", planned=4_000, looks=4)
    whole = seen(units=4_000, effect=-0.06, seed=5)

    def at(count):
        return judged(experiment, replace(whole, rows=whole.rows.head(count)), now=NOW)

    assert (at(900).looks, at(900).metric.low, at(900).verdict) == ((0, 4), None, "undecided")
    assert at(1_100).metric == at(1_900).metric
    assert at(2_100).looks == (2, 4)
    last = at(4_000)
    assert (last.verdict, last.is_over) == ("better", True)
    assert [at(n).metric for n in (3_950, 4_000) if at(n).is_over][-1] == last.metric


def test_all_planned_units_that_do_not_tell_end_it():
    found = told(designed(method="once", planned=3_000), units=3_000)

    assert (found.verdict, found.looks) == ("open", (1, 1))


def test_nothing_known_is_said_as_such():
    found = judged(
        Experiment("x", endpoint="delay", segments=["carrier"]),
        replace(seen(), rows=seen().rows.clear()),
        now=NOW,
    )

    assert (found.verdict, found.reason) == ("undecided", "log_loss: nothing is known yet.")
    assert found.waits() == "too little is known to say how long it takes"


KINDS = {
    "normal": (5_000, lambda random, n: random.normal(size=n)),
    "rare": (10_000, lambda random, n: (random.random(n) < 0.02).astype(float)),
    "heavy": (5_000, lambda random, n: random.lognormal(0, 1.5, n)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_looking_all_the_time_errs_no_more_often_than_promised(kind):
    """Equal sides, a look after every hundredth part; at full size in the documentation: 2,000 of each."""
    random, (units, draw) = np.random.default_rng(11), KINDS[kind]
    looks, repeats = range(units // 50, units + 1, units // 50), 100
    limits = bounds((0.2, 0.4, 0.6, 0.8, 1.0), alpha=0.05)

    wrong = {"always": 0, "looks": 0, "peeking": 0}
    for _ in range(repeats):
        values, treated = draw(random, units), random.random(units) < 0.5
        z, beyond = {}, False
        for n in looks:
            found = contrast(values[:n], weights=np.full(n, 2.0), treated=treated[:n], units=np.arange(n))
            z[n] = abs(found.difference) / np.sqrt(found.variance / n) if found.variance else 0.0
            radius = mean_radius(found.variance, n, alpha=0.05, planned=10_000)
            beyond |= found.variance > 0 and abs(found.difference) > radius
        wrong["always"] += beyond
        wrong["looks"] += any(z[units * k // 5] > limit for k, limit in enumerate(limits, start=1))
        wrong["peeking"] += any(one > 1.96 for one in z.values())

    # 99.9 % of such samples of a rate of 5 % have at most 13.
    assert wrong["always"] <= 13
    assert wrong["looks"] <= 13
    assert wrong["peeking"] > 16


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        (lambda: Experiment("", endpoint="delay"), "name"),
        (lambda: Experiment("x", endpoint=""), "endpoint"),
        (lambda: Experiment("x", endpoint="delay", control="a", treatment="a"), "treatment"),
        (lambda: Experiment("x", endpoint="delay", segments="carrier"), "segments"),
        (lambda: OnlineMetric(""), "value"),
        (lambda: OnlineMetric("latency", margin=-1), "margin"),
        (lambda: Design(method="often"), "method"),
        (lambda: Design(method="once"), "planned"),
        (lambda: Design(alpha=0), "alpha"),
        (lambda: Design(power=1), "power"),
        (lambda: Design(effect=0), "effect"),
        (lambda: Design(looks=0), "looks"),
        (lambda: Design(planned=3), "planned"),
    ],
)
def test_what_cannot_hold_is_refused(declared, field):
    with pytest.raises(InvalidDeclaration) as refused:
        declared()

    assert refused.value.field == field
