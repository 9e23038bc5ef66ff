"""The join of `features/join-flights` with Feast's DuckDB offline store: prints the CPU seconds of one retrieval."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

# Feast tells its makers about its use unless it is told not to.
os.environ["FEAST_USAGE"] = "False"

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

FIELDS = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]


def store_of(folder: Path, weather: Path) -> FeatureStore:
    """Return a store with the view of the weather, in a folder of its own."""
    store = FeatureStore(
        config=RepoConfig(
            project="flights",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store={"type": "duckdb"},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING)
    view = FeatureView(
        name="weather",
        entities=[origin],
        ttl=timedelta(hours=3),
        schema=[Field(name=name, dtype=Float64) for name in FIELDS],
        source=FileSource(path=str(weather), timestamp_field="observed_at"),
    )
    store.apply([origin, view])
    return store


def main() -> None:
    """Make the store, retrieve a few rows to warm up, retrieve all and say what it took."""
    given = Path(sys.argv[1])
    flights = pd.read_parquet(given / "flights.parquet").rename(columns={"t": "event_timestamp"})
    weather = pd.read_parquet(given / "weather.parquet")
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder, "weather.parquet")
        weather.astype(dict.fromkeys(FIELDS, "float64")).to_parquet(kept)
        store = store_of(Path(folder), kept)
        wanted = [f"weather:{name}" for name in FIELDS]
        for rows in (flights.head(100), flights):
            began = time.process_time()
            store.get_historical_features(entity_df=rows, features=wanted).to_df()
            took = time.process_time() - began
    print(took)


if __name__ == "__main__":
    main()
