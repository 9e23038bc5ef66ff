"""A run's search: workers try sets of hyper-parameters, those that die are started again, and the best trial is the candidate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import msgspec

from treadle.core.clock import monotonic
from treadle.core.errors import RunCrashed, RunFailed, RunPreempted
from treadle.core.records import Run
from treadle.evaluation.own import measure_of
from treadle.loop import fitting
from treadle.loop.cancelling import is_cancelled
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.loop.trying import metric_of
from treadle.training.compute.process import GRACE_OF_NOTICE
from treadle.training.jobs import Job
from treadle.training.resources import Resources, place_after
from treadle.training.trials import Trial, best_of

#: Makes the job of the worker of a name, at a place.
Jobs = Callable[[str, Resources], Job]


class Searching:
    """Runs the workers of one run's search."""

    def __init__(self, model: Model, run: Run, rooms: Rooms, *, jobs: Jobs) -> None:
        assert model.search is not None
        self._model, self._run, self._rooms, self._jobs = model, run, rooms, jobs
        self._search = model.search
        self._failures: list[Exception] = []
        self._losses = sum(trial.losses for trial in rooms.trials.of_run(run.id))
        self._lock = threading.Lock()
        self._stopped = False

    def best(self) -> fitting.Fitted:
        """Search, or go on with the search, and return what the best trial left.

        Raises:
            RunFailed: no trial succeeded.
            StoreUnavailable: a store does not answer.
            LeaseLost: somebody else goes on with the run.
        """
        trials = self._rooms.trials
        trials.release(self._run.id)
        self._work()
        trials.close(self._run.id)
        found = trials.of_run(self._run.id)
        best = best_of(found, greater=measure_of(metric_of(self._model), self._model.task).greater_is_better)
        if best is None or best.fitted is None:
            raise _nothing(found)
        self._rooms.progress.step(_sentence(best, found, metric_of(self._model)))
        return msgspec.convert(best.fitted, fitting.Fitted)

    def _work(self) -> None:
        """Let all workers work; those that end well are enough."""
        if not self._rooms.engine.parallel or self._search.parallel == 1:
            self._keep_working("0")
        else:
            self._in_threads()
        if self._failures and len(self._failures) == self._workers:
            raise self._failures[0]

    @property
    def _workers(self) -> int:
        return self._search.parallel if self._rooms.engine.parallel else 1

    def _in_threads(self) -> None:
        # A job ends with the thread that asked for it, so these may be left behind when this process ends.
        names = [str(number) for number in range(self._search.parallel)]
        threads = [threading.Thread(target=self._keep_working, args=[name], daemon=True) for name in names]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(timeout=1.0)
        except KeyboardInterrupt:
            self._stopped = True
            self._rooms.engine.stop()
            end = monotonic() + GRACE_OF_NOTICE
            for thread in threads:
                thread.join(timeout=max(end - monotonic(), 0.0))
            raise

    def _keep_working(self, name: str) -> None:
        """Let one worker work, and start it again as often as it dies with a trial in hand."""
        idle = 0
        while not self._stopped and not is_cancelled(self._run, self._rooms):
            try:
                self._work_once(name)
            except RunPreempted as error:
                self._lost(name, error)
            except RunCrashed as error:
                idle = 0 if self._crashed(name, str(error), retries=self._rooms.retries) else idle + 1
                if idle > self._rooms.retries:
                    self._failures.append(error)
                    return
            except RunFailed as error:
                # A trial that took its worker along without a word, as by exit(), or beyond its time limit.
                if not self._crashed(name, str(error), retries=0) or error.traceback:
                    self._failures.append(error)
                    return
            except Exception as error:  # noqa: BLE001 - of a thread: raised where the workers are waited for
                self._rooms.trials.release(self._run.id, worker=name)
                self._failures.append(error)
                return
            else:
                return

    def _work_once(self, name: str) -> None:
        with self._lock:
            place = place_after(self._losses, self._model.resources)
        folder = self._rooms.runs.folder(self._run.id)
        job = self._jobs(name, place)
        fitting.ran(
            lambda: self._rooms.engine.run(job, log=folder / "log.txt", timeout=None),
            folder / "workers" / name,
        )

    def _crashed(self, name: str, said: str, *, retries: int) -> Sequence[Trial]:
        return self._rooms.trials.release(self._run.id, worker=name, crash=said, retries=retries)

    def _lost(self, name: str, error: RunPreempted) -> None:
        with self._lock:
            self._losses += 1
        self._rooms.trials.release(self._run.id, worker=name, lost=True)
        self._rooms.progress.step(f"worker {name}: {error}")


def _nothing(trials: Sequence[Trial]) -> RunFailed:
    failed = [trial for trial in trials if trial.state == "failed"]
    if not failed:
        return RunFailed("The search ended without a trial that succeeded. Give it a larger budget.")
    first = failed[0]
    msg = f"No trial of the search succeeded: {len(failed)} of {len(trials)} failed. The first: {first.error}"
    return RunFailed(msg, traceback=first.traceback)


def _sentence(best: Trial, trials: Sequence[Trial], name: str) -> str:
    states = [trial.state for trial in trials]
    rest = ", ".join(
        f"{states.count(state)} {state}" for state in ("succeeded", "pruned", "failed") if state in states
    )
    return f"trial {best.number} is the best: {name} {best.value:.6g} on the validation rows ({rest})"
