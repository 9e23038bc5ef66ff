"""A real Prometheus scrapes a real server, evaluates the rules that are written from SLOs, and fires; dashboards hold no empty panel."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest
from serving_cases import PREDICT, ROW

import treadle as td
from prometheus_server import checked, prometheus
from treadle.app import gauges
from treadle.core.alert import Alert
from treadle.loop.promises import Standing
from treadle.monitoring import grafana, yaml
from treadle.monitoring import prometheus as written
from treadle.monitoring.exposition import Exposition

SLOS = [
    td.slos.Availability(endpoint="delay", objective=0.99),
    td.slos.Latency(endpoint="delay", within=0.5, objective=0.9),
    td.slos.Freshness(data='fli"ghts', within="2h", objective=0.9, name="fresh"),
    td.slos.Quality(endpoint="delay", metric="log_loss", at_most=0.4, objective=0.9),
]


class Project:
    """What the watcher's page is made of, in a state that has everything in it."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.project = type("P", (), {"datasets": {"flights": 1}, "models": {"delay": 1}})()
        self.datasets = self.models = self.drifts = self.promises = self.alerts = self.routes = self
        self.channels = {"team": None}
        self.window = type("W", (), {"end": clock.now()})()
        self.time_max = clock.now()

    def version(self, name):
        return self

    def aliases(self, name):
        return {"champion": 1}

    def get(self, name):
        return self

    def history(self, model, since):
        import polars as pl

        return pl.DataFrame({"drifted": [0, 3]})

    def standings(self):
        return [
            Standing(
                slo=slo.label,
                kind=slo.kind,
                subject=slo.subject,
                said=slo.said,
                objective=slo.objective,
                period=slo.period,
                state="kept",
                good=0.995,
                budget_left=0.5,
                burns={"1h": 0.5},
                kept_now=None if slo.counts_requests else True,
                **({"value": 0.3, "low": 0.2, "high": 0.4} if slo.kind == "quality" else {}),
            )
            for slo in SLOS
        ]

    def open(self):
        at = self.clock.now()
        return [Alert(id="alert_1", rule="stale-data", subject="model:delay", text="old", at=at)]

    def waiting(self):
        return []


@pytest.fixture
def scraped(tmp_path, revise, launch, clock):
    """A server and a watcher's page, with the files that are written for them."""
    revise(("champion", 7, 1.0))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "delay-9.json").write_text(json.dumps({"fails": 1.0}))
    server = launch()
    page = gauges.page(Project(clock))
    checked("metrics", text=page.decode())
    with Exposition(lambda: page, host="127.0.0.1", port=0).running() as port:
        rules = yaml.text(written.rules(SLOS, every="250ms", scale=60))
        (tmp_path / "treadle-rules.yml").write_text(rules)
        config = written.scrape(server=f"127.0.0.1:{server.port}", watcher=f"127.0.0.1:{port}", every="250ms")
        (tmp_path / "prometheus.yml").write_text(yaml.text(config))
        yield server


@pytest.mark.slow
def test_s12_the_burn_rate_alert_fires_while_an_endpoint_fails(scraped, tmp_path: Path, revise) -> None:
    checked("rules", str(tmp_path / "treadle-rules.yml"))
    checked("config", str(tmp_path / "prometheus.yml"))
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.02):
            scraped.call(PREDICT, {"rows": [ROW]})
            scraped.call(PREDICT, {"rows": []})

    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        with prometheus(tmp_path, tmp_path / "prometheus.yml") as server:
            good = 'treadle:slo_bad:ratio_1h{slo="delay-availability"} == 0'
            server.wait_until(lambda: server.query(good))
            assert ("TreadleSLOBurnsFast", "1h") not in server.alerts()
            series = len(server.query('{__name__=~"treadle_.*"}'))

            revise(("champion", 9, 1.0))

            server.wait_until(lambda: server.alerts().get(("TreadleSLOBurnsFast", "1h")) == "firing")
            _check_panels(server)
            _check_health(server)
            (fired,) = [one for one in server.get("alerts")["alerts"] if one["labels"].get("window") == "1h"]
            assert fired["labels"]["slo"] == "delay-availability"
            assert fired["labels"]["severity"] == "page"
            assert "burns its error budget more than 14.4 times" in fired["annotations"]["description"]
            assert len(server.query('{__name__=~"treadle_.*"}')) < series + 60
    finally:
        ended.set()
        for caller in callers:
            caller.join()


def _check_health(server) -> None:
    """Every rule was evaluated without an error."""
    groups = server.get("rules")["groups"]
    unwell = [
        (rule["name"], rule.get("lastError"))
        for group in groups
        for rule in group["rules"]
        if rule["health"] != "ok"
    ]

    assert len(groups) == len(SLOS) + 1
    assert unwell == []


def _check_panels(server) -> None:
    """Every query of every panel is taken by Prometheus, and finds something."""
    for name, rows, by_endpoint in (
        ("endpoints", grafana.endpoints(), True),
        ("models", grafana.models(), False),
    ):
        text = grafana.dashboard(f"flights: {name}", f"treadle-{name}", rows, by_endpoint=by_endpoint)
        panels = [panel for panel in json.loads(text)["panels"] if panel["type"] != "row"]
        assert len(panels) == sum(len(panels) for _, panels in rows)
        for panel in panels:
            assert panel["targets"], panel["title"]
            for target in panel["targets"]:
                expr = target["expr"].replace("$__rate_interval", "30s").replace("$endpoint", ".*")
                assert "$" not in expr
                server.wait_until(lambda expr=expr: server.query(expr), seconds=30)


def test_dashboards_are_what_grafanas_own_kit_reads() -> None:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    text = grafana.dashboard("flights", "treadle-endpoints", grafana.endpoints(), by_endpoint=True)

    read = Dashboard.from_json(json.loads(text))
    assert read.uid == "treadle-endpoints"
    assert read.panels is not None
    assert read.templating is not None
    assert [one.name for one in read.templating.list_val or []] == ["source", "endpoint"]
    identifiers = [panel["id"] for panel in json.loads(text)["panels"] if "id" in panel]
    assert len(identifiers) == len(json.loads(text)["panels"])
    assert len(set(identifiers)) == len(identifiers)


def test_names_with_quotes_and_line_ends_stay_names(tmp_path: Path) -> None:
    hostile = [td.slos.Availability(endpoint='a"} or vector(1) #\n', objective=0.9, name="x")]

    text = yaml.text(written.rules(hostile))

    (tmp_path / "rules.yml").write_text(text)
    checked("rules", str(tmp_path / "rules.yml"))
    assert 'endpoint=\\"a\\\\\\"} or vector(1) #\\\\n\\"' in text


def test_very_many_subjects_are_no_very_many_series(clock) -> None:
    project = Project(clock)
    project.project.models = dict.fromkeys((f"model-{number:05}" for number in range(10_000)), 1)

    text = gauges.page(project).decode()

    assert len(re.findall(r"^treadle_model_age_seconds{", text, re.MULTILINE)) == gauges.MOST_SERIES
    assert f"treadle_series_left_out {2 * (10_000 - gauges.MOST_SERIES)}.0" in text
