"""What every compute engine must do with a job."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from treadle.core.errors import RunFailed, RunTimeout
from treadle.training.jobs import Engine, Job


def job_of(code: str, *, cwd: Path | None = None) -> Job:
    """Return a job that runs Python code, here or in a process."""
    return Job(
        command=[sys.executable, "-c", code],
        call=lambda: exec(code, {"__name__": "__job__"}),  # noqa: S102 - the code is the test's own
        cwd=cwd,
    )


def check_runs_to_the_end(engine: Engine, folder: Path) -> None:
    """The job has ended when `run` returns."""
    engine.run(job_of(f"open({str(folder / 'done')!r}, 'w').close()"), log=folder / "log.txt", timeout=60)

    assert (folder / "done").exists()


def check_keeps_what_is_printed(engine: Engine, folder: Path) -> None:
    """What is printed to stdout and stderr is in the log, after what is there already."""
    (folder / "log.txt").write_text("before\n")

    engine.run(
        job_of("import sys; print('out – ü'); print('err', file=sys.stderr)"),
        log=folder / "log.txt",
        timeout=60,
    )

    lines = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "before"
    assert {"out – ü", "err"} <= set(lines), lines


def check_makes_the_logs_folder(engine: Engine, folder: Path) -> None:
    """The folder of the log need not be there."""
    engine.run(job_of("print('x')"), log=folder / "new" / "log.txt", timeout=None)

    assert "x" in (folder / "new" / "log.txt").read_text()


def check_an_error_fails_the_run(engine: Engine, folder: Path) -> None:
    """A job that raises makes `run` raise `RunFailed`, and the log has the traceback."""
    error = _must_fail(engine, "print('so far'); raise ValueError('the reason')", folder, timeout=60)

    assert not isinstance(error, RunTimeout)
    assert "the reason" in str(error), error
    log = (folder / "log.txt").read_text()
    assert "so far" in log
    assert "Traceback" in log


def check_leaving_with_a_status_fails_the_run(engine: Engine, folder: Path) -> None:
    """A job that calls `sys.exit` with a status fails."""
    _must_fail(engine, "import sys; sys.exit(3)", folder, timeout=60)


def check_time_limit(engine: Engine, folder: Path) -> None:
    """A job that hangs is stopped, the error says how long it was allowed and how to raise that."""
    error = _must_fail(engine, "while True: pass", folder, timeout=0.3)

    assert isinstance(error, RunTimeout), error
    assert "0.3s" in str(error), error
    assert "timeout" in str(error), error


def check_leaves_this_process_as_it_was(engine: Engine, folder: Path) -> None:
    """Streams and working folder of this process are the same after a job, also after a failed one."""
    before = (sys.stdout, sys.stderr, Path.cwd(), os.getpid())

    _must_fail(engine, "raise ValueError", folder, timeout=60)

    assert before == (sys.stdout, sys.stderr, Path.cwd(), os.getpid())


def _must_fail(engine: Engine, code: str, folder: Path, *, timeout: float) -> RunFailed:
    with pytest.raises(RunFailed) as caught:
        engine.run(job_of(code), log=folder / "log.txt", timeout=timeout)
    return caught.value


#: All checks; each takes an engine and an empty folder, and is called in a main thread.
CHECKS = (
    check_runs_to_the_end,
    check_keeps_what_is_printed,
    check_makes_the_logs_folder,
    check_an_error_fails_the_run,
    check_leaving_with_a_status_fails_the_run,
    check_time_limit,
    check_leaves_this_process_as_it_was,
)
