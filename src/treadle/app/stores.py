"""The stores of a project that a server needs, opened when they are first asked for; nothing that knows of frames is imported for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.core import settings
from treadle.core.clock import Clock, FileClock, SystemClock
from treadle.core.errors import StoreUnavailable
from treadle.core.records import Variant
from treadle.core.servable import Servable
from treadle.registry.models import Models
from treadle.serving.endpoints import Endpoints
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.store.queue.queue import Queue

if TYPE_CHECKING:
    from treadle.serving.jobs.jobs import Jobs
    from treadle.store.tables.tables import Tables


class Stores:
    """The stores of one project, with the rooms that answer predictions from them."""

    def __init__(
        self, root: Path, *, settings: settings.Settings, clock: Clock, overrides: Mapping[str, Any]
    ) -> None:
        self.root = root
        self.settings = settings
        self.clock = clock
        #: What went before the file and the environment; processes that are started here get it as well.
        self.overrides = overrides

    @cached_property
    def ledger(self) -> Ledger:
        """The relational state."""
        found = self.settings.ledger
        return Ledger.open(
            found.url,
            root=self.root,
            schema=found.schema,
            timeout=found.timeout,
            before_first=self._must_be_empty,
        )

    @cached_property
    def objects(self) -> Objects:
        """Immutable files by digest."""
        return Objects.open(self.settings.objects.url, root=self.root, options=settings.aws_options())

    @cached_property
    def tables(self) -> Tables:
        """Versioned tables."""
        from treadle.store.tables.tables import Tables

        return Tables.open(self.settings.tables.url, root=self.root, options=settings.aws_options())

    @cached_property
    def queue(self) -> Queue:
        """Where jobs wait."""
        found = self.settings.queue
        return Queue.open(
            found.url, root=self.root, lease=found.lease, crashes=found.crashes, timeout=found.timeout
        )

    @cached_property
    def models(self) -> Models:
        """Room 6: model versions and aliases."""
        return Models(ledger=self.ledger, objects=self.objects, clock=self.clock, root=self.root)

    @cached_property
    def endpoints(self) -> Endpoints:
        """Room 7: endpoints and their revisions."""
        return Endpoints(ledger=self.ledger, clock=self.clock)

    @cached_property
    def jobs(self) -> Jobs:
        """Room 7: predictions that callers do not wait for."""
        from treadle.app.jobs import open_jobs

        return open_jobs(self)

    def load(self, variant: Variant) -> Servable:
        """Load the model version behind a variant, checked against its digests and golden rows."""
        return self.models.load(self.models.get(reference_of(variant)))

    def close(self) -> None:
        """Close the stores that were opened."""
        for name in ("queue", "ledger"):
            if name in self.__dict__:
                getattr(self, name).close()

    def _must_be_empty(self, ledger: str) -> None:
        """Refuse to begin a ledger beside rows that another one knew: they would be taken for leftovers and undone.

        Raises:
            StoreUnavailable: there are tables.
        """
        there = self.tables.names()
        if there:
            place = self.settings.tables.url
            msg = (
                f"The ledger {ledger} is gone or empty, but {place} holds tables ({', '.join(there[:3])}). Put the "
                "ledger back from a backup, or set ledger.url to where it is; to begin anew, take the tables away."
            )
            raise StoreUnavailable(msg)


def open_stores(project: Path | str | None = None, *, overrides: Mapping[str, Any] | None = None) -> Stores:
    """Open the stores of a project: of a folder, or of the nearest one upward with a `treadle.toml`.

    Raises:
        NotFound: there is no project here.
        SettingsError: a setting is unknown or has the wrong type.
    """
    root = settings.find_root(Path(project) if project is not None else None)
    found = settings.load(root, dict(overrides or {}))
    return Stores(root, settings=found, clock=clock_of(root, found), overrides=overrides or {})


def clock_of(root: Path, found: settings.Settings) -> Clock:
    """Return the clock that the settings name."""
    return FileClock(root / found.clock.file) if found.clock.file else SystemClock()


def reference_of(variant: Variant) -> str:
    """Return the reference of the version behind a variant."""
    return f"{variant.model}/{variant.version}"
