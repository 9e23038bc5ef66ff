"""The inline engine: errors, streams, and a timer that was there before."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from treadle.core.errors import InvalidInput, RunFailed, RunTimeout
from treadle.training.compute.inline import Engine
from treadle.training.jobs import Job


def calling(function: object) -> Job:
    return Job(command=[], call=function)  # type: ignore[arg-type]


def test_the_error_of_the_function_is_the_cause(tmp_path: Path) -> None:
    cause = ValueError("the reason")

    def fail() -> None:
        raise cause

    with pytest.raises(RunFailed, match="ValueError: the reason") as caught:
        Engine().run(calling(fail), log=tmp_path / "log.txt", timeout=None)

    assert caught.value.__cause__ is cause
    assert "the reason" in caught.value.traceback


def test_our_own_errors_keep_their_words(tmp_path: Path) -> None:
    def fail() -> None:
        raise InvalidInput("no rows")

    with pytest.raises(RunFailed, match="^no rows$"):
        Engine().run(calling(fail), log=tmp_path / "log.txt", timeout=None)

    assert "no rows" in (tmp_path / "log.txt").read_text()


def test_an_interrupt_stays_an_interrupt(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Engine().run(calling(interrupt), log=tmp_path / "log.txt", timeout=None)


def test_a_wait_is_interrupted_and_an_earlier_timer_goes_on(tmp_path: Path) -> None:
    before = signal.getitimer(signal.ITIMER_REAL)[0]
    handler = signal.getsignal(signal.SIGALRM)

    with pytest.raises(RunTimeout, match="0.2s"):
        Engine().run(calling(threading.Event().wait), log=tmp_path / "log.txt", timeout=0.2)

    after = signal.getitimer(signal.ITIMER_REAL)[0]
    assert signal.getsignal(signal.SIGALRM) is handler
    assert bool(after) == bool(before)
    assert after <= before


def test_in_another_thread_the_log_says_that_there_is_no_limit(tmp_path: Path) -> None:
    run = threading.Thread(
        target=Engine().run,
        args=(calling(lambda: None),),
        kwargs={"log": tmp_path / "log.txt", "timeout": 60.0},
    )

    run.start()
    run.join(30)

    assert "time limit of 1m holds only in a main thread" in (tmp_path / "log.txt").read_text()
