"""Bandits learn: rewards that have matured become a new posterior, and the posterior a new revision of the endpoint.

The posterior is made anew of the whole log each time, so a tick that was missed or made twice changes nothing, and an
outcome that comes late, or is corrected, is counted at the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import polars as pl

from treadle.core.clock import Clock
from treadle.core.errors import Conflict, InvalidInput
from treadle.core.records import Revision
from treadle.core.traffic import Bandit
from treadle.monitoring import outcomes
from treadle.serving import bandit
from treadle.serving.bandit import Arm, Estimate
from treadle.serving.endpoints import Endpoints
from treadle.store.ledger.remembered import Remembered

#: Who changes an endpoint when a posterior does.
ACTOR = "bandit"
Scan = Callable[[str], pl.LazyFrame]


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What a bandit knows at a moment."""

    endpoint: str
    revision: Revision
    at: datetime
    arms: tuple[Arm, ...]
    #: What each variant would earn if it answered everybody, in units of the reward.
    estimates: tuple[Estimate, ...]
    #: Rewards that lay beyond the declared bounds, and counted as the nearer of the two.
    clipped: int

    @property
    def told(self) -> str:
        """The posterior in words."""
        said = [
            f"{arm.variant} {arm.rewards:,.6g} of {arm.n:,} ({arm.best:.1%} likely the best)"
            for arm in self.arms
        ]
        clipped = f"; {self.clipped:,} rewards lay beyond the bounds" if self.clipped else ""
        return f"posterior as of {self.at:%Y-%m-%dT%H:%M:%SZ}: {', '.join(said)}{clipped}"


class Bandits:
    """The bandits of a project's endpoints."""

    def __init__(self, endpoints: Endpoints, *, predictions: Scan, reported: Scan, clock: Clock) -> None:
        """Take the endpoints, and what reads their logged predictions and outcomes."""
        self._endpoints, self._clock = endpoints, clock
        self._predictions, self._reported = predictions, reported
        self._remembered = Remembered(endpoints.ledger)
        self._looked: dict[str, datetime] = {}

    def tick(self, say: Callable[[str], None] = lambda _: None) -> list[Revision]:
        """Make a new revision of each endpoint whose bandit has learnt enough to share its requests otherwise."""
        made = []
        for name, revision in self._remembered.of("bandits", self._there).items():
            if isinstance(revision.traffic, Bandit) and self._is_due(name, revision, revision.traffic):
                self._looked[name] = self._clock.now()
                try:
                    found = self._learn(self.learnt(name))
                except Conflict:
                    continue  # somebody changed the endpoint meanwhile: the next tick looks at what is there then
                if found is not None:
                    say(f"{name} is at revision {found.revision}: {found.reason}")
                    made.append(found)
        return made

    def learnt(self, endpoint: str) -> Learnt:
        """Return what the bandit of an endpoint knows now.

        Raises:
            NotFound: there is no such endpoint.
            InvalidInput: it has no bandit, or outcomes that are no numbers.
        """
        revision, now = self._endpoints.get(endpoint), self._clock.now()
        if not isinstance(revision.traffic, Bandit):
            msg = f"Endpoint {endpoint} has {type(revision.traffic).__name__.lower()} traffic, no bandit. Set one: treadle endpoints set."
            raise InvalidInput(msg, field="traffic")
        traffic = revision.traffic
        names = [variant.name for variant in revision.variants if not variant.shadow]
        rows, clipped = self._rewards(revision, traffic, now)
        arms = bandit.arms(bandit.rewards(rows, names))
        return Learnt(
            endpoint=endpoint,
            revision=revision,
            at=now,
            arms=tuple(arms),
            estimates=tuple(bandit.estimates(rows, names)),
            clipped=clipped,
        )

    def _there(self) -> dict[str, Revision]:
        now = self._endpoints.current()
        return {name: revision for name, revision in now.items() if isinstance(revision.traffic, Bandit)}

    def _is_due(self, name: str, revision: Revision, traffic: Bandit) -> bool:
        last = max(self._looked.get(name, revision.created_at), revision.created_at)
        return self._clock.now() - last >= timedelta(seconds=traffic.every)

    def _learn(self, learnt: Learnt) -> Revision | None:
        revision, traffic = learnt.revision, learnt.revision.traffic
        assert isinstance(traffic, Bandit)
        shares = dict(
            zip(
                [arm.variant for arm in learnt.arms],
                bandit.weights(learnt.arms, floor=traffic.floor),
                strict=True,
            )
        )
        moved = max(abs(shares[v.name] - v.weight) for v in revision.variants if v.name in shares)
        if moved < bandit.MOVES:
            return None
        variants = [
            msgspec.structs.replace(v, weight=shares.get(v.name, v.weight)) for v in revision.variants
        ]
        known = msgspec.structs.replace(
            traffic,
            since=traffic.since or revision.created_at,
            posterior={arm.variant: arm.posterior for arm in learnt.arms},
        )
        return self._endpoints.revise(
            learnt.endpoint,
            variants,
            actor=ACTOR,
            reason=learnt.told,
            expected=revision.revision,
            traffic=known,
        )

    def _rewards(self, revision: Revision, traffic: Bandit, now: datetime) -> tuple[pl.DataFrame, int]:
        """Return the rewards that count: `variant`, `propensity`, `sampled`, `reward` and `unit`, and how many were clipped."""
        name = revision.endpoint
        ready = now - timedelta(seconds=traffic.mature)
        versions = {variant.name: f"{variant.model}/{variant.version}" for variant in revision.variants}
        asked = self._predictions(name).filter(
            pl.col("at").is_between(traffic.since or revision.created_at, ready),
            pl.col("variant").replace_strict(versions, default=None)
            == pl.format("{}/{}", "model", "version"),
            # Whoever asks for a version by its number gets it: nothing was chosen.
            pl.col("propensity") < 1,
        )
        columns = [
            "prediction_id",
            "request_id",
            "subject",
            "key",
            "at",
            "revision",
            "variant",
            "propensity",
            "sampled",
            "prediction",
        ]
        found = outcomes.join(
            asked.select(columns).collect(), outcomes.reported(self._reported(name).collect())
        )
        if found["outcome"].dtype == pl.String and found["outcome"].count():
            msg = f"The outcomes of {name} are names, as {found['outcome'].drop_nulls()[0]!r}. A bandit's rewards are numbers, or true and false."
            raise InvalidInput(msg, field="reward")
        value = pl.col("outcome").cast(pl.Float64)
        if traffic.reward == "right":
            value = (value == pl.col("prediction")).cast(pl.Float64)
        scaled = (value - traffic.low) / (traffic.high - traffic.low)
        reward = scaled.clip(0, 1) if traffic.larger_is_better else 1 - scaled.clip(0, 1)
        rows = found.with_columns(
            reward.alias("reward"), ((scaled < 0) | (scaled > 1)).fill_null(value=False).alias("_clipped")
        )
        rows = (
            rows.with_columns(pl.col("reward").fill_null(0.0))
            if traffic.absent == "zero"
            else rows.drop_nulls("reward")
        )
        unit = pl.format(
            "{}~{}",
            "revision",
            pl.coalesce("subject", "request_id") if traffic.sticky == "subject" else "request_id",
        )
        wanted = rows.select("variant", "propensity", "sampled", "reward", unit.alias("unit"))
        return wanted, int(rows["_clipped"].sum())
