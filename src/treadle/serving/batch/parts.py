"""Scores one part and writes its file: whole, under its name, and with its digest noted, or not at all."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput, ModelFailed
from treadle.core.records import Record, Variant
from treadle.core.servable import Servable
from treadle.core.signature import Field
from treadle.serving.batch import plan as plans
from treadle.serving.batch.logged import Logging
from treadle.serving.batch.plan import Part, Plan
from treadle.serving.batch.rows import Sifted
from treadle.serving.calls import answered
from treadle.store.failures import of_os_error
from treadle.store.files import replacing

#: Rows that the model is called with at a time.
CALL_ROWS = 16_384
STATE, DONE, REJECTED, LOG = ".treadle-batch", "done", "rejected", "log"


class Done(Record, frozen=True, kw_only=True):
    """What became of a part."""

    number: int
    rows: int
    rejected: int = 0
    #: Of the file of its scored rows, and of the file of the others.
    digest: str
    rejected_digest: str = ""


def score(
    part: Part, plan: Plan, *, servable: Servable, folder: Path, logging: Logging | None = None
) -> Done:
    """Score a part; what was done already is read and not done again. `logging` leaves beside it what the log gets.

    Raises:
        InvalidInput: a row does not fit, and the batch is to stop at one.
        ModelFailed: the model raised, or gave something else than a finite number.
        StoreUnavailable: the file could not be written.
    """
    note = folder / STATE / DONE / f"{part.number:05d}.json"
    if note.exists():
        return msgspec.json.decode(note.read_bytes(), type=Done)
    sifted = _sifted(part, plan, servable)
    rejected = sifted.rejected() if sifted.fine is not None else None
    if rejected is not None and plan.options.misfits == "stop":
        msg = (
            f"{plan.inputs[part.input].shown} has {rejected.height} rows that do not fit, in the rows from {part.offset}. The "
            f"first: {rejected['_reason'][0]}. Mend them, or let them be put aside (--misfits reject)."
        )
        raise InvalidInput(msg)
    try:
        scored, outputs = _scored(sifted, plan, servable)
        if logging is not None:
            _log(logging, sifted.rows, outputs, part, plan, servable=servable, folder=folder)
        done = Done(
            number=part.number,
            rows=sifted.rows.height,
            rejected=0 if rejected is None else rejected.height,
            digest=_written(scored, folder / part.name),
            rejected_digest="" if rejected is None else _written(rejected, folder / REJECTED / part.name),
        )
        with replacing(note) as file:
            file.write(msgspec.json.encode(done))
    except OSError as error:
        raise of_os_error(error, store="batch", place=str(folder)) from error
    return done


def _sifted(part: Part, plan: Plan, servable: Servable) -> Sifted:
    one = plan.inputs[part.input]
    wanted = [field.name for field in servable.signature.inputs]
    kept = [name for name, _ in one.columns] if plan.options.keep is None else list(plan.options.keep)
    rows = plans.read(part, plan, columns=list(dict.fromkeys([*kept, *wanted, *plan.options.key])))
    return Sifted(rows, servable.signature, textual=one.textual)


def _log(
    logging: Logging,
    rows: pl.DataFrame,
    outputs: dict[str, np.ndarray],
    part: Part,
    plan: Plan,
    *,
    servable: Servable,
    folder: Path,
) -> None:
    signature = servable.signature
    columns = {field.name: field.columns for field in signature.outputs}
    inputs = [field.name for field in signature.inputs]
    if rows.height:
        name = f"{plan.id}-{part.number}"
        frame = logging.frame(rows, outputs, inputs=inputs, columns=columns, name=name)
        _written(frame, folder / STATE / LOG / part.name)


def _scored(sifted: Sifted, plan: Plan, servable: Servable) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    rows, options = sifted.rows, plan.options
    kept = rows if options.keep is None else rows.select(options.keep)
    outputs = predict(sifted.arrays(), rows.height, servable=servable, plan=plan)
    version, batch = plans.own(options.prefix)
    columns = _columns(outputs, servable, options.prefix)
    own = (pl.lit(plan.answered_by).alias(version), pl.lit(plan.id).alias(batch))
    return kept.with_columns(*columns).with_columns(own), outputs


def predict(
    arrays: dict[str, np.ndarray], rows: int, *, servable: Servable, plan: Plan
) -> dict[str, np.ndarray]:
    """Return the model's outputs for arrays of any length, asked for a piece at a time."""
    variant = Variant(name="batch", model=plan.model, version=plan.version)
    columns = {field.name: field.columns for field in servable.signature.outputs}
    pieces: list[dict[str, np.ndarray]] = []
    for start in range(0, rows, CALL_ROWS):
        piece = {name: values[start : start + CALL_ROWS] for name, values in arrays.items()}
        size = min(CALL_ROWS, rows - start)
        ask = partial(servable.predict, piece)
        pieces.append(answered(ask, columns=columns, rows=size, variant=variant))
    if not pieces:
        return {}
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _columns(outputs: dict[str, np.ndarray], servable: Servable, prefix: str) -> list[pl.Series]:
    found = []
    fields = {field.name: field for field in servable.signature.outputs}
    for name, values in outputs.items():
        names = fields[name].columns if name in fields else ()
        if not names:
            found.append(_series(f"{prefix}{name}", values))
        for place, column in enumerate(names):
            found.append(_series(f"{prefix}{name}_{column}", values[:, place]))
    if not outputs:
        found = [
            _series(name, _nothing(field)) for name, field in plans.added(servable.signature, prefix).items()
        ]
    return found


def _nothing(field: Field) -> np.ndarray:
    kinds = {"integer": np.int64, "boolean": np.bool_, "float": np.float64}
    return np.empty(0, dtype=kinds.get(field.kind, object))


def _series(name: str, values: np.ndarray) -> pl.Series:
    if values.dtype == object:
        return pl.Series(name, values.tolist(), dtype=pl.String)
    return pl.Series(name, values)


def _written(frame: pl.DataFrame, place: Path) -> str:
    """Write a file and return its digest."""
    data = io.BytesIO()
    frame.write_parquet(data, row_group_size=plans.PART_ROWS)
    view = data.getbuffer()
    with replacing(place) as file:
        file.write(view)
    return f"sha256:{hashlib.sha256(view).hexdigest()}"


#: Makes what answers, in the process that scores.
Loader = Callable[[], Servable]
__all__ = ["CALL_ROWS", "DONE", "REJECTED", "STATE", "Done", "Loader", "ModelFailed", "predict", "score"]
