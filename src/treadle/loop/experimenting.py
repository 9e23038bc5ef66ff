"""Experiments on live traffic: the answers of two variants of an endpoint, their outcomes, and what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
import polars as pl

from treadle.core.clock import parse_span
from treadle.core.encoded import json_path
from treadle.core.errors import InvalidDeclaration, InvalidInput, closest, not_found
from treadle.core.records import ModelVersion, Revision, Variant
from treadle.core.traffic import Bandit, Split
from treadle.evaluation.own import measure_of
from treadle.evaluation.verdicts import question
from treadle.loop import landed, live
from treadle.loop.rooms import Rooms
from treadle.monitoring import experiments
from treadle.monitoring.experiment import Experiment, OnlineMetric
from treadle.monitoring.experiments import Column, Seen
from treadle.monitoring.findings import ExperimentResult
from treadle.serving.bandit import router_of

#: Answers that are looked at, the newest ones.
_MOST = 5_000_000
_PARTS = ("prediction_id", "request_id", "row", "variant", "revision", "model", "version", "propensity")
_SAID = ("sampled", "at", "subject", "key", "prediction", "probability", "confidence", "latency")
_COLUMNS = (*_PARTS, *_SAID, "outputs", "decision")


@dataclass(frozen=True)
class _Shared:
    """The revisions, one after the other, in which the same two versions shared an endpoint's requests."""

    control: Variant
    treatment: Variant
    since: datetime
    until: datetime | None
    shares: Mapping[int, float]


class Experimenting:
    """The experiments of a project: those that are declared, and each endpoint that two variants share."""

    def __init__(self, rooms: Rooms) -> None:
        """Take the rooms."""
        self._rooms = rooms

    def list(self) -> list[Experiment]:
        """Return the declared experiments, and one for each other endpoint whose requests are shared now."""
        declared = list(self._rooms.project.experiments.values())
        taken = {one.endpoint for one in declared} | {one.name for one in declared}
        shared = [
            name
            for name, revision in sorted(self._rooms.endpoints.current().items())
            if name not in taken and _sides(Experiment(name, endpoint=name), revision) is not None
        ]
        return [*declared, *(Experiment(name, endpoint=name) for name in shared)]

    def get(self, name: str) -> Experiment:
        """Return an experiment by its name, or that of an endpoint.

        Raises:
            NotFound: there is neither.
        """
        declared = self._rooms.project.experiments
        if name in declared:
            return declared[name]
        if name in self._rooms.endpoints.names():
            return Experiment(name, endpoint=name)
        raise not_found("experiment or endpoint", name, [*declared, *self._rooms.endpoints.names()])

    def result(self, experiment: str | Experiment) -> ExperimentResult:
        """Return what an experiment has found by now.

        >>> ws.experiments.result("delay").told()                         # doctest: +SKIP

        Raises:
            NotFound: there is no such experiment, endpoint or variant.
            InvalidInput: no two variants have shared the requests yet, or a metric cannot be taken.
        """
        asked = self.get(experiment) if isinstance(experiment, str) else experiment
        now = self._rooms.clock.now()
        shared = _shared(asked, self._rooms.endpoints.revisions(asked.endpoint))
        rows = self._rows(asked, shared, now)
        known = self._known(asked, shared, rows)
        found = [self._column(metric, number, shared, known) for number, metric in enumerate(_metrics(asked))]
        segments = self._segments(asked, shared)
        columns, frames = [column for column, _ in found], [frame for _, frame in found]
        seen = Seen(
            control=shared.control.name,
            treatment=shared.treatment.name,
            since=shared.since,
            rows=_rows_of(known, shared, frames).with_columns(segments).drop("inputs"),
            metric=columns[0],
            guards=tuple(columns[1:]),
            shares=dict(shared.shares),
            whole=bool((rows["sampled"] == 1).all()),
        )
        return experiments.judged(asked, seen, now=now)

    def _rows(self, asked: Experiment, shared: _Shared, now: datetime) -> pl.DataFrame:
        """Return the answers of the two that lots were drawn for."""
        sides = (shared.control, shared.treatment)
        ready = now - parse_span(asked.mature)
        wanted = (
            pl.col("at").is_between(shared.since, min(ready, shared.until or ready))
            & pl.col("revision").is_in(list(shared.shares))
            & (pl.col("propensity") < 1)
            & pl.any_horizontal(
                (pl.col("variant") == side.name)
                & (pl.col("model") == side.model)
                & (pl.col("version") == side.version)
                for side in sides
            )
        )
        scan = self._rooms.predictions().scan(asked.endpoint).filter(wanted)
        inputs = pl.col("inputs") if asked.segments else pl.lit("{}").alias("inputs")
        return scan.select(*_COLUMNS, inputs).sort("at", "prediction_id").tail(_MOST).collect()

    def _known(self, asked: Experiment, shared: _Shared, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with `outcome`, null where it is not known, and `answer`, as metrics take them."""
        versions = {
            # Baselines are no side of an experiment, and would need every row's inputs.
            (variant.model, variant.version): msgspec.structs.replace(self._version(variant), baselines=())
            for variant in (shared.control, shared.treatment)
        }
        reported = landed.outcomes_of(self._rooms, asked.endpoint, rows.lazy())
        with_outcome = live.answered(rows, reported, versions)
        rest = rows.join(with_outcome.select("prediction_id"), on="prediction_id", how="anti")
        return pl.concat([with_outcome, rest], how="diagonal")

    def _column(
        self, metric: str | OnlineMetric, number: int, shared: _Shared, known: pl.DataFrame
    ) -> tuple[Column, pl.DataFrame]:
        """Return a metric, and its value for each row of which it is known, by prediction id."""
        name = f"metric {number}"
        if isinstance(metric, OnlineMetric):
            expression = _expression(metric)
            rows = (
                known.drop_nulls("outcome") if "outcome" in expression.meta.root_names() else known
            ).select("prediction_id", _valued(known, metric, expression).cast(pl.Float64).alias(name))
            column = Column(
                name=name,
                title=metric.title,
                larger_is_better=metric.larger_is_better,
                margin=metric.margin,
            )
            return column, rows
        version = self._version(shared.control)
        if version.task == "forecast":
            msg = "The truth of a forecast lands with its dataset and not with its prediction. Take a td.OnlineMetric."
            raise InvalidInput(msg, field="metric")
        task = self._rooms.project.task_of(version)
        title, rows = live.losses(
            known.drop_nulls("outcome"), task=task, metric=metric, signature=version.signature
        )
        good = measure_of(title, question(task)).greater_is_better
        value = (-pl.col("loss") if good else pl.col("loss")).alias(name)
        return Column(name=name, title=title, larger_is_better=good), rows.select("prediction_id", value)

    def _segments(self, asked: Experiment, shared: _Shared) -> tuple[pl.Expr, ...]:
        """Return the values of inputs, as text."""
        inputs = [field.name for field in self._version(shared.control).signature.inputs]
        for name in asked.segments:
            if name not in inputs:
                msg = f"Experiment {asked.name}: {shared.control.model} has no input {name!r}. {closest(name, inputs)}"
                raise InvalidInput(msg, field="segments")
        return tuple(
            pl.col("inputs").str.json_path_match(json_path(name)).alias(name) for name in asked.segments
        )

    def _version(self, variant: Variant) -> ModelVersion:
        return self._rooms.models.get(f"{variant.model}/{variant.version}")


def _metrics(asked: Experiment) -> list[str | OnlineMetric]:
    return [asked.metric, *asked.guards]


def _expression(metric: OnlineMetric) -> pl.Expr:
    try:
        return pl.sql_expr(metric.value)
    except (pl.exceptions.PolarsError, TypeError) as error:
        msg = f"OnlineMetric({metric.value!r}): expected an SQL expression over columns of the log, as 'latency': {error}"
        raise InvalidDeclaration(msg, field="value") from error


def _valued(known: pl.DataFrame, metric: OnlineMetric, expression: pl.Expr) -> pl.Expr:
    missing = [name for name in expression.meta.root_names() if name not in known.columns or name == "inputs"]
    if missing:
        there = [*_COLUMNS, "outcome"]
        raise InvalidInput(
            f"OnlineMetric({metric.value!r}): the log has no column {missing[0]!r}. It has {', '.join(there)}.",
            field="value",
        )
    return expression


def _rows_of(known: pl.DataFrame, shared: _Shared, values: list[pl.DataFrame]) -> pl.DataFrame:
    arms = {shared.control.name: "control", shared.treatment.name: "treatment"}
    rows = known.select(
        "prediction_id",
        pl.col("variant").replace_strict(arms, return_dtype=pl.String).alias("arm"),
        pl.coalesce("subject", "request_id").alias("unit"),
        "revision",
        (1 / (pl.col("propensity") * pl.col("sampled"))).alias("weight"),
        "at",
        pl.coalesce("outcome_at", "at").alias("known_at"),
        "inputs",
    )
    for frame in values:
        rows = rows.join(frame, on="prediction_id", how="left", maintain_order="left")
    return rows.drop("prediction_id")


def _answering(revision: Revision) -> list[Variant]:
    return [variant for variant in revision.variants if not variant.shadow]


def _shared(asked: Experiment, revisions: list[Revision]) -> _Shared:
    """Return the newest stretch of revisions in which the two shared the requests.

    Raises:
        NotFound: a variant of that name has never been there.
        InvalidInput: no two variants have shared the requests.
    """
    ordered = sorted(revisions, key=lambda one: one.revision)
    found: list[tuple[Revision, Variant, Variant, float]] = []
    until: datetime | None = None
    for revision in reversed(ordered):
        sides = _sides(asked, revision)
        if sides is not None and (not found or _same(sides, found[-1])):
            found.append((revision, *sides))
        elif found:
            break
        else:
            until = revision.created_at
    if not found:
        raise _nobody(asked, ordered)
    newest = found[0]
    return _Shared(
        control=newest[1],
        treatment=newest[2],
        since=found[-1][0].created_at,
        until=until,
        shares={revision.revision: share for revision, _, _, share in found},
    )


def _sides(asked: Experiment, revision: Revision) -> tuple[Variant, Variant, float] | None:
    """Return control, treatment, and the treatment's share of the two; None: the two do not share this revision's requests."""
    if not isinstance(revision.traffic, Split | Bandit):
        return None
    by_name = {variant.name: variant for variant in _answering(revision)}
    names = list(by_name)
    control = asked.control or next((name for name in names if name != asked.treatment), "")
    treatment = asked.treatment or next((name for name in names if name != control), "")
    if control not in by_name or treatment not in by_name:
        return None
    chances = router_of(revision).propensities
    one, other = chances.get(control, 0.0), chances.get(treatment, 0.0)
    if min(one, other) <= 0:
        return None
    return by_name[control], by_name[treatment], other / (one + other)


def _same(sides: tuple[Variant, Variant, float], later: tuple[Revision, Variant, Variant, float]) -> bool:
    def versions(*variants: Variant) -> list[tuple[str, str, int]]:
        return [(variant.name, variant.model, variant.version) for variant in variants]

    return versions(sides[0], sides[1]) == versions(later[1], later[2])


def _nobody(asked: Experiment, revisions: list[Revision]) -> Exception:
    names = list(dict.fromkeys(v.name for revision in revisions for v in revision.variants))
    for name in (asked.control, asked.treatment):
        if name and name not in names:
            return not_found("variant", name, names)
    msg = (
        f"No two variants have shared the requests of endpoint {asked.endpoint} yet. Give a second one a weight: "
        f"treadle endpoints set, or treadle rollouts start."
    )
    return InvalidInput(msg, field="endpoint")
