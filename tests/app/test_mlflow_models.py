"""Treadle serves what MLflow's registry names: a model that a team registered with MLflow's own client."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from mlflow_server import in_mlflow, shared
from treadle.app.workspace import open_workspace
from treadle.core.errors import UnsafeFormat
from treadle.core.ids import new_id
from treadle.training.tasks.regression import Regression

SAMPLE = pl.DataFrame({"size": [1.0, 2.0, -3.0], "count": [1.0, 0.5, 4.0]})


@pytest.mark.slow
def test_a_model_of_mlflow_is_imported_and_answers(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe, pickled = f"price_{new_id()}", f"code_{new_id()}"
    (tmp_path / "treadle.toml").write_text("")
    (tmp_path / "project.py").write_text("")
    with shared(tmp_path_factory) as server, open_workspace(tmp_path) as workspace:
        expected = in_mlflow(
            Path(__file__).parents[1] / "mlflow_logs.py", safe, pickled, address=server.address
        )
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")

        done = workspace.import_model(
            f"models:/{safe}@champion",
            "price",
            task=Regression(),
            sample=SAMPLE,
            actor="anna",
            reason="theirs",
        )
        workspace.promote("price/1", reason="theirs")
        answer = workspace.predictor("price").predict([{"size": 1.0, "count": 1.0}])[0]
        with pytest.raises(UnsafeFormat, match="python_function, which runs code"):
            workspace.import_model(
                f"models:/{pickled}/1", "code", task=Regression(), sample=SAMPLE, actor="a", reason=""
            )
        shown = workspace.mirrors[0].fetch("models:/price@champion")

    assert done.version.format == "onnx"
    assert answer["prediction"] == pytest.approx(expected, rel=1e-6)
    assert shown.tags["treadle.version"] == "price/1"
