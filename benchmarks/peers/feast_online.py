"""The online reads and the materialisation of `features/online-*` and `features/materialise*` with Feast.

python feast_online.py read FOLDER DRIVERS READS ENTITIES [REDIS]       prints microseconds of CPU a read
python feast_online.py materialise FOLDER DRIVERS VIEWS [REDIS]         prints microseconds of CPU a value

FOLDER holds landing/view0/rows.parquet and so on. Without the address of a Redis, SQLite keeps the values. The CPU of the
Redis server counts.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Feast tells its makers about its use unless it is told not to.
os.environ["FEAST_USAGE"] = "False"

import redis
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

FEATURES = 10


def store_of(folder: Path, given: Path, *, views: int, address: str) -> FeatureStore:
    """Return a store with the views, its registry kept in memory for ever."""
    online = (
        {"type": "redis", "connection_string": address}
        if address
        else {"type": "sqlite", "path": str(folder / "online.db")}
    )
    store = FeatureStore(
        config=RepoConfig(
            project="shop",
            provider="local",
            registry={"registry_type": "file", "path": str(folder / "registry.db"), "cache_ttl_seconds": 0},
            offline_store={"type": "dask"},
            online_store=online,
            entity_key_serialization_version=3,
        )
    )
    driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
    made = [
        FeatureView(
            name=f"view{number}",
            entities=[driver],
            ttl=timedelta(days=30),
            schema=[Field(name=f"view{number}_{n}", dtype=Float64) for n in range(FEATURES)],
            source=FileSource(path=str(given / f"landing/view{number}/rows.parquet"), timestamp_field="at"),
        )
        for number in range(views)
    ]
    store.apply([driver, *made])
    return store


def cpu(work: Callable[[], object], address: str) -> float:
    """Return the CPU seconds of some work, here and in the Redis server."""
    client = redis.Redis.from_url(f"redis://{address}") if address else None

    def spent() -> float:
        there = client.info("cpu") if client else {"used_cpu_user": 0, "used_cpu_sys": 0}
        return time.process_time() + there["used_cpu_user"] + there["used_cpu_sys"]

    before = spent()
    work()
    return spent() - before


def read(folder: Path, given: Path, drivers: int, reads: int, entities: int, address: str) -> float:
    """Return the microseconds of CPU of a read; the values are materialised by the first call."""
    is_new = not (folder / "registry.db").exists()
    store = store_of(folder, given, views=5, address=address)
    if is_new:
        store.materialize(datetime.now(UTC) - timedelta(days=2), datetime.now(UTC))
    wanted = [f"view{view}:view{view}_{n}" for view in range(5) for n in range(FEATURES)]
    dice = random.Random(0)
    asked = [[{"driver": dice.randrange(drivers)} for _ in range(entities)] for _ in range(reads + 3)]
    for rows in asked[:3]:
        found = store.get_online_features(features=wanted, entity_rows=rows).to_dict()
        assert None not in found["view4_9"]

    def work() -> None:
        for rows in asked[3:]:
            store.get_online_features(features=wanted, entity_rows=rows).to_dict()

    return cpu(work, address) / reads * 1e6


def materialise(given: Path, drivers: int, views: int, address: str) -> float:
    """Return the microseconds of CPU of a value, written for the second time as by a schedule."""
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(Path(folder), given, views=views, address=address)

        def work() -> None:
            store.materialize(datetime.now(UTC) - timedelta(days=2), datetime.now(UTC))

        return cpu(work, address) / (drivers * views * FEATURES) * 1e6


def main() -> None:
    """Do what the arguments say."""
    what, given, *rest = sys.argv[1:]
    if what == "read":
        drivers, reads, entities = map(int, rest[:3])
        address = "".join(rest[3:])
        folder = Path(given, "feast")
        folder.mkdir(exist_ok=True)
        print(json.dumps(read(folder, Path(given), drivers, reads, entities, address)))
    else:
        drivers, views = map(int, rest[:2])
        print(json.dumps(materialise(Path(given), drivers, views, "".join(rest[2:]))))


if __name__ == "__main__":
    main()
