"""The prediction server mounted in other servers: real FastAPI, Starlette and Django, on uvicorn and on Granian."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import polars as pl
import pytest
import serving_load
from serving_process import free_port

from treadle.serving.predictions import Predictions

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("django")

HOST = Path(__file__).with_name("asgi_host.py")
ROW = {"distance": 1400, "temp": None, "carrier": "UA"}
UVICORN = [sys.executable, str(HOST)]
GRANIAN = [sys.executable, "-m", "granian", "--interface", "asgi", "--no-ws", "asgi_host:app", "--port"]


@contextmanager
def hosted(command, root, *, kind):
    port = free_port()
    environment = {
        **os.environ,
        "TEST_ASGI_KIND": kind,
        "TEST_ASGI_ROOT": str(root),
        "PYTHONPATH": str(HOST.parent),
    }
    with (root / "host.log").open("wb") as log:
        process = subprocess.Popen([*command, str(port)], env=environment, stderr=log, stdout=log)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=2).close()
                break
            except OSError:
                assert process.poll() is None, (root / "host.log").read_text()
                threading.Event().wait(0.05)
        yield port, process
    finally:
        process.kill()
        process.wait()


def fetched(port, path):
    """Fetch a page as a browser behind the host's own name would: what other pages may do is the host's to say."""
    headers = {"Host": "shop.example", "Origin": "https://app.example"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode()


@pytest.mark.parametrize(
    ("command", "kind", "below"),
    [
        (UVICORN, "fastapi", "/ml"),
        (UVICORN, "starlette", "/ml"),
        (UVICORN, "django", "/ml"),
        (GRANIAN, "fastapi", "/ml"),
        (GRANIAN, "alone", ""),
    ],
    ids=["fastapi-uvicorn", "starlette-uvicorn", "django-uvicorn", "fastapi-granian", "alone-granian"],
)
def test_a_mounted_server_answers_refuses_and_logs(revise, tables, tmp_path, command, kind, below):
    revise(("champion", 7, 1.0), name="fares")
    with hosted(command, tmp_path, kind=kind) as (port, process):
        predict = f"{below}/v1/endpoints/fares/predict"
        status, answer = serving_load.call(port, predict, {"rows": [ROW, ROW], "id": "r1"})

        assert (status, [p["probability"] for p in answer["predictions"]]) == (200, [0.007, 0.007])
        assert serving_load.call(port, f"{below}/readyz")[0] == 200
        assert serving_load.call(port, f"{below}/v2/models/fares")[1]["name"] == "fares"
        assert serving_load.call(port, predict, {"rows": [{**ROW, "distance": "far"}]})[0] == 400
        assert serving_load.call(port, predict, b"[" * 200_000)[0] == 413
        assert serving_load.call(port, predict)[0] == 405
        assert serving_load.call(port, f"{below}/nothing")[0] == 404
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            pieces = (piece for piece in (b'{"rows": [', json.dumps(ROW).encode(), b"]}"))
            connection.request("POST", predict, body=pieces, encode_chunked=True)
            assert connection.getresponse().status == 200
        page = fetched(port, f"{below}/docs")
        assert f'data-path="{predict}"' in page
        assert f'<body data-root="{below}">' in page
        for asset in (f"{below}/docs/form.js", f"{below}/docs/form.css", f"{below}/openapi.json"):
            assert f'"{asset}"' in page
            assert fetched(port, asset)
        document = json.loads(fetched(port, f"{below}/openapi.json"))
        assert document.get("servers") == ([{"url": below}] if below else None)
        if kind in {"fastapi", "django"}:
            assert serving_load.call(port, "/hello") == (200, {"hello": "world"})
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    logged = Predictions(tables, root=tmp_path).scan("fares").filter(pl.col("request_id") == "r1").collect()
    assert len(logged) == 2
    assert "Traceback" not in (tmp_path / "host.log").read_text()
