"""Golden rows as bytes: plain numbers and text, so that reading them needs no frame library and runs no code."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import numpy as np

from treadle.core.errors import PackageRefused
from treadle.core.servable import Servable
from treadle.core.signature import Signature
from treadle.registry.format import TOLERANCE, Trial, differences, worst_rows

_LITTLE_ENDIAN = {"float32": "<f4", "int64": "<i8", "float64": "<f8"}


class _Golden(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows as stored: numbers as little-endian bytes, strings as a list."""

    expected: bytes
    numbers: dict[str, bytes]
    strings: dict[str, list[str]]
    #: How many numbers are expected of each row; 0: one, in an array of shape (rows,).
    width: int = 0


def to_bytes(trial: Trial) -> bytes:
    """Return golden rows as bytes."""
    columns = trial.columns.items()
    kept = _Golden(
        expected=trial.expected.astype("<f8").tobytes(),
        numbers={
            n: v.astype(_LITTLE_ENDIAN[v.dtype.name]).tobytes() for n, v in columns if v.dtype != object
        },
        strings={n: v.tolist() for n, v in columns if v.dtype == object},
        width=0 if trial.expected.ndim == 1 else trial.expected.shape[1],
    )
    return msgspec.msgpack.encode(kept)


def from_bytes(data: bytes, signature: Signature) -> Trial:
    """Return golden rows.

    Raises:
        PackageRefused: they do not fit the signature.
    """
    try:
        kept = msgspec.msgpack.decode(data, type=_Golden)
        expected = np.frombuffer(kept.expected, dtype="<f8").astype(np.float64)
        expected = expected.reshape(-1, kept.width) if kept.width else expected
        columns: dict[str, np.ndarray] = {
            f.name: np.array(kept.strings[f.name], dtype=object)
            if f.tensor == "string"
            else np.frombuffer(kept.numbers[f.name], dtype=_LITTLE_ENDIAN[f.tensor]).astype(f.tensor)
            for f in signature.inputs
        }
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        msg = f"The golden rows cannot be read: {error}"
        raise PackageRefused(msg) from error
    if not len(expected) or any(len(values) != len(expected) for values in columns.values()):
        msg = "The golden rows cannot be read: their columns have different lengths, or there are none."
        raise PackageRefused(msg)
    return Trial(columns, expected)


def check(trial: Trial, given: np.ndarray) -> None:
    """Accept only answers that are those of golden rows.

    Raises:
        PackageRefused: they are others; the message shows the rows that are most off.
    """
    if given.shape != trial.expected.shape:
        msg = f"The model gives an answer of shape {given.shape} for {len(trial)} golden rows."
        raise PackageRefused(msg)
    off = differences(given, trial.expected)
    wrong = int((off > TOLERANCE).sum())
    if wrong:
        msg = (
            f"The model answers {wrong} of {len(trial)} golden rows differently from where it was trained: "
            f"{worst_rows(trial, given, off)}. Compare the versions of its libraries with those of its run."
        )
        raise PackageRefused(msg)


def sampled(model: Servable, trial: Trial) -> Servable:
    """Return the model with its golden rows at hand, where its class has room for them, and packed where it can be."""
    with suppress(AttributeError):
        model.samples = trial.columns  # type: ignore[attr-defined]
        model.steady()  # type: ignore[attr-defined]
        model.pack()  # type: ignore[attr-defined]
    return model
