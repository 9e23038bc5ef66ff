"""CPU of an online read of one entity from the embedded store, against bare LMDB and Feast."""

from __future__ import annotations

import online

BENCHMARK = online.reading(
    "the 50 features of one driver, from five views in the embedded store, by name",
    redis=False,
    entities=1,
    reads=2_000,
    feast_reads=300,
    ahead=30,
)
