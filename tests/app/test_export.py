from __future__ import annotations

import json

from prometheus_server import checked


def test_rules_and_dashboards_of_a_project_are_written(shop, typed):
    text = (shop / "project.py").read_text()
    promise = '\nup = td.slos.Availability(endpoint="buys", objective=0.999)\n'
    (shop / "project.py").write_text(text + promise)

    rules = typed("export", "prometheus", "--out", "out")
    boards = json.loads(typed("export", "grafana", "--out", "out", "--json").out)

    assert rules.code == 0
    checked("rules", str(shop / "out" / "treadle-rules.yml"))
    checked("config", str(shop / "out" / "prometheus.yml"))
    assert 'slo: "buys-availability"' in (shop / "out" / "treadle-rules.yml").read_text()
    assert boards == {"written": ["out/treadle-endpoints.json", "out/treadle-models.json"]}
    titles = [
        panel["title"] for panel in json.loads((shop / "out/treadle-models.json").read_text())["panels"]
    ]
    assert "Error budget left" in titles
    assert "Quality" not in titles
    assert typed("slo", "--json").code == 0
    assert "slo buys-availability: unknown" in typed("slo").out
    assert "slo buys-availability: unknown" in typed("status").out
    assert "Did you mean 'buys-availability'" in typed("slo", "buys-availabilty").sentence


def test_what_is_asked_wrongly_is_told_of_exports(shop, typed):
    assert "not a span of time" in typed("export", "prometheus", "--every", "often").sentence
    assert typed("export", "prometheus", "--scale", "0").code == 2
