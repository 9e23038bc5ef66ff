"""Prometheus's own tool reads what a server says, and callers cannot make it say ever more."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from serving_cases import PREDICT, ROW


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
    before = series()
    for number in range(300):
        shared.call(f"/v1/endpoints/made-up-{number}/predict", {"rows": [ROW]})
        shared.call(f"/nowhere/{number}")

    assert series() == before
