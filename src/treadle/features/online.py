"""Online features: brings the newest values of feature views into the online store, and reads them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from typing import Any, Literal

import msgspec
import polars as pl

from treadle.core.clock import Clock, parse_span, utc
from treadle.core.errors import InvalidInput, NotFound, StoreUnavailable, not_found
from treadle.core.ids import new_id
from treadle.features import materialisations
from treadle.features.events import write_events
from treadle.features.join import join
from treadle.features.keys import entity_bytes, namespaces_of, typed
from treadle.features.lookup import Lookup, OnlineRows
from treadle.features.materialisations import Materialisation, ViewFreshness
from treadle.features.materialise import Task, ViewRows, is_shrunk, materialise, reading, write_fields
from treadle.features.packing import DTYPES, micros, moment
from treadle.features.parts import Part, parts_of
from treadle.features.skew import TOLERANCE, ColumnSkew, skew
from treadle.features.targets import Head, Target, head_of
from treadle.features.views import FeatureView
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger
from treadle.store.online.online import Online

_FEW_VERSIONS = 8


class OnlineFeatures:
    """Materialises feature views and reads them online.

    >>> online.materialise("weather")                                       # doctest: +SKIP
    >>> online.read(["weather"], {"origin": ["JFK", "EWR"]}).columns        # doctest: +SKIP
    {'temp': [3.9, None]}
    """

    def __init__(
        self,
        *,
        views: Mapping[str, FeatureView],
        rows: ViewRows,
        store: Online,
        ledger: Ledger,
        clock: Clock,
        project: str,
        on_failure: Literal["null", "error"] = "null",
    ) -> None:
        """`rows` is where the views' rows are (room 1); keys of `project` are apart from those of others in the store."""
        self._views, self._rows, self._store = views, rows, store
        self._ledger, self._clock = ledger, clock
        self._project, self._on_failure = project, on_failure
        self._lookups: dict[tuple[str, ...], Lookup] = {}

    def materialise(
        self,
        view: str,
        *,
        until: datetime | None = None,
        again: bool = False,
        patience: float = materialisations.PATIENCE,
    ) -> Materialisation:
        """Bring into the store what has landed since the last time and can be seen at `until` (by default: now).

        It may be killed and repeated at any moment; a value never takes the place of a newer one. `again` writes
        everything anew, as is done by itself where rows were taken out of the view's dataset.

        Raises:
            NotFound: there is no such view, or nothing has been ingested for it yet.
            Conflict: the store was emptied, or somebody else wrote, meanwhile; to be repeated.
            Busy: another process has been at it for `patience` seconds.
            StoreUnavailable: the store does not answer.
        """
        declared = self._view(view)
        limit = utc(until) if until else self._clock.now()
        version = self._rows.version(view).version
        targets = self._targets(declared)
        heads = [target.head for target in targets]
        if not again and all(head.is_current(version=version, until=micros(limit)) for head in heads):
            return self._materialisation(declared, targets, version=version)
        with self._lease(view, patience=patience) as lease:
            version = self._rows.version(view).version
            written = sum(
                self._write(declared, target, version=version, limit=limit, again=again) for target in targets
            )
            done = self._materialisation(declared, targets, version=version, written=written)
            with self._ledger.write() as connection:
                lease.check(connection)
                materialisations.remember(connection, done)
        return done

    def read(
        self, views: Sequence[str], rows: Mapping[str, Sequence[Any]], *, at: datetime | None = None
    ) -> OnlineRows:
        """Return the features of some views for some entities, in one round trip to the store.

        `rows` has a column of values for each entity column of the views. A value older than its view's ttl at the
        moment `at` (by default: now), or of a later moment, is null, as is what is not there. Where the store does not
        answer, everything is null and the result is `degraded`; with the policy `error` that is raised.

        Raises:
            NotFound: there is no such view, or nothing has been ingested for it yet.
            InvalidInput: a column is missing, or a value is not of its type.
            InvalidDeclaration: two of the views give a feature the same name.
            StoreUnavailable: the store does not answer, and the policy is `error`.
        """
        now = self._clock.now() if at is None else utc(at)
        names = tuple(views)
        lookup = self._lookups.get(names)
        try:
            if lookup is None:
                lookup = self._lookups[names] = Lookup([part for name in names for part in self._parts(name)])
            return lookup.read(self._store, rows, now)
        except StoreUnavailable as error:
            return self._instead(names, rows, at=now, error=error)

    def without(
        self, views: Sequence[str], rows: Mapping[str, Sequence[Any]], error: StoreUnavailable
    ) -> OnlineRows:
        """Return what `read` gives where the store does not answer, for a caller that has stopped waiting for it.

        Raises:
            StoreUnavailable: the policy is `error`.
        """
        return self._instead(tuple(views), rows, at=self._clock.now(), error=error)

    @property
    def is_local(self) -> bool:
        """Whether the store is files of this machine, so that a read waits for nobody."""
        return self._store.is_local

    def freshness(self) -> list[ViewFreshness]:
        """Return how fresh the online values of each view are; never fails because the store does."""
        found: list[ViewFreshness] = []
        for name in self._views:
            # A store that hangs is waited for once, and not once for each view.
            lost = next((one.problem for one in found if one.problem), "")
            found.append(self._freshness(name, problem=lost))
        return found

    def forget(self, view: str, entity: Any) -> int:
        """Remove an entity's values, and return how many there were; its rows must be gone from the dataset.

        `entity` is the value of the entity's column, or a tuple or mapping of several. A run that materialises the view
        is waited for; one that was taken for dead cannot bring the values back. `collect` leaves no byte of them.

        Raises:
            NotFound: there is no such view.
            Busy: another process has been materialising for ten minutes.
        """
        declared = self._view(view)
        key = entity_bytes(_values(entity, declared))
        removed = 0
        with self._lease(view):
            for namespace in self._store.namespaces(namespaces_of(self._project, view)):
                head = msgspec.structs.replace(head_of(self._store, namespace), writer=new_id())
                self._store.note(namespace, head.pack())
                removed += self._store.delete(namespace, [namespace + key], head=head.pack())
        return removed

    def collect(self, *, older_than: str = "1d", dry_run: bool = True) -> list[str]:
        """Remove what earlier declarations of views left in the store, and return its names.

        What was written to within `older_than` stays, as a server may still read it. No byte of anything that was removed,
        by `forget` too, is left in the files of an embedded store.
        """
        used = {part.namespace for name in self._views for part in self._parts_or_none(name)}
        limit = micros(self._clock.now() - parse_span(older_than))
        stale = [
            name
            for name in self._store.namespaces(namespaces_of(self._project))
            if name not in used and (head_of(self._store, name).at or 0) < limit
        ]
        if not dry_run:
            for name in stale:
                self._store.clear(name)
            self._store.tidy()
        return [name.decode() for name in stale]

    def skew(
        self, views: Sequence[str], served: pl.DataFrame, *, time: str, tolerance: float = TOLERANCE
    ) -> list[ColumnSkew]:
        """Compare features that were served with the offline join for the same entities and moments; see `skew.skew`.

        `served` has the views' entity columns, the moment in the column `time`, and the features that are to be compared:
        those of the views that are there.

        Raises:
            NotFound: there is no such view, or nothing has been ingested for it yet.
        """
        if not views:
            return []
        declared = [self._view(name) for name in views]
        entities = list(dict.fromkeys(name for view in declared for name in view.entities))
        columns = [name for view in declared for name in view.output_names if name in served.columns]
        spine = served.select(*entities, time)
        offline = join(
            spine, [(view, partial(self._values, view, spine[time])) for view in declared], time=time
        )
        return skew(served, offline, columns=columns, shown=spine.columns, tolerance=tolerance)

    def entity(self, view: str, texts: Mapping[str, str]) -> dict[str, list[Any]]:
        """Return an entity that a person typed as `read` takes it: one row, in the types of the view's columns.

        Raises:
            InvalidInput: a column is missing, or a text does not say a value of its type.
        """
        (layout, *_) = (part.layout for part in self._parts(view))
        return {name: [typed(texts, name, DTYPES[dtype])] for name, dtype in layout.entities}

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _view(self, name: str) -> FeatureView:
        if name not in self._views:
            raise not_found("feature view", name, self._views)
        return self._views[name]

    def _parts(self, name: str) -> list[Part]:
        return parts_of(self._view(name), dict(self._rows.version(name).schema), project=self._project)

    def _values(self, view: FeatureView, moments: pl.Series) -> pl.DataFrame:
        """Return the rows of a view that can matter at some moments."""
        rows = self._rows.scan(view.name, columns=view.columns)
        first, last = moments.min(), moments.max()
        if not isinstance(first, datetime) or not isinstance(last, datetime):
            return rows.head(0).collect()
        rows = rows.filter(pl.col(view.time) <= last)
        if view.reach is not None:
            rows = rows.filter(pl.col(view.time) >= first - view.reach)
        with reading(view):
            return rows.collect()

    def _parts_or_none(self, name: str) -> list[Part]:
        try:
            return self._parts(name)
        except NotFound:
            return []

    def _targets(self, view: FeatureView) -> list[Target]:
        return [Target(self._store, part) for part in self._parts(view.name)]

    def _write(self, view: FeatureView, target: Target, *, version: int, limit: datetime, again: bool) -> int:
        before, until = target.head, micros(limit)
        task = Task(
            view=view,
            rows=self._rows,
            version=version,
            # What was seen once stays: time never moves back.
            limit=until if before.until is None else max(until, before.until),
            before=before,
        )
        _, written = materialise(
            task,
            target,
            write=write_fields if target.part.kind == "fields" else write_events,
            at=self._clock.now(),
            again=again or self._is_shrunk(view, before, version=version),
        )
        return written

    def _is_shrunk(self, view: FeatureView, head: Head, *, version: int) -> bool:
        if not head.version or version < head.version:
            return version < head.version
        since = range(head.version + 1, version + 1)
        # Usually there is one, and a dataset may have thousands.
        few = len(since) <= _FEW_VERSIONS
        versions = (
            [self._rows.version(view.name, n) for n in since] if few else self._rows.versions(view.name)
        )
        return is_shrunk(versions, since=head.version, until=version)

    def _materialisation(
        self, view: FeatureView, targets: Sequence[Target], *, version: int, written: int = 0
    ) -> Materialisation:
        heads = [target.head for target in targets]
        newest = [head.newest for head in heads if head.newest is not None]
        return Materialisation(
            view=view.name,
            store=self._store.shown,
            version=version,
            until=moment(min(head.until or 0 for head in heads)),
            newest=moment(max(newest)) if newest else None,
            entities=max(target.entities for target in targets),
            written=written,
            at=moment(max(head.at or 0 for head in heads)),
            parents=(self._rows.version(view.name, version).ref,),
        )

    def _instead(
        self,
        names: tuple[str, ...],
        rows: Mapping[str, Sequence[Any]],
        *,
        at: datetime,
        error: StoreUnavailable,
    ) -> OnlineRows:
        """Return null for everything, or raise the error, as the policy says."""
        if self._on_failure == "error":
            raise error
        lookup = self._lookups.get(names)
        schema = (
            lookup.schema if lookup else {f: None for name in names for f in self._view(name).output_names}
        )
        count = len(next(iter(rows.values()), ()))
        return OnlineRows(
            schema=schema, rows=[[None] * len(schema) for _ in range(count)], at=at, problem=str(error)
        )

    def _freshness(self, name: str, *, problem: str) -> ViewFreshness:
        view = self._view(name)
        try:
            newest = self._rows.version(name).version
        except NotFound:
            return ViewFreshness(view=name, store=self._store.shown)
        found = None
        try:
            if not problem:
                targets = self._targets(view)
                version = min(target.head.version for target in targets)
                found = self._materialisation(view, targets, version=version) if version else None
        except StoreUnavailable as error:
            problem = str(error)
        if problem:
            found = materialisations.remembered(self._ledger, name, store=self._store.shown)
        if found is None:
            return ViewFreshness(view=name, store=self._store.shown, behind=newest, problem=problem)
        return ViewFreshness.of(found, now=self._clock.now(), newest_version=newest, problem=problem)

    def _lease(
        self, view: str, *, patience: float = materialisations.PATIENCE
    ) -> AbstractContextManager[Lease]:
        return self._ledger.turn(f"online:{view}", holder="materialise", clock=self._clock, patience=patience)


def _values(entity: Any, view: FeatureView) -> tuple[Any, ...]:
    """Return an entity as one value for each of its columns."""
    if isinstance(entity, Mapping):
        values = tuple(entity[name] for name in view.entities if name in entity)
    else:
        values = entity if isinstance(entity, tuple) else (entity,)
    if len(values) != len(view.entities):
        msg = f"{entity!r} is no entity of feature view {view.name!r}. Expected a value for each of: {', '.join(view.entities)}."
        raise InvalidInput(msg, field=view.entities[0])
    return values
