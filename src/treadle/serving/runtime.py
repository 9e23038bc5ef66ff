"""A model version in memory: its calls, for one request or for several at once, and the check of what it gave.

Requests that run together must get the very answers that each would get alone. Arithmetic may depend on how many rows
it is done for (a product of matrices adds up in another order), so this is tried at load on real rows, bit by bit;
a version whose answers differ is called for each request by itself.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from treadle.core.clock import monotonic, working_time
from treadle.core.errors import InvalidInput, ModelFailed, PackageRefused, TreadleError
from treadle.core.packing import Packer
from treadle.core.records import Variant
from treadle.core.servable import Servable
from treadle.serving.calls import answered
from treadle.serving.given import Given, parted
from treadle.serving.requests import Batch, Reader
from treadle.serving.straight import Straight, straight_of

Outputs = dict[str, np.ndarray]

_STATM = Path("/proc/self/statm")
_NEUTRAL = {"float32": np.float32(0), "int64": np.int64(0), "string": ""}
#: Rows with which a version is warmed and tried, and how many of them are put together.
_SAMPLES, _SIZES = 64, (2, 3, 5, 8, 16, 64)

#: Seconds of a call from which on it counts how long it took, and not only how long the processor worked for it.
_WAITS = 0.1


class Ready(msgspec.Struct, frozen=True, weakref=True):
    """A model version in memory and the reader of its requests."""

    servable: Servable
    reader: Reader
    #: By output, what its columns are called, of those that have several.
    columns: dict[str, tuple[str, ...]]
    #: Outputs whose numbers are probabilities of labels, each by itself.
    independent: frozenset[str]
    #: Whether rows get the same bits alone and beside others, as far as its samples show.
    joins: bool = True
    #: Seconds that a call for one row took when it was loaded.
    seconds: float = 0.0
    #: Of several variants that answer together: model, version and name of each, by name.
    members: dict[str, tuple[str, int, str]] = {}
    #: What makes the matrices that the model can be fed; empty: it is fed encoded columns.
    packers: tuple[Packer, ...] = ()
    #: Integers that none of these takes.
    unused: tuple[str, ...] = ()
    #: The shortest way of one row through it; None: its rows need more.
    straight: Straight | None = None
    #: Bytes by which the process grew when it was loaded and warmed.
    memory: int = 0
    #: What computes it: a provider of ONNX Runtime, or `native`.
    provider: str = "native"
    #: Why it is not the provider that was asked for; empty: it is.
    fallback: str = ""

    def packed(self, batch: Batch) -> dict[str, np.ndarray] | None:
        """Return what the model is fed for values; None: they have to be encoded one by one."""
        if not batch.values:
            return None
        if not all(-(2**63) <= (value or 0) < 2**63 for name in self.unused for value in batch.values[name]):
            return None  # no matrix takes it, and it is refused all the same
        found = {}
        for packer in self.packers:
            matrix = packer.pack(batch.values, rows=batch.rows)
            if matrix is None:
                return None
            found[packer.name] = matrix
        return found


def make_ready(
    servable: Servable, variant: Variant, *, reader: Reader, samples: Mapping[str, np.ndarray] | None = None
) -> Ready:
    """Warm a version, with the golden rows of its package where it has them, and find out how it may be called.

    Raises:
        PackageRefused: its first call failed.
    """
    outputs = servable.signature.outputs
    packers = _packers(servable)
    ready = Ready(
        servable,
        reader,
        {field.name: field.columns for field in outputs if field.columns},
        frozenset(field.name for field in outputs if field.independent),
        packers=packers,
        unused=_unused(servable) if packers else (),
    )
    rows = _some(samples) if samples else _neutral(servable)
    try:
        joins = _joins(ready, rows, variant)
        began, worked = monotonic(), working_time()
        run(ready, _taken(rows, 0, 1), variant)
    except ModelFailed as error:
        msg = f"The first call of it failed: {error}"
        raise PackageRefused(msg) from error
    took, worked = monotonic() - began, working_time() - worked
    way = straight_of(servable, reader, packers)
    return msgspec.structs.replace(ready, joins=joins, seconds=lasting(took, worked), straight=way)


def resident() -> int:
    """Return the bytes that this process holds in memory; 0: the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _packers(servable: Servable) -> tuple[Packer, ...]:
    inputs = {field.name: field for field in servable.signature.inputs}
    try:
        return tuple(Packer(matrix, inputs) for matrix in getattr(servable, "packing", ()))
    except ValueError:
        return ()


def _unused(servable: Servable) -> tuple[str, ...]:
    packed = {column.field for matrix in getattr(servable, "packing", ()) for column in matrix.columns}
    inputs = servable.signature.inputs
    return tuple(field.name for field in inputs if field.kind == "integer" and field.name not in packed)


def lasting(took: float, worked: float) -> float:
    """Return how long a call lasts that took so many seconds, for so many of which the processor worked.

    On a busy machine a short call may take long; only one that waits by itself, as for a network, takes much longer.
    """
    return took if took > _WAITS else worked


def run(ready: Ready, batch: Batch, variant: Variant) -> Outputs:
    """Call the model for the rows of one request.

    Raises:
        InvalidInput: a value does not fit its tensor.
        ModelFailed: the model raised, or its answer is not one finite number for each row.
    """
    feed = ready.packed(batch) if ready.packers else None
    if feed is not None:
        ask = partial(ready.servable.predict_packed, feed, batch.rows)  # type: ignore[attr-defined]
    else:
        ask = partial(ready.servable.predict, batch.columns)
    return answered(ask, columns=ready.columns, rows=batch.rows, variant=variant)


def run_together(ready: Ready, batches: Sequence[Batch], variant: Variant) -> list[Given | TreadleError]:
    """Call the model once for the rows of several requests; where that fails, for each request by itself.

    So a row that is refused, or that the model fails on, is the matter of its own request only.
    """
    if len(batches) > 1 and ready.joins:
        try:
            whole = run(ready, ready.reader.joined(batches), variant)
            return [*parted(whole, [batch.rows for batch in batches])]
        except (InvalidInput, ModelFailed):
            pass
    return [_run_alone(ready, batch, variant) for batch in batches]


def _run_alone(ready: Ready, batch: Batch, variant: Variant) -> Given | TreadleError:
    try:
        return Given.of(run(ready, batch, variant))
    except (InvalidInput, ModelFailed) as error:
        return error


def _some(golden: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {name: values[:_SAMPLES] for name, values in golden.items()}


def _neutral(servable: Servable) -> Mapping[str, np.ndarray]:
    return {
        field.name: np.full(2, _NEUTRAL[field.tensor], dtype=object if field.tensor == "string" else None)
        for field in servable.signature.inputs
    }


def _taken(samples: Mapping[str, np.ndarray], start: int, end: int) -> Batch:
    return Batch.encoded({name: values[start:end] for name, values in samples.items()})


def _joins(ready: Ready, samples: Mapping[str, np.ndarray], variant: Variant) -> bool:
    """Run the samples alone and together; return whether all bits are the same."""
    count = len(next(iter(samples.values()), ()))
    alone = [run(ready, _taken(samples, row, row + 1), variant) for row in range(count)]
    for size in _SIZES:
        for start in range(0, count - size + 1, size):
            together = run(ready, _taken(samples, start, start + size), variant)
            for name, values in together.items():
                one_by_one = np.concatenate([alone[row][name] for row in range(start, start + size)])
                if not _same(values, one_by_one):
                    return False
    return True


def _same(values: np.ndarray, others: np.ndarray) -> bool:
    if values.dtype == object or others.dtype == object:
        return bool(values.tolist() == others.tolist())
    return values.dtype == others.dtype and values.tobytes() == others.tobytes()
