"""Kills, swaps and broken versions under load, against a real server process."""

from __future__ import annotations

import json
import os
import random
import threading
from dataclasses import dataclass
from time import perf_counter

import pytest
from serving_cases import Load, acked
from trials import until

from pace import FULL, within
from treadle.serving.predictions import Predictions
from treadle.serving.spool import LOGS


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_r1_no_answered_prediction_is_lost_when_the_server_is_killed(
    revise, launch, ledger, tables, tmp_path, record_testsuite_property
):
    """Kills under load with `durability="sync"`; what was answered is written down in a file of its own."""
    kills, chance = 200 if FULL else 20, random.Random(6)
    revise(("champion", 7, 1.0))
    server = launch(wait=False, durability="sync")
    server.kill()
    starts, idle, checks = [], [], set()

    with (tmp_path / "acked").open("w") as witness:
        for number in range(kills):
            if number % 5 == 0:  # how long a start takes here and now with nothing to mend
                idle.append(server.start())
                server.kill()
            starts.append(server.start())
            with Load(server.port, name=f"k{number}") as load:
                load.more(chance.randint(1, 300))
                server.kill()
            witness.writelines(f"{name}\n" for _, name in acked(load))
            witness.flush()
            os.fsync(witness.fileno())
            checks.add(ledger.integrity())

    expected = (tmp_path / "acked").read_text().split()
    logged = Predictions(tables, root=tmp_path).scan("delay").collect()
    server.start()
    # What so many dead servers left is brought to the table by the next one, in its own time.
    until(lambda: len(list((tmp_path / LOGS).iterdir())) <= 2, timeout=600.0)
    server.stop()
    shipped = tables.scan("predictions/delay").collect()
    lost = set(expected) - set(logged["request_id"])
    ready = sorted(starts)[int(0.95 * kills)]
    record_testsuite_property("answered", len(expected))
    record_testsuite_property("ready_p95_seconds", round(ready, 2))
    assert len(expected) > kills
    assert lost == set()
    assert logged["request_id"].n_unique() == logged.height
    assert shipped["prediction_id"].n_unique() == shipped.height == logged.height
    assert list((tmp_path / LOGS).iterdir()) == []
    assert checks == {"ok"}
    assert ready <= (3.0 if FULL else 3 * max(3.0, *idle))


@pytest.mark.slow
def test_without_sync_a_kill_loses_at_most_the_flush_interval(revise, launch, tables, tmp_path):
    interval, slack = 0.2, within(0.3)
    revise(("champion", 7, 1.0))
    server = launch(wait=False, durability="async", flush_interval=interval)
    server.kill()
    owed = set()

    for number in range(5 if FULL else 2):
        server.start()
        with Load(server.port, name=f"k{number}", rate=400) as load:
            threading.Event().wait(interval + slack + 0.5)
            killed = perf_counter()
            server.kill()
        owed |= {name for end, name in acked(load) if end < killed - interval - slack}

    logged = Predictions(tables, root=tmp_path).scan("delay").collect()
    assert len(owed) > 20
    assert owed - set(logged["request_id"]) == set()


@dataclass
class Swap:
    version: int
    begun: float
    ended: float


def p99(seconds):
    return sorted(seconds)[int(len(seconds) * 0.99)]


def versions(load, begin):
    """Return the versions that answered, of the answers from a number on."""
    return {json.loads(body)["version"] for *_, body in load.seen.answers[begin:]}


@pytest.mark.slow
def test_s1_fifty_swaps_under_load_fail_nothing_and_mix_nothing(revise, launch, record_testsuite_property):
    revise(("champion", 1, 1.0))
    server = launch()
    swaps = []

    with Load(server.port, connections=8, rate=500, rows=3) as load:
        begun = perf_counter()
        load.more(1000 if FULL else 100)
        for version in range(2, 52):
            revise(("champion", version, 1.0))
            before, start = len(load.seen.answers), perf_counter()
            status, told = server.call("/v1/endpoints/delay/refresh", {})
            assert (status, told["variants"][0]["version"]) == (200, version)
            swaps.append(Swap(version, start, perf_counter()))
            until(lambda: version in versions(load, before), timeout=60)  # noqa: B023 - called at once
        ended = perf_counter()

    answers = [(sent, end, status, json.loads(body)) for sent, end, status, body in load.seen.answers]
    failed = [status for _, _, status, _ in answers if status != 200]
    mixed = [b for *_, b in answers if {p["probability"] for p in b["predictions"]} != {b["version"] / 1000}]
    old = [s for s in swaps for sent, _, _, b in answers if sent > s.ended and b["version"] < s.version]
    steady = p99([end - sent for sent, end, *_ in answers if end < swaps[0].begun])
    around = p99(
        [end - sent for sent, end, *_ in answers if sent >= swaps[0].begun and end <= swaps[-1].ended]
    )
    rate = len(answers) / (ended - begun)
    record_testsuite_property("requests_per_second", round(rate))
    record_testsuite_property("p99_steady_ms", round(steady * 1000, 1))
    record_testsuite_property("p99_swaps_ms", round(around * 1000, 1))
    assert (failed, load.seen.broken, mixed, old) == ([], 0, [], [])
    assert {b["version"] for *_, b in answers} >= set(range(2, 52))
    if FULL:
        assert around <= max(2 * steady, 0.25)
        assert rate >= 200


@pytest.mark.slow
def test_s2_twenty_broken_versions_are_refused_and_the_old_goes_on(revise, launch, endpoints, tmp_path):
    revise(("champion", 1, 1.0))
    server = launch()
    (tmp_path / "models").mkdir()
    reasons = {}

    with Load(server.port, connections=4, rate=200) as load:
        for version in range(2, 22):
            how = ("truncated", "digest", "raises", "warm")[version % 4]
            (tmp_path / "models" / f"delay-{version}.json").write_text(json.dumps({"broken": how}))
            revision = revise(("champion", version, 1.0)).revision
            status, told = server.call("/v1/endpoints/delay/refresh", {})
            shown = server.call("/v1/endpoints/delay")[1]
            state = endpoints.states("delay")[0]
            assert status == 409
            assert shown["refused"] == state.refused == revision
            assert shown["error"] == state.error == told["error"]["message"]
            assert (shown["revision"], state.revision) == (1, 1)
            reasons[how] = told["error"]["message"]

    assert {(status, json.loads(body)["version"]) for _, _, status, body in load.seen.answers} == {(200, 1)}
    assert load.seen.broken == 0
    assert "digest sha256:1" in reasons["digest"]
    assert "ValueError: no such operator" in reasons["raises"]
    assert "the weights are not there" in reasons["warm"]
