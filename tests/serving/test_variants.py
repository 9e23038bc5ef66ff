from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from treadle.core.hashing import buckets
from treadle.core.records import Revision, Variant
from treadle.serving.variants import Router

MANY = [f"user-{i}" for i in range(1_000_000)]
SUBJECTS = [f"passenger-{i}" for i in range(2_000)]


def revision(*weights, holdout=0.0, endpoint="delay"):
    variants = tuple(Variant(name=f"v{i}", model="delay", version=i, weight=w) for i, w in enumerate(weights))
    return Revision(
        endpoint=endpoint,
        revision=1,
        variants=variants,
        holdout=holdout,
        created_at=datetime(2013, 1, 1, tzinfo=UTC),
        actor="test",
        reason="",
    )


def members(of, variant):
    names = Router(of).choose_many(SUBJECTS)
    return {subject for subject, name in zip(SUBJECTS, names, strict=True) if name == variant}


def assigned(*weights, **more):
    return np.array(Router(revision(*weights, **more)).choose_many(MANY))


def independent(one, other):
    """The p-value of a test on the table of counts."""
    table = np.unique(np.stack([one.astype(str), other.astype(str)]), axis=1, return_counts=True)
    rows, columns = (np.unique(side, return_inverse=True)[1] for side in table[0])
    counts = np.zeros((rows.max() + 1, columns.max() + 1))
    counts[rows, columns] = table[1]
    return stats.chi2_contingency(counts).pvalue


def test_one_variant_takes_everybody():
    chosen = Router(revision(1.0)).choose("anybody")

    assert (chosen.variant.name, chosen.reason, chosen.propensity) == ("v0", "only variant", 1.0)


def test_shares_are_as_the_weights_say():
    of = revision(0.7, 0.2, 0.1)

    shares = [len(members(of, f"v{i}")) / len(SUBJECTS) for i in range(3)]

    assert all(abs(share - weight) < 0.03 for share, weight in zip(shares, (0.7, 0.2, 0.1), strict=True))


@given(small=st.floats(0, 0.5), more=st.floats(0, 0.5))
def test_a_challenger_that_grows_keeps_everybody_it_has(small, more):
    before, after = revision(1 - small, small), revision(1 - small - more, small + more)

    kept = members(before, "v1") <= members(after, "v1")

    assert kept


@given(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.2), st.floats(0, 0.2))
def test_two_challengers_that_grow_at_once_keep_everybody_they_have(one, two, more, yet_more):
    before = revision(1 - one - two, one, two)
    after = revision(1 - one - two - more - yet_more, one + more, two + yet_more)

    kept = [members(before, name) <= members(after, name) for name in ("v1", "v2")]

    assert kept == [True, True]


def test_the_assignment_says_why():
    of = revision(0.5, 0.5)

    reasons = {Router(of).choose(subject).reason.split()[1] for subject in SUBJECTS[:50]}

    assert reasons == {"bucket"}


@pytest.mark.parametrize("weights", [(0.7, 0.2, 0.1), (1.0, 0.0), (0.3, 0.3, 0.2, 0.2)])
@pytest.mark.parametrize("holdout", [0.0, 0.1])
def test_many_subjects_are_assigned_as_each_by_itself(weights, holdout):
    router = Router(revision(*weights, holdout=holdout))

    assert router.choose_many(SUBJECTS) == [router.choose(subject).variant.name for subject in SUBJECTS]


def test_of_a_million_subjects_nobody_moves_who_was_in():
    steps = [assigned(1 - weight, weight) == "v1" for weight in (0.05, 0.1, 0.25, 0.5)]

    moved = [int((before & ~after).sum()) for before, after in pairwise(steps)]

    assert moved == [0, 0, 0]


def test_of_a_million_subjects_nobody_moves_who_was_in_beside_a_holdout():
    steps = [assigned(1 - weight, weight, holdout=0.1) for weight in (0.05, 0.5)]

    moved = int(((steps[0] == "v1") & (steps[1] != "v1")).sum())

    assert moved == 0


@pytest.mark.parametrize(("weights", "holdout"), [((0.95, 0.05), 0), ((0.7, 0.2, 0.1), 0), ((0.5, 0.5), 0.1)])
def test_shares_of_a_million_subjects_are_as_the_weights_say(weights, holdout):
    of = revision(*weights, holdout=holdout)

    names, counts = np.unique(assigned(*weights, holdout=holdout), return_counts=True)

    expected = [Router(of).propensities[name] * len(MANY) for name in names]
    assert stats.chisquare(counts, expected).pvalue > 0.001


def test_the_holdout_stays_with_the_first_variant_whatever_the_weights_are():
    held = buckets([MANY], salt="holdout/delay") < 1_000

    variants = {
        name for weight in (0.05, 0.5, 1.0) for name in assigned(1 - weight, weight, holdout=0.1)[held]
    }

    assert variants == {"v0"}


@pytest.mark.parametrize("salt", ["delay", "flights", "holdout/delay"])
def test_the_assignment_is_independent_of_splits_and_of_the_holdout(salt):
    parts = np.searchsorted([8_000, 9_000], buckets([MANY], salt=salt), side="right")

    assert independent(assigned(0.5, 0.5), parts) > 0.001


def test_the_assignment_is_independent_of_another_endpoints():
    assert independent(assigned(0.5, 0.5), assigned(0.5, 0.5, endpoint="fares")) > 0.001
