"""What a model version was made from and how it answered, in about a megabyte: what later rows are compared with."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl

from treadle.core.errors import DigestMismatch, SchemaTooNew
from treadle.monitoring.estimation import Estimator
from treadle.monitoring.summaries import Column, learn

#: What a column is to the model: something it is given, something it answers, or what turned out to be true.
Role = Literal["input", "prediction", "confidence", "target"]
ROLES: tuple[Role, ...] = ("input", "prediction", "confidence", "target")
#: Rows that are kept whole, for detectors of all columns together.
SAMPLE = 2_000

_LAYOUT = 1
_MAGIC = b"treadle-reference\n"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """The reference of a model version."""

    layout: int = _LAYOUT
    #: Rows of the inputs.
    rows: int
    #: Role → column → what it holds. Inputs and target are those of the rows learnt from, answers those on rows kept apart.
    columns: dict[str, dict[str, Column]]
    #: How much of the variation of the answers goes with each input, 0 to about 1; missing: it was not tried.
    importance: dict[str, float] = {}
    #: Some of the rows, as Parquet.
    sample: bytes = b""
    #: What estimates how good answers are before their outcomes are known; None: it cannot, or too few rows were kept apart.
    estimator: Estimator | None = None
    #: Things a person should know.
    notes: tuple[str, ...] = ()

    def column(self, role: str, name: str) -> Column | None:
        """Return one column, if it is there."""
        return self.columns.get(role, {}).get(name)

    def rows_kept(self) -> pl.DataFrame:
        """Return the rows that are kept whole."""
        return pl.read_parquet(BytesIO(self.sample)) if self.sample else pl.DataFrame()


def build(
    parts: Mapping[str, pl.DataFrame],
    *,
    importance: Mapping[str, float] | None = None,
    estimator: Estimator | None = None,
    notes: tuple[str, ...] = (),
    seed: int = 0,
) -> Reference:
    """Make a reference of frames by role; columns of moments are left out, as time goes on.

    >>> made = build({"input": pl.DataFrame({"distance": [1.0, 2.0, 3.0, 4.0]})})
    >>> made.rows, made.column("input", "distance").known
    (4, 4)
    """
    inputs = parts.get("input", pl.DataFrame())
    columns = {
        role: {name: learn(frame[name]) for name in frame.columns if is_compared(frame.schema[name])}
        for role, frame in parts.items()
    }
    return Reference(
        rows=inputs.height,
        columns={role: found for role, found in columns.items() if found},
        importance=dict(importance or {}),
        estimator=estimator,
        sample=_sampled(inputs.select(list(columns.get("input", {}))), seed),
        notes=notes,
    )


def is_compared(dtype: pl.DataType) -> bool:
    """Return whether columns of a type are compared: numbers, booleans and texts are."""
    return dtype.is_numeric() or dtype in (pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Null)


def to_bytes(reference: Reference) -> bytes:
    """Return a reference as bytes: a first line, and MessagePack, compressed."""
    return _MAGIC + zlib.compress(msgspec.msgpack.encode(reference, enc_hook=_encoded), 6)


def from_bytes(data: bytes) -> Reference:
    """Return a reference from its bytes.

    Raises:
        DigestMismatch: they are none.
        SchemaTooNew: a newer Treadle wrote them.
    """
    if not data.startswith(_MAGIC):
        raise _unreadable("they begin otherwise")
    try:
        plain = zlib.decompress(data[len(_MAGIC) :])
        layout = msgspec.msgpack.decode(plain, type=_Layout).layout
        if layout > _LAYOUT:
            msg = f"The reference has layout {layout}; this Treadle reads up to {_LAYOUT}. Upgrade Treadle, or learn it again: treadle drift MODEL --learn"
            raise SchemaTooNew(msg)
        return msgspec.msgpack.decode(plain, type=Reference, dec_hook=_decoded)
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise _unreadable(f"{type(error).__name__}: {error}") from error


def _unreadable(why: str) -> DigestMismatch:
    msg = (
        f"These bytes are no reference of a model version: {why}. Learn it again: treadle drift MODEL --learn"
    )
    return DigestMismatch(msg)


class _Layout(msgspec.Struct):
    layout: int = 0


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.tobytes())
    msg = f"A reference holds no {type(value).__name__}."
    raise TypeError(msg)


def _decoded(_: type, value: Any) -> Any:
    dtype, data = value
    if dtype not in {"<f8", "<i8"}:
        msg = f"array of {dtype}"
        raise ValueError(msg)
    return np.frombuffer(data, dtype=dtype)


def _sampled(frame: pl.DataFrame, seed: int) -> bytes:
    if not frame.height or not frame.width:
        return b""
    kept = frame.sample(min(SAMPLE, frame.height), seed=seed) if frame.height > SAMPLE else frame
    wide = [pl.col(name).cast(pl.Float32) for name, kind in kept.schema.items() if kind.is_float()]
    target = BytesIO()
    kept.with_columns(wide).write_parquet(target, compression="zstd")
    return target.getvalue()
