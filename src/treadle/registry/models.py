"""Models: numbered versions that never change, and the aliases that point at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection, select

from treadle.core.clock import Clock
from treadle.core.errors import AlreadyExists, InvalidInput, NotFound, PackageRefused, not_found
from treadle.core.ids import new_id
from treadle.core.paging import USUAL, Paged
from treadle.core.records import Alias, Lookup, ModelVersion, Run, Window, from_json, to_json
from treadle.core.servable import Servable
from treadle.registry import packages, pickled, rows
from treadle.registry.collection import Beside, Collection, Fate, Held, Loose, refuse_collected
from treadle.registry.insides import Insides, insides
from treadle.registry.packages import Listing, Manifest, Package
from treadle.registry.references import check_name, parse
from treadle.store.ledger import paging
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import alias_history, aliases, micros, model_versions, put
from treadle.store.objects.objects import Objects

_CACHE = Path(".treadle/cache/packages")


class Models:
    """The registered models of a project.

    >>> version = models.get("delay@champion")                              # doctest: +SKIP
    >>> models.load(version).predict(columns)                               # doctest: +SKIP
    """

    def __init__(self, *, ledger: Ledger, objects: Objects, clock: Clock, root: Path) -> None:
        self._ledger, self._objects, self._clock = ledger, objects, clock
        self._cache = root / _CACHE

    def register(
        self,
        *,
        model: str,
        package: Package,
        run: Run,
        dataset: str,
        task: str | None = None,
        metrics: Mapping[str, float] | None = None,
        baselines: Iterable[Lookup] = (),
        window: Window | None = None,
        reference: str = "",
        connection: Connection | None = None,
    ) -> ModelVersion:
        """Give a run's package the next number. Registering the same again returns the version it has.

        `window` is what it was trained on, by default the run's; `reference` the digest of what later rows are compared with.

        Raises:
            AlreadyExists: the run has registered another package.
            PackageRefused: the package's objects are not there.
            InvalidInput: the run has no window, did not read the dataset, or the task is another one.
        """
        self._check(check_name(model, noun="model"), package, run, dataset=dataset, task=task)
        made = _described(
            model, package, run, dataset, metrics=metrics, baselines=baselines, window=window or run.window
        )
        with self._ledger.write(connection) as ledger:
            # In here: whoever collects packages has done so before, or finds this version.
            self._check_objects(model, package)
            known = rows.of_run(ledger, run.id)
            if known is not None:
                return _same(known, model, package)
            now = self._clock.now()
            return rows.insert(ledger, msgspec.structs.replace(made, created_at=now, reference=reference))

    def refer(self, version: ModelVersion, reference: str) -> ModelVersion:
        """Keep with a version the digest of what later rows are compared with, in place of what it has.

        Raises:
            NotFound: there is no such version.
            PackageRefused: its row was altered.
        """
        with self._ledger.write() as ledger:
            found = rows.version(ledger, version.model, version.version)
            return rows.replace(ledger, msgspec.structs.replace(found, reference=reference))

    def get(self, reference: str, *, connection: Connection | None = None) -> ModelVersion:
        """Return the version that a reference names: `delay/3`, `delay@champion`, `delay` (its champion).

        Raises:
            NotFound: there is no such model, version or alias; the message lists those that exist.
        """
        wanted = parse(reference)
        with self._ledger.read(connection) as ledger:
            number = wanted.version
            if number is None:
                known = self.aliases(wanted.model, connection=ledger)
                if wanted.alias not in known:
                    raise self._no_alias(ledger, wanted.model, str(wanted.alias), known)
                number = known[wanted.alias]
            return rows.version(ledger, wanted.model, number)

    def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first.

        Raises:
            NotFound: there is no such model.
        """
        chosen = select(model_versions.c.body).where(model_versions.c.model == model)
        with self._ledger.read(None) as ledger:
            found = ledger.execute(chosen.order_by(model_versions.c.version)).scalars().all()
            if not found:
                raise not_found("model", model, rows.names(ledger))
        return [from_json(body, ModelVersion) for body in found]

    def page(self, model: str, *, after: str = "", limit: int = USUAL) -> Paged[ModelVersion]:
        """Return one part of a model's versions, the newest first; none for a model without.

        Raises:
            InvalidInput: the key of the part is not understood.
        """
        chosen = select(model_versions.c.body).where(model_versions.c.model == model)
        with self._ledger.read(None) as ledger:
            return paging.part(
                ledger, chosen, ModelVersion, by=[model_versions.c.version], after=after, limit=limit
            )

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        with self._ledger.read(None) as ledger:
            return rows.names(ledger)

    def alias(
        self,
        model: str,
        alias: str,
        version: int,
        *,
        actor: str,
        reason: str,
        connection: Connection | None = None,
    ) -> Alias:
        """Let an alias point at a version, and keep how it came to; where it does already, nothing changes.

        `connection` is a write transaction of the caller's, in which this then takes part.

        Raises:
            NotFound: there is no such version.
            PackageRefused: its package was collected.
        """
        check_name(alias, noun="alias")
        with self._ledger.write(connection) as ledger:
            refuse_collected(rows.version(ledger, model, version))
            before = ledger.execute(
                select(aliases.c.body).where(aliases.c.model == model, aliases.c.alias == alias)
            ).scalar()
            last = None if before is None else from_json(before, Alias)
            if last is not None and last.version == version:
                return last
            moved = Alias(
                model=model,
                alias=alias,
                version=version,
                previous=last.version if last else None,
                at=self._clock.now(),
                actor=actor,
                reason=reason,
                parents=(f"model_version:{model}/{version}",),
            )
            body = to_json(moved)
            put(ledger, aliases, model=model, alias=alias, version=version, body=body)
            ledger.execute(
                alias_history.insert().values(
                    id=new_id(), model=model, alias=alias, at=micros(moved.at), body=body
                )
            )
        return moved

    def aliases(self, model: str, *, connection: Connection | None = None) -> dict[str, int]:
        """Return the aliases of a model and the versions they point at; none for a model without."""
        chosen = select(aliases.c.alias, aliases.c.version).where(aliases.c.model == model)
        with self._ledger.read(connection) as ledger:
            found = ledger.execute(chosen.order_by(aliases.c.alias)).all()
        return {row.alias: row.version for row in found}

    def history(self, model: str, alias: str | None = None) -> list[Alias]:
        """Return how a model's aliases (or one of them) moved, oldest first."""
        chosen = select(alias_history.c.body).where(alias_history.c.model == model)
        if alias is not None:
            chosen = chosen.where(alias_history.c.alias == alias)
        with self._ledger.read(None) as ledger:
            found = ledger.execute(chosen.order_by(alias_history.c.at, alias_history.c.id)).scalars().all()
        return [from_json(body, Alias) for body in found]

    def load(self, version: ModelVersion) -> Servable:
        """Return a version's model, every byte verified and its golden rows reproduced.

        A pickle is read only where the version's own record says that it is one: its declaration allowed that.

        Raises:
            PackageRefused: the package is damaged, is not the one that was registered, or answers differently from
                where it was trained.
        """
        refuse_collected(version)
        manifest, contents = packages.read(version.digest, objects=self._objects, cache=self._cache)
        _check_row(version, manifest)
        return packages.ready(manifest, contents, allow_pickle=version.format == pickled.NAME)

    def insides(self, version: ModelVersion) -> Insides:
        """Return a version's model, checked as `load` does, with what its format lets be seen: golden rows, trees, contributions.

        Raises:
            PackageRefused: as `load`.
        """
        refuse_collected(version)
        manifest, contents = packages.read(version.digest, objects=self._objects, cache=self._cache)
        _check_row(version, manifest)
        return insides(manifest, contents, allow_pickle=version.format == pickled.NAME)

    def listing(self, version: ModelVersion) -> Listing:
        """Return what is in a version's package, every byte verified.

        Raises:
            PackageRefused: the package is damaged.
        """
        refuse_collected(version)
        return packages.listing(version.digest, objects=self._objects, cache=self._cache)

    def files(self, version: ModelVersion) -> dict[str, bytes]:
        """Return the files of a version's package by name, its manifest among them, every byte verified.

        Raises:
            PackageRefused: the package is damaged, or was collected.
        """
        refuse_collected(version)
        _, contents = packages.read(version.digest, objects=self._objects, cache=self._cache)
        return {**contents, packages.MANIFEST: self._objects.get(version.digest)}

    def collect(
        self,
        models: Iterable[str] = (),
        *,
        last: int,
        since: datetime | None = None,
        held: Held = lambda _: {},
        beside: Beside = lambda _: (),
        dry_run: bool,
    ) -> tuple[list[Fate], list[Loose]]:
        """Remove packages of old versions (of all models by default), and those that no version has; records and histories stay.

        The last few versions of each model stay, those made since a moment, what an alias points at, and what
        `held(connection)` names. `beside(connection)` are packages that are not of versions.

        Raises:
            NotFound: there is no such model.
            InvalidInput: `last` is negative.
        """
        if last < 0:
            msg = f"keep_last is {last}. Expected 0 or more versions."
            raise InvalidInput(msg, field="keep_last")
        known = self.names()
        for name in models:
            if name not in known:
                raise not_found("model", name, known)
        collection = Collection(
            ledger=self._ledger, objects=self._objects, clock=self._clock, cache=self._cache
        )
        with self._ledger.read() as connection:
            wanted = list(models) or list({*known, *(one.model for one in beside(connection))})
            if dry_run:
                fates = collection.plan(wanted, last=last, held=held, connection=connection, since=since)
                return fates, collection.loose(wanted, beside=beside, connection=connection)
        return collection.collect(wanted, last=last, held=held, beside=beside, since=since)

    def _check(self, model: str, package: Package, run: Run, *, dataset: str, task: str | None) -> None:
        # What was imported may have been measured on no dataset.
        if run.window is None or (dataset not in run.data and (dataset or run.origin is None)):
            msg = f"Run {run.id} of {model} has no window or did not read the dataset {dataset!r}."
            raise InvalidInput(msg)
        if task is not None and task != package.task:
            msg = f"The package of {model} was made for {package.task}, not for {task}."
            raise InvalidInput(msg)

    def _check_objects(self, model: str, package: Package) -> None:
        gone = [digest for digest in package.objects if not self._objects.exists(digest)]
        if gone:
            msg = f"The package of {model} cannot be registered: object {gone[0]} is not there. Run it again."
            raise PackageRefused(msg)

    def _no_alias(self, ledger: Connection, model: str, alias: str, known: Mapping[str, int]) -> NotFound:
        numbers = rows.numbers(ledger, model)
        if not numbers:
            return not_found("model", model, rows.names(ledger))
        shown = ", ".join(f"{model}@{name}" for name in known) or "none"
        msg = (
            f"{model} has no alias {alias!r}. Aliases: {shown}. Versions: {rows.span(numbers)}; "
            f"name one with {model}/{numbers[-1]}."
        )
        return NotFound(msg)


def _described(
    model: str,
    package: Package,
    run: Run,
    dataset: str,
    *,
    metrics: Mapping[str, float] | None,
    baselines: Iterable[Lookup],
    window: Window | None,
) -> ModelVersion:
    """Return the record of a run's package, without its number."""
    assert window is not None
    return ModelVersion(
        model=model,
        version=0,
        created_at=run.started_at,
        task=package.task,
        format=package.format,
        digest=package.digest,
        size=package.size,
        signature=package.signature,
        run=run.id,
        dataset=dataset,
        dataset_version=run.data.get(dataset, 0),
        window=window,
        metrics=dict(metrics or {}),
        baselines=tuple(baselines),
        notes=package.notes,
        parents=(run.ref, *run.parents),
    )


def _same(known: ModelVersion, model: str, package: Package) -> ModelVersion:
    if known.model == model and known.digest == package.digest:
        return known
    msg = (
        f"Run {known.run} has registered {known.model}/{known.version} already, with another package. "
        "A run makes one version: start another run."
    )
    raise AlreadyExists(msg)


def _check_row(version: ModelVersion, manifest: Manifest) -> None:
    for name in ("format", "task", "signature", "notes"):
        if getattr(version, name) != getattr(manifest, name):
            msg = (
                f"Package {version.digest} has another {name} than the ledger's row of {version.model}/"
                f"{version.version}: one of them was altered. {rows.RESTORE}"
            )
            raise PackageRefused(msg)
