"""A table of flights that is read pass by pass."""

from __future__ import annotations

import json
from pathlib import Path

from treadle.data.sources.table import Table


class Reading:
    """Reads a table again and again, as the ingestion does."""

    def __init__(self, root: Path, table: Table, *, key=("id",)) -> None:
        self.root, self.table, self.key = root, table, key
        self.position = None

    def batches(self, *, most: int | None = None):
        """Read and commit what is new, or the first few batches of it."""
        found = []
        with self.table.batches(self.root, after=self.position, key=self.key) as batches:
            while most is None or len(found) < most:
                batch = next(batches, None)
                if batch is None:
                    break
                self.position = json.loads(json.dumps(batch.position))
                found.append(batch.raw)
        return found

    def ids(self, **options) -> list[list]:
        """Return the first key column of what is new, by batch."""
        return [raw.frame[self.key[0]].to_list() for raw in self.batches(**options)]

    def let_time_pass(self) -> None:
        """Make the last look longer ago than any overlap."""
        self.position["since"] = "2000-01-01T00:00:00Z"


def table(**options) -> Table:
    return Table("flights", **{"connection": "sqlite:///sales.db", "watermark": "updated_at", **options})
