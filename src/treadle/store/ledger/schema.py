"""Which migration the ledger's tables are at, and the way to the newest.

The migrations are the files of `migrations/versions`, named by number. Alembic is imported only to run them.
"""

from __future__ import annotations

from importlib import resources

from sqlalchemy import Connection, inspect, text

from treadle.core.errors import SchemaTooNew

_VERSIONS = "treadle.store.ledger.migrations"


def known() -> tuple[str, ...]:
    """Return the migrations of this release, oldest first."""
    files = resources.files(_VERSIONS).joinpath("versions").iterdir()
    return tuple(
        sorted(f.name.partition("_")[0] for f in files if f.name[:1].isdigit() and f.name.endswith(".py"))
    )


def current(connection: Connection) -> str | None:
    """Return the migration that the tables are at; None: there are no tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def is_at_head(connection: Connection, *, shown: str) -> bool:
    """Return whether the tables are this release's.

    Raises:
        SchemaTooNew: a newer Treadle has upgraded them.
    """
    at, revisions = current(connection), known()
    if at is not None and at not in revisions:
        msg = (
            f"The ledger {shown} is at revision {at}, and this Treadle knows revisions up to {revisions[-1]}. "
            "A newer Treadle has upgraded it: install that release or a later one."
        )
        raise SchemaTooNew(msg)
    return at == revisions[-1]


def upgrade(connection: Connection, *, shown: str) -> None:
    """Run the missing migrations in the transaction that is open; somebody else may have run them meanwhile."""
    if is_at_head(connection, shown=shown):
        return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", _VERSIONS.replace(".", ":", 1).replace(".", "/"))
    scripts = ScriptDirectory.from_config(config)
    with EnvironmentContext(
        config, scripts, fn=lambda at, _: scripts._upgrade_revs("head", at)
    ) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
