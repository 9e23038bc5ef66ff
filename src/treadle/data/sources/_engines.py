"""Databases through Ibis: it writes the SQL of every one of them, and here the rows come back as they are stored.

PostgreSQL, SQLite and DuckDB are read with their own cursors. Ibis reads SQLite through pandas, which rounds integers beside
nulls, and in Ibis 12 it calls what DuckDB 2 has removed. Other databases are read as Ibis reads them.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import polars as pl

from treadle.core.errors import MissingExtra, SourceUnreadable, closest
from treadle.core.optional import require
from treadle.data.sources import _cells

#: Seconds for a connection to PostgreSQL.
CONNECT = 10
#: Rows that are held as Python values at a time.
_CHUNK = 2_000
_SECRET = {
    "password",
    "passwd",
    "pwd",
    "token",
    "access_token",
    "secret",
    "key",
    "private_key",
    "credentials",
}


@dataclass(frozen=True)
class Page:
    """Rows of one query, as the database holds them."""

    frame: pl.DataFrame
    #: The types of the columns, as Ibis names them.
    types: dict[str, Any]
    #: Columns whose cells are of several types: each cell is JSON text.
    mixed: frozenset[str] = frozenset()

    def slice(self, start: int, length: int | None = None) -> Page:
        """Return some of the rows."""
        return replace(self, frame=self.frame.slice(start, length))


@dataclass(frozen=True)
class Address:
    """Where a database is."""

    url: str

    @property
    def kind(self) -> str:
        """What kind of database it is, as Ibis calls it."""
        return urlsplit(self.url).scheme.partition("+")[0].replace("postgresql", "postgres")

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Raise `SourceUnreadable` for what the database raises in the block, without secrets.

        Raises:
            MissingExtra: the driver is not installed.
        """
        try:
            yield
        except (SourceUnreadable, MissingExtra):
            raise
        except ModuleNotFoundError as error:
            msg = f"{self} needs a driver: pip install 'ibis-framework[{self.kind}]' ({error})"
            raise MissingExtra(msg) from error
        except Exception as error:  # each of twenty drivers has errors of its own, with no common base
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            said = lines[0][:300] if lines else type(error).__name__
            for secret in _secrets(self.url):
                said = said.replace(secret, "***")
            raise SourceUnreadable(f"{self} cannot be read: {said}") from error

    def __str__(self) -> str:
        return f"The database {public(self.url)}"


class Engine:
    """A connected database."""

    def __init__(self, backend: Any, address: Address) -> None:
        self._backend = backend
        self._address = address
        self.kind = address.kind

    @property
    def nulls_come_first(self) -> bool:
        """Whether the database sorts nulls before values, so that this order costs it nothing."""
        return bool(self._backend.dialect.NULL_ORDERING == "nulls_are_small")

    def rows(self, name: str, query: str | Callable[[Any], Any] | None) -> Any:
        """Return the Ibis table of a name, or of a query.

        Raises:
            SourceUnreadable: there is no such table, or the query is refused.
        """
        if isinstance(query, str):
            return self._asked(query.strip().rstrip(";"))
        table = self._table(name)
        return table if query is None else self._chosen(name, query, table)

    def read(self, *asked: Any, limit: int | None = None) -> Page:
        """Return the rows of expressions with the same columns, one expression after the other, up to a limit.

        Columns that no dataset can hold, such as UUIDs, come as text.

        Raises:
            SourceUnreadable: the database does not answer, or refuses.
        """
        plain = [rows if self.kind == "sqlite" else _plain(rows) for rows in asked]
        types = dict(plain[0].schema().items())
        cells = _cells.Cells(
            {name: _cells.dtype_of(dtype, loose=self.kind == "sqlite") for name, dtype in types.items()}
        )
        with self._address.speaking():
            for rows in plain:
                left = None if limit is None else limit - cells.height
                if left is None or left > 0:
                    self._collect(rows if left is None else rows.limit(left), cells)
        frame, mixed = cells.frame()
        return Page(frame, types, mixed)

    def _collect(self, rows: Any, cells: _cells.Cells) -> None:
        collect = _COLLECTORS.get(self.kind)
        if collect is None:
            cells.add_frame(pl.DataFrame(self._backend.to_pyarrow(rows)))
        else:
            collect(self._backend.con, self._backend.compile(rows), cells)

    def close(self) -> None:
        """Close the connection."""
        self._backend.disconnect()

    def _table(self, name: str) -> Any:
        database, _, table = name.rpartition(".")
        place = tuple(database.split(".")) if "." in database else database or None
        missing = require("ibis.common.exceptions", extra="table").TableNotFound
        with self._address.speaking(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of DuckDB 1.5 and newer, within Ibis 12
            try:
                return self._backend.table(table, database=place)
            except missing as error:
                known = self._backend.list_tables(database=place)
                msg = f"{self._address} has no table {name!r}. {closest(table, known)}"
                raise SourceUnreadable(msg) from error

    def _chosen(self, name: str, query: Callable[[Any], Any], table: Any) -> Any:
        try:
            rows = query(table)
            rows.schema()
        except Exception as error:  # the user's own function may raise anything
            msg = f"The query of the table {name!r} failed, or returned no Ibis table: {type(error).__name__}: {error}"
            raise SourceUnreadable(msg) from error
        return rows

    def _asked(self, query: str) -> Any:
        with self._address.speaking(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            if self.kind == "postgres":
                return self._backend.sql(query, schema=_described(self._backend, query))
            return self._backend.sql(query)


def connect(url: str, *, root: Path) -> Engine:
    """Connect to the database of a URL; the file of SQLite or DuckDB is relative to `root`, and is opened read-only.

    Raises:
        SourceUnreadable: it does not answer, or there is no such file.
        MissingExtra: Ibis, or the database's driver, is not installed.
    """
    ibis = require("ibis", extra="table")
    address = Address(url)
    if address.kind == "postgres":
        require("psycopg", extra="postgres")
    with address.speaking():
        if address.kind in _OPENERS:
            backend = _OPENERS[address.kind](ibis, _file(address, root=root))
        else:
            waits = address.kind == "postgres" and "connect_timeout" not in url
            backend = ibis.connect(url, **({"connect_timeout": CONNECT} if waits else {}))
    return Engine(backend, address)


def public(url: str) -> str:
    """Return a URL without its password and without options that are secrets.

    >>> public("postgresql://ann:s3cret@db.example/sales?sslmode=require&password=s3cret")
    'postgresql://ann@db.example/sales?sslmode=require'
    """
    if "://" not in url:
        return url
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    options = [pair for pair in parts.query.split("&") if pair.partition("=")[0].lower() not in _SECRET]
    plain = f"{parts.scheme}://{name}@{host}{parts.path}" if name else f"{parts.scheme}://{host}{parts.path}"
    return f"{plain}?{'&'.join(options)}" if any(options) else plain


def _secrets(url: str) -> tuple[str, ...]:
    """Return the secrets in a URL, as they may turn up in a driver's message."""
    parts = urlsplit(url)
    found = [parts.password or "", unquote(parts.password or "")]
    found += [value for name, value in parse_qsl(parts.query) if name.lower() in _SECRET]
    return tuple({value for value in found if value})


def _file(address: Address, *, root: Path) -> Path:
    parts = urlsplit(address.url)
    path = root / unquote(parts.netloc + parts.path if parts.netloc else parts.path.removeprefix("/"))
    if not path.is_file():
        msg = f"{address} does not exist: there is no file {path}."
        raise SourceUnreadable(msg)
    return path


def _open_sqlite(ibis: Any, path: Path) -> Any:
    place = f"file:{quote(str(path))}?mode=ro"
    return ibis.sqlite.from_connection(sqlite3.connect(place, uri=True, timeout=CONNECT))


def _open_duckdb(ibis: Any, path: Path) -> Any:
    duckdb = require("duckdb", extra="table")
    try:
        return ibis.duckdb.connect(path, read_only=True)
    except duckdb.ConnectionException:
        # This process has the file open for writing already, and DuckDB wants all its connections alike.
        return ibis.duckdb.connect(path)


_OPENERS: dict[str, Callable[[Any, Path], Any]] = {"sqlite": _open_sqlite, "duckdb": _open_duckdb}


def _described(backend: Any, query: str) -> Any:
    """Return the types of a query's columns; Ibis would make a view for it, which a read-only replica refuses."""
    ibis = require("ibis", extra="table")
    with backend.con.cursor() as cursor, backend.con.transaction():
        # The query is the user's own, from their file.
        described = cursor.execute(f"SELECT * FROM ({query}) AS q LIMIT 0").description  # noqa: S608
    types = backend.compiler.type_mapper
    return ibis.schema(
        {c.name: types.from_string("text" if c.type_display.isdigit() else c.type_display) for c in described}
    )


def _plain(rows: Any) -> Any:
    """Return the rows with the columns that Arrow or a dataset has no type for as text, and decimals as numbers."""
    casts = {}
    for name, dtype in rows.schema().items():
        if dtype.is_decimal() and (dtype.precision is None or dtype.scale is None):
            casts[name] = rows[name].cast("float64")
        elif dtype.is_decimal() and dtype.scale == 0 and dtype.precision <= 18:
            casts[name] = rows[name].cast("int64")
        elif _is_foreign(dtype):
            casts[name] = rows[name].cast("string")
    return rows.mutate(**casts) if casts else rows


def _is_foreign(dtype: Any) -> bool:
    return bool(
        dtype.is_uuid()
        or dtype.is_json()
        or dtype.is_inet()
        or dtype.is_macaddr()
        or dtype.is_time()
        or dtype.is_interval()
        or dtype.is_unknown()
    )


def _from_postgres(connection: Any, sql: str, cells: _cells.Cells) -> None:
    """Read with a cursor on the server's side: the driver would otherwise hold the whole answer twice."""
    with connection.transaction(), connection.cursor(name="treadle") as cursor:
        cursor.execute(sql)
        while rows := cursor.fetchmany(_CHUNK):
            cells.add(rows)


def _from_sqlite(connection: Any, sql: str, cells: _cells.Cells) -> None:
    cursor = connection.execute(sql)
    try:
        while rows := cursor.fetchmany(_CHUNK):
            cells.add(rows)
    finally:
        cursor.close()


def _from_duckdb(connection: Any, sql: str, cells: _cells.Cells) -> None:
    cells.add_frame(pl.DataFrame(connection.sql(sql).to_arrow_table()))


_COLLECTORS: dict[str, Callable[[Any, str, _cells.Cells], None]] = {
    "postgres": _from_postgres,
    "sqlite": _from_sqlite,
    "duckdb": _from_duckdb,
}
