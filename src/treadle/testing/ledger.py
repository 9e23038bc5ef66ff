"""What every ledger back end must do."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from treadle.core.clock import Clock
from treadle.core.errors import Busy, LeaseLost, SchemaTooNew
from treadle.store.ledger import schema
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import datasets, decisions, leases, metadata, micros, moment, put

_AT = datetime(2013, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)


class LedgerContract:
    """Give the fixtures `ledger` (open, empty) and `clock`."""

    def test_what_is_committed_is_read(self, ledger: Ledger) -> None:
        """A row comes back with the same text, number, truth value and moment."""
        row = {"id": "d1", "model": "délai", "at": micros(_AT), "due": True, "body": '{"x": "ü"}'}

        with ledger.write() as connection:
            connection.execute(insert(decisions).values(**row))

        with ledger.read() as connection:
            found = connection.execute(select(decisions)).one()
        assert found._asdict() == row
        assert moment(found.at) == _AT

    def test_a_write_changes_the_pulse(self, ledger: Ledger) -> None:
        """Who has seen the pulse before a write sees another one after it."""
        before = ledger.pulse()

        with ledger.write() as connection:
            put(connection, datasets, name="a", body="1")

        assert ledger.pulse() != before

    def test_an_error_undoes_the_whole_transaction(self, ledger: Ledger) -> None:
        """Nothing of a block that raises is kept."""

        def half() -> None:
            with ledger.write() as connection:
                put(connection, datasets, name="a", body="1")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            half()

        assert _names(ledger) == []

    def test_a_second_row_of_one_key_is_refused(self, ledger: Ledger) -> None:
        """The statement's own fault is the driver's error, not the store's."""
        with ledger.write() as connection:
            put(connection, datasets, name="a", body="1")

        with pytest.raises(IntegrityError), ledger.write() as connection:
            connection.execute(insert(datasets).values(name="a", body="2"))

    def test_put_replaces(self, ledger: Ledger) -> None:
        """The last row put under a key stands."""
        for body in ("1", "2"):
            with ledger.write() as connection:
                put(connection, datasets, name="a", body=body)

        with ledger.read() as connection:
            assert connection.execute(select(datasets.c.body)).scalars().all() == ["2"]

    def test_reading_cannot_write(self, ledger: Ledger) -> None:
        """A write in a read transaction is an error on every back end."""
        with pytest.raises(DBAPIError), ledger.read() as connection:
            put(connection, datasets, name="a", body="1")

        assert _names(ledger) == []

    def test_a_read_transaction_sees_one_state(self, ledger: Ledger) -> None:
        """A commit in the middle of it is not seen, and not waited for."""
        with ledger.read() as connection:
            before = connection.execute(select(func.count()).select_from(datasets)).scalar_one()
            with ledger.write() as other:
                put(other, datasets, name="a", body="1")
            after = connection.execute(select(func.count()).select_from(datasets)).scalar_one()

        assert (before, after) == (0, 0)
        assert _names(ledger) == ["a"]

    def test_write_transactions_take_turns(self, ledger: Ledger) -> None:
        """What one reads stays true until it commits: no increment is lost."""
        with ledger.write() as connection:
            put(connection, datasets, name="counter", body="0")

        threads = [threading.Thread(target=_increment, args=(ledger, 10)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        with ledger.read() as connection:
            assert connection.execute(select(datasets.c.body)).scalar_one() == "40"

    def test_the_migrations_make_the_declared_tables(self, ledger: Ledger) -> None:
        """Alembic finds no difference between the migrated ledger and `tables.metadata`."""
        with ledger.read() as connection:
            difference = compare_metadata(
                MigrationContext.configure(connection, opts={"compare_type": True}), metadata
            )

        assert difference == []
        assert ledger.revision() == schema.known()[-1]

    def test_a_newer_schema_is_refused(self, ledger: Ledger) -> None:
        """The message names both revisions."""
        with ledger.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

        with pytest.raises(SchemaTooNew, match=rf"9999.*{schema.known()[-1]}"):
            ledger.upgrade()

    def test_integrity_is_ok(self, ledger: Ledger) -> None:
        """A new ledger is sound."""
        assert ledger.integrity() == "ok"

    def test_a_lease_has_one_holder(self, ledger: Ledger, clock: Clock) -> None:
        """While one holds it, another is told who; then it is free, and its token grows."""
        with ledger.lease("model:delay", holder="watch", ttl=30, clock=clock) as first:
            with (
                pytest.raises(Busy, match="watch"),
                ledger.lease("model:delay", holder="run", ttl=30, clock=clock),
            ):
                pass
            with ledger.lease("model:other", holder="run", ttl=30, clock=clock):
                pass

        with ledger.lease("model:delay", holder="run", ttl=30, clock=clock) as second:
            assert second.token > first.token

    def test_a_lease_ends_with_an_error_too(self, ledger: Ledger, clock: Clock) -> None:
        """An exception in the block gives the lease back."""
        with (
            pytest.raises(ZeroDivisionError),
            ledger.lease("x", holder="a", ttl=30, clock=clock),
        ):
            raise ZeroDivisionError

        with ledger.lease("x", holder="b", ttl=30, clock=clock):
            pass

    def test_a_holder_that_was_taken_over_commits_nothing(self, ledger: Ledger, clock: Clock) -> None:
        """Its token is refused inside the transaction that would commit."""
        with ledger.lease("x", holder="zombie", ttl=30, clock=clock) as lease:
            with ledger.write() as connection:
                connection.execute(update(leases).values(token=leases.c.token + 1))

            with pytest.raises(LeaseLost):
                _commit_under(lease, ledger)

        assert _names(ledger) == []

    def test_a_lease_of_another_machine_ends_by_the_ledgers_clock(self, ledger: Ledger, clock: Clock) -> None:
        """It stands while its end lies ahead, and is taken over afterwards."""
        with ledger.lease("x", holder="far", ttl=30, clock=clock):
            with ledger.write() as connection:
                text = connection.execute(select(leases.c.holder)).scalar_one()
                elsewhere = text.replace('"boot":"', '"boot":"another-')
                connection.execute(update(leases).values(holder=elsewhere))
            with pytest.raises(Busy), ledger.lease("x", holder="near", ttl=30, clock=clock):
                pass
            with ledger.write() as connection:
                connection.execute(update(leases).values(expires_at=ledger.store_time(connection)))

            with ledger.lease("x", holder="near", ttl=30, clock=clock) as taken:
                assert taken.token == 2


def _names(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(datasets.c.name)).scalars())


def _commit_under(lease: Lease, ledger: Ledger) -> None:
    with ledger.write() as connection:
        put(connection, datasets, name="a", body="1")
        lease.check(connection)


def _increment(ledger: Ledger, times: int) -> None:
    for _ in range(times):
        with ledger.write() as connection:
            value = int(connection.execute(select(datasets.c.body)).scalar_one())
            put(connection, datasets, name="counter", body=str(value + 1))
