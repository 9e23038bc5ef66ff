"""What a batch is going to do: its model version, its inputs, and the parts that they are scored in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.core.ids import digest_of
from treadle.core.records import Record
from treadle.core.signature import Field, Signature
from treadle.serving.batch import inputs

#: Rows of a part. A process has the columns of one part in memory.
PART_ROWS = 262_144


class Part(Record, frozen=True, kw_only=True):
    """Rows that are scored together, and become one file."""

    number: int
    #: Index of the input among the plan's.
    input: int
    offset: int
    rows: int

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"part-{self.number:05d}.parquet"


class Options(Record, frozen=True, kw_only=True):
    """What was asked for beside model and rows."""

    #: Columns that are passed through; None: all.
    keep: tuple[str, ...] | None = None
    #: What becomes of rows that do not fit the signature: they are put aside with the reason, or end the batch.
    misfits: Literal["reject", "stop"] = "reject"
    #: Stands before the names of the columns that are added.
    prefix: str = ""
    part_rows: int = PART_ROWS
    #: Whether the predictions go into the log of the endpoint, and the columns by which their outcomes will be found.
    log: bool = False
    key: tuple[str, ...] = ()


class Plan(Record, frozen=True, kw_only=True):
    """A batch, before its first row is scored; the same question makes the same plan, with the same id."""

    id: str
    model: str
    version: int
    #: The endpoint that was asked, and its revision; empty and 0: a version was asked for.
    endpoint: str = ""
    revision: int = 0
    #: Of an endpoint whose variants answer together, all of them, as `delay/3`; none: the version above answers alone.
    members: tuple[str, ...] = ()
    #: What the rows are, in words that identify them.
    source: dict[str, Any]
    inputs: tuple[inputs.Input, ...]
    options: Options
    parts: tuple[Part, ...]

    @property
    def answered_by(self) -> str:
        """What answers, as `delay/3`, or `delay/3 + delay/4`."""
        return " + ".join(self.members) or f"{self.model}/{self.version}"

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(part.rows for part in self.parts)


class Target(Record, frozen=True, kw_only=True):
    """The model version that answers, and by which endpoint it was found."""

    model: str
    version: int
    endpoint: str = ""
    revision: int = 0
    #: As of a plan.
    members: tuple[str, ...] = ()


def make(
    target: Target,
    found: Sequence[inputs.Input],
    *,
    source: dict[str, Any],
    signature: Signature,
    options: Options,
    known: Sequence[inputs.Input] = (),
) -> Plan:
    """Return the plan for some inputs, of which `known` ones were looked at before.

    Raises:
        InvalidInput: there are no rows, an input lacks a column that the model takes or has it in another type, or a
            column that is added would stand where one is passed through.
    """
    for one in found:
        if one not in known:
            inputs.check(one, signature)
        _check_names(one, signature, options)
    parts = _parts(found, options.part_rows)
    if not parts:
        msg = "There are no rows to score in the inputs."
        raise InvalidInput(msg)
    said = {
        "target": msgspec.to_builtins(target),
        "source": source,
        "inputs": [one.identity for one in found],
        "options": msgspec.to_builtins(options),
    }
    return Plan(
        id=f"batch_{digest_of(said).removeprefix('sha256:')[:24]}",
        model=target.model,
        version=target.version,
        endpoint=target.endpoint,
        revision=target.revision,
        members=target.members,
        source=source,
        inputs=tuple(found),
        options=options,
        parts=parts,
    )


def added(signature: Signature, prefix: str) -> dict[str, Field]:
    """Return the columns that a batch adds for the outputs of a model, each with its output."""
    found = {}
    for field in signature.outputs or (Field(name="prediction", kind="float"),):
        for column in field.columns or ("",):
            found[f"{prefix}{field.name}_{column}" if column else f"{prefix}{field.name}"] = field
    return found


def own(prefix: str) -> tuple[str, str]:
    """Return the names of the columns that say by what a row was scored."""
    return f"{prefix}model_version", f"{prefix}batch"


def _check_names(one: inputs.Input, signature: Signature, options: Options) -> None:
    there = [name for name, _ in one.columns]
    for name in (*(options.keep or ()), *options.key):
        if name not in there:
            msg = (
                f"{one.shown} has no column {name!r} to keep, or to know outcomes by. {closest(name, there)}"
            )
            raise InvalidInput(msg, field=name)
    kept = set(there if options.keep is None else options.keep)
    both = sorted(kept & {*added(signature, options.prefix), *own(options.prefix)})
    if both:
        msg = (
            f"{one.shown} has a column {both[0]!r} already, as the batch would add. Name what is kept without it (--keep), "
            "or put something before the new names (--prefix)."
        )
        raise InvalidInput(msg, field=both[0])


def _parts(found: Sequence[inputs.Input], size: int) -> tuple[Part, ...]:
    places = [
        (index, offset, min(size, one.rows - offset))
        for index, one in enumerate(found)
        for offset in range(0, one.rows, size)
    ]
    return tuple(
        Part(number=number, input=index, offset=offset, rows=rows)
        for number, (index, offset, rows) in enumerate(places)
    )


def read(part: Part, plan: Plan, *, columns: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a part.

    Raises:
        InvalidInput: the file is gone, or is not what it was when the batch was planned.
    """
    one = plan.inputs[part.input]
    try:
        rows = (
            pl.scan_parquet(Path(one.file), glob=False)
            .slice(part.offset, part.rows)
            .select(columns)
            .collect()
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"{one.shown} can no longer be read ({str(error).splitlines()[0]}). The batch goes on where it stopped once it can."
        raise InvalidInput(msg) from error
    if rows.height != part.rows:
        msg = f"{one.shown} has changed since the batch was planned. Begin another one, in another place."
        raise InvalidInput(msg)
    return rows
