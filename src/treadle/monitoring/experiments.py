"""Judges experiments on live traffic: differences with intervals that hold, the shares of the sides, and a verdict.

`always` uses asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2021), which hold at every look;
`looks` and `once` use group-sequential bounds on the units in the order in which their outcomes became known, so a look can be repeated.
Guards and segments hold at every look, whichever method decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist

import msgspec
import polars as pl

from treadle.core.contrast import Contrast, contrast
from treadle.core.sequential import mean_p, mean_radius
from treadle.monitoring import planning, ratio
from treadle.monitoring.experiment import Design, Experiment
from treadle.monitoring.findings import Difference, ExperimentResult, SegmentResult, Verdict
from treadle.monitoring.ratio import RatioCheck
from treadle.monitoring.spending import bounds

#: Values of an input that are shown apart, the most frequent ones.
_SEGMENTS = 12
#: Units at which an always-valid interval is narrowest for its kind, where nothing was planned.
_PLANNED = 10_000
#: Units of each side below which no always-valid interval is told: with fewer, sides whose values happen to be all alike look certain.
_LEAST = 50
_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the rows that holds a metric."""

    name: str
    title: str
    larger_is_better: bool
    #: As a guard: how much worse it may be, as a share of the control's value.
    margin: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What two variants answered while they shared an endpoint's requests.

    `rows` has `arm` (`control`, `treatment`), `unit`, `revision`, `weight` (one over the chance that the row was seen), `at`, `known_at`
    (null: the outcome is not known), the columns of metrics (null: not known), and those of segments. `shares` is the treatment's share, of
    the two, by revision.
    """

    control: str
    treatment: str
    since: datetime
    rows: pl.DataFrame
    metric: Column
    guards: tuple[Column, ...]
    shares: dict[int, float]
    #: Whether all answers were logged; the shares of a sampled log say nothing about those assigned.
    whole: bool = True


def judged(experiment: Experiment, seen: Seen, *, now: datetime) -> ExperimentResult:
    """Return what an experiment has found by now."""
    design, rows = experiment.design, seen.rows
    known = _known(rows, seen.metric)
    checked = _ratio(seen)
    found, looks = (
        (_difference(known, seen.metric, design), None)
        if design.method == "always"
        else _at_looks(known, seen.metric, design)
    )
    guards = tuple(_difference(_known(rows, guard), guard, design) for guard in seen.guards)
    units = known["unit"].n_unique()
    verdict, reason = _verdict(experiment, seen, found, guards, checked, looks)
    needed = design.planned if looks is not None else planning.needed(_contrast(known, seen.metric), design)
    return ExperimentResult(
        experiment=experiment.name,
        endpoint=experiment.endpoint,
        control=seen.control,
        treatment=seen.treatment,
        at=now,
        since=seen.since,
        revisions=tuple(sorted(seen.shares)),
        method=design.method,
        verdict=verdict,
        reason=reason,
        metric=found,
        guards=guards,
        segments=_segments(experiment, seen, known),
        ratio=checked,
        units=units,
        needed=needed,
        left=planning.left(known, units=units, needed=needed, now=now),
        looks=looks,
    )


def _known(rows: pl.DataFrame, column: Column) -> pl.DataFrame:
    return rows.drop_nulls(column.name).filter(pl.col(column.name).is_not_nan())


def _contrast(rows: pl.DataFrame, column: Column) -> Contrast | None:
    asked = rows.select(
        pl.col(column.name).cast(pl.Float64),
        "weight",
        (pl.col("arm") == "treatment").alias("treated"),
        (pl.col("unit").rank("dense") - 1).cast(pl.Int64),
    )
    return contrast(
        asked[column.name].to_numpy(),
        weights=asked["weight"].to_numpy(),
        treated=asked["treated"].to_numpy(),
        units=asked["unit"].to_numpy(),
    )


def _difference(
    rows: pl.DataFrame, column: Column, design: Design, *, share: float = 1.0, z: float | None = None
) -> Difference:
    """Return a metric's difference: always valid with `share` of the design's alpha, or with the bound of a planned look."""
    found = _contrast(rows, column)
    counts = rows.group_by("arm").agg(pl.col("unit").n_unique())
    units = dict(counts.iter_rows())
    empty = Difference(
        metric=column.title,
        larger_is_better=column.larger_is_better,
        n_control=units.get("control", 0),
        n_treatment=units.get("treatment", 0),
    )
    if found is None:
        return empty
    # A planned look is the user's own choice of units; that they vary is what it goes by.
    if min(found.n_control, found.n_treatment) < _LEAST and (z is None or not found.variance):
        return msgspec.structs.replace(empty, control=found.control, treatment=found.treatment)
    alpha, error = design.alpha * share, math.sqrt(found.variance / found.n)
    planned = max(design.planned or _PLANNED, 2)
    if z is None:
        radius = mean_radius(found.variance, found.n, alpha=alpha, planned=planned)
        p = mean_p(found.difference, found.variance, found.n, alpha=alpha, planned=planned)
    else:
        radius = z * error
        p = 2 * _NORMAL.cdf(-abs(found.difference) / error) if error else float(found.difference == 0)
    return Difference(
        metric=column.title,
        larger_is_better=column.larger_is_better,
        n_control=found.n_control,
        n_treatment=found.n_treatment,
        control=found.control,
        treatment=found.treatment,
        low=found.difference - radius,
        high=found.difference + radius,
        p=p,
    )


def _at_looks(known: pl.DataFrame, column: Column, design: Design) -> tuple[Difference, tuple[int, int]]:
    """Return the difference at the first planned look that decides, or at the last one that was reached."""
    assert design.planned is not None
    limits = bounds(design.fractions, alpha=design.alpha)
    arrived = known.group_by("unit").agg(pl.col("known_at").min()).sort("known_at", "unit")["known_at"]
    # Until the first look nothing may be told but how much is known.
    found = _difference(known.clear(), column, design)
    counts = dict(known.group_by("arm").agg(pl.col("unit").n_unique()).iter_rows())
    made = 0
    for fraction, limit in zip(design.fractions, limits, strict=True):
        count = math.ceil(fraction * design.planned)
        if arrived.len() < count:
            break
        made += 1
        by_then = known.filter(pl.col("known_at") <= arrived[count - 1])
        found = _difference(by_then, column, design, z=limit)
        if found.is_better or found.is_worse:
            break
    if not made:
        found = Difference(
            metric=column.title,
            larger_is_better=column.larger_is_better,
            n_control=counts.get("control", 0),
            n_treatment=counts.get("treatment", 0),
        )
    return found, (made, len(limits))


def _ratio(seen: Seen) -> RatioCheck:
    """Compare the units of each side, where each is first seen, with the shares of that revision."""
    first = seen.rows.sort("at").unique("unit", keep="first") if seen.whole else seen.rows.clear()
    strata = []
    for revision, share in seen.shares.items():
        counts = dict(first.filter(revision=revision)["arm"].value_counts().iter_rows())
        strata.append((counts, {"control": 1 - share, "treatment": share}))
    return ratio.check(strata)


def _segments(experiment: Experiment, seen: Seen, known: pl.DataFrame) -> tuple[SegmentResult, ...]:
    asked = [
        (column, value)
        for column in experiment.segments
        for value in known[column].drop_nulls().value_counts(sort=True).head(_SEGMENTS)[column]
    ]
    return tuple(
        SegmentResult(
            column=column,
            value=str(value),
            difference=_difference(
                known.filter(pl.col(column) == value), seen.metric, experiment.design, share=1 / len(asked)
            ),
        )
        for column, value in asked
    )


def _verdict(
    experiment: Experiment,
    seen: Seen,
    found: Difference,
    guards: Sequence[Difference],
    checked: RatioCheck,
    looks: tuple[int, int] | None,
) -> tuple[Verdict, str]:
    told, design = found.told(), experiment.design
    if checked.is_broken:
        return (
            "invalid",
            f"the sides did not get their shares: {checked.told()}. Find out what keeps answers of one side out of the log.",
        )
    for guard, column in zip(guards, seen.guards, strict=True):
        if guard.is_worse_by(column.margin):
            accepted = f"{column.margin:.1%} more is accepted" if column.margin else "none of it is accepted"
            return "harmful", f"{seen.treatment} is surely worse on a guard: {guard.told()}; {accepted}."
    if found.is_better or found.is_worse:
        way = "better" if found.is_better else "worse"
        return (
            "better" if found.is_better else "worse"
        ), f"{seen.treatment} is {way} than {seen.control}: {told}."
    if found.is_within(design.effect):
        return "same", f"{told}: less than the {design.effect:.1%} that are worth finding."
    if looks is not None and looks[0] == looks[1]:
        return (
            "open",
            f"{told}. All {design.planned:,} planned units are known, and the two cannot be told apart.",
        )
    return "undecided", f"{told}."
