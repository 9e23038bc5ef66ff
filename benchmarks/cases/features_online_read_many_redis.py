"""CPU of an online read of a hundred entities from Redis, server included, against a bare MGET and Feast."""

from __future__ import annotations

import online

BENCHMARK = online.reading(
    "the 50 features of each of 100 drivers, from five views in Redis, by name",
    redis=True,
    entities=100,
    reads=50,
    feast_reads=10,
    ahead=15,
)
