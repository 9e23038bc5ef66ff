"""Thompson sampling whose propensities are the numbers that were used."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from scipy import stats

from treadle.core.errors import InvalidInput
from treadle.core.records import Revision, Variant
from treadle.core.traffic import Bandit
from treadle.serving.bandit import (
    Arm,
    BanditRouter,
    Rewards,
    arms,
    chances_best,
    check,
    estimates,
    rewards,
    weights,
)

NAMES = ("old", "new")


def revision(*shares, number=1, holdout=0.0, **traffic):
    variants = tuple(
        Variant(name=n, model="m", version=v, weight=w)
        for v, (n, w) in enumerate(zip(NAMES, shares, strict=False), 1)
    )
    return Revision(
        endpoint="delay",
        revision=number,
        variants=variants,
        traffic=Bandit(**traffic),
        holdout=holdout,
        created_at=datetime(2013, 1, 1, tzinfo=UTC),
        actor="test",
        reason="",
    )


@pytest.mark.parametrize(
    "posteriors",
    [
        [(1, 1), (1, 1)],
        [(3, 8), (5, 5)],
        [(1, 3), (2, 9), (4, 4)],
        [(1_001, 9_001), (1_051, 8_951)],
        [(500_001, 500_001), (500_801, 499_201)],
    ],
)
def test_chances_to_be_the_best_are_those_of_a_million_draws(posteriors):
    random = np.random.default_rng(2)

    found = chances_best(posteriors)

    draws = np.stack([random.beta(a, b, 1_000_000) for a, b in posteriors])
    counted = np.bincount(draws.argmax(axis=0), minlength=len(posteriors)) / 1e6
    assert found == pytest.approx(counted.tolist(), abs=0.003)
    assert sum(found) == pytest.approx(1)


def test_every_variant_keeps_the_floor():
    shares = weights(
        arms({"old": Rewards(10_000, 9_000.0), "new": Rewards(10_000, 1_000.0), "third": Rewards(10, 1.0)}),
        floor=0.05,
    )

    assert shares == [0.9, 0.05, 0.05]


def test_the_same_subject_and_revision_give_the_same_variant_and_another_revision_asks_anew():
    subjects = [f"s{n}" for n in range(4_000)]

    first, again, later = (
        np.array(BanditRouter(revision(0.5, 0.5, number=n)).choose_many(subjects)) for n in (1, 1, 2)
    )

    assert (first == again).all()
    assert (
        stats.chi2_contingency(
            [[(first[later == name] == other).sum() for other in NAMES] for name in NAMES]
        ).pvalue
        > 0.001
    )


@pytest.mark.parametrize("holdout", [0.0, 0.2])
def test_variants_are_chosen_as_often_as_their_propensity_says(holdout):
    router = BanditRouter(revision(0.123, 0.877, holdout=holdout))

    chosen = [router.choose(f"s{n}") for n in range(50_000)]

    for name in NAMES:
        own = [one.propensity for one in chosen if one.variant.name == name]
        (propensity,) = set(own)
        assert stats.binomtest(len(own), len(chosen), propensity).pvalue > 0.001
    assert router.propensities["new"] == pytest.approx(0.877 * (1 - holdout))


def simulated(seed, *, means, rounds=24, each=400, floor=0.05, delay=2):
    """Return the log of a bandit whose rewards are known some rounds later, and its regret."""
    random = np.random.default_rng(seed)
    shares, log, regret = [1 / len(means)] * len(means), [], 0.0
    for number in range(rounds):
        router = BanditRouter(revision(*shares, number=number + 1))
        subjects = [f"{seed}-{n}" for n in random.integers(0, 5_000, each)]
        chosen = np.array(router.choose_many(subjects))
        mean = np.select([chosen == name for name in NAMES], means)
        log.append(
            pl.DataFrame(
                {
                    "variant": chosen,
                    "propensity": [router.propensities[name] for name in chosen],
                    "reward": (random.random(each) < mean).astype(float),
                    "unit": [f"{number}~{subject}" for subject in subjects],
                }
            )
        )
        regret += (max(means) - mean).sum()
        known = pl.concat(log[: max(0, number + 1 - delay)] or [log[0].clear()])
        shares = weights(arms(rewards(known, NAMES)), floor=floor)
    return pl.concat(log), regret


def test_a_bandit_earns_more_than_an_even_split_and_its_estimates_have_no_bias():
    means, runs = (0.10, 0.16), 40

    logs = [simulated(seed, means=means) for seed in range(runs)]
    found = [estimates(log, NAMES) for log, _ in logs]

    even = 24 * 400 * (means[1] - means[0]) / 2
    assert np.mean([regret for _, regret in logs]) < 0.45 * even
    for place, mean in enumerate(means):
        values = np.array([one[place].value for one in found])
        covered = np.mean([one[place].low <= mean <= one[place].high for one in found])
        assert abs(values.mean() - mean) < 3 * values.std(ddof=1) / np.sqrt(runs)
        assert covered >= 0.85
    plain = np.mean([log.filter(variant="old")["reward"].mean() for log, _ in logs])
    assert (
        plain < means[0]
    )  # a mean of what the worse one answered is too low: it was left when it was unlucky


def test_a_variant_that_never_answered_has_no_estimate():
    rows = pl.DataFrame({"variant": ["old"], "propensity": [0.9], "reward": [1.0], "unit": ["a"]})

    old, new = estimates(rows, NAMES)

    assert (old.value, new.n) == (1.0, 0)
    assert np.isnan(new.value)


def test_what_is_always_logged_beside_a_sample_does_not_pass_for_all_requests():
    """The better variant hands a fifth of its rows to a person, who finds them worthless; these are all logged."""
    random, n = np.random.default_rng(3), 200_000
    new = random.random(n) < 0.5
    handed = new & (random.random(n) < 0.2)
    means = {"old": 0.5, "new": 0.8 * 0.7}
    rows = pl.DataFrame(
        {
            "variant": np.where(new, "new", "old"),
            "propensity": 0.5,
            "sampled": np.where(handed, 1.0, 0.1),
            "reward": (random.random(n) < np.where(handed, 0.0, np.where(new, 0.7, 0.5))).astype(float),
            "unit": [str(one) for one in range(n)],
        }
    ).filter(pl.Series(handed | (random.random(n) < 0.1)))

    known = arms(rewards(rows, NAMES))
    found = estimates(rows, NAMES)

    assert known[1].best > 0.999
    for arm, estimate in zip(known, found, strict=True):
        assert arm.rewards / arm.n == pytest.approx(means[arm.variant], abs=0.03)
        assert estimate.low <= means[arm.variant] <= estimate.high


def test_a_sample_makes_a_posterior_less_sure_and_not_surer():
    even = pl.DataFrame({"variant": ["old"] * 100, "reward": [1.0, 0.0] * 50, "sampled": [0.01] * 100})
    mixed = pl.DataFrame(
        {"variant": ["old"] * 100, "reward": [1.0] * 50 + [0.0] * 50, "sampled": [1.0] * 50 + [0.1] * 50}
    )

    (plain,), (uneven,) = (arms(rewards(rows, ["old"])) for rows in (even, mixed))

    assert plain.posterior == pytest.approx((51, 51))
    assert uneven.n == 100
    assert sum(uneven.posterior) - 2 == pytest.approx(550**2 / (50 + 5_000))
    assert uneven.posterior[0] - 1 == pytest.approx(50 / 550 * 550**2 / 5_050)


@pytest.mark.parametrize(
    ("shares", "traffic", "field"),
    [
        ((1.0,), {}, "variants"),
        ((0.99, 0.01), {"floor": 0.02}, "variants"),
        ((0.5, 0.5), {"floor": 0.6}, "traffic.floor"),
        ((0.5, 0.5), {"floor": 0.0}, "traffic.floor"),
        ((0.5, 0.5), {"low": 1.0}, "traffic.low"),
        ((0.5, 0.5), {"every": 0.0}, "traffic.every"),
        ((0.5, 0.5), {"mature": -1.0}, "traffic.mature"),
    ],
)
def test_what_cannot_be_a_bandit_is_refused(shares, traffic, field):
    of = revision(*shares, **traffic)

    with pytest.raises(InvalidInput) as refused:
        check(of.traffic, of.variants)

    assert refused.value.field == field


@pytest.mark.parametrize(("floor", "count"), [(1 / 30, 2), (1 / 7, 2), (1 / 3, 3)])
def test_shares_at_a_floor_with_many_digits_are_accepted(floor, count):
    found = [
        Arm(variant=str(one), n=0, rewards=0, posterior=(1, 1), best=float(one == 0)) for one in range(count)
    ]

    shares = weights(found, floor=floor)

    variants = [
        Variant(name=str(n), model="delay", version=n, weight=share) for n, share in enumerate(shares)
    ]
    check(Bandit(floor=floor), variants)
    assert sum(shares) == pytest.approx(1)
