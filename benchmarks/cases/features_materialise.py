"""CPU of a value that is materialised to the embedded store, against Polars with bare LMDB and Feast."""

from __future__ import annotations

import online

BENCHMARK = online.materialising(
    "one value of the newest rows of 50,000 drivers is written to the embedded store", redis=False
)
