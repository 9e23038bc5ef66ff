"""What the watcher says of the project to Prometheus: SLOs, the age of data and models, drift, alerts; never an id as a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from treadle.core.errors import NotFound, TreadleError
from treadle.core.optional import require

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace

#: Series of one metric; of very many subjects the last ones in order are left out, and how many is said.
MOST_SERIES = 500
#: A metric: name, help, names of the labels, samples as (values of the labels, value).
Gauge = tuple[str, str, Sequence[str], Sequence[tuple[Sequence[str], float]]]


def page(workspace: Workspace) -> bytes:
    """Return the page for Prometheus.

    Raises:
        MissingExtra: prometheus-client is not installed.
        StoreUnavailable: the ledger does not answer.
    """
    library, core = (require(name, extra="serve") for name in ("prometheus_client", "prometheus_client.core"))
    registry = library.CollectorRegistry()
    registry.register(_Collected(core, list(_gauges(workspace))))
    return library.generate_latest(registry)  # type: ignore[no-any-return]


class _Collected:
    """Gauges as the library takes them."""

    def __init__(self, library: Any, gauges: Iterable[Gauge]) -> None:
        self._library, self._gauges = library, gauges

    def collect(self) -> Iterator[Any]:
        """Return the gauges as the library's own, and how many series were left out."""
        left_out = 0
        for name, told, labels, samples in self._gauges:
            made = self._library.GaugeMetricFamily(name, told, labels=labels)
            for values, value in samples[:MOST_SERIES]:
                made.add_metric(values, value)
            left_out += max(0, len(samples) - MOST_SERIES)
            yield made
        told = "Series that are not here, as a metric has too many."
        yield self._library.GaugeMetricFamily("treadle_series_left_out", told, value=left_out)


def _gauges(workspace: Workspace) -> Iterator[Gauge]:
    yield from _slos(workspace)
    yield from _ages(workspace)
    alerts = Counter((alert.rule, alert.severity) for alert in workspace.alerts.open())
    yield (
        "treadle_alerts_open",
        "Alerts that hold now.",
        ("rule", "severity"),
        [(key, float(count)) for key, count in sorted(alerts.items())],
    )
    waiting = Counter(row.channel for row in workspace.alerts.waiting())
    told = "Messages that a channel has not taken yet."
    channels = [((name,), float(waiting[name])) for name in workspace.routes.channels]
    yield "treadle_alerts_waiting", told, ("channel",), channels
    now = workspace.clock.now().timestamp()
    yield "treadle_watch_seconds", "When this page was made, since 1970.", (), [((), now)]


def _slos(workspace: Workspace) -> Iterator[Gauge]:
    found = workspace.promises.standings()
    labels = ("slo", "kind", "subject")
    about = {one.slo: (one.slo, one.kind, one.subject) for one in found}
    yield (
        "treadle_slo_objective_ratio",
        "The share that is promised.",
        labels,
        [(about[one.slo], one.objective) for one in found],
    )
    yield (
        "treadle_slo_budget_left_ratio",
        "What is left of the error budget; below 0: more is used up than there was.",
        labels,
        [(about[one.slo], one.budget_left) for one in found if one.budget_left is not None],
    )
    yield (
        "treadle_slo_good_ratio",
        "The share that was good over the period.",
        labels,
        [(about[one.slo], one.good) for one in found if one.good is not None],
    )
    yield (
        "treadle_slo_kept",
        "1: a promise on time is kept now.",
        labels,
        [(about[one.slo], float(one.kept_now)) for one in found if one.kept_now is not None],
    )
    yield (
        "treadle_slo_burn_rate_ratio",
        "How many times as fast as it may the error budget burns, by window.",
        (*labels, "window"),
        [((*about[one.slo], window), rate) for one in found for window, rate in one.burns.items()],
    )
    quality = [(about[one.slo], one) for one in found if one.kind == "quality"]
    ends = {"value": "value", "low": "low end", "high": "high end"}
    for end, words in ends.items():
        samples = [(key, getattr(one, end)) for key, one in quality if getattr(one, end) is not None]
        name = f"treadle_slo_metric_{end}"
        yield name, f"The metric of a promise on quality: its {words}.", labels, samples


def _ages(workspace: Workspace) -> Iterator[Gauge]:
    now, project = workspace.clock.now(), workspace.project
    data, models, drifting = [], [], []
    for name in sorted(project.datasets):
        try:
            newest = workspace.datasets.version(name).time_max
        except NotFound:
            continue
        if newest is not None:
            data.append(((name,), (now - newest).total_seconds()))
    for name in sorted(project.models):
        champion = workspace.models.aliases(name).get("champion")
        if champion is not None:
            until = workspace.models.get(f"{name}/{champion}").window.end
            models.append(((name,), (now - until).total_seconds()))
        columns = _drifted(workspace, name)
        if columns is not None:
            drifting.append(((name,), float(columns)))
    yield "treadle_data_age_seconds", "Age of the newest row, by its event time.", ("dataset",), data
    yield "treadle_model_age_seconds", "Age of what the champion has learnt from.", ("model",), models
    told = "Tests of drift that found something, in the newest comparison with the reference."
    yield "treadle_model_drift_findings", told, ("model",), drifting


def _drifted(workspace: Workspace, model: str) -> int | None:
    """Return how many tests of the newest comparison found drift; None: there was none."""
    try:
        found = workspace.drifts.history(model, since=workspace.clock.now() - timedelta(days=30))
    except TreadleError:
        return None
    return None if found.is_empty() else int(found["drifted"][-1])
