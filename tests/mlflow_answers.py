"""Runs where MLflow is and Treadle is not: loads `models:/NAME@ALIAS` as MLflow does, and prints its answers as JSON.

Arguments: the reference, and a file with the rows (JSON: column → values; `moments` names those that are moments).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
import pandas as pd


def main(reference: str, rows: Path) -> None:
    """Print the answers, and what MLflow's own reader of ONNX made of the model."""
    asked = json.loads(rows.read_text())
    frame = pd.DataFrame(asked["columns"])
    for name in asked["moments"]:
        frame[name] = pd.to_datetime(frame[name], format="ISO8601")
    model = mlflow.pyfunc.load_model(reference)
    answers = model.predict(frame)
    graph = mlflow.onnx.load_model(reference).graph
    found = {
        "answers": {name: answers[name].tolist() for name in answers.columns},
        "inputs": [one.name for one in graph.input],
        "run": model.metadata.run_id,
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
