"""The shortest way of one row through a model: from a mapping to what is told and logged, with nothing made in between.

It is taken where a row is as most rows are: a plain mapping with a value of its own type for each input, for a model that is fed one
matrix of numbers and gives single numbers. Whatever else comes is left to the usual way, which says what is wrong with it.
The function that reads a row is written for each signature, so that it looks at nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from struct import Struct
from typing import TYPE_CHECKING, Any

import msgspec

from treadle.core.clock import Clock, monotonic
from treadle.core.ids import new_id
from treadle.core.packing import Packer
from treadle.core.servable import Servable
from treadle.core.signature import Field
from treadle.serving.encoding import PYTHON, micros
from treadle.serving.entries import PredictionEntry
from treadle.serving.requests import Reader

if TYPE_CHECKING:
    from treadle.serving.dataplane import Loaded

_USUAL = (("prediction",), ("prediction", "probability"))
#: Values by name for the log, and the numbers of the matrix.
_Read = tuple[dict[str, Sequence[Any]], tuple[float, ...]]


class Straight(msgspec.Struct, frozen=True):
    """What reads a row, and what answers its numbers."""

    read: Callable[[Mapping[str, Any]], _Read | None]
    #: Returns the outputs, in the order in which they are told.
    ask: Callable[[tuple[float, ...]], list[Any]]
    has_probability: bool


def straight_of(servable: Servable, reader: Reader, packers: Sequence[Packer]) -> Straight | None:
    """Return the shortest way through a model; None: its rows need more than that."""
    one = getattr(servable, "one", None)
    names = tuple(field.name for field in servable.signature.outputs)
    if one is None or len(packers) != 1 or names not in _USUAL or type(reader) is not Reader:
        return None
    if packers[0].dtype.kind != "f":
        return None
    return Straight(_written(servable.signature.inputs, packers[0]), one, len(names) > 1)


def answered(
    loaded: Loaded, row: Mapping[str, Any], subject: str | None, *, clock: Clock
) -> tuple[dict[str, Any], PredictionEntry] | None:
    """Return what is told of a row, and what the log keeps; None: it has to go the usual way."""
    router = loaded.router
    if loaded.mixture is not None or router.tallies or router.shadowed:
        return None
    received, request = monotonic(), new_id()
    if subject is None or router.by_request:
        choice = router.choose(request, by="request")
    else:
        choice = router.choose(subject)
    variant = choice.variant
    way = loaded.ready[variant.model, variant.version].straight
    read = way.read(row) if way is not None else None
    if way is None or read is None:
        return None
    values, numbers = read
    try:
        said = way.ask(numbers)
    except Exception:  # noqa: BLE001 - the usual way asks once more, and says what the model said
        return None
    prediction, probability = said[0], said[-1]
    if not (isfinite(prediction) and isfinite(probability)):
        return None
    entry = PredictionEntry(
        request,
        loaded.revision.endpoint,
        loaded.revision.revision,
        variant.model,
        variant.version,
        variant.name,
        choice.reason,
        subject,
        micros(clock.now()),
        monotonic() - received,
        values,
        None,
        [float(prediction)],
        [probability] if way.has_probability else None,
        None,
        None,
        choice.propensity,
    )
    told = {"prediction_id": f"{request}-0", "prediction": prediction}
    if way.has_probability:
        told["probability"] = probability
    return told, entry


def _written(fields: Sequence[Field], packer: Packer) -> Callable[[Mapping[str, Any]], _Read | None]:
    """Write the function that reads a row: each value is taken, its type and size looked at, and its number found."""
    place = {field.name: number for number, field in enumerate(fields)}
    known: dict[str, Any] = {"nan": float("nan")}
    lines = ["def read(row):", f" if len(row) != {len(fields)}: return None", " try:"]
    for number, field in enumerate(fields):
        known[f"name{number}"], known[f"kind{number}"] = field.name, PYTHON[field.kind]
        lines.append(f"  v{number} = row[name{number}]")
    lines.append(" except KeyError: return None")
    for number, field in enumerate(fields):
        lacks = f" and v{number} is not None" if field.nullable else ""
        lines.append(f" if type(v{number}) is not kind{number}{lacks}: return None")
        if field.kind == "integer":
            lines.append(f" if v{number} is not None and not -{2**63} <= v{number} < {2**63}: return None")
    narrow = []
    for at, column in enumerate(packer.row):
        value = f"v{place[column.field]}"
        if column.table is not None:
            known[f"find{at}"], known[f"default{at}"] = column.table.get, column.default
            lines.append(f" n{at} = find{at}({value}, default{at})")
            continue
        known[f"limit{at}"] = column.limit
        missing = f"n{at} = nan" if column.may_miss else "return None"
        lines += [
            f" if {value} is None: {missing}",
            f" elif -limit{at} <= {value} <= limit{at}: n{at} = {value}",
            " else: return None",
        ]
        if column.is_narrow:
            narrow.append(f"n{at}")
    if narrow:
        floats = Struct(f"{len(narrow)}f")
        known["pack"], known["unpack"] = floats.pack, floats.unpack
        lines.append(f" {', '.join(narrow)}, = unpack(pack({', '.join(narrow)}))")
    values = ", ".join(f"name{number}: (v{number},)" for number in range(len(fields)))
    lines.append(f" return {{{values}}}, ({''.join(f'n{at}, ' for at in range(len(packer.row)))})")
    # Names and tables of the signature are values here, and never part of the text.
    exec(compile("\n".join(lines), "<signature>", "exec"), known)  # noqa: S102
    return known["read"]  # type: ignore[no-any-return]
