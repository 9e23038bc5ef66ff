"""What the benchmarks of features filled in by a server share: a model of two views, and a server that reads them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import online
import project
from harness import Benchmark
from load import Server, free_port

FEATURES = 10
NAMES = [f"f{n}" for n in range(FEATURES)]
_VIEWS = """
weather = td.FeatureView(
    "weather", source=td.Files("weather.csv"), entity="origin", time="seen_at", fields=["temp", "wind"]
)
fleet = td.FeatureView(
    "fleet", source=td.Files("fleet.csv"), entity="carrier", time="seen_at", fields=FIELDS
)
"""


@dataclass
class Input:
    """A running server, and the same request with entities and with their features."""

    server: Server
    redis: online.Server | None
    by_entity: bytes
    by_value: bytes
    requests: int

    def close(self) -> None:
        """End the servers."""
        self.server.close()
        if self.redis is not None:
            self.redis.close()


def _write(folder: Path, *, rows: int) -> None:
    project.write(folder, rows=rows)
    random = np.random.default_rng(1)
    moments = pl.Series(np.arange(0, 90 * 86_400, 6 * 3600) * 1_000_000).cast(pl.Datetime("us"))

    def landed(entity: str, values: list[str], columns: list[str]) -> pl.DataFrame:
        known = pl.DataFrame({entity: values}).join(pl.DataFrame({"seen_at": moments}), how="cross")
        made = {name: random.normal(10, 3, known.height).round(2) for name in columns}
        return known.with_columns(**{name: pl.Series(column) for name, column in made.items()})

    frames = {
        "weather": landed("origin", ["EWR", "JFK", "LGA"], ["temp", "wind"]),
        "fleet": landed("carrier", ["AA", "B6", "DL", "EV", "UA", "US"], NAMES),
    }
    for name, frame in frames.items():
        frame.write_csv(folder / f"{name}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    flights = pl.read_csv(folder / "flights.csv").drop("temp", "wind")
    flights.write_csv(folder / "flights.csv")
    text = (folder / "project.py").read_text()
    text = text.replace("    temp: float | None\n    wind: float | None\n", "")
    text = text.replace('"hour", "temp", "wind"]', f'"hour", "temp", "wind", *{NAMES!r}]')
    text = text.replace('    target="late",', '    target="late",\n    features=[weather, fleet],')
    text = text.replace("\n\n@td.model", _VIEWS.replace("FIELDS", repr(NAMES)) + "\n\n@td.model", 1)
    (folder / "project.py").write_text(text)


def prepare(folder: Path, quick: bool, *, redis: bool = False) -> Input:
    """Make a project whose champion takes features of two views, and start a server with one worker."""
    _write(folder, rows=5_000 if quick else 50_000)
    store = online.Server(folder) if redis else None
    if store is not None:
        (folder / "treadle.toml").write_text(
            f'[project]\nname = "benchmark"\n[online]\nurl = "redis://127.0.0.1:{store.port}/0"\n'
        )
    for command in (["ingest"], ["features", "materialise"], ["run", "late"]):
        subprocess.run([*project.TREADLE, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    sent = {name: project.ROW[name] for name in ("carrier", "origin", "distance", "hour")}
    values = dict.fromkeys(["temp", "wind", *NAMES], 10.25)
    port = free_port()
    command = [*project.TREADLE, "serve", "--port", str(port)]
    server = Server(command, port=port, ready="/readyz", cwd=folder, env={})
    return Input(
        server=server,
        redis=store,
        by_entity=json.dumps({"rows": [sent]}).encode(),
        by_value=json.dumps({"rows": [{**sent, **values}]}).encode(),
        requests=500 if quick else 12_000,
    )


def _seconds(given: Input, body: bytes) -> float:
    drive = given.server.drive("/v1/endpoints/late/predict", body, requests=given.requests, concurrency=16)
    return 1e3 / drive.rate


def benchmark(*, redis: bool) -> Benchmark:
    """Return the benchmark for one of the stores."""
    where = "Redis" if redis else "the embedded store"
    return Benchmark(
        title=f"a request of one row, 16 at once, whose 12 features of 2 views are read from {where}; floor: the caller sends them",
        unit="ms for each request",
        prepare=lambda folder, quick: prepare(folder, quick, redis=redis),
        ours=lambda given: _seconds(given, given.by_entity),
        floor=lambda given: _seconds(given, given.by_value),
        floors=1.33,
        rounds=5,
    )
