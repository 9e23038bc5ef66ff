"""CPU of an online read of one entity from Redis, server included, against a bare MGET and Feast."""

from __future__ import annotations

import online

BENCHMARK = online.reading(
    "the 50 features of one driver, from five views in Redis, by name",
    redis=True,
    entities=1,
    reads=1_000,
    feast_reads=300,
    ahead=8,
)
