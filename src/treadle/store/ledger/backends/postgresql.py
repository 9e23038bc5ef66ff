"""The ledger in a PostgreSQL database: many machines, one schema for each project.

Write transactions take turns by an advisory lock, so that they mean the same as in a SQLite file. Short ones only:
the server ends a transaction that stands idle for a minute.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from treadle.core.errors import StoreFull, StoreReadOnly, StoreUnavailable
from treadle.core.optional import require
from treadle.store.ledger.backend import WRITES

_LOCK_SPACE = zlib.crc32(b"treadle.ledger") & 0x7FFFFFFF
_IDLE_LIMIT = "60s"
#: SQLSTATE → what it means. A class of two characters stands for all its members.
_FULL = {"53100", "53200"}
_READ_ONLY = {"25006", "42501"}
_LOCKED = {"55P03"}
_IDLE = {"25P03", "25P04"}
_PASSING = {"57P01", "57P02", "57P03", "53300", "08"}
_AWAY = {"08", "57", "53", "28", "3D", "58", "XX"}


class Backend:
    """A schema in a PostgreSQL database."""

    now = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"

    def __init__(self, url: URL, *, root: Path, schema: str, timeout: float) -> None:  # noqa: ARG002
        require("psycopg", extra="postgres")
        self._schema = schema
        self._timeout = timeout
        hidden = url.difference_update_query(["password", "sslpassword"])
        self.shown = f"{hidden.render_as_string(hide_password=True)} (schema {schema})"
        self.engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=4,
            max_overflow=60,
            pool_pre_ping=True,
            connect_args=_connect_args(schema, timeout),
        )
        event.listen(self.engine, "begin", _begin)

    def is_stale(self, connection: Connection) -> bool:  # noqa: ARG002
        """Return False: the pool tries a connection before it hands it out."""
        return False

    def begin_write(self, connection: Connection) -> None:
        """Take the turn to write; it ends with the transaction."""
        lock = text("SELECT pg_advisory_xact_lock(:space, :key)")
        connection.execute(lock, {"space": _LOCK_SPACE, "key": zlib.crc32(self._schema.encode()) - 2**31})

    def begin_upgrade(self, connection: Connection) -> None:
        """Take the turn to write, and make the schema where it is missing."""
        self.begin_write(connection)
        there = text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name")
        # A role that may not make schemas may still use one that was made for it.
        if connection.execute(there, {"name": self._schema}).first() is None:
            connection.exec_driver_sql(f'CREATE SCHEMA "{self._schema}"')

    def explain(self, error: DBAPIError) -> StoreUnavailable | None:
        """Return what a driver's error means for the database; None: the statement itself is at fault."""
        state, said = _state(error), _first_line(error)
        if state in _FULL:
            return StoreFull(
                f"The ledger {self.shown} is full ({said}). Free space on its server and repeat."
            )
        if state in _READ_ONLY:
            return StoreReadOnly(
                f"The ledger {self.shown} may not be written to ({said}). Use a role that may, or the primary server."
            )
        if state in _LOCKED:
            return StoreUnavailable(
                f"The ledger {self.shown} was locked by another process for {self._timeout:g} s. "
                "Repeat the command, or raise ledger.timeout."
            )
        if state in _IDLE:
            return StoreUnavailable(
                f"The ledger {self.shown} undid a transaction that stood idle for {_IDLE_LIMIT}. Repeat the command."
            )
        if state[:2] in _AWAY or (not state and _is_operational(error)):
            return StoreUnavailable(
                f"The ledger {self.shown} does not answer ({said}). See whether the server is up and the address, "
                "user and password in ledger.url are right."
            )
        return None

    def may_pass(self, error: DBAPIError) -> bool:
        """Return whether the server may be starting, stopping or out of reach for a moment."""
        state = _state(error)
        if state:
            return state in _PASSING or state[:2] in _PASSING
        wrong = ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry")
        return not any(word in str(error.orig) for word in wrong)

    def pulse(self, connection: Connection) -> str:
        """Return which transactions of the whole server are over: another text after any that wrote."""
        return str(connection.exec_driver_sql("SELECT CAST(pg_current_snapshot() AS text)").scalar_one())

    def still(self) -> str:
        """Return nothing: to ask the server would cost as much as to read."""
        return ""

    def integrity(self, connection: Connection) -> str:
        """Return `ok`: the server checks its pages itself."""
        connection.exec_driver_sql("SELECT 1")
        return "ok"


def _connect_args(schema: str, timeout: float) -> dict[str, Any]:
    milliseconds = max(1, int(timeout * 1000))
    return {
        "connect_timeout": max(2, min(int(timeout), 10)),
        "application_name": "treadle",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "options": (
            f"-csearch_path={schema} -clock_timeout={milliseconds} -ctimezone=UTC "
            f"-cidle_in_transaction_session_timeout={_IDLE_LIMIT}"
        ),
        # Prepared statements would break behind a pooler, and these statements are short.
        "prepare_threshold": None,
    }


def _begin(connection: Connection) -> None:
    if not connection.get_execution_options().get(WRITES, False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _is_operational(error: DBAPIError) -> bool:
    return type(error.orig).__name__ in {"OperationalError", "InterfaceError", "ConnectionTimeout"}


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__
