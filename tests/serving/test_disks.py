"""Disks that fail under a real server process: errors injected into its system calls, and a file system that is full."""

from __future__ import annotations

import shutil
import subprocess
import threading
from contextlib import contextmanager
from time import perf_counter

import pytest

from pace import within
from treadle.serving.log import LOGS
from treadle.serving.predictions import Predictions

ASK = ("/v1/endpoints/delay/predict", {"rows": [{"distance": 1400, "temp": None, "carrier": "UA"}]})


def worker_of(server):
    return str(server.children()[0][0])


@contextmanager
def failing(server, error):
    """Let every fdatasync of the server fail; skip where that cannot be done."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    command = [
        "strace",
        "-f",
        "-p",
        worker_of(server),
        "-e",
        "trace=fdatasync",
        "-e",
        f"inject=fdatasync:error={error}",
    ]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        if "attached" not in (line := tracer.stderr.readline()):
            pytest.skip(f"strace cannot attach: {line}")
        yield
    finally:
        tracer.terminate()
        tracer.stderr.close()
        tracer.wait()


def recovered(server):
    """Return the seconds until the server answers and is ready again."""
    begun = perf_counter()
    while perf_counter() - begun < 60:
        if server.call(*ASK)[0] == 200 and server.call("/readyz")[0] == 200:
            break
        threading.Event().wait(0.05)
    return perf_counter() - begun


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status", "said"), [("EIO", 503, "Input/output error"), ("ENOSPC", 507, "no space")]
)
def test_r4_a_failing_disk_is_told_with_its_cause_and_the_server_recovers(
    revise, launch, tables, tmp_path, error, status, said
):
    revise(("champion", 1, 1.0))
    server = launch(durability="sync")
    before = [server.call(*ASK) for _ in range(5)]

    with failing(server, error):
        during = [server.call(*ASK) for _ in range(3)]
        ready = server.call("/readyz")
    seconds = recovered(server)

    answered = {answer["id"] for code, answer in before if code == 200}
    assert len(answered) == 5
    assert {code for code, _ in during} == {status}
    assert all(said in answer["error"]["message"] for _, answer in during)
    assert ready[0] == 503
    assert seconds < within(5)
    assert answered <= set(Predictions(tables, root=tmp_path).scan("delay").collect()["request_id"])


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["sync", "async"])
def test_r4_a_full_file_system_stops_the_log_and_not_the_server(revise, launch, tmp_path, durability):
    folder = tmp_path / LOGS
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        revise(("champion", 1, 1.0))
        server = launch(durability=durability, flush_interval=0.05)
        (folder / "ballast").write_bytes(b"x" * 100_000)
        body = {"rows": ASK[1]["rows"] * 1_000}

        statuses = [server.call(ASK[0], body)[0] for _ in range(40)]
        (folder / "ballast").unlink()

        assert set(statuses) == ({200, 507} if durability == "sync" else {200})
        assert recovered(server) < 5
        server.kill()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
