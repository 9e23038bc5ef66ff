"""How a model that was trained elsewhere fits what is declared here: its question, its inputs, rows to try it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypedDict

import msgspec
import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput, NotFound, closest
from treadle.core.records import Lookup, Window
from treadle.core.signature import Signature, decode_frame, field_of
from treadle.loop import fitting
from treadle.loop.ahead import apart
from treadle.loop.frames import Frames
from treadle.loop.models import Model
from treadle.loop.plans import plan
from treadle.loop.rooms import Rooms
from treadle.registry import foreign
from treadle.registry.foreign import Foreign
from treadle.training.data import TrainingData


@dataclass(frozen=True, kw_only=True)
class Brought:
    """A model from elsewhere, and what is said of it."""

    #: A fitted estimator, or the path of a file.
    source: Any
    model: str
    #: What the file's digest must be; empty: it is not known.
    digest: str = ""
    #: What it answers; of a declared model, the declaration's.
    task: Any = None
    #: Rows that it can answer, which become its golden rows; of a declared model by default the dataset's.
    sample: pl.DataFrame | None = None
    #: The columns that it takes, in order; empty: those that it knows by name, else all.
    inputs: Sequence[str] = ()
    #: What its inputs are, where the sample does not show it; of a declared model, the dataset does.
    signature: Signature | None = None
    #: Of an ONNX model: the tensor that holds the scored numbers.
    output: str = ""
    #: What it answered for the sample where it was made.
    expected: np.ndarray | None = None
    #: Whether a file may be read, and an object kept, that runs code wherever it is read.
    allow_pickle: bool = False
    #: When the rows end that it has learnt from, as far as that is known.
    trained_until: datetime | None = None
    #: Whether the declaration's gates decide, as about a candidate.
    judge: bool = False
    actor: str = "a person"
    reason: str = ""


class Said(TypedDict, total=False):
    """What may be said of a model from elsewhere, as arguments; see `Brought`."""

    digest: str
    task: Any
    sample: pl.DataFrame | None
    inputs: Sequence[str]
    signature: Signature | None
    output: str
    expected: np.ndarray | None
    allow_pickle: bool
    trained_until: datetime | None
    judge: bool
    actor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a model from elsewhere fits what is declared here."""

    task: Any
    signature: Signature
    golden: pl.DataFrame
    #: What it is measured on, if its dataset has rows.
    data: dict[str, int]
    window: Window | None = None
    forward: Window | None = None
    baselines: tuple[Lookup, ...] = ()
    #: The declaration, and the rows that its answers are settled on; None: nothing is declared, or there are no rows.
    declared: Model | None = None
    learnt: TrainingData | None = None

    def promised(self, predict: Callable[[pl.DataFrame], np.ndarray]) -> Fit:
        """Return it with what its answers hold besides the prediction, given how the model answers encoded rows.

        Raises:
            InvalidInput: what is declared of the answers cannot be settled.
        """
        if self.declared is None:
            return self
        if self.learnt is None and self.declared.answers is not None:
            msg = f"What is declared of the answers of {self.declared.name!r} is settled on validation rows, and its dataset has none."
            raise InvalidInput(msg, field="answers")
        if self.learnt is None:
            return self
        data = replace(self.learnt, task=self.task, inputs=self.signature.names, signature=self.signature)
        return replace(self, signature=fitting.promised(self.declared, data, predict))

    def settled(self, answers: np.ndarray) -> Fit:
        """Return it with what the question has to know of the model's answers to the golden rows, as the bound of anomalies."""
        task = self.task.settled(lambda: answers)
        signature = msgspec.structs.replace(self.signature, outputs=task.outputs)
        return replace(self, task=task, signature=signature)


def fit_of(found: Foreign, brought: Brought, declared: Model | None, rooms: Rooms) -> Fit:
    """Return how a model fits its declaration; without one, how it fits what was said of it.

    Raises:
        InvalidInput: it does not, or something has to be said of it.
        NotFound: its dataset has no rows, and there is no sample.
    """
    if declared is None:
        return _undeclared(found, brought, rooms)
    if brought.task is not None and brought.task.name != declared.task.name:
        msg = f"{declared.name!r} is declared as {declared.task.name}, and the model was given as {brought.task.name}."
        raise InvalidInput(msg, field="task")
    frames = Frames(rooms.datasets)
    try:
        versions = {
            name: rooms.datasets.version(name).version
            for name in (declared.data.name, *(view.name for view in declared.features))
        }
        window, forward = plan(declared, frames, version=versions[declared.data.name])
    except NotFound as error:
        if brought.sample is None:
            msg = f"{error} Until then an import needs a sample of the rows that the model answers."
            raise NotFound(msg) from error
        given = _as_given(found, brought, task=_about(found, declared.task), known=declared.inputs)
        return replace(given, declared=declared)
    rows = frames.rows(declared, versions=versions, window=window)
    learnt = apart(declared, rows, until=window.end)
    learnt = learnt.filter(pl.col("_split").is_in(["train", "validation"]))
    ahead = fitting.ahead_of(declared, frames, versions=versions, forward=forward)
    data = fitting.data_of(declared, learnt, window, asked=[rows, *ahead])
    signature = _narrowed(found, brought, data.signature, of=declared.name)
    return Fit(
        task=data.task,
        signature=signature,
        golden=_golden(brought.sample, data, signature, seed=declared.seed),
        data=versions,
        window=window,
        forward=forward,
        baselines=fitting.baselines_of(declared, data),
        declared=declared,
        learnt=data,
    )


def _undeclared(found: Foreign, brought: Brought, rooms: Rooms) -> Fit:
    if brought.task is None or brought.sample is None:
        lacks = "task" if brought.task is None else "sample"
        msg = (
            f"The project declares no model {brought.model!r}. {closest(brought.model, rooms.project.models)} To import one that no "
            f"declaration describes, say its task and give a sample of its rows; here the {lacks} is missing."
        )
        raise InvalidInput(msg, field=lacks)
    if brought.judge:
        msg = f"The project declares no model {brought.model!r}, so there are no gates to judge it by. Leave out judge."
        raise InvalidInput(msg, field="judge")
    return _as_given(found, brought, task=_about(found, brought.task), known=())


def _as_given(found: Foreign, brought: Brought, *, task: Any, known: Sequence[str]) -> Fit:
    """Take the model as its sample shows it."""
    sample = brought.sample
    assert sample is not None
    if brought.judge:
        msg = "There are no rows with a known outcome to judge the model on. Leave out judge, or wait for outcomes."
        raise InvalidInput(msg, field="judge")
    taken = brought.inputs or foreign.names_of(found.model, sample.columns)
    shown = tuple(field_of(sample[name]) for name in taken if name in sample.columns)
    signature = Signature(
        inputs=brought.signature.inputs if brought.signature else shown, outputs=task.outputs
    )
    narrowed = _narrowed(found, brought, signature, of=brought.model)
    extra = [name for name in narrowed.names if known and name not in known]
    if extra:
        msg = f"{brought.model!r} declares the inputs {', '.join(known)}, and the model takes {extra[0]!r}."
        raise InvalidInput(msg, field=extra[0])
    return Fit(task=task, signature=narrowed, golden=_encoded(sample, narrowed), data={})


def _about(found: Foreign, task: Any) -> Any:
    """Return the question with the classes that the model knows, where none were named."""
    classes = getattr(found.model, "classes_", None)
    if task.outputs[-1].name != "probabilities" or task.outputs[-1].columns:
        return task
    if task.outputs[-1].independent:
        msg = "A model of several labels does not say what they are called. Name them, in order: td.Multilabel(labels=[...])."
        raise InvalidInput(msg, field="task")
    if classes is None:
        msg = "The model does not say which classes it tells apart. Name them, in order: td.Multiclass(classes=[...])."
        raise InvalidInput(msg, field="task")
    return task.fitted(pl.Series("class", np.asarray(classes).tolist()))


def _narrowed(found: Foreign, brought: Brought, signature: Signature, *, of: str) -> Signature:
    """Return the signature with the inputs that the model takes, in its order."""
    names = brought.inputs or foreign.names_of(found.model, signature.names)
    strange = [name for name in names if name not in signature.names]
    if strange:
        msg = f"The model takes {strange[0]!r}. {of!r} has the columns {', '.join(signature.names)}. {closest(strange[0], signature.names)}"
        raise InvalidInput(msg, field=strange[0])
    width = foreign.width_of(found.model)
    if width not in (0, len(names)):
        msg = f"The model takes {width} columns, and these are {len(names)}: {', '.join(names)}. Name those that it takes, in order: inputs=[...]"
        raise InvalidInput(msg, field="inputs")
    if len(set(names)) < len(names):
        msg = f"The inputs name a column twice: {', '.join(names)}."
        raise InvalidInput(msg, field="inputs")
    return Signature(inputs=tuple(signature.field(name) for name in names), outputs=signature.outputs)


def _golden(
    sample: pl.DataFrame | None, data: TrainingData, signature: Signature, *, seed: int
) -> pl.DataFrame:
    if sample is not None:
        return _encoded(sample, signature)
    rows = data.validation if len(data.validation) else data.train
    taken = rows.X.sample(min(fitting.GOLDEN, rows.X.height), seed=seed)
    return taken.select(signature.names)


def _encoded(sample: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """Return a sample's rows as the model is fed them.

    Raises:
        InvalidInput: it has no rows, lacks a column, or one is of another kind.
    """
    if sample.is_empty():
        msg = "The sample has no rows. Give some that the model can answer: they are what every server has to reproduce."
        raise InvalidInput(msg, field="sample")
    for field in signature.inputs:
        kind = field_of(sample[field.name]).kind if field.name in sample.columns else field.kind
        alike = {kind, field.kind} in ({"string", "category"}, {"integer", "float"})
        if kind != field.kind and not (alike and (kind, field.kind) != ("float", "integer")):
            msg = f"{field.name!r} is {kind} in the sample, and {field.kind} where the model is to answer."
            raise InvalidInput(msg, field=field.name)
    return decode_frame(signature.inputs, signature.encode(sample))
