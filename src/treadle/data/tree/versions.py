"""Versions of trees, as records and in the ledger."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from treadle.core.records import Record, from_json, to_json
from treadle.store.ledger.tables import leases, micros, model_versions, runs, tree_versions

#: Name of the lease under which garbage is collected; its token counts how often that was.
COLLECTION = "trees/collection"
#: Name of the lease under which versions of trees are committed, and garbage is told from what versions need.
COMMIT = "trees/commit"


class TreeVersion(Record, frozen=True, kw_only=True):
    """One commit to a tree: an immutable state of its files."""

    tree: str
    #: 1, 2, 3, … without gaps.
    version: int
    created_at: datetime
    #: Digest of the manifest, and so of all paths and contents; equal files have equal digests.
    digest: str
    files: int
    #: Bytes of all files.
    size: int
    #: Files that came, whose content or right to be executed changed, and that went, since the version before.
    added: int = 0
    changed: int = 0
    removed: int = 0
    #: Bytes of contents that were stored for it; less than the new files' where contents were there already.
    stored: int = 0
    #: What could not be had, as `path: reason`; a file that was known stays as it was known.
    problems: tuple[str, ...] = ()
    #: Moment at which its contents were given up; None: it can be read.
    collected_at: datetime | None = None

    @property
    def ref(self) -> str:
        """The reference of this record."""
        return f"tree_version:{self.tree}/{self.version}"


def read_names(connection: Connection) -> list[str]:
    """Return the names of all trees that have a version, sorted."""
    return sorted(connection.execute(select(tree_versions.c.tree).distinct()).scalars())


def read_version(connection: Connection, tree: str, version: int | None) -> TreeVersion | None:
    """Return one version of a tree, the newest by default, or None."""
    rows = tree_versions
    query = select(rows.c.body).where(rows.c.tree == tree).order_by(rows.c.version.desc()).limit(1)
    body = connection.execute(query if version is None else query.where(rows.c.version == version)).scalar()
    return None if body is None else from_json(body, TreeVersion)


def read_versions(connection: Connection, tree: str | None = None) -> list[TreeVersion]:
    """Return every version of a tree, or of all trees, oldest first."""
    rows = tree_versions
    query = select(rows.c.body).order_by(rows.c.tree, rows.c.version)
    found = connection.execute(query if tree is None else query.where(rows.c.tree == tree))
    return [from_json(body, TreeVersion) for body in found.scalars()]


def write_version(connection: Connection, version: TreeVersion) -> None:
    """Store a version; its number must be new."""
    connection.execute(
        insert(tree_versions).values(
            tree=version.tree,
            version=version.version,
            digest=version.digest,
            created_at=micros(version.created_at),
            body=to_json(version),
        )
    )


def write_collected(connection: Connection, version: TreeVersion) -> None:
    """Note that a version's contents are given up; nothing else of it may differ."""
    ours = (tree_versions.c.tree == version.tree) & (tree_versions.c.version == version.version)
    connection.execute(update(tree_versions).where(ours).values(body=to_json(version)))


def read_collections(connection: Connection) -> int:
    """Return how often garbage was collected."""
    token = connection.execute(select(leases.c.token).where(leases.c.name == COLLECTION)).scalar()
    return 0 if token is None else int(token)


def read_references(connection: Connection, tree: str) -> set[int]:
    """Return the versions that model versions were made from, and runs under way are being made from."""
    prefix = f"tree_version:{tree}/"
    within = f"%{prefix}%".replace("_", "\\_")
    bodies = [
        *connection.execute(
            select(model_versions.c.body).where(model_versions.c.body.like(within, escape="\\"))
        ).scalars(),
        *connection.execute(
            select(runs.c.body).where(runs.c.body.like(within, escape="\\"), runs.c.status == "running")
        ).scalars(),
    ]
    parents = {parent for body in bodies for parent in from_json(body, Record).parents}
    return {int(parent.removeprefix(prefix)) for parent in parents if parent.startswith(prefix)}
