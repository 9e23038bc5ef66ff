from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from treadle.core.records import Revision, Variant
from treadle.serving.variants import choose

SUBJECTS = [f"passenger-{i}" for i in range(2_000)]


def revision(*weights):
    variants = tuple(Variant(name=f"v{i}", model="delay", version=i, weight=w) for i, w in enumerate(weights))
    return Revision(
        endpoint="delay",
        revision=1,
        variants=variants,
        created_at=datetime(2013, 1, 1, tzinfo=UTC),
        actor="test",
        reason="",
    )


def members(of, variant):
    return {subject for subject in SUBJECTS if choose(of, subject)[0].name == variant}


def test_one_variant_takes_everybody():
    chosen = choose(revision(1.0), "anybody")

    assert chosen == (revision(1.0).variants[0], "only variant")


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

    reasons = {choose(of, subject)[1].split()[0] for subject in SUBJECTS[:50]}

    assert reasons == {"bucket"}
