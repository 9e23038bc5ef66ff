"""Endpoints learn which variant earns most, from outcomes as they mature."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from treadle.core.clock import ManualClock
from treadle.core.errors import Conflict, InvalidInput
from treadle.core.records import Variant
from treadle.core.signature import Field, Signature
from treadle.core.traffic import Bandit
from treadle.loop.bandits import Bandits
from treadle.serving.bandit import router_of
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.endpoints import Endpoints
from treadle.serving.entries import OutcomeEntry
from treadle.serving.frames import OUTCOMES, PREDICTIONS, tables_of
from treadle.store.ledger.ledger import Ledger

HOUR = 3600.0


class Model:
    """A model that says yes."""

    signature = Signature(
        inputs=(Field(name="x", kind="float"),),
        outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
    )

    def predict(self, columns):
        rows = len(columns["x"])
        return {"prediction": np.ones(rows, dtype=bool), "probability": np.full(rows, 0.7)}


class Shop:
    """An endpoint with two variants, its log in memory, and outcomes that come later."""

    def __init__(self, ledger: Ledger, clock: ManualClock, **traffic) -> None:
        self.clock, self.random = clock, np.random.default_rng(4)
        self.endpoints = Endpoints(ledger, clock)
        variants = [
            Variant(name=n, model="offer", version=v, weight=0.5) for v, n in enumerate(("old", "new"), 1)
        ]
        self.endpoints.revise(
            "offer", variants, actor="test", reason="try", expected=0, traffic=Bandit(**traffic)
        )
        self.plane = Dataplane(self.endpoints.current, lambda variant: Model(), clock=clock)
        self.entries: list = []
        self.bandits = Bandits(
            self.endpoints, predictions=self.scan("predictions"), reported=self.scan("outcomes"), clock=clock
        )

    def scan(self, kind):
        columns = PREDICTIONS if kind == "predictions" else OUTCOMES

        def read(endpoint):
            found = tables_of(self.entries).get(f"{kind}/{endpoint}")
            return (pl.DataFrame(schema=columns) if found is None else found).lazy()

        return read

    def ask(self, count, *, rates=(0.1, 0.6), report=True, sampled=1.0):
        """Ask for predictions, and report how each turned out."""
        self.plane.refresh()
        for number in range(count):
            # Ids decide who is asked: the same ones, the same answers.
            name = f"r{len(self.entries)}-{number}"
            answer = self.plane.predict(
                "offer", Call(read=lambda reader: reader.objects([{"x": 1.0}]), received=0.0, id=name)
            )
            self.entries.append(msgspec.structs.replace(answer.entry(), sampled=sampled))
            if report:
                self.report(f"{answer.id}-0", float(self.random.random() < rates[answer.variant.version - 1]))

    def report(self, prediction, value):
        at = int(self.clock.now().timestamp() * 1e6)
        self.entries.append(
            OutcomeEntry(
                request_id=f"o-{len(self.entries)}",
                endpoint="offer",
                at=at,
                predictions=[prediction],
                keys=[None],
                values=[value],
            )
        )

    def weights(self):
        return {variant.name: variant.weight for variant in self.endpoints.get("offer").variants}


@pytest.fixture
def shop(tmp_path, clock: ManualClock) -> Iterator:
    ledgers = []

    def make(**traffic):
        ledgers.append(Ledger.open("sqlite:///ledger.db", root=tmp_path))
        return Shop(ledgers[-1], clock, **traffic)

    yield make
    for ledger in ledgers:
        ledger.close()


def test_a_posterior_is_a_revision_that_says_why(shop, clock):
    endpoint = shop(every=HOUR)
    endpoint.ask(200)
    clock.advance("1h")

    (made,) = endpoint.bandits.tick()

    assert (made.revision, made.actor) == (2, "bandit")
    assert made.reason.startswith("posterior as of ")
    assert "likely the best" in made.reason
    assert endpoint.weights() == {"old": 0.02, "new": 0.98}
    learnt = endpoint.bandits.learnt("offer")
    assert made.traffic.posterior == {arm.variant: arm.posterior for arm in learnt.arms}
    assert sum(arm.n for arm in learnt.arms) == 200
    low, high = learnt.estimates[1].low, learnt.estimates[1].high
    assert low <= 0.6 <= high


def test_it_goes_on_from_all_that_was_ever_known_and_settles(shop, clock):
    endpoint = shop(every=HOUR)
    for _ in range(3):
        endpoint.ask(150)
        clock.advance("1h")
        endpoint.bandits.tick()

    assert endpoint.endpoints.get("offer").revision == 2  # the weights no longer move
    assert sum(arm.n for arm in endpoint.bandits.learnt("offer").arms) == 450


def test_nothing_is_written_before_it_is_due_or_where_nothing_is_known(shop, clock):
    endpoint = shop(every=HOUR)
    endpoint.ask(100, report=False)
    clock.advance("59m")
    early = endpoint.bandits.tick()
    clock.advance("2m")
    unknown = endpoint.bandits.tick()

    assert (early, unknown) == ([], [])
    assert endpoint.endpoints.get("offer").revision == 1


def test_rewards_count_when_they_have_matured_and_not_when_they_come(shop, clock):
    endpoint = shop(every=HOUR, mature=24 * HOUR, absent="zero")
    endpoint.ask(50, rates=(1.0, 1.0))
    clock.advance("23h")
    young = endpoint.bandits.learnt("offer")
    clock.advance("2h")
    endpoint.ask(50, report=False)
    clock.advance("24h")
    old = endpoint.bandits.learnt("offer")

    assert sum(arm.n for arm in young.arms) == 0
    assert (sum(arm.n for arm in old.arms), sum(arm.rewards for arm in old.arms)) == (100, 50)


def test_being_right_can_be_what_is_rewarded(shop, clock):
    right = shop(reward="right")
    right.ask(40, rates=(1.0, 0.0))
    clock.advance("1h")

    old, new = right.bandits.learnt("offer").arms

    assert (old.rewards, new.rewards) == (old.n, 0)


def test_rows_of_which_all_were_logged_weigh_less_than_those_of_a_sample(shop, clock):
    endpoint = shop(every=HOUR)
    endpoint.ask(60, rates=(1.0, 1.0), sampled=0.1)
    endpoint.ask(60, rates=(0.0, 0.0))
    clock.advance("1h")

    learnt = endpoint.bandits.learnt("offer")

    for arm, estimate in zip(learnt.arms, learnt.estimates, strict=True):
        share = arm.rewards / arm.n
        assert share == pytest.approx(estimate.value)
        assert share > 0.8  # by the rows, about a half


def test_outcomes_beyond_the_bounds_count_as_the_bound_and_are_told(shop, clock):
    endpoint = shop(low=0.0, high=50.0, larger_is_better=False)
    endpoint.ask(1, report=False)
    endpoint.report(f"{endpoint.entries[0].request_id}-0", 80.0)
    endpoint.ask(1, report=False)
    endpoint.report(f"{endpoint.entries[-1].request_id}-0", 10.0)
    clock.advance("1h")

    learnt = endpoint.bandits.learnt("offer")

    assert sum(arm.rewards for arm in learnt.arms) == pytest.approx(0.8)
    assert learnt.told.endswith("; 1 rewards lay beyond the bounds")


def test_a_change_by_somebody_else_is_left_alone(shop, clock):
    endpoint = shop(every=HOUR)
    endpoint.ask(200)
    clock.advance("1h")
    learnt = endpoint.bandits.learnt("offer")
    alone = [Variant(name="old", model="offer", version=1)]
    endpoint.endpoints.revise("offer", alone, actor="a person", reason="stop", expected=1)

    assert endpoint.bandits.tick() == []
    with pytest.raises(Conflict, match="is at revision 2"):
        endpoint.bandits._learn(learnt)
    with pytest.raises(InvalidInput, match="has split traffic, no bandit"):
        endpoint.bandits.learnt("offer")


def test_a_choice_can_be_replayed_from_the_log_and_the_revision(shop, clock):
    endpoint = shop(every=HOUR)
    for _ in range(2):
        endpoint.ask(100)
        clock.advance("1h")
        endpoint.bandits.tick()

    revisions = {one.revision: one for one in endpoint.endpoints.revisions("offer")}
    predictions = [one for one in endpoint.entries if hasattr(one, "variant")]
    replayed = [router_of(revisions[one.revision]).choose(one.request_id) for one in predictions]
    assert [(one.variant, one.propensity) for one in predictions] == [
        (one.variant.name, one.propensity) for one in replayed
    ]
    assert {one.revision for one in predictions} == {1, 2}
    assert timedelta(hours=2) == clock.now() - revisions[1].created_at
