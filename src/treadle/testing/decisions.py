"""How often gates decide wrongly: rows are drawn from a population whose truth is known, again and again, and judged.

For metrics of one's own, too: `promoted(metric("my_metric"), n=500, repeats=2_000)`.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from treadle.evaluation.comparison import Comparison
from treadle.evaluation.gates.beats import Beats
from treadle.evaluation.gates.no_worse import NoWorse
from treadle.evaluation.intervals import interval
from treadle.evaluation.measures import Measure, metric
from treadle.evaluation.pair import Pair
from treadle.evaluation.quantiles import normal
from treadle.testing.populations import Population, populations_of

#: Above this, a draw is how often each row of the population came: the same rows, and the same answer, sooner.
_ROW_BY_ROW = 2_000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How often a gate promoted a candidate that it should not have, or should have."""

    metric: str
    population: str
    gate: str
    n: int
    repeats: int
    promoted: int
    #: Draws on which the metric had no value, or too few rows decided it; nothing is promoted on these.
    refused: int

    @property
    def rate(self) -> float:
        """The share of draws on which it was promoted."""
        return self.promoted / self.repeats

    def is_at_most(self, share: float, *, sure: float = 0.999) -> bool:
        """Return whether the rate is at most a share, within what chance does to so many draws."""
        most = share * self.repeats + normal(sure) * math.sqrt(self.repeats * share * (1 - share)) + 1
        return self.promoted <= most


def equal_promoted(measure: Measure, *, n: int, repeats: int, alpha: float = 0.05, task: str = "") -> Outcome:
    """Draw from twins, who are equal, and count how often `Beats` promotes one; `task` defaults to the metric's first."""
    twins = _populations(measure, task)["twins"]
    return count(Beats("champion", alpha=alpha), measure, twins, n=n, repeats=repeats)


def at_margin_promoted(
    measure: Measure,
    *,
    population: str,
    gate: str,
    n: int,
    repeats: int,
    alpha: float = 0.05,
    task: str = "",
) -> Outcome:
    """Draw from a population whose truth lies just on the gate's margin, and count how often it promotes.

    `beats`: the candidate is better by exactly the margin that is asked; `no_worse`: worse by the whole margin.
    """
    found = _populations(measure, task)[population].ordered(measure)
    better, worse = found.values(measure)
    if gate == "beats":
        return count(
            Beats("champion", alpha=alpha, margin=abs(better - worse)), measure, found, n=n, repeats=repeats
        )
    made = NoWorse("champion", alpha=alpha, margin=abs(better - worse) / abs(better))
    return count(made, measure, found.swapped(), n=n, repeats=repeats)


def count(
    gate: Beats | NoWorse, measure: Measure, population: Population, *, n: int, repeats: int
) -> Outcome:
    """Draw n rows of a population, or n groups, so often, and count how often a gate promotes the first predictor."""
    seed = zlib.crc32(f"{measure.name}/{population.name}/{gate.name}/{n}".encode())
    random = np.random.default_rng(seed)
    promoted = refused = 0
    scored = whole(population, measure)
    for _ in range(repeats):
        passed = decided(gate, drawn(population, measure, n=n, random=random, scored=scored))
        promoted += passed is True
        refused += passed is None
    return Outcome(
        metric=measure.name,
        population=population.name,
        gate=gate.name,
        n=n,
        repeats=repeats,
        promoted=promoted,
        refused=refused,
    )


def decided(gate: Beats | NoWorse, pair: Pair) -> bool | None:
    """Return whether a gate promotes the first predictor of a pair; None: there is no interval to decide on."""
    found = interval(pair, alpha=gate.alpha, method=gate.method)
    if not found.is_defined:
        return None
    compared = Comparison(candidate="candidate", reference="champion", pair=pair, interval=found)
    return gate.decide(compared).passed


def whole(population: Population, measure: Measure) -> Pair:
    """Return all rows of a population as a pair: what costs a pass over them is done once for all draws."""
    return Pair(measure=measure, y=population.y, first=population.first, second=population.second)


def drawn(
    population: Population,
    measure: Measure,
    *,
    n: int,
    random: np.random.Generator,
    scored: Pair | None = None,
) -> Pair:
    """Draw n rows of a population, independently; of one with groups, n groups.

    `scored` is the `whole` population, of which a draw may take what each row adds to the metric.
    """
    groups = population.groups
    if groups is not None and not population.by_query:
        return _groups_drawn(population, measure, n=n, random=random)
    if n > _ROW_BY_ROW or groups is not None:
        size = len(population) if groups is None else int(groups.max()) + 1
        often = random.multinomial(n, np.full(size, 1 / size)).astype(np.float64)
        counts = often if groups is None else often[groups.astype(np.int64)]
        given = scored or whole(population, measure)
        return given.drawn(counts, groups=groups)
    rows = random.integers(0, len(population), n)
    return Pair(
        measure=measure, y=population.y[rows], first=population.first[rows], second=population.second[rows]
    )


def _groups_drawn(population: Population, measure: Measure, *, n: int, random: np.random.Generator) -> Pair:
    groups = cast("np.ndarray[Any, Any]", population.groups).astype(np.int64)
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(groups.max() + 2))
    chosen = random.integers(0, groups.max() + 1, n)
    parts = [order[starts[group] : starts[group + 1]] for group in chosen]
    rows = np.concatenate(parts)
    codes = np.repeat(np.arange(n), [len(part) for part in parts])
    return Pair(
        measure=measure,
        y=population.y[rows],
        first=population.first[rows],
        second=population.second[rows],
        groups=codes,
    )


def _populations(measure: Measure, task: str) -> dict[str, Population]:
    return populations_of(measure, task=task)


def forecasts_promoted(
    *, moments: int, horizon: int, repeats: int, alpha: float = 0.05, method: str | None = None
) -> tuple[int, int]:
    """Make errors of two forecasts that are equally good, and count how often `Beats` promotes one: so many of so many.

    Errors of a forecast h moments ahead are sums of the last h surprises, as those of the best forecast of a random
    walk are.
    """
    random = np.random.default_rng(horizon * 1_000_003 + moments)
    measure, promoted = metric("mae"), 0
    gate = Beats("champion", alpha=alpha, method=method)
    for _ in range(repeats):
        surprises = random.normal(size=(2, moments + horizon - 1))
        first, second = (np.convolve(one, np.ones(horizon), mode="valid") for one in surprises)
        pair = Pair(
            measure=measure,
            y=np.zeros(moments),
            first=first,
            second=second,
            times=np.arange(moments),
            horizon=horizon,
        )
        promoted += bool(decided(gate, pair))
    return promoted, repeats
