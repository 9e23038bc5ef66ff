"""Which packages nobody needs any more, and how they go: marked first, so that nobody takes them up, then removed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
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

#: Packages that were made beside those of versions, asked in the transaction that removes.
Beside = Callable[[Connection], Iterable["Loose"]]
#: What others refer to, asked in the transaction that marks: model and version → why it stays.
Held = Callable[[Connection], Mapping[tuple[str, int], str]]


class Loose(Record, frozen=True, kw_only=True):
    """A package that no version has: of a trial that was the best for a while, of a run that failed, of an import that was killed."""

    model: str
    #: What made it, as `trial 3 of run_01k…`.
    of: str
    #: Digest of the manifest, and bytes of the package.
    digest: str
    size: int
    #: Digest of the reference that was made with it; empty: none was.
    reference: str = ""
    #: Whether what made it is still under way.
    needed: bool = False


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

    def plan(
        self,
        models: Iterable[str],
        *,
        last: int,
        held: Held,
        connection: Connection,
        since: datetime | None = None,
    ) -> list[Fate]:
        """Say of each version that has a package whether it stays: one of the last few, young, pointed at, or held."""
        wanted, others = set(models), held(connection)
        pointed = _pointed(connection)
        found = []
        for name, versions in _by_model(connection).items():
            recent = {one.version for one in versions[-last:]} if last else set()
            for one in versions if name in wanted else ():
                why = pointed.get((name, one.version)) or others.get((name, one.version), "")
                if not why and one.version in recent:
                    why = f"one of the last {last}"
                if not why and since is not None and one.created_at >= since:
                    why = f"made since {since:%Y-%m-%d %H:%M}"
                if one.collected_at is None:
                    found.append(Fate(model=name, version=one.version, size=one.size, kept=why))
        return found

    def collect(
        self,
        models: Iterable[str],
        *,
        last: int,
        held: Held,
        beside: Beside,
        since: datetime | None = None,
    ) -> tuple[list[Fate], list[Loose]]:
        """Remove the packages of versions that do not stay, and loose ones; records and histories stay."""
        wanted = list(models)
        with self._ledger.write() as connection:
            fates = self.plan(wanted, last=last, held=held, connection=connection, since=since)
            for fate in fates:
                if not fate.kept:
                    self._mark(connection, fate)
        return fates, self._sweep(set(wanted), beside)

    def loose(self, models: Iterable[str], *, beside: Beside, connection: Connection) -> list[Loose]:
        """Return the loose packages of some models that are there and that nothing needs."""
        wanted, versions = set(models), {one.digest for one in _all(connection)}
        found = {one.digest: one for one in beside(connection)}
        kept = versions | {one.digest for one in found.values() if one.needed}
        return [
            one
            for one in found.values()
            if one.model in wanted and one.digest not in kept and self._objects.exists(one.digest)
        ]

    def _sweep(self, models: set[str], beside: Beside) -> list[Loose]:
        """Remove what packages that were marked, or are loose, leave and no other needs, also what a killed collection has left."""
        # A registration looks for its objects in its own write transaction: none can fall between the two.
        with self._ledger.write() as connection:
            loose = self.loose(models, beside=beside, connection=connection)
            versions = _all(connection)
            alive = {one.digest for one in versions if one.collected_at is None}
            alive |= {one.digest for one in beside(connection) if one.needed}
            needed = {digest for one in alive for digest in (one, *self._named(one))}
            needed |= {one.reference for one in versions if one.collected_at is None}
            needed |= {one.reference for one in beside(connection) if one.needed}
            references = {one.reference for one in loose} | {
                one.reference for one in versions if one.collected_at
            }
            for digest in sorted(references - needed - {""}):
                self._objects.delete(digest)
            gone = {one.digest for one in versions if one.collected_at} | {one.digest for one in loose}
            for digest in sorted(gone - needed):
                # The manifest goes last: as long as it is there, the others are found.
                for file in (*self._named(digest), digest):
                    if file not in needed:
                        self._objects.delete(file)
                shutil.rmtree(self._cache / digest.removeprefix("sha256:"), ignore_errors=True)
        return loose

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


def _all(connection: Connection) -> list[ModelVersion]:
    return [one for found in _by_model(connection).values() for one in found]


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
