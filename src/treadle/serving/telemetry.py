"""What a server counts and measures, for Prometheus; labels are endpoint, version and variant, never an id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from treadle.core.counts import BOUNDS, Counts, total
from treadle.core.optional import require
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Loaded
from treadle.serving.log import PredictionLog
from treadle.serving.refused import Refusal
from treadle.serving.tally import Counted, Spread, Tally

Labels = tuple[tuple[str, str], ...]


class Family(msgspec.Struct, frozen=True, array_like=True):
    """A metric with its samples."""

    name: str
    help: str
    kind: str
    #: (name, labels, value)
    samples: list[tuple[str, Labels, float]]


#: How the states of several processes become one; everything else is added up.
_STATES: dict[str, Callable[[Iterable[float]], float]] = {
    "treadle_endpoint_revision": min,
    "treadle_endpoint_refused": max,
    "treadle_log_writable": min,
    "treadle_model_fallback": max,
    "treadle_ledger_reachable": min,
    "treadle_log_lag_seconds": max,
    "treadle_worker_deaths": max,
    "treadle_versions_loaded": max,
}
_TIME = "Time from the arrival of a request to its answer."

_SERVED = ("endpoint", "version", "variant")
#: Versions and variants, over all endpoints, that are counted apart.
MOST_SERIES = 500


class Telemetry:
    """The metrics of one process."""

    def __init__(self) -> None:
        """Make a registry of its own.

        Raises:
            MissingExtra: prometheus-client is not installed.
        """
        self._library: Any = require("prometheus_client", extra="serve")
        lib, registry = self._library, self._library.CollectorRegistry()
        self._registry = registry
        self._predictions = Tally("treadle_predictions", _SERVED)
        #: Where the answers of a version and variant are counted, and those of the versions that are too many.
        self._series: dict[tuple[str, Any, str], Counted] = {}
        self._others: dict[tuple[str, Any, str], Counted] = {}
        self._seconds = Spread("treadle_request_seconds", _SERVED, BOUNDS)
        self._refused = lib.Counter(
            "treadle_requests_refused", "Requests answered with 4xx.", ("endpoint",), registry=registry
        )
        self._failed = lib.Counter(
            "treadle_requests_failed", "Requests answered with 5xx.", ("endpoint",), registry=registry
        )
        self._revision = lib.Gauge(
            "treadle_endpoint_revision", "Revision that answers.", ("endpoint",), registry=registry
        )
        self._unloadable = lib.Gauge(
            "treadle_endpoint_refused",
            "1: the newest revision was refused.",
            ("endpoint",),
            registry=registry,
        )
        self._dropped = lib.Counter(
            "treadle_log_dropped", "Log entries given up because the buffer was full.", registry=registry
        )
        self._buffered = lib.Gauge(
            "treadle_log_buffered_bytes", "Log bytes not on disk yet.", registry=registry
        )
        self._spooled = lib.Gauge(
            "treadle_log_spooled_bytes", "Log bytes not in tables yet.", registry=registry
        )
        self._writable = lib.Gauge("treadle_log_writable", "1: the log is written.", registry=registry)
        self._known_drops = 0
        self._failures: dict[str, int] = {}
        self._labelled: set[str] = set()

    def answered(self, answer: Answer, seconds: float) -> None:
        """Count an answer."""
        variant = answer.variant
        series = (answer.endpoint, variant.version, variant.name)
        counted = self._series.get(series) or self._admitted(series)
        counted.add(answer.batch.rows, seconds)

    def _admitted(self, series: tuple[str, Any, str]) -> Counted:
        """Return where an answer counts: of very many versions, and endpoints, the later ones are counted together."""
        if len(self._series) >= MOST_SERIES:
            series = (series[0], "other", "other")
            if series not in self._others and len(self._others) >= MOST_SERIES:
                series = ("other", "other", "other")
            return self._others.setdefault(series, Counted(self._predictions, self._seconds, series))
        return self._series.setdefault(series, Counted(self._predictions, self._seconds, series))

    def refused(self, endpoint: str, status: int) -> None:
        """Count a request that was not answered; `endpoint` is empty where none of that name is loaded."""
        if status >= 500:
            self._failures[endpoint] = self._failures.get(endpoint, 0) + 1
        known = endpoint if endpoint in self._labelled or len(self._labelled) < MOST_SERIES else "other"
        self._labelled.add(known)
        (self._failed if status >= 500 else self._refused).labels(known).inc()

    def counts(self) -> dict[str, Counts]:
        """Return what was counted of each endpoint since the start."""
        found: dict[str, list[Counts]] = {}
        for (endpoint, *_), seconds in self._seconds.counts():
            found.setdefault(str(endpoint), []).append(Counts(sum(seconds), 0, tuple(seconds)))
        for endpoint, failures in list(self._failures.items()):
            if endpoint:
                found.setdefault(endpoint, []).append(Counts(0, failures))
        return {endpoint: total(parts) for endpoint, parts in found.items()}

    def families(
        self, loaded: Mapping[str, Loaded], refused: Mapping[str, Refusal], log: PredictionLog
    ) -> list[Family]:
        """Return all metrics as they are now."""
        for name, found in list(loaded.items())[:MOST_SERIES]:
            self._revision.labels(name).set(found.revision.revision)
            # They are there before the first failure, or Prometheus would not see that it grew.
            self._failed.labels(name)
            self._refused.labels(name)
        for name in sorted({*loaded, *refused})[:MOST_SERIES]:
            self._unloadable.labels(name).set(name in refused)
        self._dropped.inc(log.dropped - self._known_drops)
        self._known_drops = log.dropped
        self._buffered.set(log.buffered)
        self._spooled.set(log.spooled)
        self._writable.set(log.problem is None)
        return [
            Family("treadle_predictions", "Rows answered.", "counter", self._predictions.samples()),
            Family("treadle_request_seconds", _TIME, "histogram", self._seconds.samples()),
            *_versions(loaded),
            *self._registered(),
        ]

    def _registered(self) -> list[Family]:
        return [
            Family(
                family.name,
                family.documentation,
                family.type,
                [(s.name, tuple(sorted(s.labels.items())), s.value) for s in family.samples],
            )
            for family in self._registry.collect()
        ]

    def text(self, families: Iterable[Family]) -> bytes:
        """Return metrics in Prometheus's text format; those of several processes become one."""
        return exposed(families)


def exposed(families: Iterable[Family]) -> bytes:
    """Return metrics in Prometheus's text format; those of several processes become one.

    Raises:
        MissingExtra: prometheus-client is not installed.
    """
    library: Any = require("prometheus_client", extra="serve")
    return library.generate_latest(_Collected(library, merged(families)))  # type: ignore[no-any-return]


def _versions(loaded: Mapping[str, Loaded]) -> list[Family]:
    """Return what is known of each version that is loaded now; an evicted one is not there any more."""
    memory: list[tuple[str, Labels, float]] = []
    fallen: list[tuple[str, Labels, float]] = []
    for name, found in list(loaded.items())[:MOST_SERIES]:
        for variant in found.revision.variants:
            ready = found.ready.get((variant.model, variant.version))
            if ready is not None:
                labels = (("endpoint", name), ("variant", variant.name), ("version", str(variant.version)))
                memory.append(("treadle_model_memory_bytes", labels, ready.memory))
                fallen.append(("treadle_model_fallback", labels, float(bool(ready.fallback))))
    grew = "Bytes by which the process grew when the version was loaded."
    instead = "1: the version is computed on the processor, because its provider is not to be had."
    return [
        Family("treadle_model_memory_bytes", grew, "gauge", memory),
        Family("treadle_model_fallback", instead, "gauge", fallen),
    ]


class _Collected:
    """A registry of families that are there already."""

    def __init__(self, library: Any, families: Iterable[Family]) -> None:
        self._library, self._families = library, families

    def collect(self) -> Iterable[Any]:
        """Return the families as the library's own."""
        for family in self._families:
            metric = self._library.Metric(family.name, family.help, family.kind)
            for name, labels, value in family.samples:
                if not name.endswith("_created"):
                    metric.add_sample(name, dict(labels), value)
            yield metric


def merged(families: Iterable[Family]) -> list[Family]:
    """Return families of several processes as those of one: counts are added up, of states the worst counts."""
    families = list(families)
    found: dict[str, Family] = {}
    for family in families:
        if family.name not in found:
            found[family.name] = Family(family.name, family.help, family.kind, [])
    values: dict[str, dict[tuple[str, Labels], float]] = {name: {} for name in found}
    for family in families:
        join = _STATES.get(family.name, sum)
        for name, labels, value in family.samples:
            known = values[family.name].get((name, labels))
            values[family.name][name, labels] = value if known is None else join((known, value))
    for name, samples in values.items():
        found[name].samples.extend((sample, labels, value) for (sample, labels), value in samples.items())
    return list(found.values())
