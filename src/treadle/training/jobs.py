"""A training to be run somewhere: a command for engines that start processes, a call for those that do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from treadle.training.resources import Resources


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run; both ways do the same."""

    #: Program and arguments.
    command: Sequence[str]
    #: The same work in this process.
    call: Callable[[], object]
    #: The id of the run that it is a part of; empty: of none.
    run: str = ""
    #: Folder in which the command starts; None: this process's.
    cwd: Path | None = None
    #: Environment variables on top of this process's.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: What it needs of the machine.
    resources: Resources = field(default_factory=Resources)
    #: Files that it leaves, where it runs on a machine that does not share this one's folders.
    leaves: Sequence[Path] = ()


class Engine(Protocol):
    """A place where jobs run: class `Engine` of a plug-in module of kind `compute`.

    It is made with the setting `compute.address`, which one that has no other machines refuses.
    """

    #: Whether several jobs can run at once, each asked for by a thread of its own.
    parallel: bool

    def close(self) -> None:
        """Let go of what the engine holds, as a connection to a cluster."""
        ...

    def stop(self, run: str = "") -> None:
        """Tell all jobs that run now to end, or those of one run (SIGTERM); those that save checkpoints save their state first."""
        ...

    def run(self, job: Job, *, log: Path, timeout: float | None) -> None:
        """Run a job to its end; what it prints is appended to the file `log`.

        `timeout` is how many seconds it may take; None: as long as it likes. Where this process is interrupted
        meanwhile, the job is told to end (SIGTERM), and has the engine's time of grace to save its state.

        Raises:
            RunTimeout: it took longer and was stopped.
            RunPreempted: its machine went away, or announced that it will.
            RunCrashed: its process was ended by a signal.
            RunFailed: it ended with an error.
            InvalidDeclaration: this engine cannot give the resources that it needs.
        """
        ...
