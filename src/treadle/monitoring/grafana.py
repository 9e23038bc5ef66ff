"""Dashboards for Grafana, made with its own kit: what endpoints do, and how models, data and SLOs stand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from treadle.core.optional import require

_KIT = "grafana_foundation_sdk"


class Panel(NamedTuple):
    """A panel: its title, its queries as (PromQL, legend), and its unit as Grafana names it."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    #: `timeseries` or `stat`.
    kind: str = "timeseries"
    said: str = ""


def endpoints() -> list[tuple[str, list[Panel]]]:
    """Return rows of panels on what servers do."""
    rate = "[$__rate_interval]"
    seconds = "treadle_request_seconds"
    chosen = '{endpoint=~"$endpoint"}'
    return [
        ("Traffic", [
            Panel("Requests", ((f"sum by (endpoint) (rate({seconds}_count{chosen}{rate}))", "{{endpoint}}"),), "reqps"),
            Panel("Rows", ((f"sum by (endpoint) (rate(treadle_predictions_total{chosen}{rate}))", "{{endpoint}}"),), "short"),
            Panel("Requests by variant", ((f"sum by (endpoint, variant, version) (rate({seconds}_count{chosen}{rate}))", "{{endpoint}} {{variant}} {{version}}"),), "reqps"),
        ]),
        ("Errors", [
            Panel("Failed (5xx)", ((f"sum by (endpoint) (rate(treadle_requests_failed_total{rate}))", "{{endpoint}}"),), "reqps"),
            Panel("Refused (4xx)", ((f"sum by (endpoint) (rate(treadle_requests_refused_total{rate}))", "{{endpoint}}"),), "reqps"),
            Panel("Given up", ((f"sum by (reason) (rate(treadle_requests_rejected_total{rate}))", "{{reason}}"),), "reqps"),
        ]),
        ("Latency", [
            Panel("Quantiles", tuple((f"histogram_quantile({q}, sum by (le) (rate({seconds}_bucket{chosen}{rate})))", f"p{round(q * 100)}") for q in (0.5, 0.9, 0.99)), "s"),
            Panel("p99 by variant", ((f"histogram_quantile(0.99, sum by (le, variant, version) (rate({seconds}_bucket{chosen}{rate})))", "{{variant}} {{version}}"),), "s"),
            Panel("Requests under way", (("sum(treadle_requests_in_flight)", "under way"),), "short"),
        ]),
        ("Prediction log", [
            Panel("Spool", (("sum(treadle_log_spooled_bytes)", "not in tables"), ("sum(treadle_log_buffered_bytes)", "not on disk")), "bytes"),
            Panel("Lag", (("max(treadle_log_lag_seconds)", "oldest complete segment"),), "s"),
            Panel("Given up", (("sum(treadle_log_dropped_total)", "entries"),), "short"),
        ]),
        ("Servers", [
            Panel("Revision", ((f"max by (endpoint) (treadle_endpoint_revision{chosen})", "{{endpoint}}"),), "short"),
            Panel("Memory", (("sum(treadle_resident_memory_bytes)", "workers"), ("sum by (endpoint, version) (treadle_model_memory_bytes)", "{{endpoint}} {{version}}")), "bytes"),
            Panel("Workers", (("sum(treadle_workers)", "workers"), ("sum(treadle_worker_deaths_total)", "ended by themselves")), "short"),
        ]),
    ]  # fmt: skip


def models(*, slos: bool = True, quality: bool = True, drift: bool = True) -> list[tuple[str, list[Panel]]]:
    """Return rows of panels on models, data and promises; what the project does not have is left out."""
    found: list[tuple[str, list[Panel]]] = []
    if slos:
        found.append(("SLOs", [
            Panel("Error budget left", (("treadle_slo_budget_left_ratio", "{{slo}}"),), "percentunit"),
            Panel("Budget left now", (("treadle_slo_budget_left_ratio", "{{slo}}"),), "percentunit", "stat"),
            Panel("Burn rate, one hour", (('treadle_slo_burn_rate_ratio{window="1h"}', "{{slo}}"),), "short", said="1: as fast as the budget lasts; somebody is told from 14.4."),
        ]))  # fmt: skip
    if quality:
        ends = tuple((f"treadle_slo_metric_{end}", f"{{{{slo}}}} {end}") for end in ("low", "value", "high"))
        found.append(("Quality", [Panel("Metric and its interval", ends, "short")]))
    fresh = [
        Panel("Age of models", (("treadle_model_age_seconds", "{{model}}"),), "s"),
        Panel("Age of data", (("treadle_data_age_seconds", "{{dataset}}"),), "s"),
    ]
    if drift:
        fresh.append(Panel("Drift: findings", (("treadle_model_drift_findings", "{{model}}"),), "short"))
    found.append(("Freshness", fresh))
    alerts = "sum by (rule, severity) (treadle_alerts_open)"
    told = Panel("Open alerts", ((f"{alerts} or vector(0)", "{{severity}} {{rule}}"),), "short")
    return [*found, ("Alerts", [told])]


def dashboard(title: str, uid: str, rows: Sequence[tuple[str, list[Panel]]], *, by_endpoint: bool) -> str:
    """Return a dashboard as JSON, for Grafana 11.6 and newer.

    Raises:
        MissingExtra: Grafana's kit is not installed.
    """
    kit, cog = _builders("dashboard"), require(f"{_KIT}.cog.encoder", extra="grafana")
    made = (
        kit.Dashboard(title)
        .uid(uid)
        .tags(["treadle"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .editable()
    )
    made = made.with_variable(kit.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    if by_endpoint:
        made = made.with_variable(_endpoint_variable(kit))
    numbers = itertools.count(1)
    for row, panels in rows:
        made = made.with_row(kit.Row(row).id(next(numbers)))
        for panel in panels:
            made = made.with_panel(_panel(panel).id(next(numbers)))
    return cog.JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"  # type: ignore[no-any-return]


def _endpoint_variable(kit: Any) -> Any:
    return (
        kit.QueryVariable("endpoint")
        .label("Endpoint")
        .datasource(_source())
        .query("label_values(treadle_endpoint_revision, endpoint)")
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel) -> Any:
    builder = _builders(panel.kind).Panel().title(panel.title).unit(panel.unit).datasource(_source())
    builder = builder.span(8).height(8)
    if panel.said:
        builder = builder.description(panel.said)
    for expr, legend in panel.queries:
        query = _builders("prometheus").Dataquery().expr(expr).legend_format(legend)
        builder = builder.with_target(query)
    return builder


def _source() -> Any:
    models_ = require(f"{_KIT}.models.dashboard", extra="grafana")
    return models_.DataSourceRef(type_val="prometheus", uid="${source}")


def _builders(name: str) -> Any:
    return require(f"{_KIT}.builders.{name}", extra="grafana")
