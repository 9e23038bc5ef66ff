"""What every format (a file in `formats/`) must be able to do, and what it hands over.

A format is a module with these names:

What a model of a question must answer stands in its signature: the last output names the numbers that are scored, and
`core.answers.completed` makes every other output of them. So a format that can give those numbers for a task serves it.

    NAME        its name in manifests
    accepts(model) -> bool                          whether it can store this object; imports nothing heavy
    save(model, *, task, signature, trial) -> Saved
    load(files, *, task, signature) -> Servable     from bytes whose digests were checked; runs no stored code
    example() -> Example                            a small fitted model for the contract suite

and, where they apply, these:

    estimator(model, *, signature) -> Any           the model with scikit-learn's predict and predict_proba over frames
    ENDINGS, read(data) -> Any                      endings of the library's own files, and the model of one: for import
    contributions(files, *, signature) -> Any       what its library itself says that each input adds to an answer: for rows of
                                                    encoded inputs, float64 of shape (rows, numbers, inputs + 1), the base last
    classifier, regressor                           how it is written as nodes at the end of a pipeline: see
                                                    `registry.conversion.estimators`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from treadle.core.signature import Signature

if TYPE_CHECKING:
    from treadle.core.servable import Servable

#: The largest difference, absolute or relative to the expected value, that counts as the same answer.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Trial:
    """Encoded rows, and what the model answered for them where it was trained: the scored numbers, float64.

    Their shape is (rows,), or (rows, columns) where the signature's last output names columns.
    """

    columns: Mapping[str, np.ndarray]
    expected: np.ndarray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.expected)

    def take(self, rows: np.ndarray) -> Trial:
        """Return some of the rows."""
        return Trial({name: values[rows] for name, values in self.columns.items()}, self.expected[rows])

    def __add__(self, other: Trial) -> Trial:
        """Return the rows of both."""
        columns = {name: np.concatenate([self.columns[name], other.columns[name]]) for name in self.columns}
        return Trial(columns, np.concatenate([self.expected, other.expected]))


@dataclass(frozen=True)
class Saved:
    """A model as files."""

    #: The format that reads them back; another one than the writer where a model was converted.
    format: str
    #: Plain file names and their content.
    files: Mapping[str, bytes]
    #: What a person should know.
    notes: tuple[str, ...] = ()
    #: More rows that whoever loads the files must reproduce.
    trial: Trial | None = None


@dataclass(frozen=True)
class Example:
    """A small fitted model and rows to try it on."""

    model: Any
    task: str
    signature: Signature
    trial: Trial


class Format(Protocol):
    """A module that stores models and reads them back."""

    NAME: str

    def accepts(self, model: Any) -> bool:
        """Return whether it can store this object."""
        ...

    def save(self, model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:
        """Return the model as files.

        Raises:
            UnsafeFormat: it could only be stored in a way that runs code when it is read.
        """
        ...

    def load(self, files: Mapping[str, bytes], *, task: str, signature: Signature) -> Servable:
        """Return a model that answers."""
        ...

    def example(self) -> Example:
        """Return a small fitted model."""
        ...


def differences(given: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return how far each row is off, in units in which `TOLERANCE` is the limit; no number counts as infinite.

    Of several numbers, the one that is most off counts.
    """
    with np.errstate(invalid="ignore"):
        off = np.abs(given - expected) / np.maximum(1.0, np.abs(expected))
    off = np.where(np.isfinite(off), off, np.inf)
    return off if off.ndim == 1 else off.max(axis=1)


def worst_rows(trial: Trial, given: np.ndarray, off: np.ndarray, *, count: int = 3) -> str:
    """Return the rows that are most off, as text with what was given and what was expected."""
    order = np.argsort(-off, kind="stable")[:count]
    return "; ".join(
        f"row {row} ({', '.join(f'{name}={values[row]}' for name, values in trial.columns.items())}): "
        f"{_told(given[row], trial.expected[row])}"
        for row in order.tolist()
        if off[row] > TOLERANCE
    )


def _told(given: np.ndarray, expected: np.ndarray) -> str:
    if not given.ndim:
        return f"{given:.6g} instead of {expected:.6g}"
    worst = int(np.argmax(differences(given, expected)))
    return f"{given[worst]:.6g} instead of {expected[worst]:.6g} in column {worst}"


def libraries(model: Any) -> list[str]:
    """Return the packages that a model's class and its bases come from, nearest first.

    >>> libraries(3)
    ['builtins']
    """
    return list(dict.fromkeys(kind.__module__.partition(".")[0] for kind in type(model).__mro__))
