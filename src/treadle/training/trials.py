"""Trials: sets of hyper-parameters tried in a run, each claimed, tried and finished by one worker at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from treadle.core.clock import Clock
from treadle.core.errors import LeaseLost
from treadle.core.records import Record, Run, from_json, to_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training.checkpoints import Checkpoints, State, must_be_current

TrialState = Literal["waiting", "running", "succeeded", "pruned", "failed"]
UNDER_WAY = ("waiting", "running")


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the space as Optuna knows it, by which later draws learn from it."""

    params: dict[str, Any] = {}
    #: Name → the range or list that it was drawn from, as Optuna writes it.
    distributions: dict[str, str] = {}
    #: What the sampler remembers with it.
    attributes: dict[str, Any] = {}


class Trial(Record, frozen=True, kw_only=True):
    """One set of hyper-parameters in a run."""

    run: str
    #: 0, 1, 2, …
    number: int
    #: `waiting`: it was interrupted, and the next worker goes on with it.
    state: TrialState
    #: What the training function gets; None: it is not drawn yet.
    params: dict[str, Any] | None = None
    #: The window that was drawn with it; empty: that of the run.
    window: str = ""
    drawn: Drawn = Drawn()
    #: The metric on the validation rows; for a pruned trial what it reported last.
    value: float | None = None
    #: What it reported on the way: step, value.
    steps: tuple[tuple[int, float], ...] = ()
    #: Last value of each metric that the training function logged, and all that the task reports on the validation rows.
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    #: How often it was begun; over 1: it was interrupted and went on.
    attempts: int = 1
    #: How often its process ended without a word, as by a signal.
    crashes: int = 0
    #: How often its machine went away under it.
    losses: int = 0
    #: The attempt of the run in which it was last begun.
    turn: int = 1
    worker: str = ""
    started_at: datetime
    finished_at: datetime | None = None
    #: Seconds that workers spent on it, in all attempts.
    seconds: float = 0.0
    #: What an hour of the worker cost.
    price: float = 0.0
    #: Digest of the object with each logged metric by step.
    history: str = ""
    error: str = ""
    traceback: str = ""
    #: The packaged model, where it was the best so far when it ended.
    fitted: dict[str, Any] | None = None

    @property
    def ref(self) -> str:
        """The reference of this record."""
        return f"trial:{self.run}/{self.number}"

    @property
    def cost(self) -> float:
        """What its workers cost."""
        return self.seconds / 3600 * self.price


class Trials:
    """The trials of runs, in the ledger."""

    def __init__(self, *, ledger: Ledger, objects: Objects, clock: Clock) -> None:
        self.clock = clock
        self._ledger = ledger
        self._checkpoints = Checkpoints(ledger, objects, clock)

    def of_run(self, run: str) -> list[Trial]:
        """Return the trials of a run by number."""
        return sorted(self.changed(run, after=0)[0], key=lambda trial: trial.number)

    def changed(self, run: str, *, after: int) -> tuple[list[Trial], int]:
        """Return the trials that changed after a change, and the number of the last change there is."""
        wanted = select(t.trials.c.body, t.trials.c.change).where(
            (t.trials.c.run == run) & (t.trials.c.change > after)
        )
        with self._ledger.read() as connection:
            rows = connection.execute(wanted).all()
        return [from_json(row.body, Trial) for row in rows], max((row.change for row in rows), default=after)

    def claim(self, run: Run, *, worker: str, price: float = 0.0, most: int | None) -> Trial | None:
        """Take an interrupted trial, or else a new one; None: there are `most` of them already.

        Raises:
            LeaseLost: the run has ended, or somebody else goes on with it.
        """
        changes: dict[str, Any] = {"state": "running", "turn": run.attempts, "worker": worker, "price": price}
        with self._ledger.write() as connection:
            must_be_current(connection, run)
            wanted = select(t.trials.c.body).where(
                (t.trials.c.run == run.id) & (t.trials.c.state == "waiting")
            )
            found = connection.execute(wanted.order_by(t.trials.c.number).limit(1)).scalar()
            if found is not None:
                trial = from_json(found, Trial)
                return _store(
                    connection, msgspec.structs.replace(trial, attempts=trial.attempts + 1, **changes)
                )
            count = select(func.count()).select_from(t.trials).where(t.trials.c.run == run.id)
            number = connection.execute(count).scalar_one()
            if most is not None and number >= most:
                return None
            begun = Trial(run=run.id, number=number, started_at=self.clock.now(), **changes)
            row = {"run": run.id, "number": number, "state": "running", "change": _next(connection, run.id)}
            connection.execute(insert(t.trials).values(**row, body=to_json(begun)))
            return begun

    def save(self, trial: Trial, **changes: Any) -> Trial:
        """Change the record of a trial that this process works on, and return it.

        Raises:
            LeaseLost: it was given to another worker, or the run was; nothing is written.
        """
        changed: Trial = msgspec.structs.replace(trial, **changes)
        with self._ledger.write() as connection:
            must_be_ours(connection, trial)
            return _store(connection, changed)

    def finish(self, trial: Trial, *, state: TrialState, **changes: Any) -> Trial:
        """Record how a trial ended; see `save`."""
        return self.save(trial, state=state, finished_at=self.clock.now(), **changes)

    def save_checkpoint(self, trial: Trial, state: State) -> int:
        """Save a training state to go on from; return its number.

        Raises:
            LeaseLost: another worker goes on with the trial.
        """
        return self._checkpoints.save(
            _owner(trial), state, check=lambda connection: must_be_ours(connection, trial)
        )

    def checkpoint(self, trial: Trial) -> State | None:
        """Return the training state that was saved last, or None."""
        return self._checkpoints.latest(_owner(trial))

    def release(
        self, run: str, *, worker: str | None = None, crash: str = "", retries: int = 0, lost: bool = False
    ) -> list[Trial]:
        """Let others go on with the trials of a worker that has ended (or of all of them), and return them.

        With `crash` it ended without a word, and says so: a trial of which that happened more than `retries` times has failed.
        `lost` says that its machine went away, which is no fault of the trial's.
        """
        wanted = (t.trials.c.run == run) & (t.trials.c.state == "running")
        released = []
        with self._ledger.write() as connection:
            for body in connection.execute(select(t.trials.c.body).where(wanted)).scalars().all():
                trial = from_json(body, Trial)
                if worker is None or trial.worker == worker:
                    freed = msgspec.structs.replace(trial, losses=trial.losses + lost)
                    freed = self._freed(freed, crash, retries)
                    released.append(_store(connection, freed))
        return released

    def _freed(self, trial: Trial, crash: str, retries: int) -> Trial:
        crashes = trial.crashes + bool(crash)
        if crashes <= retries or not crash:
            freed: Trial = msgspec.structs.replace(trial, state="waiting", crashes=crashes, worker="")
            return freed
        ended: Trial = msgspec.structs.replace(
            trial, state="failed", crashes=crashes, error=crash, finished_at=self.clock.now()
        )
        return ended

    def close(self, run: str) -> None:
        """Record that interrupted trials will not go on, as the search has ended."""
        for trial in self.of_run(run):
            if trial.state == "waiting":
                error = "The search's budget was spent before the trial could go on."
                with self._ledger.write() as connection:
                    ended = msgspec.structs.replace(
                        trial, state="failed", error=error, finished_at=self.clock.now()
                    )
                    _store(connection, ended)


class TrialKeeper:
    """Keeps the files and checkpoints of one trial, as `RunContext` asks for them."""

    def __init__(self, trials: Trials, trial: Trial, folder: Path) -> None:
        self.clock = trials.clock
        self._trials, self._trial, self._folder = trials, trial, folder

    def folder(self, run: str) -> Path:  # noqa: ARG002 - it keeps one trial only
        """Return the trial's folder, which exists."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def save_checkpoint(self, run: Run, state: State) -> int:  # noqa: ARG002 - it keeps one trial only
        """Keep a state and return its number."""
        return self._trials.save_checkpoint(self._trial, state)

    def checkpoint(self, run: str) -> State | None:  # noqa: ARG002 - it keeps one trial only
        """Return the newest state."""
        return self._trials.checkpoint(self._trial)


class Board:
    """What a worker knows of a search's trials; it asks the ledger only for what has changed."""

    def __init__(self, trials: Trials, run: str) -> None:
        self._trials, self._run = trials, run
        self._change = 0
        self._known: dict[int, Trial] = {}

    def refresh(self) -> list[Trial]:
        """Return all trials by number, as they are now."""
        changed, self._change = self._trials.changed(self._run, after=self._change)
        self._known.update({trial.number: trial for trial in changed})
        return [self._known[number] for number in sorted(self._known)]


def best_of(trials: Iterable[Trial], *, greater: bool) -> Trial | None:
    """Return the trial with the best value of those that succeeded; of equal ones the first."""
    there = [trial for trial in trials if trial.state == "succeeded" and trial.value is not None]
    sign = -1.0 if greater else 1.0
    return min(there, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def must_be_ours(connection: Connection, trial: Trial) -> None:
    """Make sure, in a write transaction, that a trial is still this worker's.

    Raises:
        LeaseLost: it has ended, or another worker goes on with it, or the run was given to another process.
    """
    wanted = (t.trials.c.run == trial.run) & (t.trials.c.number == trial.number)
    body = connection.execute(select(t.trials.c.body).where(wanted)).scalar()
    stored = from_json(body, Trial) if body else None
    if stored is None or stored.state != "running" or stored.attempts != trial.attempts:
        state = "is gone" if stored is None else f"is {stored.state}, in attempt {stored.attempts}"
        msg = f"Trial {trial.number} of run {trial.run} {state}; this is attempt {trial.attempts}, so nothing was written."
        raise LeaseLost(msg)


def _owner(trial: Trial) -> str:
    return f"{trial.run}/{trial.number}"


def _store(connection: Connection, trial: Trial) -> Trial:
    wanted = (t.trials.c.run == trial.run) & (t.trials.c.number == trial.number)
    change = _next(connection, trial.run)
    connection.execute(
        update(t.trials).where(wanted).values(state=trial.state, change=change, body=to_json(trial))
    )
    return trial


def _next(connection: Connection, run: str) -> int:
    last = connection.execute(select(func.max(t.trials.c.change)).where(t.trials.c.run == run)).scalar()
    return (last or 0) + 1
