"""Rules for Prometheus, written from the project's SLOs: what is recorded, and when somebody is told.

The windows and rates are those of `burning`; see there for their source.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from treadle.core.clock import parse_span, span_text
from treadle.monitoring.burning import PAIRS, WINDOWS, Pair
from treadle.monitoring.slo import SLO

_FAILED, _ANSWERED, _SECONDS = (
    "treadle_requests_failed_total",
    "treadle_request_seconds_count",
    "treadle_request_seconds_bucket",
)


def rules(slos: Iterable[SLO], *, every: str = "30s", scale: float = 1.0) -> dict[str, Any]:
    """Return a file of rules: for each SLO a group, and one for the servers and the watcher themselves.

    `every` is how often they are evaluated. `scale` divides all windows, to try the rules out in minutes.
    """
    groups = [_group(slo, every, scale) for slo in slos]
    return {"groups": [*groups, {"name": "treadle", "interval": every, "rules": _own(scale)}]}


def scrape(*, server: str, watcher: str, token: str = "", every: str = "15s") -> dict[str, Any]:
    """Return an example of what goes into `prometheus.yml`; addresses are `host:port`, `token` the file of a token."""
    jobs = []
    for name, target in (("treadle", server), ("treadle-watch", watcher)):
        job: dict[str, Any] = {
            "job_name": name,
            "scrape_interval": every,
            "static_configs": [{"targets": [target]}],
        }
        if token:
            job["authorization"] = {"type": "Bearer", "credentials_file": token}
        jobs.append(job)
    return {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": ["treadle-rules.yml"],
        "scrape_configs": jobs,
    }


def bad_ratio(slo: SLO, window: str) -> str:
    """Return the expression of the share that was bad in a window."""
    about = f"{{slo={quoted(slo.label)}}}"
    if not slo.counts_requests:
        return f"1 - max(avg_over_time(treadle_slo_kept{about}[{window}]))"
    endpoint = f"endpoint={quoted(slo.subject.partition(':')[2])}"
    answered = f"sum(rate({_ANSWERED}{{{endpoint}}}[{window}]))"
    if slo.kind == "latency":
        bound = float(slo.within)  # type: ignore[attr-defined]
        fast = f'sum(rate({_SECONDS}{{{endpoint},le="{bound!r}"}}[{window}]))'
        return f"1 - {fast} / {answered}"
    failed = f"(sum(rate({_FAILED}{{{endpoint}}}[{window}])) or vector(0))"
    return f"{failed} / ({failed} + ({answered} or vector(0)))"


def recorded(window: timedelta) -> str:
    """Return the name of the series of the share that was bad in a window."""
    return f"treadle:slo_bad:ratio_{span_text(window)}"


def quoted(text: str) -> str:
    """Return a text as PromQL takes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _group(slo: SLO, every: str, scale: float) -> dict[str, Any]:
    labels = {"slo": slo.label, "kind": slo.kind, "subject": slo.subject}
    windows = [window for window in WINDOWS if window <= slo.span]
    records = [
        {"record": recorded(window), "expr": bad_ratio(slo, _range(window, scale)), "labels": labels}
        for window in windows
    ]
    alerts = [_alert(slo, pair, scale) for pair in PAIRS if pair.long <= slo.span]
    return {"name": f"treadle-slo-{slo.label}", "interval": every, "rules": [*records, *alerts]}


def _alert(slo: SLO, pair: Pair, scale: float) -> dict[str, Any]:
    about = f"{{slo={quoted(slo.label)}}}"
    rate = pair.rate(slo.span)
    limit = f"{rate * slo.budget:.10g}"
    expr = f"{recorded(pair.long)}{about} > {limit} and {recorded(pair.short)}{about} > {limit}"
    if slo.counts_requests and slo.least:
        endpoint = f"endpoint={quoted(slo.subject.partition(':')[2])}"
        window = _range(pair.long, scale)
        counted = " + ".join(
            f"(sum(increase({name}{{{endpoint}}}[{window}])) or vector(0))" for name in (_ANSWERED, _FAILED)
        )
        expr = f"({expr}) and on() ({counted} >= {slo.least})"
    burnt = (
        f"{slo.label} ({slo.said}, {slo.objective:.4%} over {slo.period}) burns its error budget more than {rate:.1f} times as fast as "
        f"it lasts: {rate * (pair.long / slo.span):.0%} of it in {span_text(pair.long)}. {{{{ $value | humanizePercentage }}}} is bad."
    )
    return {
        "alert": "TreadleSLOBurnsFast" if pair.severity == "page" else "TreadleSLOBurns",
        "expr": expr,
        "labels": {
            "severity": pair.severity,
            "rule": pair.rule,
            "window": span_text(pair.long),
            "slo": slo.label,
        },
        "annotations": {"summary": f"{slo.label} burns its error budget", "description": burnt},
    }


def _own(scale: float) -> list[dict[str, Any]]:
    """Return the alerts on servers and watcher themselves."""
    found = [
        ("TreadleLogNotWritable", "treadle_log_writable == 0", "2m", "page", "The prediction log cannot be written"),
        ("TreadleLogDropped", f"increase(treadle_log_dropped_total[{_range(timedelta(minutes=15), scale)}]) > 0", "0s", "ticket", "Entries of the prediction log were given up"),
        ("TreadleLogLags", "treadle_log_lag_seconds > 900", "5m", "ticket", "The prediction log is not brought into its tables"),
        ("TreadleLedgerUnreachable", "treadle_ledger_reachable == 0", "5m", "ticket", "A server cannot read new revisions"),
        ("TreadleRevisionRefused", "treadle_endpoint_refused == 1", "5m", "ticket", "The newest revision of an endpoint cannot be loaded"),
        ("TreadleWorkersDie", f"increase(treadle_worker_deaths_total[{_range(timedelta(hours=1), scale)}]) > 3", "0s", "ticket", "Workers of a server end by themselves"),
        ("TreadleServerGone", 'up{job="treadle"} == 0', "2m", "page", "A prediction server does not answer"),
        ("TreadleWatcherGone", 'up{job="treadle-watch"} == 0', "10m", "ticket", "The watcher does not answer"),
    ]  # fmt: skip
    return [
        {
            "alert": name,
            "expr": expr,
            "for": _for(wait, scale),
            "labels": {"severity": severity},
            "annotations": {"summary": said},
        }
        for name, expr, wait, severity, said in found
    ]


def _for(wait: str, scale: float) -> str:
    return _range(parse_span(wait), scale)


def _range(window: timedelta, scale: float) -> str:
    milliseconds = round(window.total_seconds() * 1000 / scale)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
