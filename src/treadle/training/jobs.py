"""A training to be run somewhere: a command for engines that start processes, a call for those that do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run; both ways do the same."""

    #: Program and arguments.
    command: Sequence[str]
    #: The same work in this process.
    call: Callable[[], object]
    #: Folder in which the command starts; None: this process's.
    cwd: Path | None = None
    #: Environment variables on top of this process's.
    environment: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """A place where jobs run: class `Engine` of a plug-in module of kind `compute`."""

    def run(self, job: Job, *, log: Path, timeout: float | None) -> None:
        """Run a job to its end; what it prints is appended to the file `log`.

        `timeout` is how many seconds it may take; None: as long as it likes.

        Raises:
            RunTimeout: it took longer and was stopped.
            RunCrashed: its process was ended by a signal.
            RunFailed: it ended with an error.
        """
        ...
