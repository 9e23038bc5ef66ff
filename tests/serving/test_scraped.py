"""Prometheus's own tool reads what a server says, and callers cannot make it say ever more."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from serving_cases import PREDICT, ROW

from treadle.core.records import Revision, Variant
from treadle.serving.log import PredictionLog
from treadle.serving.telemetry import MOST_SERIES, Telemetry

NOW = datetime(2020, 1, 1, tzinfo=UTC)


def test_s12_promtool_finds_nothing_to_say(revise, launch):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("No promtool is installed: apt-get install prometheus")
    revise(("champion", 7, 0.5), ("challenger", 8, 0.5))
    server = launch(workers=2)
    for number in range(20):
        server.call(PREDICT, {"rows": [ROW], "subject": f"s{number}"})
    server.call(PREDICT, {"rows": []})
    text = server.call("/metrics")[1]["text"]

    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_s12_names_that_callers_make_up_are_no_series(shared):
    def series() -> int:
        text = shared.call("/metrics")[1]["text"]
        return sum(not line.startswith("#") for line in text.splitlines())

    shared.call("/v1/endpoints/first/predict", {"rows": [ROW]})
    before, body = series(), json.dumps({"rows": [ROW]})
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=60)
    for number in range(5_000 if os.environ.get("TREADLE_FULL") else 500):
        for method, path in (
            ("POST", f"/v1/endpoints/made-up-{number}/predict"),
            ("GET", f"/nowhere/{number}"),
        ):
            connection.request(method, path, body=body if method == "POST" else None)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 404
    connection.close()

    assert series() == before


def test_s12_very_many_endpoints_are_no_very_many_series(tmp_path):
    telemetry, variant = Telemetry(), Variant(name="champion", model="delay", version=1)
    names = [f"endpoint-{number:05}" for number in range(10_000)]
    for name in names:
        answer = SimpleNamespace(endpoint=name, variant=variant, batch=SimpleNamespace(rows=1))
        telemetry.answered(answer, 0.01)
        telemetry.refused(name, 500)
    revision = Revision(
        endpoint="", revision=1, variants=(variant,), created_at=NOW, actor="test", reason="asked for"
    )
    loaded = {name: SimpleNamespace(revision=revision, ready={}) for name in names}
    log = PredictionLog(tmp_path, server="s")

    text = telemetry.text(telemetry.families(loaded, {}, log)).decode()

    of_each = Counter(line.partition("{")[0] for line in text.splitlines() if not line.startswith("#"))
    buckets = of_each.pop("treadle_request_seconds_bucket")
    assert buckets <= 15 * (2 * MOST_SERIES + 1)
    assert max(of_each.values()) <= 2 * MOST_SERIES + 1
    assert re.search(
        r'treadle_predictions_total{endpoint="other",variant="other",version="other"} [1-9]', text
    )
