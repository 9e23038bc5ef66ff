"""Which packages nobody needs any more, and how they go: marked first, so that nobody takes them up, then removed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from sqlalchemy import Connection, select, update

from treadle.core.clock import Clock
from treadle.core.errors import DigestMismatch, NotFound, PackageRefused
from treadle.core.records import ModelVersion, Record, from_json, to_json
from treadle.registry import packages
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import aliases, model_versions
from treadle.store.objects.objects import Objects

#: What others refer to, asked in the transaction that marks: model and version → why it stays.
Held = Callable[[Connection], Mapping[tuple[str, int], str]]


class Fate(Record, frozen=True, kw_only=True):
    """Whether a version's package stays."""

    model: str
    version: int
    #: Bytes of the package.
    size: int
    #: Why it stays; empty: it goes, or has gone now.
    kept: str = ""


class Collection:
    """Collects packages of one ledger."""

    def __init__(self, *, ledger: Ledger, objects: Objects, clock: Clock, cache: Path) -> None:
        self._ledger, self._objects, self._clock, self._cache = ledger, objects, clock, cache
        self._files: dict[str, tuple[str, ...]] = {}

    def plan(self, models: Iterable[str], *, last: int, held: Held, connection: Connection) -> list[Fate]:
        """Say of each version that has a package whether it stays: one of the last few, pointed at, or held."""
        wanted, others = set(models), held(connection)
        pointed = _pointed(connection)
        found = []
        for name, versions in _by_model(connection).items():
            recent = {one.version for one in versions[-last:]} if last else set()
            for one in versions if name in wanted else ():
                why = pointed.get((name, one.version)) or others.get((name, one.version), "")
                if not why and one.version in recent:
                    why = f"one of the last {last}"
                if one.collected_at is None:
                    found.append(Fate(model=name, version=one.version, size=one.size, kept=why))
        return found

    def collect(self, models: Iterable[str], *, last: int, held: Held) -> list[Fate]:
        """Remove the packages of versions that do not stay; their records and histories do."""
        with self._ledger.write() as connection:
            fates = self.plan(models, last=last, held=held, connection=connection)
            for fate in fates:
                if not fate.kept:
                    self._mark(connection, fate)
        self.sweep()
        return fates

    def sweep(self) -> None:
        """Remove what packages that were marked leave and no other needs, also what a killed collection has left."""
        # A registration looks for its objects in its own write transaction: none can fall between the two.
        with self._ledger.write() as connection:
            versions = [one for found in _by_model(connection).values() for one in found]
            needed = {
                digest
                for digest in {one.digest for one in versions if one.collected_at is None}
                for digest in (digest, *self._named(digest))
            }
            for digest in sorted({one.digest for one in versions if one.collected_at} - needed):
                # The manifest goes last: as long as it is there, the others are found.
                for file in (*self._named(digest), digest):
                    if file not in needed:
                        self._objects.delete(file)
                shutil.rmtree(self._cache / digest.removeprefix("sha256:"), ignore_errors=True)

    def _mark(self, connection: Connection, fate: Fate) -> None:
        chosen = (model_versions.c.model == fate.model) & (model_versions.c.version == fate.version)
        body = connection.execute(select(model_versions.c.body).where(chosen)).scalar_one()
        gone = msgspec.structs.replace(from_json(body, ModelVersion), collected_at=self._clock.now())
        connection.execute(update(model_versions).where(chosen).values(body=to_json(gone)))

    def _named(self, digest: str) -> tuple[str, ...]:
        """Return the digests of a package's files; none where its manifest is gone or damaged."""
        if digest not in self._files:
            try:
                self._files[digest] = packages.named_by(self._objects.get(digest), digest)
            except (NotFound, DigestMismatch, PackageRefused):
                self._files[digest] = ()
        return self._files[digest]


def refuse_collected(version: ModelVersion) -> None:
    """Accept only a version that has its package.

    Raises:
        PackageRefused: it was collected.
    """
    if version.collected_at is not None:
        msg = (
            f"The package of {version.model}/{version.version} was collected at {version.collected_at:%Y-%m-%d %H:%M} UTC; its card and "
            f"its history are still there. Make another version: treadle run {version.model} --force"
        )
        raise PackageRefused(msg)


def _by_model(connection: Connection) -> dict[str, list[ModelVersion]]:
    found: dict[str, list[ModelVersion]] = {}
    wanted = select(model_versions.c.body).order_by(model_versions.c.model, model_versions.c.version)
    for body in connection.execute(wanted).scalars():
        version = from_json(body, ModelVersion)
        found.setdefault(version.model, []).append(version)
    return found


def _pointed(connection: Connection) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for row in connection.execute(select(aliases.c.model, aliases.c.alias, aliases.c.version)):
        found[row.model, row.version] = f"alias {row.alias}"
    return found
