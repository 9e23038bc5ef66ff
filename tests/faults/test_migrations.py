"""R16: a process that is killed at any statement of any migration leaves the ledger as it was, or as it is to be."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, inspect, text

from forked import fork
from pace import FULL
from treadle.core.errors import SchemaTooNew
from treadle.store.ledger import schema
from treadle.store.ledger.ledger import Ledger

_STEPS = list(zip(schema.known()[:-1], schema.known()[1:], strict=True))


def migrate(connection: Connection, *, to: str) -> None:
    """Run the migrations up to one, as the release of that time would have."""
    config = Config()
    config.set_main_option("script_location", "treadle:store/ledger/migrations")
    scripts = ScriptDirectory.from_config(config)
    with EnvironmentContext(config, scripts, fn=lambda at, _: scripts._upgrade_revs(to, at)) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()


def opened(url: str, root: Path) -> Ledger:
    """A ledger without the upgrade that opening it brings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "upgrade", lambda self, **_: None)
        return Ledger.open(url, root=root)


def structure(connection: Connection) -> dict[str, Any]:
    """Return tables, columns and indexes."""
    look = inspect(connection)
    return {
        name: (
            sorted(column["name"] for column in look.get_columns(name)),
            sorted(str(index["name"]) for index in look.get_indexes(name)),
        )
        for name in look.get_table_names()
    }


def begin_at(url: str, root: Path, revision: str) -> dict[str, Any]:
    """Make a ledger of an earlier release, with a row that has to stay, and return its structure."""
    ledger = opened(url, root)
    with ledger._transaction(writes=True, start=ledger._backend.begin_upgrade) as connection:
        for name in reversed(inspect(connection).get_table_names()):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        migrate(connection, to=revision)
        connection.execute(text("INSERT INTO datasets (name, body) VALUES ('kept', '{}')"))
        found = structure(connection)
    ledger.close()
    return found


def die_at(url: str, root: Path, *, to: str, statement: int) -> bool:
    """Migrate in a process that is killed before its n-th statement; False: it came to its end."""

    def work() -> int:
        ledger, count = opened(url, root), 0
        with ledger.write() as connection:

            def note(*_: object) -> None:
                nonlocal count
                count += 1
                if count == statement:
                    os.kill(os.getpid(), signal.SIGKILL)

            event.listen(connection.engine, "before_cursor_execute", note)
            migrate(connection, to=to)
        return 0

    pid = fork(work, log=root / "migration.log")
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, (root / "migration.log").read_text()
    return os.WIFSIGNALED(status)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), _STEPS, ids=[after for _, after in _STEPS])
def test_r16_killed_at_each_statement_of_a_migration(
    before: str, after: str, ledger_url: str, tmp_path: Path
) -> None:
    there, statement = begin_at(ledger_url, tmp_path, before), 1

    while die_at(ledger_url, tmp_path, to=after, statement=statement):
        ledger = opened(ledger_url, tmp_path)
        with ledger.read() as connection:
            assert schema.current(connection) == before
            assert structure(connection) == there
        ledger.close()
        statement += 1 if FULL else 5

    with Ledger.open(ledger_url, root=tmp_path) as ledger, ledger.read() as connection:
        assert statement > 1
        assert schema.current(connection) == schema.known()[-1]
        assert connection.execute(text("SELECT name FROM datasets")).scalars().all() == ["kept"]


def test_r16_an_earlier_release_refuses_a_migrated_ledger(
    ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger.open(ledger_url, root=tmp_path).close()
    newest = schema.known()[-1]
    monkeypatch.setattr(schema, "known", lambda: tuple(before for before, _ in _STEPS))

    with pytest.raises(SchemaTooNew, match=rf"{newest}.*A newer Treadle has upgraded it"):
        Ledger.open(ledger_url, root=tmp_path)
