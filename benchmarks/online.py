"""What the benchmarks of the online store share: five views of ten features, materialised, and a Redis to keep them in."""

from __future__ import annotations

import itertools
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import numpy as np
import polars as pl
import redis

import treadle as td
from harness import Benchmark, Peer
from load import free_port
from treadle.core.clock import SystemClock
from treadle.data.datasets import Datasets
from treadle.features.online import OnlineFeatures
from treadle.loop.projects import dataset_of
from treadle.store.ledger.ledger import Ledger
from treadle.store.online.online import Online
from treadle.store.tables.tables import Tables

VIEWS, FEATURES = 5, 10
FEAST = ("feast[redis]==0.67.*",)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_key = struct.Struct("<q").pack


class Server:
    """A Redis of the benchmark's own; its CPU counts like that of this process."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("redis-server") is None:
            msg = "This benchmark needs redis-server. Install it with: apt-get install redis-server"
            raise RuntimeError(msg)
        self.port = free_port()
        command = [
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=self.port)
        #: Keys that are written by hand, apart from Treadle's.
        self.by_hand = redis.Redis(port=self.port, db=1)
        while not self._pongs():
            time.sleep(0.02)

    def cpu(self) -> float:
        """Return the CPU seconds that the server has spent."""
        found: dict[str, Any] = self.client.info("cpu")
        return float(found["used_cpu_user"] + found["used_cpu_sys"])

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(30)

    def _pongs(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False


@dataclass
class Shop:
    """Views on disk, materialised by Treadle and by hand."""

    folder: Path
    online: OnlineFeatures
    views: list[td.FeatureView]
    drivers: int
    #: Reads of one measurement, and entities of one read.
    reads: int
    entities: int
    server: Server | None = None
    store: Online | None = None
    by_hand: Callable[[list[int]], list[dict[str, float]]] | None = None
    dice: random.Random = field(default_factory=lambda: random.Random(0))

    @property
    def names(self) -> tuple[str, ...]:
        """The views."""
        return tuple(view.name for view in self.views)

    @property
    def redis(self) -> str:
        """Where peers find Redis; empty: they use SQLite."""
        return f"127.0.0.1:{self.server.port}" if self.server else ""

    def cpu(self, work: Callable[[], Any]) -> float:
        """Return the CPU seconds that some work takes here and in the server."""
        before = time.process_time() + (self.server.cpu() if self.server else 0.0)
        work()
        return time.process_time() + (self.server.cpu() if self.server else 0.0) - before

    def per_read(self, read: Callable[[list[int]], Any]) -> float:
        """Return the microseconds of CPU of one read of random entities."""
        asked = [[self.dice.randrange(self.drivers) for _ in range(self.entities)] for _ in range(self.reads)]

        def work() -> None:
            for drivers in asked:
                read(drivers)

        return self.cpu(work) / self.reads * 1e6

    def per_value(self, write: Callable[[], Any], *, before: Callable[[], Any]) -> float:
        """Return the microseconds of CPU of each value that is written."""
        before()
        return self.cpu(write) / (self.drivers * len(self.views) * FEATURES) * 1e6

    def materialise(self) -> None:
        """Write all views as Treadle does."""
        for name in self.names:
            assert self.online.materialise(name).written == self.drivers

    def empty(self) -> None:
        """Empty the store."""
        assert self.store is not None
        for namespace in self.store.namespaces():
            self.store.clear(namespace)

    def write_by_hand(self) -> None:
        """Write all views as one would without Treadle."""
        for view in self.views:
            items = [
                (_prefix(view) + _key(driver), _encode(row)) for driver, row in rows_of(self, view).items()
            ]
            if self.server:
                for begin in range(0, len(items), 500):
                    self.server.by_hand.mset(dict(items[begin : begin + 500]))
            else:
                with self.environment.begin(write=True) as transaction:
                    for item in sorted(items):
                        transaction.put(*item)

    def empty_by_hand(self) -> None:
        """Empty what was written by hand."""
        if self.server:
            self.server.by_hand.flushdb()
        else:
            with self.environment.begin(write=True) as transaction:
                transaction.drop(self.environment.open_db(None, transaction), delete=False)

    @cached_property
    def environment(self) -> lmdb.Environment:
        """LMDB without Treadle."""
        return lmdb.open(str(self.folder / "by-hand"), map_size=1 << 34)

    def close(self) -> None:
        """End what was started."""
        self.online.close()
        if self.server:
            self.server.close()


def shop(
    folder: Path, *, drivers: int, views: int = VIEWS, redis: bool = False, reads: int = 0, entities: int = 0
) -> Shop:
    """Write the views' rows, also for peers, and ingest them."""
    server = Server(folder) if redis else None
    names = [f"view{number}" for number in range(views)]
    declared = [_view(name) for name in names]
    for name in names:
        _land(folder, name, drivers)
    ledger = Ledger.open("sqlite:///ledger.db", root=folder)
    tables = Tables.open("tables", root=folder, options={})
    datasets = Datasets(ledger=ledger, tables=tables, clock=SystemClock(), root=folder)
    for view in declared:
        datasets.ingest(dataset_of(view))
    store = Online.open(f"redis://127.0.0.1:{server.port}/0" if server else "online", root=folder, timeout=5)
    online = OnlineFeatures(
        views={view.name: view for view in declared},
        rows=datasets,
        store=store,
        ledger=ledger,
        clock=SystemClock(),
        project="shop",
    )
    return Shop(folder, online, declared, drivers, reads, entities, server, store)


def materialised(folder: Path, *, drivers: int, redis: bool, reads: int, entities: int) -> Shop:
    """Return a shop whose five views can be read, also by hand."""
    made = shop(folder, drivers=drivers, redis=redis, reads=reads, entities=entities)
    for name in made.names:
        made.online.materialise(name)
    made.write_by_hand()
    made.by_hand = _redis_by_hand(made) if made.server else _lmdb_by_hand(made)
    drivers_ = list(range(0, drivers, max(drivers // 50, 1)))
    assert made.by_hand(drivers_) == made.online.read(made.names, {"driver": drivers_}).dicts()
    return made


def reading(
    title: str, *, redis: bool, entities: int, reads: int, feast_reads: int, ahead: float
) -> Benchmark:
    """Return the benchmark of reads of some entities: ours, the bare store with features named, and Feast."""
    peer = "Feast on Redis" if redis else "Feast on SQLite"

    def prepare(folder: Path, quick: bool) -> Shop:
        drivers = 100 if quick else 2_000
        return materialised(folder, drivers=drivers, redis=redis, reads=reads, entities=entities)

    def ours(given: Shop) -> float:
        return given.per_read(lambda drivers: given.online.read(given.names, {"driver": drivers}).dicts())

    def floor(given: Shop) -> float:
        assert given.by_hand is not None
        return given.per_read(given.by_hand)

    return Benchmark(
        title=title,
        unit="µs of CPU",
        prepare=prepare,
        ours=ours,
        floor=floor,
        peers={peer: _feast("read", str(feast_reads), str(entities))},
        floors=1.5,
        ahead={peer: ahead},
    )


def materialising(title: str, *, redis: bool) -> Benchmark:
    """Return the benchmark of writing one view: ours, Polars and the bare store, and Feast."""
    peer = "Feast on Redis" if redis else "Feast on SQLite"

    def prepare(folder: Path, quick: bool) -> Shop:
        return shop(folder, drivers=500 if quick else 50_000, views=1, redis=redis)

    return Benchmark(
        title=title,
        unit="µs of CPU",
        prepare=prepare,
        ours=lambda given: given.per_value(given.materialise, before=given.empty),
        floor=lambda given: given.per_value(given.write_by_hand, before=given.empty_by_hand),
        peers={peer: _feast("materialise", "1")},
        ahead={peer: 10},
        rounds=3,
    )


def _feast(what: str, *numbers: str) -> Peer:
    def arguments(given: Shop) -> list[str]:
        return [
            what,
            str(given.folder),
            str(given.drivers),
            *numbers,
            *([given.redis] if given.redis else []),
        ]

    return Peer(script="feast_online.py", packages=FEAST, arguments=arguments)


def rows_of(made: Shop, view: td.FeatureView) -> dict[int, tuple[float, ...]]:
    """Return the newest features of each driver, as one would write it by hand."""
    rows = pl.read_parquet(
        made.folder / "landing" / view.name / "*.parquet", columns=["driver", "at", *view.source_names]
    )
    newest = rows.sort("at").unique("driver", keep="last")
    return {row[0]: row[1:] for row in newest.select("driver", *view.source_names).iter_rows()}


def _prefix(view: td.FeatureView) -> bytes:
    return f"{view.name}/".encode()


def _lmdb_by_hand(made: Shop) -> Callable[[list[int]], list[dict[str, float]]]:
    environment, prefixes = made.environment, [(_prefix(view), view.source_names) for view in made.views]

    def read(drivers: list[int]) -> list[dict[str, float]]:
        found = []
        with environment.begin() as transaction:
            for driver in drivers:
                row: dict[str, float] = {}
                key = _key(driver)
                for prefix, names in prefixes:
                    row.update(zip(names, _decode(transaction.get(prefix + key)), strict=True))
                found.append(row)
        return found

    return read


def _redis_by_hand(made: Shop) -> Callable[[list[int]], list[dict[str, float]]]:
    assert made.server is not None
    client, prefixes = made.server.by_hand, [(_prefix(view), view.source_names) for view in made.views]

    def read(drivers: list[int]) -> list[dict[str, float]]:
        values = iter(client.mget([prefix + key for key in map(_key, drivers) for prefix, _ in prefixes]))
        found = []
        for _ in drivers:
            row: dict[str, float] = {}
            for (_, names), value in zip(prefixes, itertools.islice(values, len(prefixes)), strict=True):
                row.update(zip(names, _decode(value), strict=True))
            found.append(row)
        return found

    return read


def _view(name: str) -> td.FeatureView:
    return td.FeatureView(
        name,
        source=td.Files(f"landing/{name}/*.parquet"),
        entity="driver",
        time="at",
        ttl="30d",
        fields=[f"{name}_{number}" for number in range(FEATURES)],
    )


def _land(folder: Path, name: str, drivers: int) -> None:
    """Write two rows for each driver, of which the later one counts."""
    numbers = np.random.default_rng(sum(name.encode()))
    now = datetime.now(UTC).replace(microsecond=0)
    moments = [now - timedelta(hours=2), now - timedelta(hours=1)]
    rows = pl.concat(
        pl.DataFrame(
            {
                "driver": numbers.permutation(drivers),
                "at": pl.Series([moment] * drivers).cast(pl.Datetime("us", "UTC")),
                **{f"{name}_{number}": numbers.random(drivers) for number in range(FEATURES)},
            }
        )
        for moment in moments
    )
    place = folder / "landing" / name
    place.mkdir(parents=True)
    rows.write_parquet(place / "rows.parquet")
