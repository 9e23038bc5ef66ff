"""Columns, moments and upserts: what the tables of the ledger are made with.

Moments are whole microseconds since 1970-01-01T00:00Z, the same on every back end: write them with `micros`, read them
with `moment`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, MetaData, Table, Text
from sqlalchemy.dialects import postgresql, sqlite

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def key(name: str, kind: type[Text | Integer | BigInteger] = Text) -> Column[Any]:
    """Return a column of the primary key."""
    return Column(name, kind, primary_key=True, autoincrement=False)


def held(name: str, kind: type[Text | Integer | BigInteger | Boolean] = Text) -> Column[Any]:
    """Return a column that always has a value."""
    return Column(name, kind, nullable=False)


def micros(at: datetime) -> int:
    """Return a moment as microseconds since 1970; one without a zone is taken to be UTC.

    >>> micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return (aware - _EPOCH) // timedelta(microseconds=1)


def moment(value: int) -> datetime:
    """Return the UTC moment that `micros` wrote.

    >>> moment(86400000000).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return _EPOCH + timedelta(microseconds=value)


def put(connection: Connection, table: Table, **row: Any) -> None:
    """Insert a row, or replace the columns of the row that has its primary key already."""
    put_all(connection, table, [row])


def put_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that have the same columns, or replace those that have their primary keys already."""
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    if changed:
        chosen = statement.on_conflict_do_update(index_elements=keys, set_=changed)
    else:
        chosen = statement.on_conflict_do_nothing()
    connection.execute(chosen, [dict(row) for row in rows])
