"""What a person should be told of a model: found by looking at what is true now, whoever or whatever caused it."""

from __future__ import annotations

from treadle.core.alert import Concern
from treadle.core.clock import parse_span, span_text
from treadle.core.records import Run
from treadle.loop import approvals
from treadle.loop.known import Asked, Known
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.monitoring.freshness import Freshness, Limits, freshness

#: Rules of alerts, each raised and resolved at every look of the watcher.
FAILED_RUN, UNFINISHED_RUN, STALE_MODEL, STALE_DATA = (
    "failed-run",
    "unfinished-run",
    "stale-model",
    "stale-data",
)
RULES = (FAILED_RUN, UNFINISHED_RUN, STALE_MODEL, STALE_DATA, approvals.RULE)
#: Rule of the alert, on a feature view, that its values could not be brought into the online store.
STALE_ONLINE = "stale-online"
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
            approvals.RULE: approvals.told(waiting[0]) if waiting else "",
        }
        subject = f"model:{model.name}"
        found = [Concern(rule, subject, text) for rule, text in said.items() if text]
        if ended is not None and failed:
            # Each failure counts, for who wants to be told only of several in a row.
            found.append(Concern(FAILED_RUN, subject, failed, event=ended.id))
        return found

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
            limits=Limits(data=policy.data_stale_after or None, model=policy.stale_after or None),
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
