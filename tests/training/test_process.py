"""The process engine: a job and all that it started end when they must."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from treadle.core.errors import RunCrashed, RunFailed, RunTimeout
from treadle.testing.compute import job_of
from treadle.training.compute.process import Engine
from treadle.training.jobs import Job

#: Starts a grandchild that would live for an hour, and writes both process ids down.
BREEDS = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
pathlib.Path({path!r}).with_suffix(".part").write_text(f"{{os.getpid()}} {{child.pid}}")
os.replace(pathlib.Path({path!r}).with_suffix(".part"), {path!r})
"""


def wait_until(done: object, seconds: float = 60.0) -> None:
    tick = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if done():  # type: ignore[operator]
            return
        tick.wait(0.02)
    pytest.fail(f"It did not happen within {seconds:g} s")


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def pids(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()]


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGKILL, "out of memory"), (signal.SIGSEGV, "native library"), (signal.SIGUSR1, "SIGUSR1")],
)
def test_death_by_a_signal_is_a_crash_that_names_it(
    tmp_path: Path, number: signal.Signals, said: str
) -> None:
    job = job_of(f"import os; print('epoch 3', flush=True); os.kill(os.getpid(), {int(number)})")

    with pytest.raises(RunCrashed, match=number.name) as caught:
        Engine().run(job, log=tmp_path / "log.txt", timeout=60)

    assert said in str(caught.value)
    assert "epoch 3" in str(caught.value)


def test_a_status_is_a_failure_with_the_last_line(tmp_path: Path) -> None:
    job = job_of("import sys; print('no such file'); sys.exit(3)")

    with pytest.raises(RunFailed, match="status 3. The last line of its log: no such file"):
        Engine().run(job, log=tmp_path / "log.txt", timeout=60)


def test_a_command_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    job = Job(command=["/no/such/program"], call=lambda: None)

    with pytest.raises(RunFailed, match="/no/such/program cannot be started"):
        Engine().run(job, log=tmp_path / "log.txt", timeout=60)


def test_output_below_python_is_in_the_log(tmp_path: Path) -> None:
    Engine().run(job_of("import os; os.write(1, b'from C\\n')"), log=tmp_path / "log.txt", timeout=60)

    assert (tmp_path / "log.txt").read_text() == "from C\n"


def test_folder_and_variables_are_the_jobs(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), os.environ['GREETING'])"
    job = Job(
        command=[sys.executable, "-c", code], call=lambda: None, cwd=tmp_path, environment={"GREETING": "hi"}
    )

    Engine().run(job, log=tmp_path / "log.txt", timeout=60)

    assert (tmp_path / "log.txt").read_text() == f"{tmp_path} hi\n"


def test_the_time_limit_ends_grandchildren_too(tmp_path: Path) -> None:
    job = job_of(BREEDS.format(path=str(tmp_path / "pids")) + "time.sleep(3600)")

    with pytest.raises(RunTimeout, match="after 4s"):
        Engine().run(job, log=tmp_path / "log.txt", timeout=4)

    wait_until(lambda: not any(map(lives, pids(tmp_path / "pids"))))


def test_a_job_may_save_its_state_when_it_is_asked_to_end(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(0)))\n"
        "print('ready', flush=True)\n"
        "time.sleep(3600)"
    )

    with pytest.raises(RunTimeout):
        Engine().run(job_of(code), log=tmp_path / "log.txt", timeout=3)

    assert (tmp_path / "log.txt").read_text() == "ready\nsaved\n"


def test_what_a_finished_job_left_running_is_ended(tmp_path: Path) -> None:
    Engine().run(job_of(BREEDS.format(path=str(tmp_path / "pids"))), log=tmp_path / "log.txt", timeout=60)

    wait_until(lambda: not any(map(lives, pids(tmp_path / "pids"))))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_job_dies_with_its_parent_however_that_dies(tmp_path: Path, number: signal.Signals) -> None:
    breeds = BREEDS.format(path=str(tmp_path / "pids")) + "time.sleep(3600)"
    parent_code = (
        "import pathlib\n"
        "from treadle.testing.compute import job_of\n"
        "from treadle.training.compute.process import Engine\n"
        f"Engine().run(job_of({breeds!r}), log=pathlib.Path({str(tmp_path / 'log.txt')!r}), timeout=None)"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_code], stderr=subprocess.DEVNULL)
    wait_until((tmp_path / "pids").exists)

    os.kill(parent.pid, number)
    parent.wait(20)

    wait_until(lambda: not any(map(lives, pids(tmp_path / "pids"))))


def test_a_job_may_be_run_from_a_thread(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            Engine().run(job_of("print('x')"), log=tmp_path / "log.txt", timeout=60)
        except RunFailed as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)

    assert failures == []
    assert (tmp_path / "log.txt").read_text() == "x\n"
