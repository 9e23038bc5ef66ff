"""Makes model versions of models that were trained elsewhere: packed, tried, judged if asked for, registered in one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import polars as pl
from sqlalchemy import Connection

from treadle.core.answers import scored
from treadle.core.errors import InvalidInput, MissingExtra, TreadleError
from treadle.core.origin import Origin
from treadle.core.records import ModelVersion, Record, Run, StepResult, Verdict, Window
from treadle.core.signature import Signature
from treadle.loop import approvals, judging
from treadle.loop.brought import Brought, Fit, fit_of
from treadle.loop.judging import Judgement
from treadle.loop.models import Model
from treadle.loop.releases import Release
from treadle.loop.rooms import Rooms
from treadle.loop.steps import Steps, key_of
from treadle.registry import packages
from treadle.registry.conversion.adopted import adopted, is_graph
from treadle.registry.foreign import Foreign, foreign
from treadle.registry.packages import Prepared
from treadle.registry.references import check_name
from treadle.training import environment

#: Seconds after which an import whose machine is gone may be made by another.
LEASE = 60.0


class Imported(Record, frozen=True, kw_only=True):
    """What an import came to."""

    version: ModelVersion
    verdicts: tuple[Verdict, ...] = ()
    #: What became of the version, in words.
    outcome: str


def bring(brought: Brought, rooms: Rooms) -> Imported:
    """Register a model from elsewhere under the next number of its name; see `Workspace.import_model`."""
    check_name(brought.model, noun="model")
    declared = rooms.project.models.get(brought.model)
    allows = brought.allow_pickle or (declared is not None and declared.allow_pickle)
    # To keep what was trained here as a pickle is another trust than to run the code of a stranger's file.
    found = foreign(brought.source, digest=brought.digest, allow_pickle=brought.allow_pickle)
    with rooms.ledger.lease(
        f"model/{brought.model}", holder="treadle models import", ttl=LEASE, clock=rooms.clock
    ) as lease:
        fit = fit_of(found, brought, declared, rooms)
        fit, prepared = _prepared(found, brought, fit, allows=allows)
        known = _known(found, brought, prepared, rooms)
        if known is not None:
            return Imported(version=known, outcome=f"version {known.version} is this model already")
        _store(brought, prepared, rooms)
        draft = _draft(found, brought, fit, prepared, rooms)
        judged = _judged(declared, draft, rooms) if brought.judge and declared is not None else None
        with rooms.ledger.write() as connection:
            lease.check(connection)
            done = _registered(draft, judged, rooms, connection)
    rooms.alerts.deliver()
    rooms.progress.step(done.outcome)
    return done


def _prepared(found: Foreign, brought: Brought, fit: Fit, *, allows: bool) -> tuple[Fit, Prepared]:
    """Return the package, and the fit with what its question has to know of the model's answers."""
    model = found.model
    if is_graph(model):
        model = adopted(model, signature=fit.signature, output=brought.output)
    expected = brought.expected
    if expected is None:
        expected = _answers(model, fit, allows=allows)
    fit = fit.settled(expected)
    fit = fit.promised(lambda rows: _answers(model, replace(fit, golden=rows), allows=allows))
    return fit, packages.prepare(
        fit.task.packaged(model),
        task=fit.task.name,
        signature=fit.signature,
        golden=fit.golden,
        expected=expected,
        allow_pickle=allows,
    )


def _answers(model: Any, fit: Fit, *, allows: bool) -> np.ndarray:
    """Ask the model in its own library.

    Raises:
        InvalidInput: it cannot answer these columns.
    """
    try:
        asked = model
        if fit.task.packaged(model) is model:  # a function of the user's asks a model as it is
            asked = packages.asked(model, signature=fit.signature, allow_pickle=allows)
        answers: np.ndarray = fit.task.predictions(_over_frames(asked, fit.signature), fit.golden)
    except (TreadleError, MissingExtra):
        raise
    # Libraries raise classes of their own for columns of another number, name or kind.
    except Exception as error:
        shown = ", ".join(f"{field.name} ({field.kind})" for field in fit.signature.inputs)
        first = (str(error).strip().splitlines() or [""])[0][:300]
        msg = f"The model cannot answer rows of {shown}: {type(error).__name__}: {first}"
        raise InvalidInput(msg, field="inputs") from error
    return answers


def _over_frames(asked: Any, signature: Signature) -> Any:
    """Return a model that was fitted to arrays so that it is asked with frames, as any other."""
    if not hasattr(asked, "n_features_in_") or hasattr(asked, "feature_names_in_"):
        return asked
    wanted = ("predict", "predict_proba", scored(signature).method)
    there = [name for name in wanted if name and hasattr(asked, name)]
    methods = {name: partial(_over_array, getattr(asked, name)) for name in there}
    # A density has to know what comes before it.
    inside = {name: getattr(asked, name) for name in ("steps", "best_estimator_") if hasattr(asked, name)}
    known = {"classes_": getattr(asked, "classes_", None), "n_features_in_": asked.n_features_in_}
    return SimpleNamespace(**methods, **inside, **known)


def _over_array(method: Callable[[np.ndarray], Any], rows: pl.DataFrame) -> Any:
    return method(rows.to_numpy())


def _known(found: Foreign, brought: Brought, prepared: Prepared, rooms: Rooms) -> ModelVersion | None:
    """Return the version that the same import has made before; one that is to be judged is made anew."""
    if brought.judge or brought.model not in rooms.models.names():
        return None
    for version in rooms.models.versions(brought.model):
        if version.digest == prepared.package.digest and version.collected_at is None:
            origin = rooms.runs.get(version.run).origin
            if origin is not None and origin.digest == found.digest:
                return version
    return None


def _store(brought: Brought, prepared: Prepared, rooms: Rooms) -> None:
    """Store the package, noted before: what a kill leaves of it is found by `treadle collect models`."""
    now = rooms.clock.now()
    noted = StepResult(
        key=key_of("import", {"model": brought.model, "package": prepared.package.digest}),
        step="import",
        run="",
        started_at=now,
        finished_at=now,
        value={"model": brought.model, "size": prepared.package.size},
        artefacts=prepared.package.objects,
    )
    with rooms.ledger.write() as connection:
        Steps(rooms.ledger, rooms.objects, rooms.clock).save(noted, connection)
    packages.keep(prepared, objects=rooms.objects)


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A run and a version as they will be registered, but for their names."""

    run: Run
    version: ModelVersion
    prepared: Prepared


def _draft(found: Foreign, brought: Brought, fit: Fit, prepared: Prepared, rooms: Rooms) -> _Draft:
    now = rooms.clock.now()
    origin = Origin(actor=brought.actor, source=found.source, digest=found.digest)
    run = Run(
        id="",
        model=brought.model,
        status="running",
        started_at=now,
        reason=f"{brought.reason}: {origin.told()}" if brought.reason else origin.told(),
        data=fit.data,
        window=fit.window or Window(start=None, end=brought.trained_until or now),
        forward=fit.forward,
        environment=environment.store(rooms.objects),
        origin=origin,
        parents=(
            *((f"file:{found.digest}",) if found.digest else ()),
            *(f"dataset_version:{name}/{number}" for name, number in fit.data.items()),
        ),
    )
    name = next(iter(fit.data), "")
    version = ModelVersion(
        model=brought.model,
        version=0,
        created_at=now,
        task=fit.task.name,
        format=prepared.package.format,
        digest=prepared.package.digest,
        size=prepared.package.size,
        signature=fit.signature,
        run="",
        dataset=name,
        dataset_version=fit.data.get(name, 0),
        window=Window(start=None, end=brought.trained_until or now),
        baselines=fit.baselines,
        notes=prepared.package.notes,
    )
    return _Draft(run=run, version=version, prepared=prepared)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What the gates said, and beside whom."""

    model: Model
    judgement: Judgement
    champion: ModelVersion | None


def _judged(declared: Model, draft: _Draft, rooms: Rooms) -> _Judged:
    rooms.progress.step(f"judge the import of {declared.name}")
    champion = judging.champion_of(declared, rooms)
    judgement = judging.judge(declared, draft.run, draft.version, champion, rooms)
    return _Judged(model=declared, judgement=judgement, champion=champion)


def _registered(draft: _Draft, judged: _Judged | None, rooms: Rooms, connection: Connection) -> Imported:
    """Write run, version, verdicts and what follows from them: all in one transaction, or nothing."""
    run = rooms.runs.start(
        draft.run.model,
        reason=draft.run.reason,
        data=draft.run.data,
        window=draft.run.window,
        forward=draft.run.forward,
        environment=draft.run.environment,
        origin=draft.run.origin,
        parents=draft.run.parents,
        connection=connection,
    )
    version = rooms.models.register(
        model=run.model,
        package=draft.prepared.package,
        run=run,
        dataset=draft.version.dataset,
        baselines=draft.version.baselines,
        window=draft.version.window,
        connection=connection,
    )
    verdicts = () if judged is None else _signed(judged.judgement.verdicts, draft, run, version)
    rooms.verdicts.save(verdicts, connection)
    passed = all(verdict.passed for verdict in verdicts)
    said = " ".join(verdict.reason for verdict in verdicts) or "The model has no gates."
    outcome = f"version {version.version} is registered; who answers stays as it is"
    if not passed:
        outcome = f"version {version.version} was turned down; who answers stays as it is"
    elif judged is not None:
        release = Release(rooms, run, version, connection, said)
        outcome = approvals.release(judged.model, release, champion=judged.champion)
    rooms.runs.finish(
        run,
        status="succeeded" if passed else "rejected",
        model_version=version.version,
        metrics={} if judged is None else judging.flat(judged.judgement.scores),
        connection=connection,
    )
    return Imported(version=version, verdicts=verdicts, outcome=outcome)


def _signed(
    verdicts: tuple[Verdict, ...], draft: _Draft, run: Run, version: ModelVersion
) -> tuple[Verdict, ...]:
    """Return verdicts with the names of the run and the version, which had none when they were given."""
    return tuple(
        msgspec.structs.replace(
            verdict,
            run=run.id,
            parents=tuple(version.ref if one == draft.version.ref else one for one in verdict.parents),
        )
        for verdict in verdicts
    )
