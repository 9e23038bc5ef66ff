"""A package with inputs of every kind, loaded and asked by MLflow's own client: the same answers as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper

from mlflow_server import MlflowServer, MlflowTracker, in_mlflow, shared
from treadle.core.ids import digest_of_bytes
from treadle.core.records import ModelVersion, Window
from treadle.core.signature import Field, Signature
from treadle.registry.formats.onnx import OnnxModel
from treadle.registry.mirror import MirroredVersion
from treadle.registry.mirrors import _mlflow_model as model_folder
from treadle.testing.mirrors import a_run

NUMBERS = (
    Field(name="whole", kind="integer"),
    Field(name="maybe_whole", kind="integer", nullable=True),
    Field(name="real", kind="float"),
    Field(name="maybe_real", kind="float", nullable=True),
    Field(name="yes", kind="boolean"),
    Field(name="maybe_yes", kind="boolean", nullable=True),
    Field(name="at", kind="timestamp"),
    Field(name="maybe_at", kind="timestamp", nullable=True),
    Field(name="day", kind="date"),
)
WORDS = (Field(name="carrier", kind="category"), Field(name="maybe_carrier", kind="string", nullable=True))
SIGNATURE = Signature(
    inputs=(*NUMBERS, *WORDS),
    outputs=(
        Field(name="prediction", kind="category"),
        Field(
            name="scores", kind="float", columns=tuple(f.name for f in NUMBERS) + tuple(f.name for f in WORDS)
        ),
    ),
)
ROWS = {
    "whole": [3, -4],
    "maybe_whole": [5.0, None],
    "real": [0.1, -2.5],
    "maybe_real": [None, 0.7],
    "yes": [True, False],
    "maybe_yes": [1.0, None],
    "at": ["2013-01-01T05:15:00.123456", "1969-12-31T23:59:59"],
    "maybe_at": ["2013-01-01T05:15:00", None],
    "day": ["2013-01-01", "1960-02-29"],
    "carrier": ["UA", "AA"],
    "maybe_carrier": [None, "UA"],
}


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A real server."""
    with shared(tmp_path_factory) as found:
        yield found


def graph() -> bytes:
    """Return a model whose scores are its inputs, each as a number; of words, whether they are `UA`, and whether none."""
    inputs, nodes = [], []
    for field in SIGNATURE.inputs:
        kind = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "string": TensorProto.STRING}[
            field.tensor
        ]
        inputs.append(helper.make_tensor_value_info(field.name, kind, [None, 1]))
        source = field.name
        if field.tensor == "string":
            source = f"{field.name}_is"
            nodes.append(helper.make_node("Equal", [field.name, "word"], [source]))
        nodes.append(helper.make_node("Cast", [source], [f"{field.name}_number"], to=TensorProto.DOUBLE))
    columns = [f"{name}_number" for name in SIGNATURE.names]
    nodes.append(helper.make_node("Concat", columns, ["scores"], axis=1))
    made = helper.make_graph(
        nodes,
        "all kinds",
        inputs,
        [helper.make_tensor_value_info("scores", TensorProto.DOUBLE, [None, len(columns)])],
        [helper.make_tensor("word", TensorProto.STRING, [1, 1], [b"UA"])],
    )
    model: Any = helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def typed() -> pl.DataFrame:
    """Return the rows as Treadle reads them."""
    types = {"at": pl.Datetime("us"), "maybe_at": pl.Datetime("us"), "day": pl.Date()}
    frame = pl.DataFrame(ROWS)
    return frame.with_columns(pl.col(name).str.to_datetime().cast(kind) for name, kind in types.items())


@pytest.mark.slow
def test_mlflow_answers_as_treadle_for_inputs_of_every_kind(server: MlflowServer, tmp_path: Path) -> None:
    data, tracker, run = graph(), MlflowTracker(server.address), a_run()
    version = ModelVersion(
        model=run.model,
        version=1,
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        task="multiclass",
        format="onnx",
        digest=digest_of_bytes(data),
        size=len(data),
        signature=SIGNATURE,
        run=run.id,
        dataset="visits",
        dataset_version=1,
        window=Window(start=None, end=datetime(2026, 3, 1, tzinfo=UTC)),
    )
    mirror = tracker.mirror()
    told = MirroredVersion(project="suite", version=version, run=mirror.begin(run))
    manifest = msgspec.json.encode({"signature": SIGNATURE})
    mirror.point(
        run.model, "champion", mirror.register(told, {"model.onnx": data, "manifest.json": manifest})
    )
    (tmp_path / "rows.json").write_text(json.dumps({"columns": ROWS, "moments": ["at", "maybe_at", "day"]}))

    found = in_mlflow(
        Path(__file__).parents[2] / "mlflow_answers.py",
        f"models:/{run.model}@champion",
        str(tmp_path / "rows.json"),
        address=server.address,
    )

    expected = OnnxModel(data, signature=SIGNATURE).predict(SIGNATURE.encode(typed()))
    scores = [[row[name] for name in SIGNATURE.names] for row in found["answers"]["scores"]]
    assert found["answers"]["prediction"] == expected["prediction"].tolist()
    np.testing.assert_array_equal(scores, expected["scores"])
    assert np.isnan(expected["scores"]).sum() == 4


def test_a_package_that_is_no_graph_is_shown_and_not_loaded() -> None:
    version = ModelVersion(
        model="m",
        version=1,
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        task="regression",
        format="sklearn",
        digest="sha256:" + "1" * 64,
        size=1,
        signature=Signature(inputs=()),
        run="run_1",
        dataset="visits",
        dataset_version=1,
        window=Window(start=None, end=datetime(2026, 3, 1, tzinfo=UTC)),
    )

    files = model_folder.folder(MirroredVersion(project="p", version=version, run="r"), {"model.skops": b"x"})

    assert sorted(files) == ["MLmodel", "model.skops"]
    assert list(json.loads(files["MLmodel"])["flavors"]) == ["treadle"]
