"""The access log holds nobody up: what cannot be written fast enough waits, and too much of it is counted and given up."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from trials import until

from treadle.core.clock import monotonic
from treadle.serving import access_log
from treadle.serving.access_log import AccessLog
from treadle.serving.notes import Notes
from treadle.serving.web import Response


def saw(log, number):
    scope = SimpleNamespace(method="POST", path=f"/{number}", headers={}, client="127.0.0.1:1")
    log.saw(Notes(scope, 0.0), Response(), 0.001)


@pytest.fixture
def stuck(tmp_path):
    """A log whose file is a pipe that nobody reads yet, and what reads it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_lines_wait_for_whoever_reads_them_and_no_request_does(stuck, tmp_path, clock):
    log = AccessLog("pipe", tmp_path, clock)
    began = monotonic()
    for number in range(100):
        saw(log, number)
        log.flush()  # in the event loop: it may not wait for the pipe
    took = monotonic() - began
    with stuck.open("rb") as reader:
        written = b""
        while (
            written.count(b"\n") < 100
        ):  # the file is opened for each write: between two of them nothing is to be read
            written += reader.read1(65_536)
        closing = threading.Thread(target=log.close)
        closing.start()
        closing.join(20)

    lines = [json.loads(line) for line in written.splitlines()]
    assert took < 5
    assert [line["path"] for line in lines] == [f"/{number}" for number in range(100)]
    assert log.dropped == 0


def test_too_much_that_waits_is_counted_and_given_up(stuck, tmp_path, clock, monkeypatch):
    monkeypatch.setattr(access_log, "MOST_WAITING", 2_000)
    monkeypatch.setattr(access_log, "_PATIENCE", 0.05)
    log = AccessLog("pipe", tmp_path, clock)

    for number in range(100):
        saw(log, number)
        log.flush()
    full = log.dropped
    log.close()

    assert 80 < full < 100
    assert log.dropped == 100  # nobody ever read what waited
    with stuck.open("rb"):  # lets the thread end
        pass


def test_what_cannot_be_written_is_counted(tmp_path, clock):
    (tmp_path / "taken").write_text("a file where the folder should be")
    log = AccessLog("taken/log", tmp_path, clock)

    for number in range(3):
        saw(log, number)
    log.close()

    assert log.dropped == 3


def test_an_output_that_fails_for_a_while_is_said_once_and_the_thread_goes_on(tmp_path, clock, caplog):
    (tmp_path / "taken").write_text("a file where the folder should be")
    log = AccessLog("taken/log", tmp_path, clock)

    for number in range(3):
        saw(log, number)
        log.flush()
        until(lambda number=number: log.dropped == number + 1)
    (tmp_path / "taken").unlink()
    saw(log, 3)
    log.close()

    assert caplog.text.count("lines are dropped") == 1
    assert log.dropped == 3
    assert len((tmp_path / "taken/log").read_text().splitlines()) == 1


def test_a_standard_output_that_was_closed_does_not_end_the_thread(tmp_path, clock, monkeypatch, capfdbinary):
    closed = open(os.devnull, "w")  # noqa: PTH123, SIM115 - closed at once
    closed.close()
    log = AccessLog("-", tmp_path, clock)
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", closed)
        saw(log, 1)
        log.flush()
        until(lambda: log.dropped == 1)
    saw(log, 2)
    log.close()

    assert log.dropped == 1
    assert len(capfdbinary.readouterr().out.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk_is_counted_and_said_once(tmp_path, clock, caplog):
    (tmp_path / "log").symlink_to("/dev/full")
    log = AccessLog("log", tmp_path, clock)

    for number in range(3):
        saw(log, number)
        log.flush()
    log.close()

    assert log.dropped == 3
    assert caplog.text.count("No space left on device") == 1


def test_drops_are_told_to_prometheus(launch, revise, tmp_path):
    revise(("champion", 7, 1.0))
    (tmp_path / "taken").write_text("a file where the folder should be")
    server = launch(access_log="taken/access.jsonl")

    def dropped():
        said = server.call("/metrics")[1]["text"]
        return float(
            next(
                line for line in said.splitlines() if line.startswith("treadle_access_log_dropped_total ")
            ).split()[-1]
        )

    end = monotonic() + 30
    while not dropped() and monotonic() < end:
        threading.Event().wait(0.1)

    assert dropped() > 0
