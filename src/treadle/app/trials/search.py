"""A run's search, looked back at: its trials, the best of them, and which parameters mattered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from treadle.app.trials.page import page
from treadle.core.errors import NotFound
from treadle.core.records import Run
from treadle.evaluation.own import measure_of
from treadle.loop.trying import metric_of
from treadle.training.sampling import Sampling
from treadle.training.search import Search as Declared
from treadle.training.trials import Trial, best_of

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


@dataclass(frozen=True)
class Search:
    """What a search came to so far."""

    run: Run
    #: By number.
    trials: Sequence[Trial]
    #: The metric on the validation rows that decides, and whether a greater value is the better one.
    metric: str
    greater: bool
    declared: Declared

    @property
    def best(self) -> Trial | None:
        """The trial that became the candidate, or would now."""
        return best_of(self.trials, greater=self.greater)

    @property
    def ordered(self) -> list[Trial]:
        """The trials, the best first, and those without a result at the end."""
        sign = -1 if self.greater else 1
        return sorted(self.trials, key=lambda t: (t.state != "succeeded", sign * (t.value or 0.0), t.number))

    @cached_property
    def importance(self) -> dict[str, float]:
        """How much of what sets the best trials apart each parameter explains."""
        sampling = Sampling(self.declared, name=self.run.model, seed=self.run.seed, greater=self.greater)
        return sampling.importance(self.trials)

    def page(self) -> str:
        """Return a page with a table and plots of the trials: one HTML document that needs no other file."""
        return page(
            self.run, self.trials, metric=self.metric, greater=self.greater, importance=self.importance
        )


def search(workspace: Workspace, run: str) -> Search:
    """Return what a run's search came to.

    Raises:
        NotFound: there is no such run, or it made no search.
    """
    found = workspace.runs.get(run)
    trials = workspace.trials.of_run(run)
    model = workspace.project.models.get(found.model)
    if not trials or model is None or model.search is None:
        msg = f"Run {run} of {found.model!r} has no trials. Expected the run of a model with a search: @td.model(search=...)."
        raise NotFound(msg)
    name = metric_of(model)
    return Search(found, trials, name, measure_of(name, model.task).greater_is_better, model.search)
