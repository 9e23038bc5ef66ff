"""Runs a job in this process: for notebooks and debuggers. It cannot be killed, only interrupted."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from treadle.core.clock import span_text
from treadle.core.errors import RunFailed, TreadleError
from treadle.training.compute.process import refuse
from treadle.training.jobs import Job
from treadle.training.limits import limit


class Engine:
    """Calls the job's function here.

    What Python code prints goes to the log; what native libraries write to the terminal does not. The time limit
    interrupts Python code in the main thread; in other threads there is none, and the log says so.
    """

    parallel = False

    def __init__(self, address: str = "") -> None:
        """Take no address: it is this process."""
        refuse(address)

    def close(self) -> None:
        """Do nothing: each job ends with the call that runs it."""

    def stop(self, run: str = "") -> None:
        """Do nothing: what interrupts this process interrupts its job."""

    def run(self, job: Job, *, log: Path, timeout: float | None) -> None:
        """Call a job's function; what it prints is appended to the file `log`.

        Raises:
            RunTimeout: it took longer than `timeout` seconds and was interrupted.
            RunFailed: it raised an error, which is the cause of this one.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as output, redirect_stdout(output), redirect_stderr(output):
            if timeout is not None and threading.current_thread() is not threading.main_thread():
                output.write(
                    f"The time limit of {span_text(timeout)} holds only in a main thread: not here.\n"
                )
                timeout = None
            try:
                with limit(timeout):
                    _call(job.call)
            except BaseException:
                traceback.print_exc(file=output)
                raise


def _call(function: Callable[[], object]) -> None:
    try:
        function()
    except (RunFailed, KeyboardInterrupt):
        raise
    except BaseException as error:
        msg = (
            str(error)
            if isinstance(error, TreadleError)
            else f"The training raised {type(error).__name__}: {error}"
        )
        raise RunFailed(msg, traceback=traceback.format_exc()) from error
