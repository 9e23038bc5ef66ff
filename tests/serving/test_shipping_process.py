"""The process that ships what a server logs: killed, stopped, doubled and late, against a real server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter

import pytest
from serving_cases import PREDICT, ROW, Load, acked
from shipping_trials import Trials

from treadle.serving import wal
from treadle.serving.entries import OutcomeEntry, pack
from treadle.serving.shipping_process import ShippingProcess
from treadle.serving.spool import LOGS
from treadle.store.tables.tables import Tables

FULL = bool(os.environ.get("TREADLE_FULL"))


def until(true, *, seconds=30.0):
    """Wait until a condition holds, and return what it said."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        if found := true():
            return found
        threading.Event().wait(0.02)
    raise AssertionError("it did not come to pass")


def is_there(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def libraries_of(pid) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def spool(root, server, *names) -> Path:
    """Leave a complete segment in a folder without an owner."""
    folder = root / LOGS / server
    folder.mkdir(parents=True, exist_ok=True)
    segment = wal.Segment(folder, len(wal.segments(folder)) + 1)
    for name in names:
        entry = OutcomeEntry(
            request_id=name, endpoint="delay", at=1, predictions=["p"], keys=[None], values=[1.0]
        )
        segment.append([pack(entry)])
    return segment.seal()


def shipped(tables, name="predictions/delay") -> list[str]:
    column = "outcome_id" if name.startswith("outcomes") else "request_id"
    return sorted(tables.scan(name).select(column).collect()[column].to_list())


@pytest.fixture
def started(tmp_path):
    """Start the process over an empty project, as a server does; it looks ten times a second, and is soon idle."""
    program = """
import sys
from pathlib import Path
from treadle.serving.courier import Courier, run
from treadle.store.places import place_of

def opened():
    from treadle.store.tables.tables import Tables
    return Tables.open("tables", root=Path(sys.argv[1]), options={})

run(Courier(Path(sys.argv[1]), opened, interval=0.1), idle=float(sys.argv[2]))
"""
    processes = []

    def start(*, idle=60.0):
        command = [sys.executable, "-c", program, str(tmp_path), str(idle)]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_an_idle_process_knows_nothing_of_tables_and_forgets_them_again(started, tables, tmp_path):
    process = started(idle=0.3)
    until(lambda: "python" in libraries_of(process.pid))
    threading.Event().wait(0.5)
    before = libraries_of(process.pid)

    spool(tmp_path, "s1", "r1")
    until(lambda: "polars" in libraries_of(process.pid))
    until(lambda: not list((tmp_path / LOGS).iterdir()))
    until(lambda: "polars" not in libraries_of(process.pid))
    spool(tmp_path, "s2", "r2")
    until(lambda: "polars" in libraries_of(process.pid))
    nice = os.getpriority(os.PRIO_PROCESS, process.pid)
    process.stdin.close()

    assert "polars" not in before
    assert nice == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
    assert process.wait(30) == 0
    assert shipped(tables, "outcomes/delay") == ["r1-0", "r2-0"]


def test_signals_to_the_whole_server_do_not_end_it_before_the_workers(started, tables, tmp_path):
    process = started()
    spool(tmp_path, "s1", "r1")
    until(lambda: not list((tmp_path / LOGS).iterdir()))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
    spool(tmp_path, "s2", "r2")
    process.stdin.close()

    assert process.wait(30) == 0
    assert shipped(tables, "outcomes/delay") == ["r1-0", "r2-0"]


def test_a_process_that_dies_is_started_again_and_the_last_one_sees_the_end(tmp_path):
    starts, ends = tmp_path / "starts", tmp_path / "ends"
    for path in (starts, ends):
        path.touch()
    program = "import sys, os; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); sys.stdin.read(); open(sys.argv[2], 'a').write('x')"
    command = [sys.executable, "-c", program, str(starts), str(ends)]

    with ShippingProcess(command, environment=dict(os.environ)):
        for number in (1, 2):
            until(lambda number=number: len(starts.read_text().split()) == number)
            os.kill(int(starts.read_text().split()[-1]), signal.SIGKILL)
        until(lambda: len(starts.read_text().split()) == 3)

    assert ends.read_text() == "x"
    assert not any(is_there(pid) for pid in starts.read_text().split())


def test_one_that_does_not_come_to_an_end_is_killed(tmp_path):
    said = tmp_path / "pid"
    program = "import sys, os, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"

    with ShippingProcess(
        [sys.executable, "-c", program, str(said)], environment=dict(os.environ), patience=0.1
    ):
        until(lambda: said.exists() and said.read_text())

    until(lambda: not is_there(said.read_text()))


def test_one_that_cannot_be_started_keeps_nobody_from_serving(tmp_path):
    with ShippingProcess([str(tmp_path / "nothing")], environment={}, patience=0.1):
        served = True

    assert served


def test_killed_at_each_point_everything_is_delivered_once(tmp_path):
    """Kills at each call of the store and of the file system that shipping makes, one trial for each."""
    done = Trials(tmp_path, every=1 if FULL else 3).run()

    assert done.points >= 15
    assert done.trials >= done.points // 3
    assert done.faults == []


@pytest.mark.slow
def test_workers_know_nothing_of_tables(revise, launch, tmp_path):
    revise(("champion", 7, 1.0))
    server = launch(flush_interval=0.05)
    for _ in range(20):
        assert server.call(PREDICT, {"rows": [ROW] * 20})[0] == 200
    spool(tmp_path, "dead", "r1")
    workers, (shipping,) = server.children()

    until(lambda: "polars" in libraries_of(shipping))

    for pid in (server.process.pid, *workers):
        loaded = libraries_of(pid)
        assert not any(name in loaded for name in ("polars", "deltalake", "pyarrow"))


@pytest.mark.slow
def test_worker_and_shipping_killed_at_random_under_load_lose_and_double_nothing(
    revise, launch, tables, tmp_path
):
    kills, chance, names = 50 if FULL else 6, random.Random(28), []
    revise(("champion", 7, 1.0))
    server = launch(durability="sync")

    for number in range(kills):
        with Load(server.port, name=f"k{number}") as load:
            threading.Event().wait(chance.uniform(0.05, 0.4))
            workers, shipping = server.children()
            for pid in chance.sample([*workers, *shipping], k=chance.choice([1, 2])):
                os.kill(pid, signal.SIGKILL)
        names += [name for _, name in acked(load)]
        server.wait_ready()
    assert server.stop() == 0

    assert len(names) > 10 * kills
    assert list((tmp_path / LOGS).iterdir()) == []
    found = shipped(tables)
    assert set(names) - set(found) == set()
    assert len(found) == len(set(found))


@pytest.mark.slow
def test_two_servers_in_one_folder_ship_everything_once(revise, launch, tables, tmp_path):
    revise(("champion", 7, 1.0))
    first, second = launch(durability="sync", workers=2), launch(durability="sync")

    with Load(first.port, name="a") as one, Load(second.port, name="b") as two:
        for pid in (*first.children()[0], *second.children()[0]):
            threading.Event().wait(0.2)
            os.kill(pid, signal.SIGKILL)
    names = [name for load in (one, two) for _, name in acked(load)]
    ends = [threading.Thread(target=server.stop) for server in (first, second)]
    for end in ends:
        end.start()
    for end in ends:
        end.join()

    # Each may have left to the other what the other had begun to look at; a third one finds it.
    launch().stop()
    assert list((tmp_path / LOGS).iterdir()) == []
    found = shipped(tables)
    assert set(names) - set(found) == set()
    assert len(found) == len(set(found))


@pytest.mark.slow
def test_a_server_whose_store_is_away_ends_in_time_with_a_full_spool(revise, launch, tmp_path):
    revise(("champion", 7, 1.0))
    away = tmp_path / "away"
    away.write_text("a file where the folder should be")
    for number in range(200):
        spool(tmp_path, f"dead{number % 4}", f"r{number}")
    server = launch(durability="sync", tables="away")
    for _ in range(5):
        assert server.call(PREDICT, {"rows": [ROW]})[0] == 200

    begun = perf_counter()
    assert server.stop() == 0
    took = perf_counter() - begun
    left = [path for folder in (tmp_path / LOGS).iterdir() for path in wal.segments(folder)]
    away.unlink()
    launch(tables="away").stop()

    tables = Tables.open("away", root=tmp_path, options={})
    assert took < 25
    assert len(left) >= 201
    assert list((tmp_path / LOGS).iterdir()) == []
    assert shipped(tables, "outcomes/delay") == sorted(f"r{number}-0" for number in range(200))
    assert len(set(shipped(tables))) == 5


@pytest.mark.slow
def test_it_ends_after_the_workers_where_the_server_is_killed(revise, launch, tables, tmp_path):
    revise(("champion", 7, 1.0))
    server = launch(durability="sync")
    names = [server.call(PREDICT, {"rows": [ROW]})[1]["id"] for _ in range(5)]
    workers, shipping = server.children()

    server.process.kill()
    server.process.wait()

    until(lambda: not any(map(is_there, [*workers, *shipping])), seconds=60)
    assert sorted(names) == shipped(tables)


@pytest.mark.slow
def test_a_stopped_shipping_process_holds_up_no_answer(revise, launch, tables, tmp_path):
    revise(("champion", 7, 1.0))
    server = launch(durability="sync")
    (shipping,) = server.children()[1]
    os.kill(shipping, signal.SIGSTOP)

    statuses = [server.call(PREDICT, {"rows": [ROW]})[0] for _ in range(20)]
    os.kill(shipping, signal.SIGCONT)

    assert statuses == [200] * 20
    assert server.stop() == 0
    assert len(shipped(tables)) == 20


@pytest.mark.slow
def test_replaced_workers_leave_their_log_to_it(revise, launch, tables, tmp_path):
    revise(("champion", 7, 1.0))
    server = launch(durability="sync", drain_wait=0.0)
    first = server.call(PREDICT, {"rows": [ROW]})[1]["id"]
    (before,), (shipping,) = server.children()

    server.process.send_signal(signal.SIGHUP)
    until(lambda: before not in server.children()[0])

    until(lambda: tables.exists("predictions/delay"))
    assert shipped(tables) == [first]
    assert server.children()[1] == [shipping]
    assert server.stop() == 0


def test_a_folder_that_is_just_being_made_is_not_taken_for_one_that_was_left(tmp_path):
    """Whoever ships looks at folders while logs begin; each log gets its folder all the same."""
    from treadle.serving import spool as folders
    from treadle.serving.log import PredictionLog

    stop = threading.Event()

    def look():
        while not stop.wait(0.002):
            for folder in folders.folders(tmp_path / LOGS):
                with folders.owned(folder) as left:
                    if left and not wal.segments(folder):
                        folders.remove(folder)

    looking = threading.Thread(target=look)
    looking.start()
    logs = [PredictionLog(tmp_path, server=f"s{number}") for number in range(100)]
    for log in logs:
        log.start()
    stop.set()
    looking.join()

    problems = [log.problem for log in logs]
    for log in logs:
        log.close()
    assert problems == [None] * 100
