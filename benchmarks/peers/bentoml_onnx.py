"""BentoML with ONNX Runtime and adaptive batching.

bentoml serve bentoml_onnx:Flights --port PORT    (PEER_MODEL and PEER_ROW come by environment)
"""

from __future__ import annotations

import bentoml
from _model import Model


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 256}, metrics={"enabled": False})
class Flights:
    """Answers the rows of requests."""

    def __init__(self) -> None:
        self._model = Model()

    @bentoml.api(batchable=True, max_batch_size=256, max_latency_ms=1000)
    def predict(self, rows: list[dict]) -> list[dict]:
        """Call the model for the rows of all requests that wait."""
        return self._model(rows)
