"""The proof that a converted model answers like its original, on golden rows and on rows beside every split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from treadle.core.answers import numbers, scored
from treadle.core.servable import Servable
from treadle.core.signature import Signature
from treadle.registry.conversion.boundaries import boundary_rows
from treadle.registry.conversion.graph import Unconvertible
from treadle.registry.conversion.pipelines import Converted
from treadle.registry.format import TOLERANCE, Saved, Trial, differences, worst_rows
from treadle.registry.formats import onnx

#: Boundary rows that go into the package, beside those that the caller gave.
_KEPT = 512
#: A probability nearer to a half than this does not decide the class, where an original computes in double precision.
DOUBLE = 1e-9
#: The same where it computes in single precision.
SINGLE = 1e-6


def faithful(
    candidates: Iterator[Converted],
    native: Servable,
    trial: Trial,
    *,
    task: str,
    signature: Signature,
    decisive: float = DOUBLE,
) -> Saved | str:
    """Return the first conversion whose every answer is the original's, or why there is none, with the worst rows."""
    reason = ""
    try:
        for converted in candidates:
            data = converted.model.SerializeToString(deterministic=True)
            boundaries, notes = _boundaries(native, converted, trial, signature=signature)
            compared = trial + boundaries
            reason = _difference(data, native, compared, task=task, signature=signature, decisive=decisive)
            if not reason:
                chosen = np.random.default_rng(0).permutation(len(boundaries))[:_KEPT]
                return Saved(
                    format=onnx.NAME,
                    files={onnx.FILE: data},
                    notes=(*converted.notes, *notes),
                    trial=boundaries.take(np.sort(chosen)),
                )
    except Unconvertible as unknown:
        reason = reason or str(unknown)
    return reason


def _boundaries(
    native: Servable, converted: Converted, trial: Trial, *, signature: Signature
) -> tuple[Trial, list[str]]:
    """Ask the native model about boundary rows; kinds of rows that it refuses itself are left out with a note."""
    found, notes = trial.take(np.array([], dtype=np.int64)), []
    for kind, columns in boundary_rows(signature, trial.columns, converted.thresholds).items():
        try:
            expected = numbers(native.predict(columns), signature)
        except ValueError as error:
            first = str(error).partition("\n")[0]
            notes.append(
                f"Rows with {kind} values were not compared, because the original refuses them: {first}"
            )
            continue
        found = found + Trial(columns, expected)
    return found, notes


def _difference(
    data: bytes, native: Servable, trial: Trial, *, task: str, signature: Signature, decisive: float
) -> str:
    """Compare ONNX Runtime with the native model; return what differs, with the worst rows, or nothing."""
    try:
        outputs = onnx.load({onnx.FILE: data}, task=task, signature=signature).predict(trial.columns)
    # The runtime raises its own classes, which all derive from Exception only: each means that it cannot run this.
    except Exception as error:  # noqa: BLE001
        return f"ONNX Runtime does not run it ({type(error).__name__}: {str(error)[:200]})"
    given, original = numbers(outputs, signature), native.predict(trial.columns)
    expected = numbers(original, signature)
    off = differences(given, expected)
    apart = _apart(expected, signature)
    off[_said_otherwise(outputs, original, apart, decisive=decisive)] = np.inf
    wrong = int((off > TOLERANCE).sum())
    worst = worst_rows(Trial(trial.columns, expected), given, off)
    return f"{wrong} of {len(trial)} compared rows change their answer: {worst}" if wrong else ""


def _said_otherwise(
    given: Mapping[str, np.ndarray],
    original: Mapping[str, np.ndarray],
    apart: np.ndarray,
    *,
    decisive: float,
) -> np.ndarray:
    """Return the rows that get another class; where two are as likely but for the last bit, either may be said."""
    if given["prediction"].dtype.kind == "f":
        return np.zeros(len(apart), dtype=bool)
    return np.asarray((apart > 2 * decisive) & (given["prediction"] != original["prediction"]))


def _apart(expected: np.ndarray, signature: Signature) -> np.ndarray:
    """Return how much more likely what is said is than what would be said next, of shape (rows,)."""
    if expected.ndim == 1:
        return np.asarray(np.abs(2 * expected - 1))
    if scored(signature).independent:
        return np.asarray(np.abs(2 * expected - 1).min(axis=1))
    best = np.sort(expected, axis=1)[:, -2:]
    return np.asarray(best[:, -1] - best[:, 0])
