"""What a mirror (a file in `mirrors/`) must be able to do, and the records that it is handed.

A mirror is a tracker elsewhere that shows what the ledger holds. Every verb may be repeated: the process may be killed
between any two requests, and then the same is told again. What is told again is shown once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from treadle.core.records import ModelVersion, Record


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one metric; None: it was no finite number."""

    name: str
    value: float | None
    step: int
    at: datetime


class MirroredRun(Record, frozen=True, kw_only=True):
    """A run, or a trial of one, as a tracker is told."""

    #: By which it is found again: the run's id, or `run/number` of a trial.
    id: str
    project: str
    model: str
    #: What a person reads in a list.
    name: str
    #: The tracker's own name of the run that this is a trial of; empty: it is a run.
    parent: str = ""
    #: `killed`: a trial that was given up on the way.
    status: Literal["running", "finished", "failed", "killed"]
    started_at: datetime
    finished_at: datetime | None = None
    #: Empty while the run goes on: a search decides them at its end.
    params: dict[str, str] = msgspec.field(default_factory=dict)
    #: The values that count, beside those by step.
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    #: A few sentences for a person.
    note: str = ""
    #: Git commit of the code; empty: none is known.
    commit: str = ""
    #: Dataset versions that it read, by name.
    data: dict[str, int] = msgspec.field(default_factory=dict)


class MirroredVersion(Record, frozen=True, kw_only=True):
    """A model version as a tracker is told."""

    project: str
    version: ModelVersion
    #: The tracker's own name of the run that made it.
    run: str
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    note: str = ""


class Fetched(Record, frozen=True, kw_only=True):
    """A model that a tracker holds, as files."""

    #: What was asked for, and the version that it was.
    reference: str
    version: str
    #: The tracker's address, without secrets, and its own name of the run that made the version.
    place: str
    run: str = ""
    #: `onnx`: read without running any code; or the name of another way in which it is stored.
    flavour: str
    #: Whether reading it runs code that is stored in it.
    runs_code: bool
    #: Of a flavour that is read without code, the file that is the model.
    data: str = ""
    #: File name → content.
    files: dict[str, bytes]
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class Mirror(Protocol):
    """A tracker: class `Mirror` of a plug-in module of kind `mirror`.

    It is on where variables are set that begin with the plug-in's name in capitals, as `MLFLOW_`, and name a place.
    All verbs raise `MirrorUnavailable` where it does not answer in a bounded time, or does not let us in, and
    `MirrorRefused` where it answers and will not take this. No message holds a secret.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Take the variables; nothing is asked yet.

        Raises:
            SettingsError: one of them is not valid, or asks for what this mirror cannot do.
        """
        ...

    @property
    def place(self) -> str:
        """The tracker's address, without secrets; what was told is remembered by it. Empty: it is off."""
        ...

    def check(self) -> str:
        """Say who answers."""
        ...

    def begin(self, run: MirroredRun, *, known: str = "") -> str:
        """Return the tracker's own name of a run: of the one that is there, else of a new one.

        Where there are several of the same id, all but one are taken away; `known` stays if it is among them.
        """
        ...

    def attach(self, remote: str, files: Mapping[str, bytes]) -> None:
        """Let a run have these files, by their paths."""
        ...

    def tell(self, remote: str, run: MirroredRun, *, points: Iterable[Point]) -> None:
        """Let a run show this: tags, parameters, metrics by step, and last of all its end."""
        ...

    def register(self, told: MirroredVersion, files: Mapping[str, bytes], *, known: str = "") -> str:
        """Return the tracker's own number of a version: of the one that is there, else of a new one with these files.

        `files` are those of the package with its manifest; none: the package was collected before. `known`: see `begin`.
        """
        ...

    def retire(self, told: MirroredVersion, number: str) -> None:
        """Let a version say that its package was collected here."""
        ...

    def point(self, model: str, alias: str, number: str | None) -> None:
        """Let an alias point at a version, by the tracker's own number; None: take the alias away."""
        ...

    def fetch(self, reference: str) -> Fetched:
        """Return a model that the tracker holds, as `models:/delay@champion` or `models:/delay/3`.

        Raises:
            NotFound: there is no such model, version or alias.
        """
        ...
