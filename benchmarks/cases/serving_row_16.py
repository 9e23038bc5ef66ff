"""CPU that the server spends on a request of one row, 16 in flight, with routing, log and metrics on."""

from __future__ import annotations

import arena

BENCHMARK = arena.single_row(
    16, floors=2.5, ahead={"FastAPI": 5, "LitServe": 20, "BentoML": 25, "MLServer": 150, "MLflow": 150}
)
