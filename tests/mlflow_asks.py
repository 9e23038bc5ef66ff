"""Runs where MLflow is and Treadle is not: asks a prediction server as MLflow's own client does, and prints the answers as JSON.

Arguments: the port, and a file with the rows (JSON: column → values; `moments` names those that are moments).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient


def main(port: int, rows: Path) -> None:
    """Print the answers, and what the client said of the server."""
    asked = json.loads(rows.read_text())
    frame = pd.DataFrame(asked["columns"])
    for name in asked["moments"]:
        frame[name] = pd.to_datetime(frame[name], format="ISO8601")
    client = ScoringServerClient("127.0.0.1", port)
    client.ping()
    answers = client.invoke(frame).get_predictions()
    found = {
        "version": client.get_version(),
        "answers": {name: answers[name].tolist() for name in answers.columns},
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
