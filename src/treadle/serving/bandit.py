"""A multi-armed bandit by Thompson sampling, whose propensities are exact and whose choices can be replayed.

Thompson (1933) lets a variant answer as often as it is likely to be the best. That chance is computed once for each
posterior and becomes the variants' weights; a hash of subject (or request) and revision picks by them. So the
propensity that is logged is the very number that was used, and the same subject and revision give the same variant.
A new posterior is a new revision with another hash: what a subject got before says nothing about what it gets then,
which keeps estimates weighed by one over the propensity free of bias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import xxhash

from treadle.core.errors import InvalidInput
from treadle.core.hashing import seed_of
from treadle.core.records import Revision, Variant
from treadle.core.traffic import Bandit, Traffic
from treadle.serving.effects import kept
from treadle.serving.variants import Choice, Router

if TYPE_CHECKING:
    import polars as pl

#: Each variant before anything is known: any rate of rewards is as likely as another.
PRIOR = (1.0, 1.0)
#: How far the chances must move for a new revision to be made of them.
MOVES = 0.01
#: Digits behind the point to which shares are rounded; a floor like 1/30 has more.
_DIGITS = 6
_POINTS, _REACH = 2_000, 10.0
_WHOLE = 2.0**64


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one variant of a bandit."""

    variant: str
    #: Predictions that are old enough to count, and the sum of their rewards, each from 0 to 1, had all been equally likely logged.
    n: int
    rewards: float
    #: Its two posterior numbers (Beta), and how likely it is the best.
    posterior: tuple[float, float]
    best: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a variant would earn if it answered everybody, whoever it did answer, with the ends of its interval."""

    variant: str
    n: int
    value: float
    low: float
    high: float


class BanditRouter(Router):
    """Chooses among the variants of a bandit's revision."""

    def __init__(self, revision: Revision) -> None:
        """Work out once what is the same for all requests."""
        super().__init__(revision)
        assert isinstance(revision.traffic, Bandit)
        self.by_request = revision.traffic.sticky == "request"
        self._seed = seed_of(f"bandit/{revision.endpoint}/{revision.revision}")
        answering = [variant for variant in revision.variants if not variant.shadow]
        ends = np.cumsum([variant.weight for variant in answering])
        self._ends = [(variant, float(end)) for variant, end in zip(answering, ends, strict=True)]
        free = 1 - revision.holdout
        self.propensities = {variant.name: free * variant.weight for variant in answering}
        self.propensities[self._first.name] += revision.holdout

    def choose(self, subject: str, *, by: str = "subject") -> Choice:
        """Return the variant for a subject, or for a request."""
        if self.is_held(subject):
            return self._of(self._first, f"{by}: holdout")
        place = xxhash.xxh64_intdigest(subject.encode(), seed=self._seed) / _WHOLE
        for variant, end in self._ends:
            if place < end:
                return self._of(
                    variant, f"{by}: bandit, {variant.weight:.4g} likely the best, at {place:.6f}"
                )
        last = next(variant for variant, _ in reversed(self._ends) if variant.weight)
        return self._of(last, f"{by}: bandit, {last.weight:.4g} likely the best, at {place:.6f}")

    def choose_many(self, subjects: Sequence[str]) -> list[str]:
        """Return the name of the variant for each of many subjects."""
        return [self.choose(subject).variant.name for subject in subjects]


def router_of(revision: Revision) -> Router:
    """Return what chooses among a revision's variants."""
    return BanditRouter(revision) if isinstance(revision.traffic, Bandit) else Router(revision)


def check(traffic: Traffic, variants: Sequence[Variant]) -> None:
    """Make sure that a bandit can be.

    Raises:
        InvalidInput: it has fewer than two variants, or a number that cannot hold.
    """
    if not isinstance(traffic, Bandit):
        return
    answering = [variant for variant in variants if not variant.shadow]
    if len(answering) < 2:
        msg = f"The variants are {', '.join(v.name for v in variants)}. Expected two or more that answer, for a bandit."
        raise InvalidInput(msg, field="variants")
    if not 0 < traffic.floor <= 1 / len(answering):
        msg = f"The floor is {traffic.floor}. Expected more than 0, and at most 1/{len(answering)}: each variant keeps that share."
        raise InvalidInput(msg, field="traffic.floor")
    below = [variant for variant in answering if variant.weight < traffic.floor - 10**-_DIGITS]
    if below:
        msg = f"Variant {below[0].name} has the weight {below[0].weight}, below the floor of {traffic.floor}. Expected at least that."
        raise InvalidInput(msg, field="variants")
    if not traffic.low < traffic.high:
        msg = f"Rewards go from {traffic.low} to {traffic.high}. Expected the lower outcome first."
        raise InvalidInput(msg, field="traffic.low")
    if traffic.mature < 0 or traffic.every <= 0:
        msg = f"mature is {traffic.mature} and every {traffic.every}. Expected seconds: 0 or more, and more than 0."
        raise InvalidInput(msg, field="traffic.every" if traffic.mature >= 0 else "traffic.mature")


class Rewards(msgspec.Struct, frozen=True):
    """The rewards of one variant: how many rows, the sum of their rewards, and how many equally weighed rows they are worth."""

    n: int = 0
    total: float = 0.0
    #: None: as many as there are.
    worth: float | None = None


def rewards(rows: pl.DataFrame, variants: Sequence[str]) -> dict[str, Rewards]:
    """Add up each variant's rewards; `rows` has `variant` and `reward`, and may have `sampled`, the fraction that was logged.

    Rows that are always logged stand beside a sample of the others: each weighs as one over its fraction, so that the mean is
    that of all requests. Weights that differ make it less sure, so the rows are worth Kish's (sum of weights)² / (sum of
    their squares), and never more than there are: what was not logged is not known.
    """
    import polars as pl

    weight = pl.col("_weight")
    weighed = rows.with_columns((1 / kept(rows)).alias("_weight"))
    sums = weighed.group_by("variant").agg(
        pl.len(),
        ((pl.col("reward") * weight).sum() / weight.sum()).alias("mean"),
        (weight.sum() ** 2 / (weight**2).sum()).alias("worth"),
    )
    known = {name: Rewards(n, min(mean, 1.0) * n, min(worth, n)) for name, n, mean, worth in sums.iter_rows()}
    return {name: known.get(name, Rewards()) for name in variants}


def arms(found: Mapping[str, Rewards]) -> list[Arm]:
    """Return what is known of each variant, given its rewards.

    A reward between 0 and 1 counts as that much of a success and the rest of a failure, which is never surer than it may be.

    >>> [round(arm.best, 3) for arm in arms({"a": Rewards(100, 50.0), "b": Rewards(100, 50.0)})]
    [0.5, 0.5]
    """
    posteriors = [_posterior(one) for one in found.values()]
    chances = chances_best(posteriors)
    return [
        Arm(variant=name, n=one.n, rewards=one.total, posterior=posterior, best=best)
        for (name, one), posterior, best in zip(found.items(), posteriors, chances, strict=True)
    ]


def _posterior(found: Rewards) -> tuple[float, float]:
    worth = found.n if found.worth is None else found.worth
    total = found.total * worth / found.n if found.n else 0.0
    return PRIOR[0] + total, PRIOR[1] + worth - total


def weights(found: Sequence[Arm], *, floor: float) -> list[float]:
    """Return the variants' shares: the chances to be the best, with `floor` for each; they add up to 1.

    >>> weights([Arm(variant="a", n=0, rewards=0, posterior=(1, 1), best=1.0),
    ...          Arm(variant="b", n=0, rewards=0, posterior=(1, 1), best=0.0)], floor=0.1)
    [0.9, 0.1]
    """
    shares = [round(floor + (1 - len(found) * floor) * arm.best, _DIGITS) for arm in found]
    largest = max(range(len(shares)), key=shares.__getitem__)
    shares[largest] = round(1 - sum(share for place, share in enumerate(shares) if place != largest), _DIGITS)
    return shares


def chances_best(posteriors: Sequence[tuple[float, float]]) -> list[float]:
    """Return how likely each of some Beta variables is the largest, by quadrature on a grid that is dense where they are."""
    grid = _grid(posteriors)
    densities = [_density(grid, *posterior) for posterior in posteriors]
    below = [_below(grid, density) for density in densities]
    found = []
    for place, density in enumerate(densities):
        others = np.prod([one for at, one in enumerate(below) if at != place], axis=0)
        found.append(float(np.trapezoid(density * others, grid)))
    whole = sum(found)
    return [one / whole for one in found]


def _grid(posteriors: Sequence[tuple[float, float]]) -> np.ndarray:
    points = [np.linspace(1e-9, 1 - 1e-9, _POINTS)]
    for a, b in posteriors:
        mean = a / (a + b)
        reach = _REACH * math.sqrt(mean * (1 - mean) / (a + b + 1))
        points.append(np.linspace(max(1e-9, mean - reach), min(1 - 1e-9, mean + reach), _POINTS))
    return np.unique(np.concatenate(points))


def _density(grid: np.ndarray, a: float, b: float) -> np.ndarray:
    whole = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return np.asarray(np.exp(whole + (a - 1) * np.log(grid) + (b - 1) * np.log1p(-grid)))


def _below(grid: np.ndarray, density: np.ndarray) -> np.ndarray:
    steps = np.diff(grid) * (density[1:] + density[:-1]) / 2
    found = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(found / found[-1])


def estimates(rows: pl.DataFrame, variants: Sequence[str], *, z: float = 1.96) -> list[Estimate]:
    """Return what each variant would earn, each row weighed by one over how probable it was to be seen.

    `rows` has `variant`, `propensity`, `reward`, perhaps `sampled`, and `unit`, within which choices are not independent, as those of one
    subject by one revision. A row weighs as one over the fraction that was logged, too. Means are of weights that add up to 1 (Hájek), and whatever the bandit learnt meanwhile, their
    bias vanishes with the rows; a plain mean over what a variant answered would not lose its own.
    """
    import polars as pl

    reward, chance = (
        rows["reward"].to_numpy(),
        rows.with_columns(pl.col("propensity") * kept(rows))["propensity"].to_numpy(),
    )
    units = (
        np.unique(rows["unit"].to_numpy(), return_inverse=True)[1]
        if rows.height
        else np.empty(0, dtype=np.int64)
    )
    found = []
    for name in variants:
        own = (rows["variant"] == name).to_numpy()
        weight = own / chance
        whole = float(weight.sum())
        if not whole:
            found.append(Estimate(variant=name, n=0, value=math.nan, low=math.nan, high=math.nan))
            continue
        value = float((weight * reward).sum()) / whole
        parts = np.bincount(units, weights=weight * (reward - value))
        reach = z * math.sqrt(float((parts**2).sum())) / whole
        found.append(
            Estimate(variant=name, n=int(own.sum()), value=value, low=value - reach, high=value + reach)
        )
    return found
