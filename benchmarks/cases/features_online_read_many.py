"""CPU of an online read of a hundred entities from the embedded store, against bare LMDB and Feast."""

from __future__ import annotations

import online

BENCHMARK = online.reading(
    "the 50 features of each of 100 drivers, from five views in the embedded store, by name",
    redis=False,
    entities=100,
    reads=50,
    feast_reads=10,
    ahead=40,
)
