"""What gates have in common: the case that they are given, and the ruling that they give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from treadle.core import plugins
from treadle.core.errors import InvalidInput, closest
from treadle.evaluation.arrays import Floats
from treadle.evaluation.comparison import Comparison
from treadle.evaluation.intervals import interval
from treadle.evaluation.measures import Measure, metric
from treadle.evaluation.objective import Objective
from treadle.evaluation.pair import Pair
from treadle.evaluation.snapshots import Snapshot

CANDIDATE, CHAMPION, BASELINE = "candidate", "champion", "baseline"


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate says about a candidate beside one reference; a `core.records.Verdict` without its circumstances."""

    reference: str
    metric: str
    candidate_value: float | None = None
    reference_value: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    alpha: float
    margin: float = 0.0
    n: int
    passed: bool
    reason: str
    slice: str = ""
    method: str = ""
    correction: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A candidate and those it may be compared with, all of them having answered the rows of one snapshot."""

    snapshot: Snapshot
    #: Contender → predictions of shape (rows,) or (rows, columns), as `Snapshot.checked` returns them.
    predictions: Mapping[str, Floats]
    #: The name of the task that was set.
    task: str
    #: The metric that decides where a gate names none.
    metric: str

    def measure(self, on: str | Objective | None) -> Measure:
        """Return the metric that decides.

        Raises:
            InvalidInput: it does not fit the task.
        """
        name = self.metric if on is None else on
        if isinstance(name, Objective):
            measure = name.measure.over(self.snapshot.names)
        else:
            measure = self.snapshot.measure(name)
        if measure.name not in self.snapshot.measures and self.task not in measure.tasks:
            fitting = [one for one in plugins.available("metric") if self.task in metric(one).tasks]
            fitting += self.snapshot.measures
            msg = f"The metric {measure.name!r} is for {' and '.join(measure.tasks)}; the task is {self.task}. {closest(measure.name, fitting)}"
            raise InvalidInput(msg, field="on")
        return measure

    def references(self, name: str) -> tuple[str, ...]:
        """Return the contenders of a name; `baseline` means each baseline."""
        if name == BASELINE:
            return tuple(one for one in self.predictions if one.startswith(f"{BASELINE}:"))
        return (name,) if name in self.predictions and name != CANDIDATE else ()

    def pair(
        self, reference: str | None, *, measure: Measure, rows: npt.NDArray[np.int64] | None = None
    ) -> Pair:
        """Return the candidate's answers beside a contender's, on all rows or some; None: the candidate's alone."""
        some: Any = slice(None) if rows is None else rows
        snapshot = self.snapshot
        unit = partial(snapshot.in_unit, measure)
        return Pair(
            measure=measure,
            y=unit(snapshot.y)[some],
            first=unit(self.predictions[CANDIDATE])[some],
            second=None if reference is None else unit(self.predictions[reference])[some],
            groups=None if snapshot.groups is None else snapshot.groups[some],
            times=None if snapshot.times is None else snapshot.times[some],
            horizon=snapshot.horizon,
        )

    def compare(
        self,
        reference: str,
        *,
        on: str | Objective | None,
        alpha: float,
        method: str | None = None,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> Comparison:
        """Compare the candidate with a contender, on all rows or some.

        Raises:
            InvalidInput: the metric does not fit the task, or the method the comparison.
        """
        pair = self.pair(reference, measure=self.measure(on), rows=rows)
        found = interval(pair, alpha=alpha, method=method)
        return Comparison(candidate=CANDIDATE, reference=reference, pair=pair, interval=found)


class Gate(Protocol):
    """A check that a candidate must pass."""

    @property
    def name(self) -> str:
        """The plug-in's name."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values: equal gates have equal ones."""
        ...

    def judge(self, case: Case) -> tuple[Ruling, ...]:
        """Rule on a candidate: one ruling for each reference, metric and slice, at least one."""
        ...


def columns_for(gates: Iterable[Gate]) -> tuple[str, ...]:
    """Return the columns that a snapshot must have for some gates: those of their `by`.

    >>> from treadle.evaluation.gates.no_worse import NoWorse
    >>> columns_for([NoWorse("champion", by=["carrier", "origin"]), NoWorse("champion")])
    ('carrier', 'origin')
    """
    found = [getattr(gate, "by", None) or () for gate in gates]
    return tuple(dict.fromkeys(name for by in found for name in ((by,) if isinstance(by, str) else by)))
