"""The work of one worker of a search: takes trials, trains and scores each on the validation rows, until none is left."""

from __future__ import annotations

import faulthandler
import math
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from treadle.core.clock import monotonic, parse_span
from treadle.core.errors import (
    InvalidInput,
    LeaseLost,
    RunFailed,
    RunPreempted,
    StoreUnavailable,
    TrialPruned,
)
from treadle.core.records import Run, Window
from treadle.evaluation.own import measure_of
from treadle.loop import fitting
from treadle.loop.ahead import apart
from treadle.loop.contenders import from_bound
from treadle.loop.frames import Frames
from treadle.loop.judging import snapshot
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.training.context import RunContext
from treadle.training.data import TrainingData
from treadle.training.history import parse
from treadle.training.limits import limit
from treadle.training.notice import Notice
from treadle.training.sampling import Sampling
from treadle.training.search import Search
from treadle.training.trials import Board, Trial, TrialKeeper, best_of

CANDIDATE = "candidate"
#: Trials that may fail before one succeeds; then the search ends, as they would all fail.
MOST_FAILURES = 3
#: Seconds after its time limit at which a trial that cannot be interrupted takes its worker down.
GRACE = 5.0


def folder_of(rooms: Rooms, trial: Trial) -> Path:
    """Return the folder of a trial under way."""
    return rooms.runs.folder(trial.run) / "trials" / f"{trial.number:05}"


def metric_of(model: Model) -> str:
    """Return the metric at which a model's trials are to be the best."""
    return (model.search.metric if model.search else "") or str(model.task.metric)


def is_spent(search: Search, trials: Sequence[Trial]) -> bool:
    """Return whether a search's time or money is spent, or so many trials failed that the rest will as well."""
    if search.time:
        worked = sum(trial.seconds for trial in trials) / search.parallel
        if worked >= parse_span(search.time).total_seconds():
            return True
    if search.cost is not None and sum(trial.cost for trial in trials) >= search.cost:
        return True
    ended = [trial.state for trial in trials if trial.finished_at is not None]
    return ended.count("failed") >= MOST_FAILURES and set(ended) == {"failed"}


class Worker:
    """Takes trials of one run, one after the other."""

    def __init__(
        self,
        model: Model,
        run: Run,
        rooms: Rooms,
        *,
        name: str,
        price: float = 0.0,
        notice: Notice | None = None,
    ) -> None:
        """Take what to train; `notice` is given where this process is the worker's own."""
        assert model.search is not None
        self._model, self._run, self._rooms, self._name = model, run, rooms, name
        self._search, self._price, self._notice = model.search, price, notice
        greater = measure_of(metric_of(model), model.task).greater_is_better
        self._greater = greater
        self._sampling = Sampling(model.search, name=model.name, seed=run.seed, greater=greater)
        self._board = Board(rooms.trials, run.id)
        self._data: dict[str, TrainingData] = {}
        self._limit = parse_span(model.timeout or rooms.timeout).total_seconds()

    def work(self) -> None:
        """Try until no trial is left to be begun, or the machine announces its end.

        Raises:
            LeaseLost: somebody else goes on with the run.
            StoreUnavailable: a store does not answer.
            RunPreempted: the end was announced, and the state of the trial is saved.
        """
        while not (self._notice and self._notice.given):
            trials = self._board.refresh()
            if is_spent(self._search, trials):
                return
            claim = self._rooms.trials.claim
            trial = claim(self._run, worker=self._name, price=self._price, most=self._search.most)
            if trial is None:
                return
            self._try(self._drawn(trial))

    def _drawn(self, trial: Trial) -> Trial:
        """Give a new trial its parameters. One that was interrupted before it had them gets the same as it would have had."""
        if trial.params is not None:
            return trial
        params, window, drawn = self._sampling.draw(trial.number, self._board.refresh())
        return self._rooms.trials.save(trial, params=params, window=window, drawn=drawn)

    def _try(self, trial: Trial) -> None:
        begun, trials = monotonic(), self._rooms.trials
        attempt = _Attempt(trial, self)

        def ended(state: Any, **changes: Any) -> None:
            seconds = trial.seconds + monotonic() - begun
            trials.finish(attempt.trial, state=state, seconds=seconds, **attempt.logged(), **changes)

        try:
            with self._watched(trial):
                estimator, data = attempt.train()
                value, scores = self._score(estimator, data)
                fitted = self._packed(attempt, estimator, data, value)
            ended("succeeded", value=value, fitted=fitted, metrics={**attempt.last_metrics(), **scores})
        except TrialPruned as error:
            last = attempt.trial.steps[-1][1] if attempt.trial.steps else None
            ended("pruned", value=last, error=str(error), metrics=attempt.last_metrics())
        except (RunPreempted, StoreUnavailable, MemoryError):
            raise
        except LeaseLost as error:
            # Of this trial only: the next claim says whether the run is lost as well.
            self._rooms.progress.step(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a training function raises is the trial's result
            said = fitting.sentence(error, self._model, root=self._rooms.root)
            ended("failed", error=said, traceback=traceback.format_exc(), metrics=attempt.last_metrics())

    def _score(self, estimator: Any, data: TrainingData) -> tuple[float, dict[str, float]]:
        rows, wanted = data.validation, metric_of(self._model)
        version = self._run.data[self._model.data.name]
        tested = snapshot(self._model, rows.frame, task=data.task, version=version, on="validation")
        known = fitting.settled(estimator, data)
        answers = {CANDIDATE: from_bound(known.task.predictions(estimator, rows.X), known.signature)}
        names = tuple(dict.fromkeys((wanted, *data.task.metrics)))
        scores = self._rooms.verdicts.scores(tested, answers, task=data.task, metrics=names)
        found = scores[CANDIDATE]
        if wanted not in found:
            msg = (
                f"{wanted} has no value on the {len(rows)} validation rows, so the trial cannot be compared."
            )
            raise RunFailed(msg)
        return found[wanted], {f"validation.{name}": value for name, value in found.items()}

    def _packed(
        self, attempt: _Attempt, estimator: Any, data: TrainingData, value: float
    ) -> dict[str, Any] | None:
        """Package the model where it is the best so far; else nobody will ask for it."""
        best = best_of(self._board.refresh(), greater=self._greater)
        if best is not None and best.value is not None:
            is_better = value > best.value if self._greater else value < best.value
            if not is_better:
                return None
        trial, run = attempt.trial, self._run
        fitted = fitting.packed(
            self._model,
            estimator,
            data,
            seed=run.seed,
            metrics=attempt.last_metrics(),
            objects=self._rooms.objects,
        )
        chosen = msgspec.structs.replace(
            fitted, trial=trial.number, params=trial.params, window=self.window(trial)
        )
        found: dict[str, Any] = msgspec.to_builtins(chosen)
        return found

    def window(self, trial: Trial) -> Window:
        """Return the stretch of event time that a trial is trained on."""
        assert self._run.window is not None
        if not trial.window:
            return self._run.window
        chosen = self._search.windows[self._search.labels.index(trial.window)]
        return chosen.at(self._run.window.end)

    def data(self, trial: Trial) -> TrainingData:
        """Return a trial's rows: train rows of its own window, and the validation rows that are the same for all.

        Raises:
            InvalidInput: there are no validation rows.
        """
        if trial.window not in self._data:
            self._data[trial.window] = self._read(self.window(trial))
        return self._data[trial.window]

    def _read(self, window: Window) -> TrainingData:
        whole = self._run.window
        assert whole is not None
        starts = [window.start, whole.start]
        first = None if None in starts else min(start for start in starts if start is not None)
        everything = Frames(self._rooms.datasets).rows(
            self._model, versions=self._run.data, window=Window(start=first, end=max(window.end, whole.end))
        )
        frame = apart(self._model, everything, until=whole.end)
        time = pl.col(self._model.data.time_column)
        kept = (pl.col("_split") == "train") & _inside(time, window)
        scored = (pl.col("_split") == "validation") & _inside(time, whole)
        ahead = fitting.ahead_of(
            self._model, Frames(self._rooms.datasets), versions=self._run.data, forward=self._run.forward
        )
        data = fitting.data_of(
            self._model,
            frame.filter(kept | scored),
            window,
            asked=[everything, *ahead],
        )
        if not len(data.validation):
            msg = (
                f"There are no validation rows of {self._model.data.name!r} from {whole.start} to {whole.end} to score trials "
                "on. Declare a split with some, as td.HashSplit(train=0.8, validation=0.1, test=0.1), or a longer window."
            )
            raise InvalidInput(msg, field="search")
        return replace(data, trees=fitting.checked_out(self._model, self._run, self._rooms))

    def give_up(self, attempt: _Attempt, value: float, step: int) -> bool:
        """Keep what a trial reports, and say whether the pruner gives it up."""
        if self._search.pruner == "none" or not math.isfinite(value):
            return False
        steps = tuple({**dict(attempt.trial.steps), step: value}.items())
        attempt.trial = self._rooms.trials.save(attempt.trial, steps=steps)
        return self._sampling.is_hopeless(attempt.trial, self._board.refresh())

    @contextmanager
    def _watched(self, trial: Trial) -> Iterator[None]:
        """Hold a trial to its time limit; in a worker of its own its output goes to the log in one piece."""
        with ExitStack() as stack:
            if self._notice is not None:
                stack.enter_context(_captured(folder_of(self._rooms, trial) / "log.txt", trial))
                faulthandler.dump_traceback_later(self._limit + GRACE, exit=True)
                stack.callback(faulthandler.cancel_dump_traceback_later)
            stack.enter_context(limit(self._limit))
            yield

    def context(self, attempt: _Attempt) -> RunContext:
        """Return what the training function is handed as its third argument."""
        trial = attempt.trial
        keeper = TrialKeeper(self._rooms.trials, trial, folder_of(self._rooms, trial))
        run = msgspec.structs.replace(self._run, params=trial.params or {}, attempts=trial.attempts)
        return RunContext(
            run=run,
            runs=keeper,
            trial=trial.number,
            notice=self._notice,
            give_up=lambda value, step: self.give_up(attempt, value, step),
        )

    def call(self, data: TrainingData, context: RunContext) -> Any:
        """Call the training function."""
        return self._model(data, context.params, context)

    def keep_history(self, trial: Trial) -> str:
        """Store the metrics by step that a trial has logged, and return the object's digest."""
        path = folder_of(self._rooms, trial) / "metrics.jsonl"
        return self._rooms.objects.put_file(path) if path.is_file() and path.stat().st_size else ""

    def points(self, trial: Trial) -> tuple[tuple[int, float], ...]:
        """Return what a trial has reported: step, value."""
        path = folder_of(self._rooms, trial) / "metrics.jsonl"
        found = parse(path.read_bytes()) if path.is_file() else []
        reported = {p.step: p.value for p in found if p.name == "report"}
        return tuple(
            (step, value) for step, value in reported.items() if step is not None and value is not None
        )


class _Attempt:
    """One trial, being tried."""

    def __init__(self, trial: Trial, worker: Worker) -> None:
        self.trial, self._worker = trial, worker
        self._context: RunContext | None = None

    def train(self) -> tuple[Any, TrainingData]:
        """Call the training function on the trial's rows."""
        data = self._worker.data(self.trial)
        self._context = self._worker.context(self)
        return self._worker.call(data, self._context), data

    def last_metrics(self) -> dict[str, float]:
        """Return the last value of each metric that it logged."""
        return self._context.last_metrics() if self._context is not None else {}

    def logged(self) -> dict[str, Any]:
        """Return what it logged on the way, as it is kept with the trial."""
        return {
            "history": self._worker.keep_history(self.trial),
            "steps": self._worker.points(self.trial) or self.trial.steps,
        }


def _inside(time: pl.Expr, window: Window) -> pl.Expr:
    inside = time < window.end
    return inside if window.start is None else inside & (time >= window.start)


@contextmanager
def _captured(path: Path, trial: Trial) -> Iterator[None]:
    """Write what this process prints, native libraries included, to a file, and at the end to where it went before.

    So the lines of one trial stand together in the log of the run. What an attempt that was killed had printed is in the
    file still, and comes with the next one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in enumerate(kept, start=1):
            os.dup2(before, number)
            os.close(before)
        head = f"--- trial {trial.number}: {trial.params} {trial.window}".rstrip()
        os.write(1, f"{head}\n".encode() + path.read_bytes())
        path.unlink()
