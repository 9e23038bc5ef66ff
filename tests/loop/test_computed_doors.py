"""Through every door the same: what is computed for a request is what the offline join gives, to the last bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
import pytest
from computed_shop import NOW, drawn, make, offline_probabilities, opened

import services
from treadle.core.clock import ManualClock


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, trained once."""
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def served(shop: Path) -> Iterator[tuple[int, int]]:
    """Ports of a real server of the project, for HTTP and gRPC."""
    port, grpc_port = services.free_ports(2)
    (shop / "now").write_text(NOW.isoformat())
    (shop / "treadle.toml").write_text((shop / "treadle.toml").read_text() + '\n[clock]\nfile = "now"\n')
    command = [*TREADLE, "serve", "-C", str(shop), "--port", str(port), "--grpc-port", str(grpc_port)]
    with (shop / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=LATE)
    try:
        end = perf_counter() + 60
        while not ready(port):
            assert process.poll() is None, (shop / "server.log").read_text()
            assert perf_counter() < end, (shop / "server.log").read_text()
            threading.Event().wait(0.05)
        yield port, grpc_port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


TREADLE = [sys.executable, "-m", "treadle.app.cli.main"]
LATE = {**os.environ, "TREADLE_SERVING__ON_DEMAND_TIMEOUT": "20", "TREADLE_COMPUTE__ENGINE": "inline"}


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def post(port: int, path: str, body: Any) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=msgspec.json.encode(body))
    with urllib.request.urlopen(request, timeout=60) as answer:
        return msgspec.json.decode(answer.read())


def over_grpc(port: int, visits: list[dict[str, Any]]) -> list[float]:
    triton = pytest.importorskip("tritonclient.grpc")
    tensors = []
    for name, kind in (("pages", "FP64"), ("shop", "BYTES"), ("seen_at", "BYTES")):
        values = np.array([row[name] for row in visits], dtype=np.float64 if kind == "FP64" else object)
        tensor = triton.InferInput(name, [len(values)], kind)
        tensor.set_data_from_numpy(values)
        tensors.append(tensor)
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        return client.infer("buys", tensors).as_numpy("probability").tolist()


@pytest.mark.slow
def test_every_door_gives_the_numbers_of_the_offline_join(shop: Path, served: tuple[int, int]) -> None:
    visits = drawn(500, seed=3)
    with opened(shop, ManualClock(NOW)) as workspace:
        expected = offline_probabilities(workspace, visits)
    port, grpc_port = served

    given = post(port, "/v1/endpoints/buys/predict", {"rows": visits})["predictions"]
    alone = [post(port, "/v1/endpoints/buys/predict", {"rows": [visit]}) for visit in visits[:40]]
    columns = {name: [row[name] for row in visits] for name in visits[0]}
    by_column = post(port, "/v1/endpoints/buys/predict", {"columns": columns})["predictions"]
    job = post(port, "/v1/endpoints/buys/jobs", {"rows": visits})["id"]
    subprocess.run([*TREADLE, "worker", "--until-empty", "-C", str(shop)], env=LATE, check=True, timeout=120)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/endpoints/buys/jobs/{job}/result") as answer:
        by_job = msgspec.json.decode(answer.read())["predictions"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        metrics = answer.read().decode()

    assert [one["probability"] for one in given] == expected
    assert [one["predictions"][0]["probability"] for one in alone] == expected[:40]
    assert [one["probability"] for one in by_column] == expected
    assert [one["probability"] for one in by_job] == expected
    assert over_grpc(grpc_port, visits) == expected
    assert (
        f'treadle_on_demand_rows_total{{endpoint="buys",model="buys",version="1"}} {2 * len(visits) + len(alone)}'
        in metrics.replace(".0\n", "\n")
    )
