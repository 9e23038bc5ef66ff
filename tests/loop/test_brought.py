"""How a model from elsewhere fits its question: what the question must know of answers is learnt of the sample."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.ensemble import ExtraTreesClassifier, IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import treadle as td
from treadle.app.cli.main import main
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import UnsafeFormat

DECLARED = """
import treadle as td

rows = td.Dataset("rows", source=td.Files("*.csv"), key="x")


@td.model(data=rows, inputs=["x", "z"], task=td.Density(), allow_pickle=True)
def own(data, params, run):
    return None
"""


class Strange:
    """What makes a folder when it is unpickled."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self._place,)


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "treadle.toml").write_text('[compute]\nengine = "inline"\n')
    (tmp_path / "project.py").write_text("import treadle as td\n")
    with open_workspace(tmp_path) as workspace:
        yield workspace


def sample() -> pl.DataFrame:
    return pl.DataFrame(np.random.default_rng(3).normal(size=(400, 2)).astype(np.float32), schema=["x", "z"])


def answers(ws: Workspace, version: str, rows: pl.DataFrame) -> dict[str, np.ndarray]:
    servable = ws.models.load(ws.models.get(version))
    return servable.predict(servable.signature.encode(rows))


def test_an_imported_model_of_anomalies_flags_the_share_that_is_promised(ws: Workspace) -> None:
    rows = sample()
    model = IsolationForest(n_estimators=10, random_state=0).fit(rows)

    ws.import_model(model, "odd", task=td.Anomaly(share=0.05), sample=rows)

    assert answers(ws, "odd/1", rows)["prediction"].mean() == pytest.approx(0.05, abs=0.01)


def test_a_density_that_was_fitted_to_arrays_is_imported_in_the_units_of_its_inputs(ws: Workspace) -> None:
    rows, scaler = sample() * 10, StandardScaler()
    model = make_pipeline(scaler, GaussianMixture(1, random_state=0)).fit(rows.to_numpy())

    ws.import_model(model, "usual", task=td.Density(), sample=rows)

    expected = model.score_samples(rows.to_numpy()) - np.log(scaler.scale_).sum()
    assert answers(ws, "usual/1", rows)["prediction"] == pytest.approx(expected, abs=1e-4)


def test_a_declaration_that_allows_pickles_does_not_run_those_of_strangers(tmp_path: Path) -> None:
    (tmp_path / "treadle.toml").write_text('[compute]\nengine = "inline"\n')
    (tmp_path / "project.py").write_text(DECLARED)
    ran = tmp_path / "ran"
    (tmp_path / "strange.pkl").write_bytes(pickle.dumps(Strange(str(ran))))

    with open_workspace(tmp_path) as workspace, pytest.raises(UnsafeFormat, match="it calls"):
        workspace.import_model(tmp_path / "strange.pkl", "own", sample=sample())

    assert not ran.exists()


def double(estimator: Any, frame: pl.DataFrame) -> Any:
    return 2 * estimator.predict(frame)


def test_an_imported_model_is_asked_by_the_function_that_its_question_has(ws: Workspace) -> None:
    rows = sample()
    model = LinearRegression().fit(rows, rows["x"])

    ws.import_model(model, "own", task=td.Custom(ask=double), sample=rows, allow_pickle=True)

    assert answers(ws, "own/1", rows)["prediction"] == pytest.approx(2 * rows["x"].to_numpy(), abs=1e-5)


def test_the_command_names_labels_and_refuses_classes_where_there_are_none(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, path = sample(), ws.root / "rows.csv"
    rows.write_csv(path)
    truths = np.column_stack([rows["x"] > 0, rows["z"] > 0]).astype(int)
    model = ExtraTreesClassifier(5, max_depth=2, random_state=0).fit(rows, truths)
    skops.io.dump(model, ws.root / "tags.skops")
    common = ["models", "import", str(ws.root / "tags.skops"), "--model", "tags", "--sample", str(path)]
    common += ["-C", str(ws.root), "--classes", "wide,deep", "--task"]

    with pytest.raises(SystemExit, match="2"):
        main([*common, "regression"])
    with pytest.raises(SystemExit, match="0"):
        main([*common, "multilabel"])

    assert "--classes names classes or labels, which regression does not have" in capsys.readouterr().err
    assert ws.models.get("tags/1").signature.outputs[-1].columns == ("wide", "deep")
