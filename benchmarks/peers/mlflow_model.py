"""MLflow's model of the same ONNX file, behind `mlflow models serve`, or asked in this process.

python mlflow_model.py save FOLDER
python mlflow_model.py pyfunc FOLDER MODEL ROW_AS_JSON REQUESTS    prints CPU microseconds of a row
"""

import json
import os
import sys
import time
from pathlib import Path

import mlflow
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))


class Flights(mlflow.pyfunc.PythonModel):
    """Answers data frames."""

    def load_context(self, context):
        """Load the model."""
        from _model import Model

        self._model = Model()

    def predict(self, context, model_input, params=None):
        """Call the model."""
        return pd.DataFrame(self._model(model_input.to_dict("records")))


def save(folder: str) -> None:
    """Write the model."""
    mlflow.pyfunc.save_model(
        folder, python_model=Flights(), code_paths=[str(Path(__file__).parent / "_model.py")]
    )


def pyfunc(folder: str, onnx: str, row: str, requests: str) -> None:
    """Ask one row at a time."""
    os.environ.update(PEER_MODEL=onnx, PEER_ROW=row)
    model = mlflow.pyfunc.load_model(folder)
    frame = pd.DataFrame([json.loads(row)])
    for _ in range(20):
        model.predict(frame)
    began = time.process_time()
    for _ in range(int(requests)):
        model.predict(frame)
    print(json.dumps((time.process_time() - began) / int(requests) * 1e6))


if __name__ == "__main__":
    {"save": save, "pyfunc": pyfunc}[sys.argv[1]](*sys.argv[2:])
