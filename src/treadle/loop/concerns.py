"""What a person should be told of a model: found by looking at what is true now, whoever or whatever caused it."""

from __future__ import annotations

from datetime import UTC, datetime

from treadle.core.alert import Concern
from treadle.core.clock import parse_span, span_text
from treadle.core.records import Run
from treadle.loop import approvals
from treadle.loop.known import Asked, Known
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.monitoring.freshness import Freshness, Limits, freshness

#: Rules of alerts, each raised and resolved at every look of the watcher.
FAILED_RUN, UNFINISHED_RUN, STALE_MODEL, STALE_DATA, STALE_OUTCOMES = (
    "failed-run",
    "unfinished-run",
    "stale-model",
    "stale-data",
    "stale-outcomes",
)
RULES = (FAILED_RUN, UNFINISHED_RUN, STALE_MODEL, STALE_DATA, STALE_OUTCOMES, approvals.RULE)
#: Rule of the alert, on a feature view, that its values could not be brought into the online store.
STALE_ONLINE = "stale-online"
#: Rule of the alert, on a dataset, that files of it could not be read or were left out, and nothing newer was taken in since.
BAD_FILES = "bad-files"
#: A run that was begun so often and has not ended is told of: something takes its process down.
MANY_ATTEMPTS = 3
#: Runs among which the last that has ended is looked for.
_LATEST = 10


class Concerns:
    """Looks at models; writes nothing."""

    def __init__(self, rooms: Rooms, *, known: Known | None = None) -> None:
        """Take what is known; by default, that is what the ledger answers when it is asked."""
        self._rooms, self._known = rooms, known or Asked(rooms)

    def of(self, model: Model) -> list[Concern]:
        """Return what holds now."""
        runs = self._known.runs(model.name)[:_LATEST]
        stale = self.freshness(model).stale
        waiting = self._known.approvals(model.name)
        ended = next((run for run in runs if run.status != "running"), None)
        failed = _failed(ended)
        said = {
            UNFINISHED_RUN: self._unfinished(model, next((r for r in runs if r.status == "running"), None)),
            STALE_MODEL: stale.get("model", ""),
            STALE_DATA: stale.get("data", ""),
            STALE_OUTCOMES: self._outcomes(model, stale.get("outcomes", "")),
            approvals.RULE: approvals.told(waiting[0]) if waiting else "",
        }
        subject = f"model:{model.name}"
        found = [Concern(rule, subject, text) for rule, text in said.items() if text]
        if ended is not None and failed:
            # Each failure counts, for who wants to be told only of several in a row.
            found.append(Concern(FAILED_RUN, subject, failed, event=ended.id))
        return found

    def of_data(self, model: Model) -> list[Concern]:
        """Return what holds now of the datasets and views that a model learns from; others may share them."""
        names = [model.data.name, *(view.name for view in model.features)]
        told = {name: self._bad_files(name) for name in names}
        return [Concern(BAD_FILES, f"dataset:{name}", text) for name, text in told.items() if text]

    def _bad_files(self, name: str) -> str:
        newest = self._known.dataset(name)
        since = newest.created_at if newest else datetime.min.replace(tzinfo=UTC)
        bad = [reason for reason, at in self._known.problems(name) if at >= since]
        if not bad:
            return ""
        many = f"{len(bad)} files were not taken in; the last one: " if len(bad) > 1 else ""
        return (
            f"{many}{bad[-1].rstrip('.')}. Nothing of it is learnt from. It is read again when it changes; what else is there to mend: "
            f"treadle datasets show {name}"
        )

    def freshness(self, model: Model) -> Freshness:
        """Return how old a model and its data are, beside what its policy allows."""
        policy, champion = model.policy, self._known.champion(model.name)
        last = next(iter(self._known.runs(model.name)), None)
        newest = self._known.dataset(model.data.name)
        return freshness(
            f"model:{model.name}",
            now=self._rooms.clock.now(),
            newest=newest.time_max if newest else None,
            trained_until=champion.window.end if champion else None,
            last_run=last.started_at if last else None,
            outcome=newest.outcomes_at if newest else None,
            limits=Limits(
                data=policy.data_stale_after or None,
                model=policy.stale_after or None,
                outcomes=policy.outcomes_stale_after or None,
            ),
        )

    def _outcomes(self, model: Model, stale: str) -> str:
        """Return what is told of outcomes that do not come: also of how many rows none is known, and where to look."""
        newest = self._known.dataset(model.data.name)
        if not stale or newest is None:
            return stale
        return (
            f"{stale} Of {newest.rows - newest.outcomes_known:,} of {newest.rows:,} rows none is known. Until some come, nothing new can be "
            f"learnt, and how good answers are can only be estimated: treadle estimate {model.name}. What has landed: treadle datasets show {model.data.name}"
        )

    def _unfinished(self, model: Model, run: Run | None) -> str:
        if run is None:
            return ""
        age, limit = self._rooms.clock.now() - run.started_at, model.timeout or self._rooms.timeout
        if run.attempts < MANY_ATTEMPTS and age <= parse_span(limit):
            return ""
        return (
            f"Run {run.id} was started {span_text(age)} ago, has been begun {run.attempts} times and has not ended; its "
            f"training may take {limit}. Its log: treadle runs log {run.id}"
        )


def _failed(run: Run | None) -> str:
    if run is None or run.status != "failed":
        return ""
    return f"Run {run.id} failed: {run.error} Its traceback: treadle runs show {run.id}"
