"""The ledger: the project's relational state, read and changed in short transactions.

One transaction writes at a time, on every back end, so what a write transaction reads stays true until it ends.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from treadle.core import plugins
from treadle.core.clock import Clock, monotonic
from treadle.core.errors import SettingsError, StoreReadOnly, StoreUnavailable
from treadle.store.ledger import leases, schema
from treadle.store.ledger.backend import WRITES, Backend

if TYPE_CHECKING:
    from treadle.store.ledger.leases import Lease

_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
#: Seconds after which a holder in a turn that has not said that it lives is taken for dead.
_TURN_SECONDS = 60.0


class Ledger:
    """Relational state in SQLite or PostgreSQL.

    >>> with ledger.write() as connection:                                  # doctest: +SKIP
    ...     connection.execute(tables.datasets.insert().values(name="flights", body="{}"))
    """

    def __init__(self, backend: Backend, *, timeout: float) -> None:
        self._backend = backend
        self._timeout = timeout
        #: Ids of leases that this process gave up while the ledger was away, and which it may hold on to; see `leases`.
        self.given_up: set[str] = set()
        self._shared = threading.local()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        root: Path,
        schema: str = "treadle",
        timeout: float = 30.0,
        before_first: Callable[[str], None] = lambda _: None,
    ) -> Ledger:
        """Connect to the ledger at a URL, and make or upgrade its tables where that is needed.

        A relative `sqlite:///` path starts at `root`; `schema` is the PostgreSQL schema; `timeout` is how many
        seconds to wait for a ledger that is locked or does not answer. `before_first` gets the address of a ledger
        that is empty and raises where it should not be.

        Raises:
            SettingsError: the URL or the schema's name is not valid.
            StoreUnavailable: the ledger does not answer.
            SchemaTooNew: a newer Treadle has upgraded it.
        """
        if not _SCHEMA_NAME.fullmatch(schema):
            msg = f"ledger.schema = {schema!r} is not valid. Expected lower-case letters, digits and _, as 'treadle'."
            raise SettingsError(msg)
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            msg = "ledger.url is not a URL. Expected sqlite:///path or postgresql://user@host/database"
            raise SettingsError(msg) from error
        module = plugins.load("ledger", parsed.get_backend_name())
        ledger = cls(module.Backend(parsed, root=root, schema=schema, timeout=timeout), timeout=timeout)
        try:
            ledger.upgrade(before_first=before_first)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address, without its password."""
        return self._backend.shown

    def read(self, within: Connection | None = None) -> AbstractContextManager[Connection]:
        """Open a short transaction that reads one unchanging state; it cannot write.

        With `within`, a transaction of the caller's, go on in that one, which stays open.

        Raises:
            StoreUnavailable: the ledger is locked, gone or does not answer.
        """
        shared = within if within is not None else getattr(self._shared, "connection", None)
        if shared is not None:
            return nullcontext(shared)
        return self._transaction(writes=False, start=None)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all that this thread reads until the end of the block be one unchanging state, in one transaction.

        What is written meanwhile, by this thread too, is not seen in it.

        Raises:
            StoreUnavailable: the ledger is locked, gone or does not answer.
        """
        with self.read() as connection:
            before = getattr(self._shared, "connection", None)
            self._shared.connection = connection
            try:
                yield
            finally:
                self._shared.connection = before

    def write(self, within: Connection | None = None) -> AbstractContextManager[Connection]:
        """Open the one transaction that writes: committed at the end of the block, undone by an error.

        Keep it short, and open no other one inside it: that would wait for the first. With `within`, a write
        transaction of the caller's, go on in that one, which the caller ends.

        Raises:
            StoreUnavailable: the ledger is locked, gone or does not answer.
            StoreFull: no space is left.
            StoreReadOnly: the ledger may not be written to.
        """
        if within is not None:
            return nullcontext(within)
        return self._transaction(writes=True, start=self._backend.begin_write)

    def lease(self, name: str, *, holder: str, ttl: float, clock: Clock) -> AbstractContextManager[Lease]:
        """Hold the right to work on something, until the end of the block.

        A thread renews it. Others may take it over when this process has died, or has not renewed it for `ttl`
        seconds. Call `lease.check(connection)` in the write transaction that commits the work.

        Raises:
            Busy: somebody alive holds it; the message says who.
        """
        return leases.hold(self, name, holder=holder, ttl=ttl, clock=clock, patience=0)

    def turn(
        self, name: str, *, holder: str, clock: Clock, patience: float = 600.0
    ) -> AbstractContextManager[Lease]:
        """Hold a lease until the end of the block, after whoever holds it now; see `lease`.

        Raises:
            Busy: somebody alive has held it for `patience` seconds.
        """
        return leases.hold(self, name, holder=holder, ttl=_TURN_SECONDS, clock=clock, patience=patience)

    def store_time(self, connection: Connection) -> int:
        """Return the microseconds since 1970 on the clock that all users of this ledger share."""
        return int(connection.exec_driver_sql(self._backend.now).scalar_one())

    def pulse(self) -> str:
        """Return a text that is another one after something was written: for who wants to know whether to look again."""
        with self.read() as connection:
            return self._backend.pulse(connection)

    def still(self) -> str:
        """Return a text that is the same as long as nothing is written; empty: that is not known for certain. Costs next to nothing."""
        return self._backend.still()

    def revision(self) -> str:
        """Return the migration that the tables are at."""
        with self.read() as connection:
            return schema.current(connection) or ""

    def upgrade(self, *, before_first: Callable[[str], None] = lambda _: None) -> None:
        """Bring the tables to this release's migration; cheap where they are there. `before_first`: see `open`.

        Raises:
            SchemaTooNew: a newer Treadle has upgraded them.
        """
        with self.read() as connection:
            if schema.is_at_head(connection, shown=self.url):
                return
        with self._transaction(writes=True, start=self._backend.begin_upgrade) as connection:
            if schema.current(connection) is None:
                before_first(self.url)
            schema.upgrade(connection, shown=self.url)

    def integrity(self) -> str:
        """Return `ok`, or what is wrong with the stored rows."""
        with self.read() as connection:
            return self._backend.integrity(connection)

    def close(self) -> None:
        """Close all connections."""
        self._backend.engine.dispose()

    @contextmanager
    def _transaction(
        self, *, writes: bool, start: Callable[[Connection], None] | None
    ) -> Iterator[Connection]:
        connection = self._begun(writes=writes, start=start)
        try:
            with connection, connection.get_transaction() or connection.begin():
                yield connection
        except DBAPIError as error:
            explained = self._backend.explain(error)
            if explained is None or (not writes and isinstance(explained, StoreReadOnly)):
                raise
            raise explained from error

    def _begun(self, *, writes: bool, start: Callable[[Connection], None] | None) -> Connection:
        """Connect and begin; as nothing has been done yet, this may be repeated safely until the time-out."""
        deadline, pause = monotonic() + self._timeout, _FIRST_PAUSE
        while True:
            try:
                return self._begin_once(writes=writes, start=start)
            except DBAPIError as error:
                explained = self._backend.explain(error)
                if explained is None:
                    raise
                if not self._backend.may_pass(error) or monotonic() + pause > deadline:
                    raise explained from error
            threading.Event().wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _begin_once(self, *, writes: bool, start: Callable[[Connection], None] | None) -> Connection:
        connection = self._backend.engine.connect()
        try:
            if self._backend.is_stale(connection):
                connection.invalidate()
            connection = connection.execution_options(**{WRITES: writes})
            connection.begin()
            if start:
                start(connection)
        except (DBAPIError, StoreUnavailable):
            connection.close()
            raise
        return connection
