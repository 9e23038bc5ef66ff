"""Whoever asks, and however: the numbers are those of the packaged pipeline, and those of the library that trained it."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import treadle as td
from mlflow_server import ENVIRONMENT
from services import free_ports, missing

triton_http = pytest.importorskip("tritonclient.http")
triton_grpc = pytest.importorskip("tritonclient.grpc")

PROJECT = """
from datetime import datetime
from pathlib import Path

import joblib
import treadle as td


class Flight(td.Contract):
    flight_id: int
    at: datetime
    carrier: str
    origin: str | None
    distance: int
    weekend: bool
    temp: float | None
    late: bool


flights = td.Dataset("flights", source=td.Files("flights.parquet"), contract=Flight, key="flight_id", time="at",
                     outcome="late", split=td.HashSplit(train=0.8, validation=0.1, test=0.1))


@td.model(data=flights, target="late", inputs=["carrier", "origin", "distance", "weekend", "temp"], task=td.Classification(),
          baselines=[td.baselines.Prior()], policy=td.Policy(window=td.Last("3650d")))
def late(data, params, run):
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier", "origin"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "weekend", "temp"]))
    fitted = make_pipeline(encode, LogisticRegression(max_iter=500)).fit(data.train.X, data.train.y)
    joblib.dump(fitted, Path(HERE) / "native.joblib")
    return fitted
"""
ROWS = 64
#: Names under which systems have Chromium.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def frame(rows: int, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    risk = draw.normal(0, 1, rows)
    temp = (50 + 10 * risk + draw.normal(0, 10, rows)).astype(np.float32).astype(float)
    origin = draw.choice(["EWR", "JFK", ""], rows).tolist()
    return pl.DataFrame(
        {
            "flight_id": np.arange(rows),
            "at": pl.Series(np.sort(draw.integers(0, 90 * 86_400, rows)) * 1_000_000).cast(pl.Datetime("us")),
            "carrier": draw.choice(["AA", "B6", "Ünited"], rows),
            "origin": [name or None for name in origin],
            "distance": draw.integers(80, 5000, rows),
            "weekend": draw.random(rows) > 0.7,
            "temp": [
                None if gap else t for gap, t in zip(draw.random(rows) < 0.1, temp.tolist(), strict=True)
            ],
            "late": risk + draw.normal(0, 1, rows) > 0.5,
        }
    )


@dataclass
class World:
    """A project with a champion, its server, rows that it has not seen, and what is right for them."""

    root: Path
    port: int
    grpc_port: int
    rows: pl.DataFrame
    expected: np.ndarray

    @property
    def records(self) -> list[dict[str, object]]:
        return self.rows.to_dicts()

    def post(self, path: str, body: bytes, media: str = "application/json") -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(
            urllib.request.Request(url, data=body, headers={"Content-Type": media})
        ) as answer:
            return answer.read()

    def tensors(self, triton, **options):
        """Return the rows as the tensors of a Triton client."""
        made = []
        for name, datatype, values in (
            ("carrier", "BYTES", np.array(self.rows["carrier"].to_list(), dtype=object)),
            ("origin", "BYTES", np.array(self.rows["origin"].fill_null("").to_list(), dtype=object)),
            ("distance", "INT64", self.rows["distance"].to_numpy()),
            ("weekend", "BOOL", self.rows["weekend"].to_numpy()),
            ("temp", "FP64", self.rows["temp"].cast(pl.Float64).fill_null(float("nan")).to_numpy()),
        ):
            tensor = triton.InferInput(name, [len(values)], datatype)
            tensor.set_data_from_numpy(values, **options)
            made.append(tensor)
        return made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("numbers")
    frame(2_000, 0).write_parquet(root / "flights.parquet")
    (root / "treadle.toml").write_text("")
    (root / "project.py").write_text(PROJECT.replace("HERE", repr(str(root))))
    with td.open(root) as workspace:
        workspace.run("late")
    rows = frame(ROWS, 1).select("carrier", "origin", "distance", "weekend", "temp")
    with td.Predictor("late", project=root) as predictor:
        expected = np.array([row["probability"] for row in predictor.predict(rows.to_dicts())])
    port, grpc_port = free_ports(2)
    command = [sys.executable, "-m", "treadle.app.cli.main", "serve", "-C", str(root), "--port", str(port)]
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, "--grpc-port", str(grpc_port)], stdout=log, stderr=log)
    try:
        end = monotonic() + 60
        while not _ready(port):
            assert process.poll() is None, (root / "server.log").read_text()
            assert monotonic() < end, (root / "server.log").read_text()
            threading.Event().wait(0.05)
        yield World(root, port, grpc_port, rows, expected)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def probabilities(predictions: object) -> np.ndarray:
    return np.array([row["probability"] for row in predictions])  # type: ignore[attr-defined]


def rows(world: World) -> np.ndarray:
    return probabilities(
        json.loads(world.post("/v1/endpoints/late/predict", json.dumps({"rows": world.records}).encode()))[
            "predictions"
        ]
    )


def columns(world: World) -> np.ndarray:
    body = json.dumps({"columns": world.rows.to_dict(as_series=False)}).encode()
    return probabilities(json.loads(world.post("/v1/endpoints/late/predict", body))["predictions"])


def curl(world: World) -> np.ndarray:
    url = f"http://127.0.0.1:{world.port}/v1/endpoints/late/predict"
    command = ["curl", "-sS", "--fail-with-body", url, "-d", json.dumps({"rows": world.records})]
    done = subprocess.run(command, capture_output=True, check=True)
    return probabilities(json.loads(done.stdout)["predictions"])


def csv(world: World) -> np.ndarray:
    answer = world.post("/invocations", world.rows.write_csv().encode(), "text/csv")
    return probabilities(json.loads(answer)["predictions"])


def polars(world: World) -> np.ndarray:
    stream = io.BytesIO()
    world.rows.write_ipc_stream(stream)
    answer = world.post(
        "/v1/endpoints/late/predict", stream.getvalue(), "application/vnd.apache.arrow.stream"
    )
    return pl.read_ipc_stream(io.BytesIO(answer))["probability"].to_numpy()


def pandas(world: World) -> np.ndarray:
    table, stream = pa.Table.from_pandas(world.rows.to_pandas(), preserve_index=False), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    answer = world.post(
        "/v1/endpoints/late/predict", stream.getvalue(), "application/vnd.apache.arrow.stream"
    )
    found: pd.DataFrame = pa.ipc.open_stream(answer).read_pandas()
    return found["probability"].to_numpy()


def triton_json(world: World) -> np.ndarray:
    with triton_http.InferenceServerClient(f"127.0.0.1:{world.port}") as client:
        tensors = [t for t in world.tensors(triton_http, binary_data=False) if t.name() != "temp"]
        temp = triton_http.InferInput(
            "temp", [ROWS], "FP64"
        )  # JSON has no NaN: the client's own writer is not asked
        temp._data, temp._raw_data = world.rows["temp"].to_list(), None
        return client.infer("late", [*tensors, temp]).as_numpy("probability")


def triton_binary(world: World) -> np.ndarray:
    with triton_http.InferenceServerClient(f"127.0.0.1:{world.port}") as client:
        return client.infer("late", world.tensors(triton_http, binary_data=True)).as_numpy("probability")


def triton_over_grpc(world: World) -> np.ndarray:
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{world.grpc_port}") as client:
        return client.infer("late", world.tensors(triton_grpc)).as_numpy("probability")


def client(world: World) -> np.ndarray:
    with td.Client("late", url=f"http://127.0.0.1:{world.port}") as client:
        return np.array([found.probability for found in client.predict(world.rows)])


def client_pandas(world: World) -> np.ndarray:
    with td.Client("late", url=f"http://127.0.0.1:{world.port}") as client:
        return np.array([found.probability for found in client.predict(world.rows.to_pandas())])


def awaited(world: World) -> np.ndarray:
    async def ask() -> list[float]:
        async with td.AsyncClient("late", url=f"http://127.0.0.1:{world.port}") as client:
            found = await asyncio.gather(*(client.predict(row) for row in world.records))
            return [one.probability for one in found]

    return np.array(asyncio.run(ask()))


def mlflow(world: World) -> np.ndarray:
    if not (ENVIRONMENT / ".ready").exists():
        missing("MLflow's environment is not there (`make mlflow`)")
    asked = world.root / "asked.json"
    asked.write_text(json.dumps({"columns": world.rows.to_dict(as_series=False), "moments": []}))
    script = Path(__file__).parents[1] / "mlflow_asks.py"
    command = [str(ENVIRONMENT / "bin" / "python"), str(script), str(world.port), str(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return np.array(found["answers"]["probability"])


WAYS = [
    rows,
    columns,
    curl,
    csv,
    polars,
    pandas,
    triton_json,
    triton_binary,
    triton_over_grpc,
    client,
    client_pandas,
    awaited,
    mlflow,
]


@pytest.mark.parametrize("ask", WAYS, ids=lambda ask: ask.__name__)
def test_everybody_gets_the_same_numbers(world: World, ask) -> None:
    found = ask(world)

    if (
        ask is awaited
    ):  # rows that are asked for one by one are added up in another order: the last bit may differ
        assert np.abs(found - world.expected).max() <= 1e-12
    else:
        assert found.tolist() == world.expected.tolist()


def test_the_numbers_are_those_of_the_library(world: World) -> None:
    native = joblib.load(world.root / "native.joblib")
    x = world.rows.with_columns(
        pl.col("temp").cast(pl.Float32).fill_null(float("nan")),
        pl.col("weekend").cast(pl.Float32),
        pl.col("origin").fill_null(""),
    )

    assert np.abs(native.predict_proba(x)[:, 1] - world.expected).max() < 1e-5
    assert len(set(world.expected.round(4))) > ROWS / 2


def test_the_form_in_a_browser_shows_the_same_number(world: World) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        pytest.skip(f"no browser is on this machine: none of {', '.join(BROWSERS)}")
    options = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=options.split())
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.goto(f"http://127.0.0.1:{world.port}/docs")
        shown = []
        for row in world.records[:5]:
            for name, value in row.items():
                control = page.locator(f"[name={name}]")
                if name == "weekend":
                    control.select_option("true" if value else "false")
                else:
                    control.fill("" if value is None else str(value))
            with page.expect_response("**/predict"):
                page.locator("[name=temp]").press("Enter")
            page.wait_for_selector(".answer:not([hidden])")
            told = json.loads(page.locator("[data-json]").text_content())
            shown.append(told["predictions"][0]["probability"])
        browser.close()

    assert np.abs(np.array(shown) - world.expected[:5]).max() <= 1e-12
    assert not problems
