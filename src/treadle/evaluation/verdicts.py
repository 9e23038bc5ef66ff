"""Verdicts: what gates said about candidates, made, kept and found again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
import numpy.typing as npt
from sqlalchemy import Connection, select

from treadle.core import plugins
from treadle.core.clock import Clock
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.ids import new_id
from treadle.core.records import Verdict, from_json, to_json
from treadle.evaluation.arrays import Floats
from treadle.evaluation.gate import CANDIDATE, Case, Gate
from treadle.evaluation.measures import Measure
from treadle.evaluation.measures import metric as metric
from treadle.evaluation.snapshots import Snapshot
from treadle.store.ledger.tables import micros, put, runs
from treadle.store.ledger.tables import verdicts as table

if TYPE_CHECKING:
    from treadle.store.ledger.ledger import Ledger


class Question(Protocol):
    """What is asked, as far as scoring has to know: a task as it was declared."""

    @property
    def name(self) -> str:
        """The task's name."""
        ...

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        ...


class Verdicts:
    """Compares contenders on one snapshot, lets gates decide, and keeps what they said."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def judge(
        self,
        snapshot: Snapshot,
        predictions: Mapping[str, npt.ArrayLike],
        gates: Iterable[Gate],
        *,
        run: str,
        task: str | Question,
        parents: Sequence[str] = (),
    ) -> tuple[Verdict, ...]:
        """Let each gate rule on `candidate`; nothing is stored until `save`.

        `predictions` are those of `candidate`, `champion` and each `baseline:<name>`: the task's numbers, of shape (rows,)
        or (rows, columns). `task` is the question, or its name. A gate gives a verdict for each reference that it names.

        Raises:
            InvalidInput: a contender's predictions do not fit the snapshot's rows, or hold NaN; the message names it.
        """
        declared = question(task)
        checked = _checked(snapshot, predictions, snapshot.measure(declared.metric))
        if CANDIDATE not in checked:
            msg = f"There is nothing to judge: the contenders are {', '.join(checked) or 'none'}. Expected {CANDIDATE!r} among them."
            raise InvalidInput(msg, field=CANDIDATE)
        case = Case(snapshot=snapshot, predictions=checked, task=declared.name, metric=declared.metric)
        return tuple(
            Verdict(
                id=new_id("verdict"),
                gate=gate.name,
                run=run,
                candidate=CANDIDATE,
                dataset=snapshot.dataset,
                dataset_version=snapshot.version,
                rows=snapshot.rows,
                on=snapshot.on,
                created_at=self._clock.now(),
                parents=(*parents, f"dataset_version:{snapshot.name}"),
                **msgspec.structs.asdict(ruling),
            )
            for gate in gates
            for ruling in gate.judge(case)
        )

    def scores(
        self,
        snapshot: Snapshot,
        predictions: Mapping[str, npt.ArrayLike],
        *,
        task: str | Question,
        metrics: Sequence[str] | None = None,
    ) -> dict[str, dict[str, float]]:
        """Return each contender's metrics, by default those that the task reports.

        A metric that has no value for these rows is left out; so are all of them where there are no rows.
        """
        declared = question(task)
        checked = _checked(snapshot, predictions, snapshot.measure(declared.metric))
        names = declared.metrics if metrics is None else metrics
        measures = [snapshot.measure(name) for name in names]
        if not len(snapshot):
            return {contender: {} for contender in checked}
        return {
            contender: {
                measure.name: value
                for measure in measures
                if math.isfinite(value := _scored(snapshot, measure, p))
            }
            for contender, p in checked.items()
        }

    def save(
        self, verdicts: Iterable[Verdict], connection: Connection | None = None, *, model: str | None = None
    ) -> None:
        """Keep verdicts, in the caller's transaction where one is given; `model` defaults to that of their run.

        Raises:
            NotFound: no model is given, and the run is not in the ledger.
        """
        if connection is None:
            with self._ledger.write() as own:
                return self.save(verdicts, own, model=model)
        for verdict in verdicts:
            put(
                connection,
                table,
                id=verdict.id,
                model=model or _model_of(verdict.run, connection),
                run=verdict.run,
                created_at=micros(verdict.created_at),
                body=to_json(verdict),
            )
        return None

    def list(self, *, model: str | None = None, run: str | None = None) -> tuple[Verdict, ...]:
        """Return the verdicts that were kept, of a model or a run, oldest first."""
        query = select(table.c.body).order_by(table.c.created_at, table.c.id)
        if model is not None:
            query = query.where(table.c.model == model)
        if run is not None:
            query = query.where(table.c.run == run)
        with self._ledger.read() as connection:
            return tuple(from_json(body, Verdict) for body in connection.execute(query).scalars())


def _scored(snapshot: Snapshot, measure: Measure, p: Floats) -> float:
    """Return a metric on all rows; NaN of one with a scale where the rows have none."""
    if measure.is_scaled and snapshot.scales is None:
        return math.nan
    return measure.value(snapshot.in_unit(measure, snapshot.y), snapshot.in_unit(measure, p))


def _checked(
    snapshot: Snapshot, predictions: Mapping[str, npt.ArrayLike], measure: Measure
) -> dict[str, Floats]:
    """Return checked predictions; those that the metric cannot take are refused with the contender's name."""
    found = snapshot.checked(predictions)
    for name, given in found.items() if len(snapshot) else ():
        try:
            measure.value(snapshot.y, given)
        except InvalidInput as error:
            msg = f"The predictions of {name} cannot be scored on {snapshot.name}: {error}"
            raise InvalidInput(msg, field=name) from error
    return found


def deciding(task: str | Question) -> str:
    """Return the name of the metric that decides about a task where nobody names one.

    >>> deciding("classification")
    'log_loss'
    """
    return str(question(task).metric)


def question(name: str | Question) -> Any:
    """Return a task, one that is named as it is without arguments: it knows the metric that decides and those reported."""
    if not isinstance(name, str):
        return name
    return getattr(plugins.load("task", name), "".join(part.capitalize() for part in name.split("_")))()


def _model_of(run: str, connection: Connection) -> str:
    found = connection.execute(select(runs.c.model).where(runs.c.id == run)).scalar_one_or_none()
    if found is None:
        msg = f"No run named {run!r} is in the ledger, so whose verdict this is is not known. Give `model`."
        raise NotFound(msg)
    return cast("str", found)
