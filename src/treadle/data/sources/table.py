"""Rows of a database table or query, read page by page through Ibis."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from treadle.core.clock import SystemClock
from treadle.core.errors import InvalidDeclaration
from treadle.core.ids import digest_of
from treadle.core.settings import referenced
from treadle.data.raw import Batch
from treadle.data.sources import _engines, _passes
from treadle.data.sources._keyset import Keyset, Overlap, check_overlap

#: Rows of a page, which is one batch and one dataset version.
BATCH_ROWS = 200_000


@dataclass(frozen=True)
class Table:
    """A table or query of any database that Ibis speaks with, as PostgreSQL, DuckDB, SQLite, Snowflake, Databricks or BigQuery.

    `Table("flights", connection="postgresql://reader@db/sales", watermark="updated_at")` reads the rows that are new or were
    changed since the last ingestion. `connection` is an Ibis URL; `env:WAREHOUSE_URL` takes it from that variable, or from
    the file that `WAREHOUSE_URL_FILE` names, so that no password stands in the project. The file of `duckdb:///sales.db` and
    `sqlite:///sales.db` is relative to the project. The name may have a schema, as `sales.flights`.

    `watermark` is a column that grows with each change of a row: a moment, a date or a number. Rows may be committed later than
    they were stamped: each ingestion looks again at the last `overlap` (`10m`; for numbers 1000), and rows that
    were read before are dropped by their key. Without a watermark every ingestion reads the whole table.

    `query` is SQL, or a function of the Ibis table, as `lambda t: t.filter(t.late.notnull())`. Rows are read in the order of
    (watermark, key) in batches of `batch_rows`, which bound the memory: an index on these columns makes a batch cost the
    same wherever it is.
    """

    name: str
    connection: str
    watermark: str | None = None
    query: str | Callable[[Any], Any] | None = None
    overlap: str | int | None = None
    batch_rows: int = BATCH_ROWS

    def __post_init__(self) -> None:
        """Check what was declared."""
        if "://" not in self.connection and not self.connection.startswith("env:"):
            msg = (
                f"Table(connection={_engines.public(self.connection)!r}) is no address. Expected for example "
                "'postgresql://reader@host/database', 'duckdb:///file.db', or 'env:WAREHOUSE_URL'."
            )
            raise InvalidDeclaration(msg, field="connection")
        if self.batch_rows < 1:
            msg = f"Table(batch_rows={self.batch_rows}) holds no row. Expected a positive number."
            raise InvalidDeclaration(msg, field="batch_rows")
        check_overlap(self.overlap)

    @contextmanager
    def batches(
        self, root: Path, *, after: Mapping[str, Any] | None, key: Sequence[str]
    ) -> Iterator[Iterator[Batch]]:
        """Connect, and return what is new behind a position, batch by batch; see `OrderedSource.batches`.

        Raises:
            SourceUnreadable: the database does not answer, or has no such table or column.
        """
        url = referenced(self.connection)
        with closing(_engines.connect(url, root=root)) as engine:
            yield self._read(engine, after=after, key=key)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values, without a password."""
        return {
            "source": "table",
            "name": self.name,
            "connection": _engines.public(self.connection),
            "watermark": self.watermark,
            "query": self.query if isinstance(self.query, str | None) else _code(self.query),
            "overlap": self.overlap,
        }

    def _read(
        self, engine: _engines.Engine, *, after: Mapping[str, Any] | None, key: Sequence[str]
    ) -> Iterator[Batch]:
        what = f"Table {self.name!r}"
        rows = engine.rows(self.name, self.query)
        keyset = Keyset(rows, watermark=self.watermark, key=key, what=what, engine=engine)
        place = self._place(after, key)
        source = _passes.Source(
            engine=engine, keyset=keyset, file=f"table {self.name}", batch_rows=self.batch_rows
        )
        if self.watermark is None:
            return _passes.unmarked(source, place)
        overlap = Overlap(self.overlap, rows.schema()[self.watermark], what=what)
        return _passes.marked(source, place, overlap=overlap, now=SystemClock().now())

    def _place(self, after: Mapping[str, Any] | None, key: Sequence[str]) -> _passes.Place:
        """Return the place that was stored, or the beginning where it belongs to another query or order."""
        spec = self.spec()
        of = digest_of([spec["name"], spec["query"], self.watermark, list(key)])
        beginning = _passes.Place(of=of)
        return msgspec.convert(after, _passes.Place) if after and after.get("of") == of else beginning


def _code(query: Callable[[Any], Any]) -> str:
    """Return the text of a function, or of its instructions where it stands in no file."""
    try:
        return inspect.getsource(query)
    except (OSError, TypeError):
        code = getattr(query, "__code__", None)
        return f"{code.co_code.hex()} {code.co_consts} {code.co_names}" if code else type(query).__qualname__
