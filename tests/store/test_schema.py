"""Migrations: the order they stand in, and what happens when one is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from treadle.core.errors import SchemaTooNew
from treadle.store.ledger import schema
from treadle.store.ledger.ledger import Ledger


def test_the_files_names_give_the_order_that_alembic_sees() -> None:
    config = Config()
    config.set_main_option("script_location", "treadle:store/ledger/migrations")
    scripts = ScriptDirectory.from_config(config)

    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(schema.known())
    assert scripts.get_heads() == [schema.known()[-1]]


def test_an_upgrade_that_is_cut_off_leaves_nothing(ledger: Ledger) -> None:
    with ledger.write() as connection:
        for table in inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {table}")

    with pytest.raises(ZeroDivisionError):
        _upgrade_halfway(ledger)

    with ledger.read() as connection:
        assert inspect(connection).get_table_names() == []
    ledger.upgrade()
    assert ledger.revision() == schema.known()[-1]


def test_a_newer_ledger_is_not_opened(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")

    with pytest.raises(SchemaTooNew, match=rf"0999.*{schema.known()[-1]}.*newer Treadle"):
        Ledger.open(ledger_url, root=tmp_path)


def _upgrade_halfway(ledger: Ledger) -> None:
    with ledger.write() as connection:
        schema.upgrade(connection, shown=ledger.url)
        raise ZeroDivisionError
