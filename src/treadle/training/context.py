"""The run, as the training function sees it: seed, parameters, metrics and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from treadle.core.clock import Clock, SystemClock, monotonic, parse_span
from treadle.core.errors import InvalidInput, RunPreempted, TrialPruned
from treadle.core.ids import new_id
from treadle.core.records import Run
from treadle.training.checkpoints import State
from treadle.training.history import History, Point, last_values, parse
from treadle.training.notice import Notice


class Keeper(Protocol):
    """What keeps a run's files and checkpoints."""

    @property
    def clock(self) -> Clock:
        """What tells the time."""
        ...

    def folder(self, run: str) -> Path:
        """Return the run's folder, which exists."""
        ...

    def save_checkpoint(self, run: Run, state: State) -> int:
        """Keep a state and return its number."""
        ...

    def checkpoint(self, run: str) -> State | None:
        """Return the newest state."""
        ...


class RunContext:
    """One run, handed to the training function as its third argument.

    >>> run = RunContext.detached(folder=folder, seed=7)                    # doctest: +SKIP
    >>> run.log_metric("loss", 0.25, step=1); run.last_metrics()            # doctest: +SKIP
    {'loss': 0.25}
    """

    def __init__(
        self,
        *,
        run: Run,
        runs: Keeper,
        trial: int | None = None,
        notice: Notice | None = None,
        give_up: Callable[[float, int], bool] | None = None,
    ) -> None:
        """Take the run and what keeps its files; `give_up(value, step)` says whether a trial is hopeless."""
        self._run, self._runs = run, runs
        #: Number of the trial of a search; None: this is no search.
        self.trial = trial
        self._notice = notice
        self._give_up = give_up
        self._saved_at: float | None = None
        self._path = runs.folder(run.id) / "metrics.jsonl"
        self._history = History(self._path)

    @classmethod
    def detached(
        cls, *, folder: Path, seed: int = 0, params: dict[str, Any] | None = None, clock: Clock | None = None
    ) -> RunContext:
        """Return the context of a run that is nowhere recorded: for replays, tests and notebooks."""
        keeper = _Nobody(folder, clock or SystemClock())
        run = Run(
            id=new_id("detached"),
            model="",
            status="running",
            started_at=keeper.clock.now(),
            reason="detached",
            seed=seed,
            params=params or {},
        )
        return cls(run=run, runs=keeper)

    @property
    def id(self) -> str:
        """The run's id."""
        return self._run.id

    @property
    def seed(self) -> int:
        """The seed to give to everything that draws random numbers."""
        return self._run.seed

    @property
    def params(self) -> dict[str, Any]:
        """The parameters, as the training function's second argument."""
        return dict(self._run.params)

    @property
    def attempt(self) -> int:
        """How often this run was started; over 1: it was killed, and `checkpoint` says how far it had come."""
        return self._run.attempts

    @property
    def folder(self) -> Path:
        """A folder for scratch files; it is deleted when the run has ended."""
        path = self._runs.folder(self._run.id) / "files"
        path.mkdir(exist_ok=True)
        return path

    def log_metric(self, name: str, value: float, step: int | None = None) -> None:
        """Write a metric's value down, at a step (an epoch, an iteration) where there is one.

        NaN and infinite values are kept as missing. A step that is logged again, as after a kill, counts once: the
        last value stays.

        Raises:
            InvalidInput: the value is not a number.
        """
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            msg = f"The metric {name!r} is {value!r}. Expected a number."
            raise InvalidInput(msg, field=name) from error
        at = None if step is None else int(step)
        finite = number if math.isfinite(number) else None
        self._history.append(Point(name=str(name), value=finite, step=at, at=self._runs.clock.now()))

    def last_metrics(self) -> dict[str, float]:
        """Return the last finite value of each metric that was logged, in earlier attempts too."""
        return last_values(parse(self._path.read_bytes()))

    def report(self, value: float, step: int) -> None:
        """Say how good the model is after a step, in the search's metric; a hopeless trial of a search ends here.

        Outside a search, and in one without a pruner, it is a metric like others, named `report`.

        Raises:
            TrialPruned: the search's pruner gives the trial up. Let it through.
            InvalidInput: the value is not a number.
        """
        self.log_metric("report", value, step)
        if self._give_up is not None and self._give_up(float(value), int(step)):
            msg = f"Given up at step {step}, as other trials were better there."
            raise TrialPruned(msg)

    def save_checkpoint(self, state: State | Callable[[], State], *, every: str = "") -> int | None:
        """Save a state (names to bytes, numbers and texts) to go on from after a kill; return its number.

        Best called at the end of each step, with a function that makes the state and with `every`: then it is made and
        saved only when that much time has passed since the last one, and else None is returned. When the machine
        announces its end (SIGTERM), the state is saved at once and the training ends in good order.

        Raises:
            InvalidInput: a value is neither bytes, number nor text.
            LeaseLost: somebody else goes on with this run.
            RunPreempted: the state is saved, and the machine goes away. Let it through.
        """
        ending = self._must_end()
        if every and not ending and not self._is_due(parse_span(every).total_seconds()):
            return None
        number = self._runs.save_checkpoint(self._run, state() if callable(state) else state)
        self._saved_at = monotonic()
        if ending:
            msg = f"The machine announced its end; checkpoint {number} was saved, and training goes on from it elsewhere."
            raise RunPreempted(msg)
        return number

    def checkpoint(self) -> State | None:
        """Return the state that was saved last, also by an earlier attempt; None: begin at the beginning."""
        self._must_end()
        return self._runs.checkpoint(self._run.id)

    def _must_end(self) -> bool:
        """Return whether the end was announced; from now on that is heard, as the training can save its state."""
        if self._notice is None:
            return False
        self._notice.listen()
        return self._notice.given

    def _is_due(self, seconds: float) -> bool:
        if self._saved_at is None:
            self._saved_at = monotonic()
        return monotonic() - self._saved_at >= seconds


class _Nobody:
    """Keeps a detached run's metrics in its folder, and its last checkpoint in memory."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock, self._folder = clock, folder
        self._states: list[State] = []

    def folder(self, run: str) -> Path:  # noqa: ARG002 - it keeps one run only
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def save_checkpoint(self, run: Run, state: State) -> int:  # noqa: ARG002 - it keeps one run only
        self._states.append(dict(state))
        return len(self._states)

    def checkpoint(self, run: str) -> State | None:  # noqa: ARG002 - it keeps one run only
        return self._states[-1] if self._states else None
