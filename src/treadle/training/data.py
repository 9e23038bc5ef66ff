"""The rows that a training function gets: exactly what the server will feed the model, and the truth beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from treadle.core.answers import scored
from treadle.core.errors import InvalidInput, closest
from treadle.core.records import Window
from treadle.core.signature import Signature, decode_frame, field_of
from treadle.training.task import Task, column_of


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one split, in the order in which they landed."""

    #: The inputs as the server feeds them: float32 (missing: NaN), int64 and string (missing: '') columns.
    X: pl.DataFrame
    #: The truth as the task has it, of shape (rows,): int64 of 0 and 1 for classification, of the class's place among
    #: `data.classes` for several classes, float64 for regression; (rows, columns) where a truth is several numbers.
    y: np.ndarray
    #: All columns as they are in the dataset, features joined.
    frame: pl.DataFrame
    #: How much each row counts, of shape (rows,), from 0 to 1: all ones unless the window decays.
    weights: np.ndarray
    #: The number of each row's query, of shape (rows,), which never falls: rows of a ranking stand query by query; None: it is
    #: no ranking.
    queries: np.ndarray | None = None

    @property
    def groups(self) -> np.ndarray:
        """How many rows each query has, in the order of the rows, of shape (queries,): what rankers are fitted with.

        Raises:
            InvalidInput: the task is no ranking.
        """
        if self.queries is None:
            msg = "The rows are of no queries, so they have no groups. Queries are of td.Ranking(by=...)."
            raise InvalidInput(msg, field="groups")
        return np.unique(self.queries, return_counts=True)[1]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a training function learns from. The test rows are not in it."""

    train: Rows
    #: Rows for early stopping and the like; may be empty.
    validation: Rows
    #: The columns that the model takes, in order.
    inputs: tuple[str, ...]
    target: str
    #: The stretch of event time that the rows are from.
    window: Window
    signature: Signature
    #: The question, with what it knows of the training rows.
    task: Task
    #: By name: the folder where the pinned version of one of the model's trees is, for the length of the run.
    trees: Mapping[str, Path] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """What the numbers of an answer are called, in order, as the classes; empty: an answer is one number."""
        return scored(self.signature).columns

    @classmethod
    def build(
        cls,
        frame: pl.DataFrame,
        *,
        target: str,
        task: Task,
        window: Window,
        inputs: Sequence[str] = (),
        nullable: Collection[str] = (),
        time: str = "",
    ) -> TrainingData:
        """Divide a frame by its column `_split` and encode the inputs.

        `inputs` defaults to every column but the target and those that begin with `_`. An input may be missing at
        serving time when it is missing in any row here, or is named in `nullable`. `time` is the column of event time,
        which a window that decays needs. Validation rows of a class that no training row has are left out.

        Raises:
            InvalidInput: a column is missing, the target cannot be learnt, or there are no rows to train on.
        """
        names = tuple(inputs) or tuple(c for c in frame.columns if c != target and not c.startswith("_"))
        _must_have(frame, names, target)
        frame = _tied(frame, task.ties)
        train = frame.filter(pl.col("_split") == "train")
        if train.is_empty():
            known = f" with a known {target!r}" if target else ""
            msg = (
                f"There are no rows to train on: {frame.height} rows{known} in the window, none of "
                "them in the train split. Take a longer window, or wait for more outcomes."
            )
            raise InvalidInput(msg)
        task = task.fitted(column_of(train, target))
        frame = frame.filter(task.knows(column_of(frame, target)) | (pl.col("_split") == "train"))
        signature = _signature(frame, train, names=names, task=task, nullable=nullable)
        truth, splits = task.target(column_of(frame, target)), frame["_split"].cast(pl.String).to_numpy()
        task.check_learnable(truth[splits == "train"], target=target)

        def rows(split: str) -> Rows:
            part = frame.filter(pl.col("_split") == split)
            return Rows(
                X=_encoded(part, signature),
                y=truth[splits == split],
                frame=part,
                weights=weights(part, window, time),
                queries=_queries(part, task.ties),
            )

        return cls(
            train=rows("train"),
            validation=rows("validation"),
            inputs=names,
            target=target,
            window=window,
            signature=signature,
            task=task,
        )

    def encoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the inputs of other rows as the model gets them, in training and behind the server alike.

        Raises:
            InvalidInput: an input is missing, or holds a null that training did not have.
        """
        return _encoded(frame, self.signature)


def weights(frame: pl.DataFrame, window: Window, time: str) -> np.ndarray:
    """Return the weight of each row, of shape (rows,): `0.5 ** (age / half_life)`, age counted from the window's end.

    Raises:
        InvalidInput: the window decays and there is no column of event time.
    """
    if window.half_life is None:
        return np.ones(frame.height)
    if time not in frame.columns:
        msg = f"A window that decays needs the rows' time, and there is no column {time!r}."
        raise InvalidInput(msg, field="time")
    age = frame.select((pl.lit(window.end) - pl.col(time)).dt.total_microseconds() / 1e6).to_series()
    halved: np.ndarray = 0.5 ** (age.to_numpy() / window.half_life)
    return halved


def _tied(frame: pl.DataFrame, ties: Sequence[str]) -> pl.DataFrame:
    """Return rows that are tied together one after the other, after a look at whether they are in one part of the split."""
    for name in ties:
        if name not in frame.columns:
            msg = f"The column {name!r}, whose rows belong together, is not there. {closest(name, frame.columns)}"
            raise InvalidInput(msg, field=name)
        if nameless := frame[name].null_count():
            msg = f"The column {name!r}, whose rows belong together, has no value in {nameless:,} rows. Expected one in each."
            raise InvalidInput(msg, field=name)
    if not ties:
        return frame
    parts = frame.group_by(ties, maintain_order=True).agg(pl.col("_split").n_unique().alias("_parts"))
    divided = parts.filter(pl.col("_parts") > 1)
    if divided.height:
        said = ", ".join(f"{name}={value!r}" for name, value in zip(ties, divided.row(0), strict=False))
        msg = (
            f"The split divides {divided.height:,} of {parts.height:,} queries, as {said}: some of their rows are trained on and "
            f"others are not. Keep them together: split=td.HashSplit(..., group={list(ties)!r})."
        )
        raise InvalidInput(msg, field=ties[0])
    return frame.sort(ties, maintain_order=True)


def _queries(frame: pl.DataFrame, ties: Sequence[str]) -> np.ndarray | None:
    if not ties:
        return None
    return (frame.select(pl.struct(*ties).rank("dense")).to_series().cast(pl.Int64) - 1).to_numpy()


def _encoded(frame: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    return decode_frame(signature.inputs, signature.encode(frame))


def _must_have(frame: pl.DataFrame, names: Sequence[str], target: str) -> None:
    if "_split" not in frame.columns:
        msg = "The rows have no split. Declare one on the dataset: split=td.HashSplit(train=0.8, validation=0.1, test=0.1)."
        raise InvalidInput(msg)
    visible = [name for name in frame.columns if not name.startswith("_")]
    if target and target not in frame.columns:
        msg = f"The target {target!r} is not among the columns. {closest(target, visible)}"
        raise InvalidInput(msg, field="target")
    for name in names:
        if name not in frame.columns:
            msg = f"The input {name!r} is not among the columns. {closest(name, visible)}"
            raise InvalidInput(msg, field="inputs")
    if target in names:
        msg = f"The target {target!r} is among the inputs, so the model would be told the answer."
        raise InvalidInput(msg, field="inputs")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"The input {twice!r} is named twice."
        raise InvalidInput(msg, field="inputs")


def _signature(
    frame: pl.DataFrame, train: pl.DataFrame, *, names: Sequence[str], task: Task, nullable: Collection[str]
) -> Signature:
    fields = []
    for name in names:
        # Levels are those of the training rows; whether a value may be missing is asked of all rows.
        may_miss = name in nullable or field_of(frame[name]).nullable
        fields.append(msgspec.structs.replace(field_of(train[name]), nullable=may_miss))
    return Signature(inputs=tuple(fields), outputs=task.outputs)
