"""Workers that crash, are replaced and end, against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace

import pytest
import serving_load
from serving_cases import PREDICT, ROW, Load, failed

from memory_limit import limited_memory
from pace import FULL, within


@pytest.fixture
def model(tmp_path):
    """Say how the fake model of version 1 behaves."""

    def make(**how):
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / "delay-1.json").write_text(json.dumps(how))

    return make


def workers_of(server) -> set[int]:
    return set(server.children()[0])


def connections_of(worker: int, port: int) -> int:
    """Return how many connections at the server's port a worker has accepted."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = {at[9] for at in lines if int(at[1].split(":")[1], 16) == port and at[3] == "01"}
    files = []
    for path in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            files.append(str(path.readlink()))
    return sum(file.removeprefix("socket:[").removesuffix("]") in established for file in files)


def wait_until(condition, *, seconds=60.0):
    end = perf_counter() + seconds
    while perf_counter() < end:
        if condition():
            return perf_counter()
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def answered(server) -> float:
    """Return how many rows all workers have answered, dead ones too."""
    lines = server.call("/metrics")[1]["text"].splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("treadle_predictions_total"))


def counted(server, name) -> float:
    text = server.call("/metrics")[1]["text"]
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.split(" ")[0] == name)


def in_flight(server) -> float:
    return counted(server, "treadle_requests_in_flight")


def ready(server):
    try:
        return server.call("/readyz", timeout=2)[0]
    except OSError:
        return 0


@pytest.mark.parametrize("workers", [1, 2])
def test_s8_a_native_crash_costs_only_what_its_worker_was_doing(
    revise, launch, model, workers, record_testsuite_property
):
    model(abort_at=666)
    revise(("champion", 1, 1.0))
    server = launch(workers=workers)
    crash = serving_load.request_bytes(PREDICT, json.dumps({"rows": [{**ROW, "distance": 666}]}).encode())
    back, lost = [], 0

    for number in range(20 if FULL else 1):
        if number:
            threading.Event().wait(5.2)  # a crash sooner after the last one would be taken for a loop
        before = workers_of(server)
        with Load(server.port, rate=100, connections=4) as load:
            load.more(20)
            asyncio.run(_send(server.port, crash))
            died = wait_until(lambda: workers_of(server) != before)  # noqa: B023 - called at once
            wait_until(lambda: len(workers_of(server)) == workers)
            wait_until(lambda: ready(server) == 200)
            back.append(perf_counter() - died)
        lost += load.seen.broken
        assert {status for _, _, status, _ in load.seen.answers} == {200}
        assert load.seen.broken <= 4

    assert max(back) <= within(2), back
    record_testsuite_property(f"s8_workers_{workers}_back_seconds", max(back))
    record_testsuite_property(f"s8_workers_{workers}_broken_connections", lost)
    assert server.stop() == 0


async def _send(port, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await reader.read()
    writer.close()


def test_s8_a_worker_that_the_system_kills_is_replaced(revise, launch, record_testsuite_property):
    """As when memory runs out: SIGKILL, while others answer."""
    revise(("champion", 1, 1.0))
    server = launch(workers=2)
    killed = min(workers_of(server))

    with Load(server.port, rate=100, connections=8) as load:
        load.more(30)
        before = answered(server)
        held = connections_of(killed, server.port)
        os.kill(killed, signal.SIGKILL)
        gone = perf_counter()
        wait_until(lambda: killed not in workers_of(server) and len(workers_of(server)) == 2)
        back = perf_counter() - gone
        since = [answered(server) for _ in range(20)]
        wait_until(lambda: server.call("/metrics")[1]["text"].count("treadle_worker_deaths_total 1.0") == 1)

    assert failed(load) == []
    assert load.seen.broken == held
    assert [before, *since] == sorted([before, *since])  # no total goes back, whoever tells it
    assert back <= within(2)
    record_testsuite_property("s8_killed_back_seconds", back)
    assert server.stop() == 0


@pytest.mark.slow
def test_s8_a_worker_that_the_kernel_kills_for_want_of_memory_costs_only_what_it_was_doing(
    revise, launch, model, record_testsuite_property
):
    """As in a container: the model asks for a gigabyte where a quarter of one is left."""
    model(gorges_at=666)
    revise(("champion", 1, 1.0))
    server = launch(workers=2)
    gorge = serving_load.request_bytes(PREDICT, json.dumps({"rows": [{**ROW, "distance": 666}]}).encode())
    back, times = [], 5 if FULL else 1

    with limited_memory(2**28) as limit:
        for number in range(times):
            if number:
                threading.Event().wait(5.2)  # sooner after the last one it would be taken for a loop
            before = workers_of(server)
            for pid in before:
                limit.add(pid)
            with Load(server.port, rate=100, connections=8) as load:
                load.more(30)
                with suppress(OSError):
                    asyncio.run(_send(server.port, gorge))
                died = wait_until(lambda: workers_of(server) != before)  # noqa: B023 - called at once
                wait_until(lambda: len(workers_of(server)) == 2)
                back.append(perf_counter() - died)
            assert limit.kills() == number + 1
            assert failed(load) == []
            assert len(before & workers_of(server)) == 1

    assert max(back) <= within(2), back
    assert counted(server, "treadle_worker_deaths_total") == times
    record_testsuite_property("s8_out_of_memory_back_seconds", max(back))
    assert server.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_s8_a_crash_loop_backs_off_and_is_not_ready(revise, launch, model, workers):
    model(abort_at=666)
    revise(("champion", 1, 1.0))
    server = launch(workers=workers)
    crash = serving_load.request_bytes(PREDICT, json.dumps({"rows": [{**ROW, "distance": 666}]}).encode())

    end = perf_counter() + 120
    while perf_counter() < end:
        try:
            status, told = server.call("/readyz", timeout=5)
        except OSError:
            continue
        if status == 503:
            break
        try:
            asyncio.run(_send(server.port, crash))
        except OSError:
            continue

    assert "has crashed" in told["problems"][0]
    wait_until(lambda: ready(server) == 200)  # a worker that lives on ends the loop
    assert server.stop() == 0


def test_a_worker_that_cannot_start_ends_the_server(launch):
    server = launch(wait=False, fails=True)

    assert server.process.wait(60) == 1


@pytest.mark.slow
def test_workers_are_replaced_under_load_and_no_request_fails(revise, launch, record_testsuite_property):
    revise(("champion", 1, 1.0))
    server = launch(workers=2)
    seen = {0}

    with Load(server.port, rate=500, connections=16, reconnect=True) as load:
        for _ in range(25 if FULL else 1):
            before = workers_of(server)
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: not before & workers_of(server) and len(workers_of(server)) == 2)  # noqa: B023
            seen |= before

    assert failed(load) == []
    assert load.seen.broken == 0
    record_testsuite_property("workers_replaced", len(seen) - 1)
    record_testsuite_property("workers_replaced_requests", len(load.seen.answers))
    assert server.stop() == 0


def test_s3_sigterm_answers_all_that_has_begun_and_more_for_a_while(
    revise, launch, model, record_testsuite_property
):
    model(seconds=1.0)
    revise(("champion", 1, 1.0))
    server = launch(drain_wait=within(1.5, busy=2), workers=2)
    slow = {"rows": [ROW] * 300}

    with ThreadPoolExecutor(4) as pool:
        begun = [pool.submit(server.call, PREDICT, slow) for _ in range(4)]
        wait_until(lambda: in_flight(server) == 4)
        server.process.send_signal(signal.SIGTERM)
        told = perf_counter()
        wait_until(lambda: ready(server) == 503)
        noticed = perf_counter() - told
        late = server.call(PREDICT, {"rows": [{**ROW, "distance": 0}]})
        head = _head(server.port)
        answers = [future.result()[0] for future in begun]
        code = server.process.wait(60)
    ended = perf_counter() - told

    assert noticed <= within(0.1, busy=20), noticed
    assert (late[0], answers, code) == (200, [200] * 4, 0)
    assert "connection: close" in head.lower()
    assert within(1.5, busy=2) <= ended < within(10)
    record_testsuite_property("s3_readyz_seconds", noticed)


def _head(port):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/livez")
    return str(connection.getresponse().headers)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_s3_sigterm_under_load_fails_no_request(revise, launch, record_testsuite_property):
    revise(("champion", 1, 1.0))
    count = 0

    for _ in range(50 if FULL else 1):
        server = launch(workers=2, drain_wait=0.5)
        with Load(server.port, rate=500, connections=16, reconnect=True) as load:
            load.more(200)
            server.process.send_signal(signal.SIGTERM)
            code = server.process.wait(60)
        assert code == 0
        assert failed(load) == []
        assert load.seen.broken == 0
        count += len(load.seen.answers)

    record_testsuite_property("s3_requests", count)


def test_a_second_signal_ends_at_once(revise, launch, model):
    model(seconds=20)
    revise(("champion", 1, 1.0))
    server = launch(drain_wait=0.0)
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(server.call, PREDICT, {"rows": [ROW] * 300})
        wait_until(lambda: in_flight(server) == 1)

        server.process.send_signal(signal.SIGTERM)
        threading.Event().wait(0.3)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(within(3, busy=5)) == 128 + signal.SIGTERM
        assert isinstance(lost.exception(), OSError)


def test_a_signal_to_a_worker_that_has_just_ended_is_no_error():
    pytest.importorskip("granian")
    from treadle.serving.workers import _signal

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    _signal(SimpleNamespace(_id=lambda: ended.pid), signal.SIGTERM)
