"""Trains one candidate: data by pinned versions, the user's function, a package. Runs where the engine says."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from treadle.core.answers import scored
from treadle.core.errors import (
    LeaseLost,
    RunCrashed,
    RunFailed,
    RunPreempted,
    RunTimeout,
    StoreUnavailable,
    TreadleError,
)
from treadle.core.records import Lookup, Run, Window
from treadle.core.signature import Signature
from treadle.loop import answering, references
from treadle.loop.ahead import apart
from treadle.loop.computed import computed
from treadle.loop.frames import Frames
from treadle.loop.models import Model
from treadle.loop.projects import place
from treadle.loop.rooms import Rooms
from treadle.monitoring.reference import to_bytes
from treadle.registry import packages
from treadle.store.objects.objects import Objects
from treadle.training.context import RunContext
from treadle.training.data import Rows, TrainingData
from treadle.training.notice import Notice

RESULT, FAILURE = "fitted.json", "failure.json"
#: Kinds of failure that are not the training function's fault: a store that does not answer, a run that somebody else goes
#: on with, and too little memory.
_KINDS: dict[str, type[Exception]] = {"store": StoreUnavailable, "lost": LeaseLost, "memory": MemoryError}
#: Rows on which a package must reproduce what the trained estimator says.
GOLDEN = 1024
#: Validation rows from which on a bound is taken from these; fewer: from the training rows.
SETTLING = 100


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """What a training left, as JSON in the run's folder."""

    package: packages.Package
    baselines: tuple[Lookup, ...]
    metrics: dict[str, float]
    rows: int
    #: Of a search: the trial that it is from, with its parameters and its window.
    trial: int | None = None
    params: dict[str, Any] | None = None
    window: Window | None = None
    #: Digest of the reference, which later rows are compared with; empty: there is none.
    reference: str = ""

    @property
    def objects(self) -> tuple[str, ...]:
        """The digests of all objects that it needs, that of the package first."""
        return (*self.package.objects, *([self.reference] if self.reference else []))


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a training left nothing, as JSON in the run's folder."""

    error: str
    traceback: str
    #: What kind it is; see `kind_of`.
    kind: str = ""


def fit(model: Model, run: Run, rooms: Rooms, *, notice: Notice | None = None) -> None:
    """Train and package a candidate, and write the result or the failure into the run's folder."""
    folder = rooms.runs.folder(run.id)
    try:
        fitted = _fit(model, run, rooms, notice)
    except RunPreempted:
        raise
    except Exception as error:
        leave(error, folder, said=sentence(error, model, root=rooms.root))
        raise
    _write(folder / RESULT, fitted)


def leave(error: BaseException, folder: Path, *, said: str) -> None:
    """Write down in a folder why its training leaves nothing; the error is the one that is handled now."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(
        folder / FAILURE, Failure(error=said, traceback=traceback.format_exc(), kind=_kind_of(type(error)))
    )


def _kind_of(error: type[BaseException]) -> str:
    return next((kind for kind, known in _KINDS.items() if issubclass(error, known)), "")


def ran(train: Callable[[], None], folder: Path) -> None:
    """Let an engine train, and raise what the training has left in its folder as the reason why it failed.

    Raises:
        RunFailed: it left a failure; what an earlier attempt left does not count.
        RunCrashed: it was killed, or ran out of memory.
        StoreUnavailable: a store did not answer while it trained.
        LeaseLost: somebody else goes on with its run.
    """
    (folder / FAILURE).unlink(missing_ok=True)
    try:
        train()
    except (RunTimeout, RunCrashed):
        raise
    except RunFailed as error:
        if not (folder / FAILURE).is_file():
            raise
        found = msgspec.json.decode((folder / FAILURE).read_bytes(), type=Failure)
        if found.kind == "memory":
            raise RunCrashed(found.error, traceback=found.traceback) from error
        if found.kind:
            raise _KINDS[found.kind](found.error) from error
        raise RunFailed(found.error, traceback=found.traceback) from error


def fitted_by(train: Callable[[], None], folder: Path) -> Fitted:
    """Let an engine train, and return what the training left in the run's folder; see `ran`.

    Raises:
        RunFailed: it left a failure, or nothing.
    """
    (folder / RESULT).unlink(missing_ok=True)
    ran(train, folder)
    if not (folder / RESULT).is_file():
        msg = "The training ended without a result, as if it had called exit(). Let the function return instead."
        raise RunFailed(msg)
    return msgspec.json.decode((folder / RESULT).read_bytes(), type=Fitted)


def _fit(model: Model, run: Run, rooms: Rooms, notice: Notice | None) -> Fitted:
    assert run.window is not None
    frame = Frames(rooms.datasets).rows(model, versions=run.data, window=run.window)
    learnt = apart(model, frame, until=run.window.end)
    learnt = learnt.filter(pl.col("_split").is_in(["train", "validation"]))
    ahead = ahead_of(model, Frames(rooms.datasets), versions=run.data, forward=run.forward)
    data = data_of(model, learnt, run.window, asked=[frame, *ahead])
    data = replace(data, trees=checked_out(model, run, rooms))
    context = RunContext(run=run, runs=rooms.runs, notice=notice)
    estimator = model(data, dict(run.params), context)
    return packed(
        model, estimator, data, seed=run.seed, metrics=context.last_metrics(), objects=rooms.objects
    )


def data_of(
    model: Model, frame: pl.DataFrame, window: Window, *, asked: Iterable[pl.DataFrame] = ()
) -> TrainingData:
    """Return rows of the train and validation splits as a model's training function gets them.

    `asked` are all rows that the run asks the model about: an input that is missing in any of them may be missing.
    """
    return TrainingData.build(
        frame,
        inputs=inputs_of(model, frame),
        target=model.truth,
        task=model.task,
        window=window,
        nullable=may_miss(model) | missing(asked),
        time=model.data.time_column,
    )


def packed(
    model: Model,
    estimator: Any,
    data: TrainingData,
    *,
    seed: int,
    metrics: dict[str, float],
    objects: Objects,
) -> Fitted:
    """Package a fitted estimator, fit the baselines beside it, and keep what later rows are compared with."""
    data = settled(_asked(model, estimator, data), data)
    golden, expected = _golden(model, estimator, data, seed=seed)
    package = packages.pack(
        data.task.packaged(estimator),
        task=model.task.name,
        signature=promised(
            model, data, lambda rows: data.task.predictions(_asked(model, estimator, data), rows)
        ),
        golden=golden,
        expected=expected,
        objects=objects,
        allow_pickle=model.allow_pickle,
    )
    reference = references.of_training(
        lambda rows: data.task.predictions(_asked(model, estimator, data), data.encoded(rows)),
        data,
        package.signature,
        seed=seed,
    )
    return Fitted(
        package=package,
        baselines=baselines_of(model, data),
        metrics=metrics,
        rows=len(data.train),
        reference=objects.put(to_bytes(reference)),
    )


def promised(model: Model, data: TrainingData, predict: Callable[[pl.DataFrame], np.ndarray]) -> Signature:
    """Return the signature with what answers hold besides, settled on the validation rows, and the views that inputs come from."""
    made = computed(model, data, nullable=may_miss(model))
    beside = {field.name for one in made for field in one.inputs}
    views = answering.online_views(model.features, data, beside=beside)
    held = None
    if model.answers is not None:
        # Without validation rows nothing can be settled, and the reason why is said there.
        p = predict(data.validation.X.select(data.signature.names)) if len(data.validation) else np.empty(0)
        held = answering.settled(model.answers, data, p)
    return msgspec.structs.replace(data.signature, answering=held, views=views, computed=made)


def baselines_of(model: Model, data: TrainingData) -> tuple[Lookup, ...]:
    """Fit a model's baselines to its training rows."""
    truth, output = pl.Series(data.train.y), scored(data.signature)
    frames = [
        data.train.X if getattr(one, "of_inputs", False) else data.train.frame for one in model.baselines
    ]
    return tuple(
        one.fit(frame, truth, output=output) for one, frame in zip(model.baselines, frames, strict=True)
    )


def checked_out(model: Model, run: Run, rooms: Rooms) -> dict[str, Path]:
    """Check the pinned versions of a model's trees out into the run's folder, and return where each is."""
    folders = {}
    for tree in model.trees:
        folders[tree.name] = rooms.runs.folder(run.id) / "trees" / tree.name
        rooms.trees.checkout(tree.name, version=run.data[tree.name], to=folders[tree.name])
    return folders


def inputs_of(model: Model, frame: pl.DataFrame) -> tuple[str, ...]:
    """Return the columns that the model takes: those declared, or all that are neither key, time nor outcome; and lags."""
    if model.inputs:
        return tuple(dict.fromkeys((*model.inputs, *model.lags)))
    data = model.data
    taken = {*data.key_columns, data.time_column, model.truth, *data.outcome_columns, *model.task.ties}
    taken |= model.behind.keys() - model.lags.keys()
    return tuple(name for name in frame.columns if name not in taken and not name.startswith("_"))


def ahead_of(
    model: Model, frames: Frames, *, versions: dict[str, int], forward: Window | None
) -> list[pl.DataFrame]:
    """Return the rows of a forward test where only they can say that a value may be missing: there is no contract."""
    if forward is None or model.data.contract is not None:
        return []
    return [frames.rows(model, versions=versions, window=forward)]


def missing(frames: Iterable[pl.DataFrame]) -> frozenset[str]:
    """Return the columns that have no value in some row.

    >>> sorted(missing([pl.DataFrame({"a": [1], "b": [None]}), pl.DataFrame({"a": [None], "c": [1]})]))
    ['a', 'b']
    """
    return frozenset(series.name for frame in frames for series in frame if series.null_count())


def may_miss(model: Model) -> frozenset[str]:
    """Return the columns that may have no value at serving time: features, and what the contract lets be null."""
    added = [view.output_names for view in model.features]
    added += [feature.output_names for feature in model.on_demand]
    contract = model.data.contract
    declared = {column.name for column in contract.spec().columns if column.nullable} if contract else set()
    return frozenset(declared.union(*added, model.lags))


def _golden(
    model: Model, estimator: Any, data: TrainingData, *, seed: int
) -> tuple[pl.DataFrame, np.ndarray]:
    if estimator is None:
        msg = f"The training function of {model.name!r} returned nothing. Expected a fitted estimator: end it with `return`."
        raise RunFailed(msg)
    rows: Rows = data.validation if len(data.validation) else data.train
    sample = rows.X.sample(min(GOLDEN, rows.X.height), seed=seed)
    return sample, data.task.predictions(_asked(model, estimator, data), sample)


def _asked(model: Model, estimator: Any, data: TrainingData) -> Any:
    """Return the estimator as a task asks it: as it is where a function of the user's does."""
    if estimator is None or data.task.packaged(estimator) is not estimator:
        return estimator
    return packages.asked(estimator, signature=data.signature, allow_pickle=model.allow_pickle)


def settled(estimator: Any, data: TrainingData) -> TrainingData:
    """Return the data with what its question has to know of the estimator's answers, on rows that it was not fitted to."""
    rows = data.validation if len(data.validation) >= SETTLING else data.train
    task = data.task.settled(lambda: data.task.predictions(estimator, rows.X))
    return replace(data, task=task, signature=msgspec.structs.replace(data.signature, outputs=task.outputs))


def sentence(error: Exception, model: Model, *, root: Path) -> str:
    """Return in one sentence what a training function raised, and where."""
    if isinstance(error, TreadleError):
        return str(error)
    file, line = place(error, root)
    return f"The training of {model.name!r} raised {type(error).__name__}: {error} ({file.name}, line {line})"


def _write(path: Path, value: Any) -> None:
    fresh = path.with_suffix(".part")
    fresh.write_bytes(msgspec.json.encode(value))
    fresh.replace(path)
