"""Jobs as callers and operators meet them: a real server, real workers, the command line."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from time import monotonic
from urllib.parse import quote

import polars as pl
import pytest

import treadle as td
from hook_receiver import Receiver
from services import free_ports
from treadle.app.jobs import _score, parts_of
from treadle.core.errors import Conflict
from treadle.core.ids import digest_of
from treadle.serving.jobs.asked import Reference, Rows
from treadle.serving.jobs.worker import Worker
from treadle.serving.shipping import Shipper

TREADLE = [sys.executable, "-m", "treadle.app.cli.main"]


class Client:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def json(self, path, body=None):
        status, data, _ = self.call(path, body)
        return status, json.loads(data)


def until(found, seconds=60):
    end = monotonic() + seconds
    while monotonic() < end:
        if value := found():
            return value
        threading.Event().wait(0.05)
    raise AssertionError("it did not happen")


@pytest.fixture
def started(shop):
    """Start commands of Treadle in the project; they end with the test."""
    processes = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [*TREADLE, *arguments],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


@pytest.fixture
def client(started):
    (port,) = free_ports(1)
    started("serve", "--port", str(port), **MAY)
    client = Client(port)

    def ready():
        try:
            return client.call("/readyz")[0] == 200
        except OSError:
            return False

    until(ready)
    return client


#: What the operator allows.
MAY = {
    "TREADLE_JOBS__ALLOW": "127.0.0.1",
    "TREADLE_JOBS__FILES": "shared",
    "TREADLE_JOBS__DATASETS": "fares, visits",
}
JOBS = "/v1/endpoints/buys/jobs"
#: An id that would be a path, a file and a header, if it were taken for one.
ODD = "of-files é?.parquet"


def test_jobs_are_accepted_done_told_and_fetched(client, started, shop, typed):
    (shop / "shared").mkdir()
    pl.DataFrame({"visit": ["a", "b"], "pages": [3, 7]}).write_parquet(shop / "shared" / "in.parquet")
    with Receiver(503) as receiver:
        status, data, headers = client.call(
            JOBS, {"rows": [{"pages": 3}, {"pages": 7}], "hook": receiver.url}
        )
        rows = json.loads(data)
        assert (status, rows["state"], headers["location"]) == (202, "waiting", f"{JOBS}/{rows['id']}")
        asked = [
            {"from": {"files": "*.parquet"}, "id": ODD},
            {"from": {"rows": {"dataset": "visits", "split": "test"}}, "id": "of-a-dataset"},
        ]
        assert [client.json(JOBS, body)[0] for body in asked] == [202, 202]
        assert client.json(f"{JOBS}/{rows['id']}/result")[0] == 409
        worker = started("worker", "--until-empty", "--most", "2", **MAY)
        assert worker.wait(120) == 0, worker.stderr.read()

    assert receiver.taken == [f"{rows['id']}.done"]
    status, answer = client.json(f"{JOBS}/{rows['id']}/result")
    predicted = client.json("/v1/endpoints/buys/predict", {"rows": [{"pages": 3}, {"pages": 7}]})[1]
    assert [p["probability"] for p in answer["predictions"]] == [
        p["probability"] for p in predicted["predictions"]
    ]
    assert [p["prediction_id"] for p in answer["predictions"]] == [f"{rows['id']}-0", f"{rows['id']}-1"]
    assert len(client.json(f"{JOBS}/{rows['id']}/result?offset=1&limit=5")[1]["predictions"]) == 1
    table = pl.read_parquet(io.BytesIO(client.call(f"{JOBS}/{rows['id']}/result?format=parquet")[1]))
    files = pl.read_parquet(
        io.BytesIO(client.call(f"{JOBS}/{quote(ODD, safe='')}/result?format=parquet&part=0")[1])
    )
    assert table["probability"].to_list() == files["probability"].to_list()
    assert files["visit"].to_list() == ["a", "b"]
    assert client.json(f"{JOBS}/of-a-dataset/result")[1]["rows"] > 10
    with td.open() as workspace:
        logged = workspace.predictions.scan("buys").filter(pl.col("request_id") == rows["id"]).collect()
    assert len(logged) == 2
    assert json.loads(typed("jobs", "show", rows["id"], "--json").out)["hook"]["tries"] == 2
    assert "of-files" in typed("jobs", "--state", "done").out
    assert not list((shop / ".treadle" / "jobs").iterdir())
    assert json.loads(typed("jobs", "result", rows["id"]).out)["rows"] == 2


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "rows"),
        ({"rows": [{"pages": "many"}]}, 400, "rows[0].pages"),
        ({"rows": [{"pages": 1}], "hook": "http://169.254.169.254/"}, 400, None),
        ({"rows": [{"pages": 1}], "hook": "gopher://x"}, 400, "hook"),
        ({"rows": [{"pages": 1}], "hook": 7}, 400, "hook"),
        ({"from": {"files": "../treadle.toml"}}, 400, "from"),
        ({"from": {"files": "/etc/passwd"}}, 400, "from"),
        ({"from": {"files": "é" * 128}}, 400, "from"),
        ({"from": {"files": "a/" * 501}}, 400, "from"),
        ({"from": {"files": "link"}}, 404, None),
        ({"from": {"files": "none*"}}, 404, None),
        ({"from": {"rows": {"dataset": "visitors"}}}, 404, None),
        ({"from": {"rows": {"dataset": "secrets"}}}, 400, "from"),
        ({"from": {"rows": {"dataset": "visits", "version": 99}}}, 404, None),
        ({"from": {"rows": {"dataset": "visits", "version": -(2**63) - 1}}}, 400, "from"),
        ({"from": {"rows": {"dataset": "visits", "version": 2**63}}}, 400, "from"),
        ({"from": {}}, 400, "from"),
        ({"from": {"rows": {"dataset": "visits"}}, "id": "a\r\nb"}, 400, "id"),
        ({"from": {"rows": {"dataset": "visits"}}, "id": "../../x"}, 400, "id"),
        ({"rows": [{"pages": 1}], "id": "é" * 150}, 400, "id"),
        ({"from": {"files": "a"}, "rows": []}, 400, "rows"),
    ],
)
def test_what_is_no_job_is_refused_at_the_door(bad_client, body, status, field):
    found, answer = bad_client.json(JOBS, body)

    assert (found, answer["error"].get("field")) == (status, field), answer


def test_what_is_not_there_is_told(bad_client):
    for path, status in (
        (f"{JOBS}/nothing", 404),
        (f"{JOBS}/nothing/result", 404),
        (f"{JOBS}?state=odd", 400),
        (f"{JOBS}?limit=-1", 400),
        ("/v1/endpoints/none/jobs", 404),
    ):
        assert bad_client.json(path)[0] == status, path
    assert bad_client.json(f"{JOBS}/nothing/cancel", {})[0] == 404


@pytest.fixture(scope="module")
def bad_client(made, tmp_path_factory):
    """A server that the tests of bad input share."""
    import shutil

    root = tmp_path_factory.mktemp("bad") / "shop"
    shutil.copytree(made, root)
    (root / "shared").mkdir()
    (root / "shared" / "link").symlink_to("/etc/passwd")
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [*TREADLE, "serve", "--port", str(port)],
        cwd=root,
        env={**os.environ, "TREADLE_JOBS__FILES": "shared", "TREADLE_JOBS__DATASETS": "visits,visitors"},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    client = Client(port)

    def ready():
        try:
            return client.call("/readyz")[0] == 200
        except OSError:
            return False

    until(ready)
    yield client
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_job_that_was_begun_with_other_rows_begins_anew(shop, monkeypatch):
    monkeypatch.setenv("TREADLE_JOBS__DATASETS", "visits")
    with td.open() as workspace:
        folder = shop / ".treadle" / "jobs" / digest_of("mine").removeprefix("sha256:")
        before = workspace.batch("buys", dataset="visits", output=folder)
        workspace.jobs.submit("buys", b'{"from": {"rows": {"dataset": "visits"}}}', name="mine")
        done = _score(workspace, "buys", Reference(rows=Rows(dataset="visits", split="test")), "mine")

    assert 0 < done.rows < before.rows
    assert not folder.exists()


def test_a_job_that_is_cancelled_while_its_rows_are_scored_leaves_nothing_behind(shop, monkeypatch):
    monkeypatch.setenv("TREADLE_JOBS__DATASETS", "visits")
    with td.open() as workspace:
        folder = shop / ".treadle" / "jobs" / digest_of("mine").removeprefix("sha256:")
        workspace.jobs.submit("buys", b'{"from": {"rows": {"dataset": "visits"}}}', name="mine")
        workspace.jobs.begin("mine")
        workspace.jobs.cancel("mine")

        with pytest.raises(Conflict, match="is cancelled"):
            _score(workspace, "buys", Reference(rows=Rows(dataset="visits")), "mine")

        assert workspace.jobs.get("mine").parts == ()
    assert not folder.exists()


def test_a_worker_leaves_its_metrics_where_it_is_told_while_it_lives(started, shop, monkeypatch):
    monkeypatch.setenv("TREADLE_JOBS__METRICS_FILE", "node/jobs.prom")
    told = shop / "node" / "jobs.prom"
    worker = started("worker", "--least", "1", "--most", "1")

    until(lambda: told.exists() and "treadle_jobs_workers 1.0" in told.read_text())
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert not told.exists()


def test_a_supervisor_starts_workers_while_jobs_wait_and_ends_them_politely(started, shop):
    with td.open() as workspace:
        jobs = [workspace.jobs.submit("buys", b'{"rows": [{"pages": 3}]}')[0].id for _ in range(30)]
        worker = started("worker", "--least", "0", "--most", "2")

        until(lambda: workspace.jobs.recent(state="done", limit=30)[29:])
        worker.send_signal(signal.SIGINT)

        assert worker.wait(30) == 0
        assert {job.id for job in workspace.jobs.recent(state="done")} == set(jobs)
        assert workspace.queue.state() == (0, 0, 0)


def test_a_job_that_is_done_twice_is_counted_once(shop, tmp_path):
    """A worker that dies after its answer was logged and before the result is stored leaves the job to another one."""
    with td.open() as workspace:
        rows = [{"pages": pages} for pages in (3, 7)]
        job, _ = workspace.jobs.submit("buys", json.dumps({"rows": rows}).encode())
        for dies in (True, False):
            with parts_of(workspace) as parts:
                worker = Worker(
                    workspace.jobs, parts.plane, log=parts.log, follower=parts.follower, score=None, lease=30.0, memory=1 << 40
                )  # fmt: skip
                if dies:
                    begun = workspace.jobs.begin(job.id)
                    worker._answer(begun, workspace.jobs.input(begun))
                else:
                    worker.run(until_empty=True)
        before = workspace.predictions.scan("buys").filter(pl.col("request_id") == job.id).collect()
        Shipper(shop, workspace.tables).ship_all()
        after = workspace.predictions.scan("buys").filter(pl.col("request_id") == job.id).collect()

        assert workspace.jobs.get(job.id).state == "done"
        assert (
            sorted(before["prediction_id"])
            == sorted(after["prediction_id"])
            == [f"{job.id}-0", f"{job.id}-1"]
        )
        assert after.select(pl.col("inputs").sort())["inputs"].to_list() == ['{"pages":3}', '{"pages":7}']
