"""Gathers what is known of a model version from every room; what cannot be found out is said, and stops nothing."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import polars as pl

from treadle.app.card.limits import limits
from treadle.app.card.record import Card
from treadle.core.errors import NotFound, TreadleError
from treadle.core.records import DatasetVersion, ModelVersion, Run
from treadle.core.servable import Servable
from treadle.evaluation.plot import Plot, plots
from treadle.loop import rescoring
from treadle.loop.ahead import apart
from treadle.loop.explaining import Explained, explained, is_explained
from treadle.loop.frames import Frames
from treadle.loop.models import Model
from treadle.loop.rescoring import Answered, Owed, Score
from treadle.training.tasks.forecast import Forecast

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace

T = TypeVar("T")
_SLICED = {"string", "category", "boolean"}


def card(workspace: Workspace, reference: str) -> Card:
    """Return the card of the version that a reference names.

    Raises:
        NotFound: there is no such version.
    """
    version = workspace.models.get(reference)
    run = workspace.runs.get(version.run)
    found = _Gathering(workspace, version, run)
    made = found.card()
    return msgspec.structs.replace(made, missing=tuple(found.missing), limits=limits(made))


class _Gathering:
    """One card in the making."""

    def __init__(self, workspace: Workspace, version: ModelVersion, run: Run) -> None:
        self._workspace, self._version, self._run = workspace, version, run
        #: What could not be found out.
        self.missing: list[str] = []

    def card(self) -> Card:
        workspace, version, run = self._workspace, self._version, self._run
        model = self._try(lambda: workspace.project.model(version.model), None, "The declaration")
        servable, refused = self._loaded()
        parts = self._answered(model, servable)
        history = workspace.models.history(version.model)
        code = run.code
        return Card(
            version=version,
            at=workspace.clock.now(),
            about=inspect.getdoc(model.function) or "" if model else "",
            aliases=tuple(
                n for n, v in workspace.models.aliases(version.model).items() if v == version.version
            ),
            moves=tuple(a for a in history if version.version in (a.version, a.previous)),
            run=run,
            datasets=self._datasets(),
            rows=self._rows(parts),
            metric=model.task.metric if model else "",
            scores=self._scores(model, parts),
            slices=self._slices(model, parts),
            plots=self._plots(model, parts),
            owed=self._owed(model, servable, parts),
            explained=self._explained(parts),
            verdicts=tuple(workspace.verdicts.list(run=run.id)),
            environment=self._try(lambda: self._json(run.environment), {}, "The environment"),
            diff=self._try(
                lambda: self._text(code.diff if code else ""), "", "The difference from the commit"
            ),
            package=self._try(lambda: workspace.models.listing(version), None, "The package's list of files"),
            refused=refused,
        )

    def _try(self, find: Callable[[], T], otherwise: T, what: str) -> T:
        try:
            return find()
        except TreadleError as error:
            self.missing.append(f"{what} could not be read: {error}")
            return otherwise

    def _loaded(self) -> tuple[Servable | None, str]:
        try:
            return self._workspace.models.load(self._version), ""
        except TreadleError as error:
            return None, str(error)

    def _answered(self, model: Model | None, servable: Servable | None) -> dict[str, Answered]:
        if model is None or servable is None or not self._version.dataset:
            return {}
        run, rooms = self._run, self._workspace.rooms
        return self._try(
            lambda: rescoring.answered(model, run, self._version, servable, rooms), {}, "The test rows"
        )

    def _scores(self, model: Model | None, parts: dict[str, Answered]) -> tuple[Score, ...]:
        if model is None or not parts:
            return recorded(self._run)
        return tuple(score for part in parts.values() for score in rescoring.scores(part, model))

    def _slices(self, model: Model | None, parts: dict[str, Answered]) -> tuple[Score, ...]:
        if model is None or "test" not in parts:
            return ()
        columns = [field.name for field in self._version.signature.inputs if field.kind in _SLICED]
        columns += [name for lookup in self._version.baselines for name in lookup.by if name not in columns]
        return tuple(rescoring.slices(parts["test"], model, list(dict.fromkeys(columns))))

    def _plots(self, model: Model | None, parts: dict[str, Answered]) -> tuple[Plot, ...]:
        if model is None or "test" not in parts:
            return ()
        part, none = parts["test"], ()
        return self._try(
            lambda: plots(part.snapshot, part.predictions, task=model.task.name), none, "The plots"
        )

    def _owed(
        self, model: Model | None, servable: Servable | None, parts: dict[str, Answered]
    ) -> tuple[Owed, ...]:
        if model is None or servable is None or "test" not in parts:
            return ()
        none: list[Owed] = []
        found = self._try(
            lambda: rescoring.owed(parts["test"], model, servable), none, "What it owes to each input"
        )
        return tuple(found)

    def _explained(self, parts: dict[str, Answered]) -> Explained:
        if "test" not in parts or not is_explained(self._version.signature):
            return Explained()
        rows, rooms = parts["test"].rows, self._workspace.rooms
        return self._try(
            lambda: explained(self._version, rows, rooms), Explained(), "What its inputs add to its answers"
        )

    def _datasets(self) -> tuple[DatasetVersion, ...]:
        found = []
        for name, number in self._run.data.items():
            try:
                found.append(self._workspace.datasets.version(name, number))
            except NotFound:  # a tree of files, or a view that is no longer declared
                continue
        return tuple(found)

    def _rows(self, parts: dict[str, Answered]) -> dict[str, int]:
        none: dict[str, int] = {}
        if not self._version.dataset:
            return none
        counted = self._try(self._counted, none, "The number of rows")
        return counted | {on: part.rows.height for on, part in parts.items()}

    def _counted(self) -> dict[str, int]:
        version = self._version
        declared = self._workspace.project.models.get(version.model)
        if declared is not None and isinstance(declared.task, Forecast):
            return self._counted_ahead(declared)
        known = True if declared is None or declared.target else None
        rows = self._workspace.datasets.scan(
            version.dataset, version=version.dataset_version, window=version.window, outcome=known
        )
        return _by_split(rows.select("_split").collect())

    def _counted_ahead(self, model: Model) -> dict[str, int]:
        """Count the rows of a forecast that could be learnt from: those with a whole truth, that share none with others."""
        bare, window = replace(model, features=(), on_demand=()), self._version.window
        rows = Frames(self._workspace.datasets).rows(bare, versions=self._run.data, window=window)
        return _by_split(apart(bare, rows, until=window.end))

    def _json(self, digest: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._text(digest) or "{}")
        return found

    def _text(self, digest: str) -> str:
        return self._workspace.objects.get(digest).decode("utf-8", "replace") if digest else ""


def _by_split(rows: pl.DataFrame) -> dict[str, int]:
    found = dict(rows.group_by("_split").len().iter_rows())
    return {name: found.get(name, 0) for name in ("train", "validation", "test")}


def recorded(run: Run) -> tuple[Score, ...]:
    """Return the scores that a run kept when it was judged, without intervals."""
    from treadle.core import plugins
    from treadle.evaluation.measures import metric

    names = plugins.available("metric")
    found = []
    for name, value in run.metrics.items():
        on, _, rest = name.partition(".")
        contender, _, measure = rest.rpartition(".")
        # Which way is better is known of plug-ins only: one of the user's own is declared in the project.
        if on in {"test", "forward"} and contender and contender != "champion" and measure in names:
            known = metric(measure)
            found.append(
                Score(
                    contender=contender,
                    metric=measure,
                    value=value,
                    n=0,
                    greater_is_better=known.greater_is_better,
                    on=on,
                )
            )
    return tuple(found)
