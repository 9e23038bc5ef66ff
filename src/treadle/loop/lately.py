"""How good an endpoint's answers were lately, beside the baseline on the same rows: in all, and by stretch of time."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from treadle.core.errors import InvalidInput
from treadle.core.records import Record
from treadle.evaluation.own import measure_of
from treadle.evaluation.verdicts import question
from treadle.loop import landed, live
from treadle.loop.rooms import Rooms
from treadle.monitoring.performance import normal_interval, start_of

#: How far back a look at what is now goes.
LATELY = timedelta(days=28)
_NONE = pl.DataFrame(schema={"start": pl.Datetime("us", "UTC"), "value": pl.Float64})


class Stretch(Record, frozen=True, kw_only=True):
    """A metric over a stretch of time, with its 95 % interval."""

    #: Beginning of the stretch; None: all of it.
    start: datetime | None
    #: Answers given, and those whose outcome is known.
    asked: int
    n: int = 0
    value: float | None = None
    low: float | None = None
    high: float | None = None
    #: The same metric of what the baseline would have said to the same rows; None: there is no baseline.
    baseline: float | None = None


class Lately(Record, frozen=True, kw_only=True):
    """How good an endpoint's answers were since a moment."""

    endpoint: str
    metric: str = ""
    greater_is_better: bool = False
    since: datetime | None = None
    #: Answers given, with a known outcome or without.
    asked: int = 0
    whole: Stretch | None = None
    #: By how much the metric is above that of the baseline on the same rows, and the 95 % interval of that; None: nobody can say.
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    stretches: tuple[Stretch, ...] = ()

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the interval of the difference lies on one side: the better one, the worse one, or (None) on neither."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return None
        return (self.low > 0) == self.greater_is_better


def lately(rooms: Rooms, endpoint: str, *, since: datetime | None, every: str) -> Lately:
    """Score the answers of an endpoint since a moment (None: all of them); nothing is written.

    Raises:
        NotFound: there is no such endpoint.
    """
    revision = rooms.endpoints.get(endpoint)
    logged = rooms.predictions().scan(endpoint)
    rows = (logged.filter(pl.col("at") >= since) if since is not None else logged).collect()
    wanted = rows.select("model", "version").unique(maintain_order=True).rows()
    versions = {(model, number): rooms.models.get(f"{model}/{number}") for model, number in wanted}
    asked = rows.group_by(start_of("at", every).alias("start")).len().sort("start")
    bare = Lately(
        endpoint=endpoint, since=since, asked=rows.height, stretches=_stretches(asked, _NONE, _NONE)
    )
    if not versions:
        return bare
    known = live.answered(rows, landed.outcomes_of(rooms, endpoint, rows.lazy()), versions)
    if known.is_empty():
        return bare
    first = rooms.models.get(f"{revision.variants[0].model}/{revision.variants[0].version}")
    task, told = rooms.project.task_of(first), first.signature
    # One line over time, whichever versions answered.
    whole = known.with_columns(pl.lit(0).alias("version"))
    against = whole.filter(pl.col("baseline").is_not_null()).with_columns(pl.col("baseline").alias("answer"))

    def scored(of: pl.DataFrame, stretch: str) -> pl.DataFrame:
        return live.scores(of, task=task, measure="", every=stretch, signature=told)

    mine = scored(whole, "all")
    metric = str(mine["metric"][0])
    difference, low, high = _difference(rooms, known, metric)
    total = pl.DataFrame({"start": [None], "len": [rows.height]}, schema=asked.schema)
    return Lately(
        endpoint=endpoint,
        metric=metric,
        greater_is_better=bool(measure_of(metric, question(task)).greater_is_better),
        since=since,
        asked=rows.height,
        whole=_stretches(total, mine, scored(against, "all"))[0],
        difference=difference,
        low=low,
        high=high,
        stretches=_stretches(asked, scored(whole, every), scored(against, every)),
    )


def _stretches(asked: pl.DataFrame, mine: pl.DataFrame, theirs: pl.DataFrame) -> tuple[Stretch, ...]:
    """Return every stretch in which something was asked, with what is known of it."""
    known = {row["start"]: row for row in mine.iter_rows(named=True)}
    beside = {row["start"]: row["value"] for row in theirs.iter_rows(named=True)}
    return tuple(
        Stretch(
            start=start,
            asked=count,
            baseline=beside.get(start),
            **{name: known[start][name] for name in ("n", "value", "low", "high") if start in known},
        )
        for start, count in asked.iter_rows()
    )


def _difference(
    rooms: Rooms, known: pl.DataFrame, metric: str
) -> tuple[float | None, float | None, float | None]:
    """Return the mean difference of the losses row by row, in the metric's direction, with its interval."""
    both = known.filter(pl.col("baseline").is_not_null())
    if both.height < 2:
        return None, None, None
    version = rooms.models.get("{}/{}".format(*known.select("model", "version").row(-1)))
    task = rooms.project.task_of(version)
    try:
        _, mine = live.losses(both, task=task, metric=metric, signature=version.signature)
        swapped = both.with_columns(pl.col("baseline").alias("answer"))
        _, theirs = live.losses(swapped, task=task, metric=metric, signature=version.signature)
    except InvalidInput:  # the metric is no mean over rows
        return None, None, None
    gap = mine["loss"].to_numpy() - theirs["loss"].to_numpy()
    if measure_of(metric, question(task)).greater_is_better:
        gap = -gap
    low, high = normal_interval(gap, 0.95)
    return float(gap.mean()), low, high
