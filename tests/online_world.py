"""A project with feature views, for tests of the online store: lands rows, ingests, materialises and reads."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from treadle.core.clock import Clock
from treadle.data.datasets import Datasets
from treadle.data.sources.files import Files
from treadle.features.join import join
from treadle.features.online import OnlineFeatures
from treadle.features.views import FeatureView
from treadle.loop.projects import dataset_of
from treadle.store.ledger.ledger import Ledger
from treadle.store.online.online import Online
from treadle.store.tables.tables import Tables

START = datetime(2013, 1, 1, tzinfo=UTC)


def at(minute: float) -> datetime:
    """Return the moment so many minutes after the start."""
    return START + timedelta(minutes=minute)


def view(name: str = "weather", **changes: Any) -> FeatureView:
    """Return a view of `name`/*.parquet: temperatures of origins."""
    declared = {"entity": "origin", "time": "observed_at", "fields": ["temp"], **changes}
    return FeatureView(name, source=Files(f"landing/{name}/*.parquet"), **declared)


def values(
    *records: tuple[Any, ...], names: tuple[str, ...] = ("origin", "observed_at", "temp")
) -> pl.DataFrame:
    """Return rows; a number in a column whose name ends in `_at` is a minute."""
    rows = [
        [
            at(cell) if name.endswith("_at") and cell is not None else cell
            for name, cell in zip(names, record, strict=True)
        ]
        for record in records
    ]
    return pl.DataFrame(rows, schema=list(names), orient="row").with_columns(
        pl.col(name).cast(pl.Datetime("us", "UTC")) for name in names if name.endswith("_at")
    )


class World:
    """A project in a folder."""

    def __init__(self, root: Path, *views: FeatureView, url: str, clock: Clock, **options: Any) -> None:
        timeout = options.pop("timeout", 10)
        self.root, self.clock = root, clock
        self.views = {view.name: view for view in views}
        self.ledger = Ledger.open("sqlite:///ledger.db", root=root)
        tables = Tables.open("tables", root=root, options={})
        self.datasets = Datasets(ledger=self.ledger, tables=tables, clock=clock, root=root)
        self.store = Online.open(url, root=root, timeout=timeout)
        self.online = OnlineFeatures(
            views=self.views,
            rows=self.datasets,
            store=self.store,
            ledger=self.ledger,
            clock=clock,
            project="a project",
            **options,
        )
        self._number = itertools.count()

    def close(self) -> None:
        """Close the stores."""
        self.online.close()
        self.ledger.close()

    def land(self, rows: pl.DataFrame, view: str = "weather") -> int:
        """Land rows as one file, ingest it and return how many went to quarantine."""
        folder = self.root / "landing" / view
        folder.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(folder / f"{next(self._number):04}.parquet")
        version = self.datasets.ingest(dataset_of(self.views[view]))
        assert version is not None
        return version.quarantined

    def read(self, *origins: str | None, at: datetime, view: str = "weather") -> list[Any]:
        """Return the first feature of a view for some origins."""
        return [row[0] for row in self.online.read([view], {"origin": origins}, at=at).rows]

    def joined(
        self, spine: pl.DataFrame, *names: str, time: str = "t", known_at: datetime | None = None
    ) -> pl.DataFrame:
        """Return what the offline join gives for the newest versions of some views."""
        found = [
            (self.views[name], self.datasets.read(name, columns=self.views[name].columns)) for name in names
        ]
        return join(spine, found, time=time, known_at=known_at)
