"""`td.Client` against a real server, and against one that fails in the ways that networks and servers do."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import perf_counter

import numpy as np
import pandas as pd
import polars as pl
import pytest

import treadle as td
from pace import within
from treadle.core.errors import (
    AuthRequired,
    InvalidInput,
    ModelFailed,
    NotFound,
    ServerUnavailable,
    TooLarge,
)
from treadle.serving.predictions import Outcomes, Predictions

ROW = {"distance": 1400, "temp": None, "carrier": "UA"}
TOLD = {
    "id": "r1",
    "endpoint": "fares",
    "revision": 1,
    "model": "delay",
    "version": 7,
    "variant": "champion",
    "predictions": [
        {"prediction_id": "r1-0", "prediction": True, "probability": 0.007, "decision": "answer"}
    ],
}


@pytest.fixture
def client(shared):
    with td.Client("fares", url=f"http://127.0.0.1:{shared.port}") as client:
        yield client


@contextmanager
def scripted(*steps):
    """A server that does one step for each request: a status with headers and a body, or something worse."""
    seen, left = [], list(steps)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((perf_counter(), self.path, dict(self.headers), json.loads(body)))
            step = left.pop(0) if left else (200, {}, json.dumps(TOLD).encode())
            if step == "hang up":
                self.close_connection = True
                return
            if step == "be slow":
                ended.wait(5)
                self.close_connection = True
                return
            if step == "trickle":
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
                while not ended.wait(0.05):
                    try:
                        self.wfile.write(b" ")
                    except OSError:
                        break
                self.close_connection = True
                return
            status, headers, answer = step
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments):
            pass

    ended = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_row_and_rows_are_answered(client):
    one = client.predict(ROW, id="c1")
    several = client.predict([ROW, {**ROW, "distance": 200}])

    assert (one.prediction, one.probability, one.prediction_id) == (True, 0.007, "c1-0")
    assert (one.endpoint, one.model, one.version, one.variant, one.revision) == (
        "fares",
        "delay",
        7,
        "champion",
        1,
    )
    assert one["probability"] == 0.007
    assert [p.prediction for p in several] == [True, False]
    with pytest.raises(KeyError):
        one["odds"]


@pytest.mark.parametrize(
    "rows",
    [
        pl.DataFrame([ROW, ROW], schema={"distance": pl.Int64, "temp": pl.Float64, "carrier": pl.String}),
        pd.DataFrame({"distance": [1400, 1400], "temp": [np.nan, np.nan], "carrier": ["UA", "UA"]}),
        [{"distance": np.int64(1400), "temp": np.float32("nan"), "carrier": np.str_("UA")}] * 2,
        (dict(ROW) for _ in range(2)),
    ],
    ids=["polars", "pandas", "numpy", "generator"],
)
def test_frames_and_scalars_of_numpy_are_taken(client, rows):
    assert [p.probability for p in client.predict(rows)] == [0.007, 0.007]


def test_subject_keys_and_outcomes_arrive(client, shared):
    client.predict(ROW, id="c2", subject="p", key={"flight_id": "a"})

    client.outcome(True, key={"flight_id": "a"})
    client.outcomes([{"prediction_id": "c2-0", "value": False}], id="c3")

    logged = (
        Predictions(shared.tables, root=shared.root)
        .scan("fares")
        .filter(pl.col("request_id") == "c2")
        .collect()
    )
    assert logged.select("subject", "key").rows() == [("p", '{"flight_id":"a"}')]
    told = (
        Outcomes(shared.tables, root=shared.root)
        .scan("fares")
        .filter(pl.col("prediction_id") == "c2-0")
        .collect()
    )
    assert told["value"].to_list() == [0.0]
    assert client.describe()["revision"] == 1


def test_refusals_are_the_errors_that_they_were(client, shared):
    with pytest.raises(InvalidInput, match="distance") as refusal:
        client.predict([ROW, {**ROW, "distance": "far"}])
    assert refusal.value.field == "rows[1].distance"
    with pytest.raises(TooLarge):
        client.predict([ROW] * 1_001)
    with pytest.raises(InvalidInput, match="one of"):
        client.outcome(True, prediction_id="a", key={"a": 1})
    with (
        td.Client("fare", url=f"http://127.0.0.1:{shared.port}") as wrong,
        pytest.raises(NotFound, match="Did you mean 'fares'"),
    ):
        wrong.predict(ROW)
    with pytest.raises(InvalidInput, match="http://localhost:8080"):
        td.Client("fares", url="localhost:8080")


def test_a_token_is_sent_and_a_wrong_one_told(revise, launch):
    revise(("champion", 7, 1.0), name="fares")
    server = launch(token="s3cret")
    url = f"http://127.0.0.1:{server.port}"

    with td.Client("fares", url=url, token="s3cret") as right, td.Client("fares", url=url) as wrong:
        assert right.predict(ROW).prediction
        with pytest.raises(AuthRequired):
            wrong.predict(ROW)


@pytest.mark.parametrize("later", ["0", "Sat, 21 Nov 2020 19:06:12 GMT", "soon", ""])
def test_who_has_too_much_to_do_is_asked_again_with_the_same_id(later):
    busy = (503, {"Retry-After": later}, b"{}")
    with (
        scripted(busy, (429, {}, b""), "hang up") as (url, seen),
        td.Client("fares", url=url, token="t") as client,
    ):
        found = client.predict(ROW)

    assert (found.probability, found.more, found["decision"]) == (0.007, {"decision": "answer"}, "answer")
    assert len(seen) == 4
    assert len({body["id"] for _, _, _, body in seen}) == 1
    assert seen[0][1] == "/v1/endpoints/fares/predict"
    assert seen[0][2]["Authorization"] == "Bearer t"


def test_retry_after_is_obeyed():
    with scripted((429, {"Retry-After": "1"}, b"{}")) as (url, seen), td.Client("fares", url=url) as client:
        client.predict(ROW)

    assert seen[1][0] - seen[0][0] >= 1


def test_a_pause_that_is_longer_than_the_time_left_is_not_begun():
    busy = (503, {"Retry-After": "60"}, json.dumps({"error": {"message": "Nothing is loaded."}}).encode())
    with scripted(busy) as (url, seen), td.Client("fares", url=url) as client:
        began = perf_counter()
        with pytest.raises(ServerUnavailable, match="Nothing is loaded"):
            client.predict(ROW)

    assert perf_counter() - began < within(5, busy=6)
    assert len(seen) == 1


def test_what_cannot_get_better_is_not_tried_again():
    with (
        scripted((500, {}, b"<html>"), (404, {}, b'{"error": []}')) as (url, seen),
        td.Client("fares", url=url) as client,
    ):
        with pytest.raises(ModelFailed, match="500: <html>"):
            client.predict(ROW)
        with pytest.raises(NotFound, match="404"):
            client.predict(ROW)

    assert len(seen) == 2


def test_a_server_that_is_slow_or_not_there_is_given_up_in_time():
    with scripted("be slow", "be slow") as (url, _), td.Client("fares", url=url, timeout=0.5) as client:
        began = perf_counter()
        with pytest.raises(ServerUnavailable, match=r"does not answer: timed out"):
            client.predict(ROW)
        took = perf_counter() - began

    assert took < within(2, busy=5)
    with td.Client("fares", url=url, retries=1) as client, pytest.raises(ServerUnavailable, match="refused"):
        client.predict(ROW)


def test_a_call_has_one_time_limit_however_slowly_its_answer_trickles_in():
    with scripted("trickle", "trickle") as (url, seen), td.Client("fares", url=url, timeout=0.6) as client:
        began = perf_counter()
        with pytest.raises(ServerUnavailable, match="timed out"):
            client.predict(ROW)
        took = perf_counter() - began

    assert took < 5  # without a limit for the whole it would be hours
    assert len(seen) == 1


def test_awaited_calls_have_the_same_limit_also_while_they_wait_for_a_connection():
    async def asked(url):
        async with td.AsyncClient("fares", url=url, timeout=0.6, connections=1) as client:
            calls = [client.predict(ROW) for _ in range(4)]
            return await asyncio.gather(*calls, return_exceptions=True)

    with scripted(*["trickle"] * 4) as (url, seen):
        began = perf_counter()
        found = asyncio.run(asked(url))
        took = perf_counter() - began

    assert {type(one) for one in found} == {ServerUnavailable}
    assert took < 5
    # Those that waited for the connection were not sent; the next one may, if its time ends a moment later.
    assert len(seen) < 4


def test_finding_the_host_is_a_part_of_the_call(monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.wait(60) and [])

    client = td.Client("fares", url="http://slow.example", timeout=0.3)
    with client, pytest.raises(ServerUnavailable, match="no resolver answered"):
        client.predict(ROW)

    answers.set()


def test_an_answer_behind_which_the_connection_is_closed_is_read():
    answer = (200, {"connection": "close"}, json.dumps(TOLD).encode())
    with scripted(answer, answer) as (url, seen), td.Client("fares", url=url) as client:
        found = [client.predict(ROW).probability for _ in range(2)]

    assert (found, len(seen)) == ([0.007, 0.007], 2)


def test_a_connection_that_was_closed_meanwhile_is_made_anew():
    fine = (200, {}, json.dumps(TOLD).encode())
    with scripted(fine, "hang up") as (url, seen), td.Client("fares", url=url, retries=0) as client:
        client.predict(ROW)
        client.predict(ROW)

    assert len(seen) == 3


def test_the_same_is_awaited(shared):
    async def ask():
        async with td.AsyncClient("fares", url=f"http://127.0.0.1:{shared.port}") as client:
            found = await asyncio.gather(*(client.predict({**ROW, "distance": n}) for n in range(950, 1050)))
            with pytest.raises(InvalidInput):
                await client.predict({**ROW, "distance": "far"})
            await client.outcome(1, prediction_id=found[0].prediction_id)
            return [p.prediction for p in found], (await client.describe())["endpoint"]

    assert asyncio.run(ask()) == ([n > 1000 for n in range(950, 1050)], "fares")


def test_a_client_is_shared_by_threads(client):
    answers = []

    def go_on():
        answers.extend(client.predict(ROW).prediction for _ in range(50))

    threads = [threading.Thread(target=go_on) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [True] * 400
