"""The built-in pipeline, one turn of the loop: ingest, plan, train, register, judge, release.

Each step's result is kept under the hash of its code, inputs and parameters. A killed run goes on where it
stopped, with the same id, data versions and window; a turn in which nothing is new is not made again.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from treadle.core.errors import Conflict, RunFailed, StoreUnavailable, TreadleError
from treadle.core.ids import new_id
from treadle.core.records import ModelVersion, Run, StepResult, Verdict, Window
from treadle.core.shown import shown
from treadle.loop import approvals, fitting, judging, online, turns
from treadle.loop.candidates import Jobs, candidate
from treadle.loop.frames import Frames
from treadle.loop.models import Model
from treadle.loop.plans import plan
from treadle.loop.releases import Release
from treadle.loop.rooms import Rooms
from treadle.loop.sources import Sources
from treadle.loop.steps import Left, Steps, key_of
from treadle.loop.turns import Due
from treadle.store.ledger.leases import Lease
from treadle.training import code, environment

#: How often a run is begun before it counts as failed: its training may take the whole process down each time.
MOST_ATTEMPTS = 20
#: Problems with files that are told at a turn; `treadle status` tells all.
MOST_PROBLEMS = 5


@dataclass(frozen=True)
class Turn:
    """What one turn of the loop came to."""

    run: Run
    #: Nothing was new since `run`, so nothing was done.
    unchanged: bool
    verdicts: tuple[Verdict, ...]
    #: What became of the version, in words.
    outcome: str

    def _repr_html_(self) -> str:
        return shown(self)


class Pipelines:
    """Turns the loop for one model at a time."""

    def __init__(self, rooms: Rooms, *, jobs: Jobs) -> None:
        """Take the rooms, and what says how the engine starts a training."""
        self._rooms, self._jobs = rooms, jobs
        self._steps = Steps(rooms.ledger, rooms.objects, rooms.clock)
        self._frames, self._sources = Frames(rooms.datasets), Sources(rooms)

    def ingest(self, model: Model) -> dict[str, int]:
        """Read what is new for a model's dataset, views and trees, also into the online store; return the newest version of each.

        Raises:
            NotFound: the dataset has no rows yet.
        """
        found = {}
        for name in (model.data.name, *(view.name for view in model.features)):
            self._rooms.progress.step(f"ingest {name}")
            self._sources.ingest(name)
            for problem in self._rooms.datasets.problems(name)[:MOST_PROBLEMS]:
                self._rooms.progress.step(f"  {problem}")
            found[name] = self._rooms.datasets.version(name).version
        for tree in model.trees:
            self._rooms.progress.step(f"add {tree.name}")
            self._rooms.trees.add(tree)
            found[tree.name] = self._rooms.trees.version(tree.name).version
        online.refresh(model.features, self._rooms)
        return found

    def turn(
        self,
        model: Model,
        *,
        reason: str,
        force: bool = False,
        also: Callable[[Connection], None] | None = None,
    ) -> Turn:
        """Make one turn of the loop, or go on with the one that was interrupted.

        `also` writes what is to be kept with a new run, in the transaction that starts it.

        Raises:
            Busy: another process turns the loop of this model now.
            RunFailed: the training function failed; the run's record has the traceback and the log.
        """
        with turns.lease(model, self._rooms) as lease:
            made = code.digest(model.function, root=self._rooms.root)
            run = self._interrupted(model, made)
            if run is not None:
                return self._carry_through(model, run, made, lease)
            return self._fresh(model, made, lease, reason=reason, force=force, also=also)

    def turn_if_due(self, model: Model, decide: Callable[[], Due]) -> Turn | None:
        """Go on with the turn that was interrupted, or make one if the model is due; None: it is not.

        What is decided is decided while the lease is held: who waited for another watcher's turn sees what that has done, so that
        of several watchers one trains, once.

        Raises:
            Busy: another process turns the loop of this model now.
            NoRoom: as many turns are under way, over all models, as may be.
            RunFailed: the training function failed.
        """
        with turns.lease(model, self._rooms) as lease, turns.slot(self._rooms):
            made = code.digest(model.function, root=self._rooms.root)
            run = self._interrupted(model, made)
            if run is not None:
                return self._carry_through(model, run, made, lease)
            due = decide()
            if not due.decision.due:
                return None
            return self._fresh(model, made, lease, reason=due.decision.reason, force=due.force, also=due.also)

    def _fresh(
        self,
        model: Model,
        made: str,
        lease: Lease,
        *,
        reason: str,
        force: bool,
        also: Callable[[Connection], None] | None,
    ) -> Turn:
        versions = self.ingest(model)
        planned = self._plan(model, versions)
        key = self._turn_key(model, made, versions, planned, nonce=new_id() if force else "")
        kept = self._steps.find(key)
        if kept is not None:
            return self._unchanged(kept)

        def begin(connection: Connection) -> None:
            lease.check(connection)
            if also is not None:
                also(connection)

        run = self._start(model, reason=reason, versions=versions, plan=planned, turn=key, also=begin)
        return self._carry_through(model, run, made, lease)

    def _interrupted(self, model: Model, made: str) -> Run | None:
        run = self._rooms.runs.running(model.name)
        if run is None:
            return None
        if run.code is None or run.code.digest != made:
            self._refuse(model, run)
            return None
        if run.attempts - self._rooms.runs.progress(run) >= MOST_ATTEMPTS:
            msg = (
                f"The run was begun {run.attempts} times and its process died each time, {MOST_ATTEMPTS} times without "
                "coming further; it is not tried again."
            )
            # A new run would train on the same rows, and die in the same way.
            raise self._failed(run, RunFailed(msg), given_up=True)
        self._rooms.progress.step(f"go on with interrupted {run.id}")
        return self._rooms.runs.resume(run)

    def _refuse(self, model: Model, run: Run) -> None:
        """End an interrupted run whose code is another one now: half of it with each would be neither's result."""
        rooms = self._rooms
        found = (
            code.changes(run.code, model.function, root=rooms.root, objects=rooms.objects) if run.code else {}
        )
        error = (
            f"The code changed before the interrupted run could go on: {', '.join(found) or 'the function'}."
        )
        rooms.progress.step(f"{run.id} is not gone on with. {error}")
        rooms.runs.fail(run, error=error, traceback="\n".join(found.values()), given_up=True)

    def _plan(self, model: Model, versions: dict[str, int]) -> tuple[Window, Window | None]:
        version = versions[model.data.name]
        window = model.policy.window
        inputs = {
            "dataset": [model.data.name, version],
            "target": model.target,
            "window": window.spec(),
            "forward": model.forward,
        }

        def work() -> Left:
            planned, ahead = plan(model, self._frames, version=version)
            return {"window": msgspec.to_builtins(planned), "forward": msgspec.to_builtins(ahead)}, ()

        value = self._steps.once("plan", key=key_of("plan", inputs), run="", work=work).value
        return msgspec.convert(value["window"], Window), msgspec.convert(value["forward"], Window | None)

    def _turn_key(
        self,
        model: Model,
        made: str,
        versions: dict[str, int],
        plan: tuple[Window, Window | None],
        *,
        nonce: str,
    ) -> str:
        inputs = {
            "code": made,
            "data": versions,
            "plan": msgspec.to_builtins(plan),
            "spec": model.spec(),
            "judging": model.judging(),
            "action": model.policy.action,
            "nonce": nonce,
        }
        return key_of("turn", inputs)

    def _start(
        self,
        model: Model,
        *,
        reason: str,
        versions: dict[str, int],
        plan: tuple[Window, Window | None],
        turn: str,
        also: Callable[[Connection], None] | None,
    ) -> Run:
        rooms = self._rooms
        return rooms.runs.start(
            model.name,
            reason=reason,
            data=versions,
            window=plan[0],
            forward=plan[1],
            seed=model.seed,
            params=dict(model.params),
            turn=turn,
            code=code.describe(model.function, root=rooms.root, objects=rooms.objects),
            environment=environment.store(rooms.objects),
            parents=_parents(model, versions),
            also=also,
        )

    def _carry_through(self, model: Model, run: Run, made: str, lease: Lease) -> Turn:
        rooms = self._rooms
        try:
            run, fitted = self._train(model, run, made)
            version = rooms.models.register(
                model=model.name,
                package=fitted.package,
                run=run,
                task=model.task.name,
                dataset=model.data.name,
                metrics=fitted.metrics,
                baselines=fitted.baselines,
                window=fitted.window,
                reference=fitted.reference,
            )
            return self._judge_and_release(model, run, version, fitted, lease)
        except (StoreUnavailable, Conflict):
            raise  # not the model's fault: the run stays open, and the next one goes on with it
        except TreadleError as error:
            failed = error if isinstance(error, RunFailed) else RunFailed(str(error))
            raise self._failed(rooms.runs.get(run.id), failed) from error
        except Exception as error:
            # A gate, metric or baseline of the user's own: left open, the run would fail again at every look.
            msg = f"The run of {model.name!r} raised {type(error).__name__}: {error}"
            raise self._failed(run, RunFailed(msg, traceback=traceback.format_exc())) from error

    def _failed(self, run: Run, failed: RunFailed, *, given_up: bool = False) -> RunFailed:
        """Record that a run failed, and return the failure with the run's id."""
        self._rooms.runs.fail(run, error=str(failed), traceback=failed.traceback, given_up=given_up)
        failed.run = run.id
        return failed

    def _train(self, model: Model, run: Run, made: str) -> tuple[Run, fitting.Fitted]:
        rooms = self._rooms
        inputs = {
            "run": run.turn,
            "code": made,
            "data": run.data,
            "window": msgspec.to_builtins(run.window),
            "spec": model.spec(),
        }

        def work() -> Left:
            nonlocal run
            rooms.progress.step(f"train {model.name} on {_describe(run.window)}")
            run, fitted = candidate(model, run, rooms, jobs=self._jobs)
            return msgspec.to_builtins(fitted), fitted.objects

        kept = self._steps.once("train", key=key_of("train", inputs), run=run.id, work=work)
        return run, msgspec.convert(kept.value, fitting.Fitted)

    def _judge_and_release(
        self, model: Model, run: Run, version: ModelVersion, fitted: fitting.Fitted, lease: Lease
    ) -> Turn:
        rooms = self._rooms
        rooms.progress.step(f"judge {version.ref}")
        champion = judging.champion_of(model, rooms)
        judgement = judging.judge(model, run, version, champion, rooms)
        passed = all(verdict.passed for verdict in judgement.verdicts)
        said = " ".join(verdict.reason for verdict in judgement.verdicts) or "The model has no gates."
        with rooms.ledger.write() as connection:
            lease.check(connection)
            rooms.verdicts.save(judgement.verdicts, connection)
            if passed:
                release = Release(rooms, run, version, connection, said)
                outcome = approvals.release(model, release, champion=champion)
            else:
                outcome = f"version {version.version} was turned down; who answers stays as it is"
            done = rooms.runs.finish(
                run,
                status="succeeded" if passed else "rejected",
                model_version=version.version,
                trial=fitted.trial,
                params=fitted.params,
                metrics={**fitted.metrics, **judging.flat(judgement.scores)},
                connection=connection,
            )
            self._steps.save(self._turned(done, outcome), connection)
        rooms.runs.seal(done)
        rooms.alerts.deliver()
        rooms.progress.step(outcome)
        return Turn(run=done, unchanged=False, verdicts=judgement.verdicts, outcome=outcome)

    def _turned(self, run: Run, outcome: str) -> StepResult:
        now = self._rooms.clock.now()
        return StepResult(
            key=run.turn,
            step="turn",
            run=run.id,
            started_at=run.started_at,
            finished_at=now,
            value={"outcome": outcome},
            parents=(run.ref,),
        )

    def _unchanged(self, kept: StepResult) -> Turn:
        # A kill after the run's last transaction leaves its log in its folder, and its alert undelivered.
        run = self._rooms.runs.seal(self._rooms.runs.get(kept.run))
        self._rooms.alerts.deliver()
        self._rooms.progress.step(f"nothing is new since {run.id}")
        verdicts = tuple(self._rooms.verdicts.list(run=run.id))
        decided = approvals.Approvals(self._rooms).became(run.model, run.model_version)
        outcome = decided or kept.value["outcome"]
        return Turn(run=run, unchanged=True, verdicts=verdicts, outcome=outcome)


def _parents(model: Model, versions: dict[str, int]) -> tuple[str, ...]:
    trees = {tree.name for tree in model.trees}
    return tuple(
        f"{'tree' if name in trees else 'dataset'}_version:{name}/{number}"
        for name, number in versions.items()
    )


def _describe(window: Window | None) -> str:
    if window is None:
        return "all rows"
    start = f"{window.start:%Y-%m-%d}" if window.start else "the beginning"
    return f"{start} to {window.end:%Y-%m-%d}"
