"""A real server over a real package: the field's own client, the predictor and the estimator agree."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

import treadle as td
from treadle.app.cli.main import main

PROJECT = """
import polars as pl
import treadle as td

rows = td.Dataset("rows", source=td.Files("rows.csv"), key="id", outcome="bought", split=td.HashSplit())


@td.model(data=rows, target="bought", inputs=["age", "city", "visits"], task=td.Classification())
def model(data, params, run):
    import pickle
    from pathlib import Path
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encode = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["city"]), remainder="passthrough"
    )
    fitted = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=20, random_state=0))
    fitted.fit(data.train.X, data.train.y)
    data.train.X.head(200).write_parquet("asked.parquet")
    answers = fitted.predict_proba(data.train.X.head(200))[:, 1]
    pl.DataFrame({"p": answers}).write_parquet("native.parquet")
    return fitted
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    age, visits = rng.normal(40, 12, 1500), rng.integers(0, 30, 1500)
    city = rng.choice(["Bern", "Zürich", "Genève"], 1500)
    bought = rng.random(1500) < 1 / (1 + np.exp(3 - visits / 6 - (city == "Bern")))
    frame = pl.DataFrame(
        {"id": range(1500), "age": age.round(1), "city": city, "visits": visits, "bought": bought}
    )
    frame.write_csv(root / "rows.csv")
    (root / "treadle.toml").write_text('[project]\nname = "shop"\n')
    (root / "project.py").write_text(PROJECT)
    with td.open(root) as workspace:
        workspace.run("model")
    return root


@pytest.fixture(scope="module")
def port(shop) -> Iterator[int]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number = found.getsockname()[1]
    command = [sys.executable, "-m", "treadle.app.cli.main", "serve", "-C", str(shop), "--port", str(number)]
    with (shop / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while ask(number, "GET", "/readyz")[0] != 200:
            assert process.poll() is None, (shop / "server.log").read_text()
            assert time.monotonic() < deadline, (shop / "server.log").read_text()
        yield number
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        said = response.read()
    except OSError:
        return 0, {}
    finally:
        connection.close()
    return response.status, json.loads(said) if said.startswith(b"{") else {}


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_agrees_with_the_predictor_and_the_estimator(shop, port, binary):
    from tritonclient import http as triton

    asked, native = (
        pl.read_parquet(shop / "asked.parquet"),
        pl.read_parquet(shop / "native.parquet")["p"].to_numpy(),
    )
    kinds = {"age": ("FP32", np.float32), "city": ("BYTES", np.object_), "visits": ("INT64", np.int64)}
    inputs = []
    for name, (kind, dtype) in kinds.items():
        tensor = triton.InferInput(name, [asked.height, 1], kind)
        tensor.set_data_from_numpy(asked[name].to_numpy().astype(dtype).reshape(-1, 1), binary_data=binary)
        inputs.append(tensor)
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")

    found = client.infer(
        "model", inputs, outputs=[triton.InferRequestedOutput("probability", binary_data=binary)]
    )
    probability = np.asarray(found.as_numpy("probability"), dtype=float).reshape(-1)
    client.close()
    with td.Predictor("model", project=shop) as predictor:
        local = np.array([answer["probability"] for answer in predictor.predict(asked.to_dicts())])

    assert np.abs(probability - native).max() < 1e-5
    assert np.abs(local - native).max() < 1e-5


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rows": [{"age": 1.0, "city": "Bern"}]}, "rows[0].visits"),
        ({"rows": [{"age": "old", "city": "Bern", "visits": 1}]}, "rows[0].age"),
        ({"rows": [{"age": 1.0, "city": "Bern", "visits": 1, "hat": 2}]}, "rows[0].hat"),
        ({"rows": []}, "rows"),
    ],
)
def test_bad_rows_are_the_callers_fault_and_named(port, body, field):
    status, said = ask(port, "POST", "/v1/endpoints/model/predict", body)

    assert (status, said["error"]["field"]) == (400, field)
    assert ask(port, "GET", "/readyz")[0] == 200


def test_listening_off_loopback_without_a_token_is_refused(shop, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["serve", "-C", str(shop), "--host", "0.0.0.0"])

    assert ended.value.code == 1
    assert "token" in capsys.readouterr().err
