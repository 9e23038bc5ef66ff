"""An answer: one output holds the numbers that are scored and compared, and the others follow from it.

The last output of a signature is the scored one: one number for each row, or several where it names columns. So a
model of whatever library has to give those numbers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.core.errors import InvalidInput
from treadle.core.signature import Field, Signature

if TYPE_CHECKING:
    Outputs = Mapping[str, np.ndarray]


def scored(signature: Signature) -> Field:
    """Return the output that is scored; a signature without outputs answers with one number.

    >>> scored(Signature(inputs=(), outputs=(Field(name="prediction", kind="boolean"), Field(name="p", kind="float")))).name
    'p'
    """
    return signature.outputs[-1] if signature.outputs else Field(name="prediction", kind="float")


def numbers(outputs: Outputs, signature: Signature) -> np.ndarray:
    """Return the scored numbers of an answer: float64 of shape (rows,), or (rows, columns) where there are several."""
    return np.asarray(outputs[scored(signature).name], dtype=np.float64)


def shape_of(columns: Sequence[str], rows: int) -> tuple[int, ...]:
    """Return the shape of an output's array: (rows,), or (rows, columns) where it has any."""
    return (rows, len(columns)) if columns else (rows,)


def completed(values: np.ndarray, signature: Signature) -> dict[str, np.ndarray]:
    """Return all outputs of the answer whose scored numbers are these.

    An output of yes and no is whether the number lies above a bound, one that names a column is that column, one with
    a separator the names of all columns above a bound, and any other is the name of the largest column, the first of equals.

    >>> classes = Field(name="probabilities", kind="float", columns=("cat", "dog"))
    >>> signature = Signature(inputs=(), outputs=(Field(name="prediction", kind="category"), classes))
    >>> completed(np.array([[0.2, 0.8]]), signature)["prediction"].tolist()
    ['dog']
    """
    last = scored(signature)
    values = in_order(values, last)
    found = {field.name: follows(field, values, last) for field in signature.outputs[:-1]}
    return {**found, last.name: as_told(values, last)}


def as_told(values: np.ndarray, scored: Field) -> np.ndarray:
    """Return the scored numbers as an answer holds them: whole ones as int64."""
    return values.astype(np.int64) if scored.kind == "integer" else values


def in_order(values: np.ndarray, scored: Field) -> np.ndarray:
    """Return the scored numbers, those of each row in order where the output says that they rise."""
    return np.sort(values, axis=1) if scored.rising else values


def follows(field: Field, values: np.ndarray, scored: Field) -> np.ndarray:
    """Return an output that follows from the scored numbers."""
    if field.kind == "boolean":
        return np.asarray(values > field.above)
    if field.separator:
        return labels_above(values, field, scored.columns)
    if field.column:
        return np.asarray(values[:, scored.columns.index(field.column)])
    if not scored.columns:
        return values
    names = [int(name) for name in scored.columns] if field.kind == "integer" else scored.columns
    held = np.array(names, dtype=np.int64 if field.kind == "integer" else object)
    return np.asarray(held[values.argmax(axis=1)])


def labels_above(values: np.ndarray, field: Field, columns: Sequence[str]) -> np.ndarray:
    """Return, for each row, the names of the columns above the field's bound as one text.

    >>> field = Field(name="prediction", kind="string", separator="|", none="none")
    >>> labels_above(np.array([[0.9, 0.1, 0.7], [0.2, 0.5, 0.1]]), field, ("bill", "login", "slow")).tolist()
    ['bill|slow', 'none']
    """
    texts = [
        field.separator.join(name for name, said in zip(columns, row, strict=True) if said) or field.none
        for row in (values > field.above).tolist()
    ]
    return np.array(texts, dtype=object)


def chances(values: Any, classes: Any, *, columns: Sequence[str], source: str) -> np.ndarray:
    """Return the probability of each label, of shape (rows, labels), from an answer in either of scikit-learn's shapes.

    These are an array of shape (rows, labels), and a list with one of shape (rows, 2) for each label; of a label that was
    always or never so in training it is (rows, 1), and `classes` says which: for each label the values that it had.

    Raises:
        InvalidInput: there is not one for each label, or a label has other values than no and yes.
    """
    if not isinstance(values, list | tuple):
        return np.asarray(values)
    if len(values) != len(columns):
        msg = f"{source} answered for {len(values)} labels. Expected {len(columns)}: {', '.join(columns)}."
        raise InvalidInput(msg)
    known = list(classes) if classes is not None and len(classes) == len(columns) else [None] * len(columns)
    return np.column_stack([_yes(*one, source=source) for one in zip(values, known, columns, strict=True)])


def _yes(values: Any, classes: Any, label: str, *, source: str) -> np.ndarray:
    shares = np.asarray(values, dtype=np.float64)
    if shares.ndim == 1:
        return shares
    known = [0, 1] if classes is None else np.asarray(classes).tolist()
    if shares.ndim == 2 and len(known) == shares.shape[1] and set(known) <= {0, 1}:
        return shares[:, known.index(1)] if 1 in known else np.zeros(len(shares))
    msg = (
        f"{source} answered for the label {label!r} with numbers of shape {shares.shape}, of the values {known}. Expected "
        "no and yes: fit it to data.train.y."
    )
    raise InvalidInput(msg)


def aligned(values: np.ndarray, given: Sequence[Any], *, columns: Sequence[str], source: str) -> np.ndarray:
    """Return numbers of shape (rows, given) as (rows, columns): by name or, as integers, by place; 0 where none is given.

    Raises:
        InvalidInput: a column is given that is not known.
    """
    places = [_place(name, columns, source) for name in given]
    if places == list(range(len(columns))):
        return values
    found = np.zeros((len(values), len(columns)))
    found[:, places] = values
    return found


def _place(name: Any, columns: Sequence[str], source: str) -> int:
    plain = name.item() if isinstance(name, np.generic) else name
    if plain in columns:
        return columns.index(plain)
    if isinstance(plain, int | float) and plain == int(plain) and 0 <= plain < len(columns):
        return int(plain)
    msg = f"{source} knows {plain!r}. Expected {', '.join(columns)}, or their numbers from 0 to {len(columns) - 1}."
    raise InvalidInput(msg)
