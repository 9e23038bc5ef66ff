"""A metric of an endpoint's answers, as what is kept of it needs it: what it is made of, and how rows become that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from treadle.core.answers import scored
from treadle.core.records import ModelVersion
from treadle.evaluation.measures import Measure
from treadle.loop import live
from treadle.loop.rooms import Rooms
from treadle.monitoring import performance
from treadle.monitoring.moments import Makeup
from treadle.training.task import Task

#: What rows are scored by.
_SCORED = ["model", "version", "request_id", "prediction", "probability", "outputs", "outcome"]
_ROW = "_row"


def of(rooms: Rooms, version: ModelVersion, metric: str) -> Scoring:
    """Return how the answers of an endpoint are scored; `version` says what is asked, and `metric` is by default its task's.

    Raises:
        InvalidInput: the metric is not for this task.
    """
    task = rooms.project.task_of(version)
    asked, found = live.metric_of(task, metric)
    known: dict[tuple[str, int], ModelVersion] = {}

    def version_of(model: str, number: int) -> ModelVersion:
        if (model, number) not in known:
            known[model, number] = rooms.models.get(f"{model}/{number}")
        return known[model, number]

    return Scoring(task=task, asked=asked, measure=found, version=version, version_of=version_of)


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How rows are scored."""

    task: str | Task
    #: The question as outcomes answer it.
    asked: Any
    measure: Measure
    version: ModelVersion
    version_of: Callable[[str, int], ModelVersion]

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.measure.name

    @property
    def text(self) -> str:
        """What tells this from other questions; empty: nothing can, as the metric is a function of one's own."""
        own = getattr(self.asked, "declared", {})
        if self.name in own:
            return ""
        fields = [(one.name, one.kind, one.columns) for one in self.version.signature.outputs]
        return repr((self.asked.name, self.name, sorted(getattr(self.asked, "options", {}).items()), fields))

    @cached_property
    def is_summed(self) -> bool:
        """Whether the metric is made of means over rows, each of which is scored by itself."""
        if self.asked.ties or self.asked.name == "forecast" or getattr(self.measure.module, "COLUMNS", False):
            return False
        whole = not scored(self.version.signature).columns
        return self.measure.per_row is not None or (whole and self.measure.terms is not None)

    @cached_property
    def _terms(self) -> int:
        """How many terms a row has: those of two made-up rows say it."""
        if self.measure.per_row is not None or self.measure.terms is None:
            return 1
        return int(np.shape(self.measure.terms(np.array([0.0, 1.0]), np.array([0.25, 0.75])))[1])

    def makeup(self, center: tuple[float, ...]) -> Makeup:
        """Return what the metric is made of; without a center, nothing is taken from terms."""
        return Makeup(
            terms=self._terms,
            combine=self.measure.combine,
            is_mean=self.measure.per_row is not None,
            center=center or (0.0,) * self._terms,
        )

    def center(self, joined: pl.DataFrame | None) -> tuple[float, ...]:
        """Return about what the terms are; 0 where nothing is known."""
        plain = self.makeup(())
        if joined is None:
            return plain.center
        means = self.terms(joined, plain).select(pl.col(plain.term_columns).mean()).row(0)
        return tuple(float(one) if one is not None and np.isfinite(one) else 0.0 for one in means)

    def terms(self, joined: pl.DataFrame, makeup: Makeup) -> pl.DataFrame:
        """Return rows with `weight` and the terms of those whose outcome is known."""
        rows = joined.with_columns((1 / pl.col("sampled")).alias("weight"))
        is_known = joined["outcome"].is_not_null()
        known = self._known(joined.select(_SCORED).with_row_index(_ROW).filter(is_known))
        columns = np.full((rows.height, makeup.terms), np.nan)
        if known.height:
            _, found, numbers = live.measured(
                known, task=self.task, measure=self.name, signature=self.version.signature
            )
            assert found.terms is not None
            y, p = (performance.numbers(numbers[name]) for name in ("outcome", "answer"))
            columns[known[_ROW].to_numpy()] = found.terms(y, p)
        told = [pl.Series(name, columns[:, place]) for place, name in enumerate(makeup.term_columns)]
        return rows.with_columns(pl.when(is_known).then(one).alias(one.name) for one in told)

    def finished(self, joined: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
        """Return the metric by group of rows that have one whole stretch each: `n`, `value`, `low` and `high`."""
        rows = self._known(joined.filter(pl.col("outcome").is_not_null()))
        found = live.scores(
            rows,
            task=self.task,
            measure=self.name,
            every="all",
            signature=self.version.signature,
            by=[one for one in by if one not in {"start", "model", "version"}],
        )
        start = joined["start"].head(1)
        at = start[0] if len(start) else None
        return found.with_columns(pl.lit(at, pl.Datetime("us", "UTC")).alias("start"))

    def _known(self, rows: pl.DataFrame) -> pl.DataFrame:
        wanted = rows.select("model", "version").unique(maintain_order=True).rows()
        return live.with_answers(rows, {key: self.version_of(*key) for key in wanted})
