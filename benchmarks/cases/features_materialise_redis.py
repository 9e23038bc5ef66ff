"""CPU of a value that is materialised to Redis, server included, against Polars with bare MSETs and Feast."""

from __future__ import annotations

import online

BENCHMARK = online.materialising(
    "one value of the newest rows of 50,000 drivers is written to Redis", redis=True
)
