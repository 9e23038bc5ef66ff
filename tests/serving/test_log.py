from __future__ import annotations

import threading
from pathlib import Path

import pytest

from treadle.core.clock import monotonic
from treadle.core.errors import SettingsError, StoreUnavailable
from treadle.core.settings import ServingSettings
from treadle.serving import spool, wal
from treadle.serving.entries import OutcomeEntry, pack, unpack_all
from treadle.serving.log import LOGS, PredictionLog


def entry(name="r"):
    return OutcomeEntry(request_id=name, endpoint="delay", at=0, predictions=["p"], keys=[None], values=[1.0])


def ids(root):
    folders = sorted(root.iterdir()) if root.exists() else []
    found = [p for f in folders for s in wal.segments(f) for p in wal.entries(s) if len(p) > 1]
    return [entry.request_id for payload in found for entry in unpack_all(payload)]


def until(true, *, seconds=20.0):
    end = monotonic() + seconds
    while not true():
        assert monotonic() < end
        threading.Event().wait(0.01)


def make_folder(path):
    path.mkdir(parents=True)
    return path


def commit(log, name, *, timeout=60.0):
    """Commit an entry and return what its `done` was called with."""
    answered, said = threading.Event(), []

    def done(problem):
        said.append(problem)
        answered.set()

    log.commit(entry(name), done)
    assert answered.wait(timeout)
    return said[0]


@pytest.fixture
def make(tmp_path):
    logs = []

    def start(**options):
        log = PredictionLog(tmp_path, server="s1", **{"flush_interval": 0.01, **options})
        logs.append(log)
        log.start()
        return log

    yield start
    for log in logs:
        log.close()


def test_a_committed_entry_is_on_the_disk_when_done_is_called(make, tmp_path):
    log = make(durability="sync")

    problem = commit(log, "r1")

    assert problem is None
    assert ids(tmp_path / LOGS) == ["r1"]


def test_entries_that_wait_together_are_written_together(make, tmp_path):
    log = make(durability="sync")
    answered = threading.Barrier(51)

    for number in range(50):
        threading.Thread(target=lambda n: (commit(log, f"r{n}"), answered.wait()), args=(number,)).start()
    answered.wait()

    assert sorted(ids(tmp_path / LOGS)) == sorted(f"r{n}" for n in range(50))


def test_entries_that_are_flushed_together_are_one_frame_and_those_of_earlier_releases_one_each(
    make, tmp_path
):
    log = make(flush_interval=60.0)
    for number in range(300):
        log.put(entry(f"r{number}"))
    log.close()
    earlier = wal.Segment(tmp_path / LOGS / "s1", 2)
    earlier.append([pack(entry(f"e{number}")) for number in range(3)])
    earlier.close()

    first, second = (list(wal.entries(path)) for path in wal.segments(tmp_path / LOGS / "s1"))

    assert (len(first), len(second)) == (2, 3)
    assert ids(tmp_path / LOGS) == [*(f"r{n}" for n in range(300)), "e0", "e1", "e2"]


def test_put_entries_are_written_when_the_log_closes(make, tmp_path):
    log = make(flush_interval=60.0)
    log.put(entry("r1"))

    log.close()

    assert ids(tmp_path / LOGS) == ["r1"]


def test_a_full_buffer_drops_and_counts(make):
    log = make(flush_interval=60.0, buffer=100)

    kept = [log.put(entry(f"r{n}")) for n in range(10)]

    assert kept.count(False) == log.dropped > 0
    assert log.buffered <= 100


def test_a_closed_log_refuses(make):
    log = make(durability="sync")
    log.close()

    with pytest.raises(StoreUnavailable):
        log.commit(entry(), lambda problem: None)


def test_a_segment_is_completed_by_size(make, tmp_path):
    log = make(durability="sync", seal_bytes=1)

    commit(log, "r1")
    commit(log, "r2")
    log.close()

    sealed = [path for path in wal.segments(tmp_path / LOGS / "s1") if path.suffix == wal.SEALED]
    assert len(sealed) >= 2


@pytest.mark.parametrize("durability", ["async", "sync"])
def test_what_waits_for_the_tables_is_bounded_over_all_logs_of_the_project(make, tmp_path, durability):
    left = wal.Segment(make_folder(tmp_path / LOGS / "dead"), 1)
    left.append([bytes(10_000)])
    log = make(durability=durability, seal_bytes=1, max_spool=9_000)
    log.put(entry("r1"))
    until(lambda: not log.put(entry("r2")))
    dropped = log.dropped

    with pytest.raises(
        StoreUnavailable, match=r"9000 bytes wait for the tables \(setting serving.max_spool\)"
    ):
        log.commit(entry("r3"), lambda problem: None)
    left.path.unlink()
    until(lambda: log.put(entry("r4")))

    assert dropped > 0
    log.close()
    assert "r4" in ids(tmp_path / LOGS)
    assert "r3" not in ids(tmp_path / LOGS)


def broken_append(self, payloads, *, code, real):
    if Path(self.path.parent.parent / "broken").exists():
        self._write(b"half a frame")
        raise OSError(code, "injected")
    real(self, payloads)


@pytest.mark.parametrize("code", [5, 28])
def test_a_failing_disk_is_told_and_the_log_recovers(make, tmp_path, monkeypatch, code):
    """EIO and ENOSPC: the entry is refused with the cause; what comes after the repair is kept."""
    real = wal.Segment.append
    monkeypatch.setattr(wal.Segment, "append", lambda s, p: broken_append(s, p, code=code, real=real))
    log = make(durability="sync")
    commit(log, "before")
    (tmp_path / LOGS / "broken").touch()

    problem = commit(log, "during")
    (tmp_path / LOGS / "broken").unlink()
    after = commit(log, "after")

    assert isinstance(problem, StoreUnavailable)
    assert after is None
    assert log.problem is None
    assert ids(tmp_path / LOGS) == ["before", "after"]


def test_without_sync_entries_wait_for_the_disk_to_come_back(make, tmp_path, monkeypatch):
    real = wal.Segment.append
    monkeypatch.setattr(wal.Segment, "append", lambda s, p: broken_append(s, p, code=28, real=real))
    (tmp_path / LOGS).mkdir(parents=True)
    (tmp_path / LOGS / "broken").touch()
    log = make()
    log.put(entry("r1"))

    (tmp_path / LOGS / "broken").unlink()
    log.close()

    assert (ids(tmp_path / LOGS), log.dropped) == (["r1"], 0)


def test_a_place_that_cannot_be_written_is_a_problem_and_no_error(tmp_path):
    (tmp_path / ".treadle").write_text("a file where the folder should be")
    log = PredictionLog(tmp_path, server="s1", durability="sync", flush_interval=0.01)
    log.start()

    problem = commit(log, "r1")
    log.close()

    assert isinstance(problem, StoreUnavailable)


def test_two_logs_do_not_share_a_folder(make, tmp_path):
    make(durability="sync")
    second = PredictionLog(tmp_path, server="s1", durability="sync")

    second.start()
    problem = commit(second, "r1")
    second.close()

    assert "another process holds the lock" in str(problem)


@pytest.mark.parametrize("most", [0, -1, 1_000])
def test_a_spool_without_room_is_no_setting(most):
    with pytest.raises(SettingsError, match=f"serving.max_spool = {most} leaves the log no room"):
        spool.check(most)
    spool.check(ServingSettings().max_spool)
