"""MLflow on SQLite: log metric values one by one; the store is made before the clock starts."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import mlflow


def main(folder: Path, values: int) -> float:
    """Log them and return the CPU seconds."""
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("benchmark")
    with mlflow.start_run():
        mlflow.log_metric("loss", 2.0, step=0)
        began = time.process_time()
        for step in range(1, values + 1):
            mlflow.log_metric("loss", 1 / step, step=step)
        return time.process_time() - began


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
