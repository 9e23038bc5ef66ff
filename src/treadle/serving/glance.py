"""What a server did between two looks at its metrics: pure numbers, from Prometheus's text."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

#: A metric's name and its labels → its value.
Look = dict[tuple[str, tuple[tuple[str, str], ...]], float]
_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_BUCKET = "treadle_request_seconds_bucket"


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """One variant of an endpoint, between two looks."""

    endpoint: str
    version: str
    variant: str
    #: Requests and rows a second.
    requests: float
    rows: float
    #: Seconds within which half and 99 of 100 requests were answered; None: there were none.
    p50: float | None
    p99: float | None


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """A server, between two looks."""

    seconds: float
    served: list[Served]
    #: Endpoint → the revision that answers.
    revisions: dict[str, int]
    #: Requests a second that were answered with 4xx, with 5xx, and given up, by reason.
    refused: float
    failed: float
    rejected: dict[str, float]
    in_flight: int
    workers: int
    deaths: int
    memory: int
    log_lag: float
    log_dropped: int
    log_spooled: int
    #: What should not be so.
    problems: list[str]


def parse(text: str) -> Look:
    """Return the samples of Prometheus's text format.

    >>> parse('treadle_workers 2.0')
    {('treadle_workers', ()): 2.0}
    """
    found: Look = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            labels = tuple(sorted(_LABEL.findall(match[2] or "")))
            found[match[1], labels] = float(match[3])
    return found


def between(first: Look, second: Look, seconds: float) -> Glance:
    """Return what happened from one look to the next, `seconds` later; what was counted anew in between counts whole."""
    changed = {
        key: value - (before if (before := first.get(key, 0.0)) <= value else 0.0)
        for key, value in second.items()
    }
    seconds = max(seconds, 1e-9)
    rejected = {
        dict(labels)["reason"]: value / seconds
        for (name, labels), value in changed.items()
        if name == "treadle_requests_rejected_total" and value
    }
    return Glance(
        seconds=seconds,
        served=_served(changed, seconds),
        revisions={
            dict(key[1])["endpoint"]: int(value) for key, value in _of(second, "treadle_endpoint_revision")
        },
        refused=_sum(changed, "treadle_requests_refused_total") / seconds,
        failed=_sum(changed, "treadle_requests_failed_total") / seconds,
        rejected=rejected,
        in_flight=int(_sum(second, "treadle_requests_in_flight")),
        workers=int(_sum(second, "treadle_workers")),
        deaths=int(_sum(second, "treadle_worker_deaths_total")),
        memory=int(_sum(second, "treadle_resident_memory_bytes")),
        log_lag=_sum(second, "treadle_log_lag_seconds"),
        log_dropped=int(_sum(second, "treadle_log_dropped_total")),
        log_spooled=int(_sum(second, "treadle_log_spooled_bytes")),
        problems=_problems(second),
    )


def _problems(look: Look) -> list[str]:
    found = []
    if _sum(look, "treadle_log_writable") == 0:
        found.append("the prediction log cannot be written")
    if _sum(look, "treadle_ledger_reachable") == 0:
        found.append("the ledger does not answer: loaded revisions go on")
    found += [
        f"the newest revision of {dict(key[1])['endpoint']} was refused"
        for key, value in _of(look, "treadle_endpoint_refused")
        if value
    ]
    return found


def _served(changed: Look, seconds: float) -> list[Served]:
    buckets: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    for (name, labels), value in changed.items():
        if name == _BUCKET:
            at = dict(labels)
            bound = float(at.pop("le"))
            buckets.setdefault(tuple(sorted(at.items())), {})[bound] = value
    found = []
    for labels, counts in sorted(buckets.items()):
        said = dict(labels)
        found.append(
            Served(
                endpoint=said.get("endpoint", ""),
                version=said.get("version", ""),
                variant=said.get("variant", ""),
                requests=counts.get(float("inf"), 0.0) / seconds,
                rows=changed.get(("treadle_predictions_total", labels), 0.0) / seconds,
                p50=quantile(counts, 0.5),
                p99=quantile(counts, 0.99),
            )
        )
    return found


def quantile(counts: Mapping[float, float], share: float) -> float | None:
    """Return the value below which a share of what a histogram counted lies, as Prometheus would say; None: nothing.

    >>> quantile({0.1: 50, 0.2: 100, float("inf"): 100}, 0.75)
    0.15
    """
    bounds = sorted(counts)
    total = counts[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    wanted, low, below = share * total, 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= wanted:
            if bound == float("inf"):
                return low
            inside = counts[bound] - below
            return round(low + (bound - low) * ((wanted - below) / inside if inside else 1.0), 6)
        low, below = bound, counts[bound]
    return low


def _of(look: Look, name: str) -> list[tuple[tuple[str, tuple[tuple[str, str], ...]], float]]:
    return sorted((key, value) for key, value in look.items() if key[0] == name)


def _sum(look: Look, name: str) -> float:
    return sum(value for _, value in _of(look, name))
