"""On-demand features: computed from a row's own columns and joined features, by the same code in training and serving."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

import polars as pl
from polars.datatypes import DataType, DataTypeClass
from polars.testing import assert_frame_equal

from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.core.ids import digest_of

#: What a column's type may be declared as: a Python type, or one of Polars.
Type = type | DataType | DataTypeClass
#: What a user writes: a frame of the inputs in, a frame of the outputs out.
Function = Callable[[pl.DataFrame], pl.DataFrame]

_PYTHON: dict[object, DataType] = {
    str: pl.String(),
    int: pl.Int64(),
    float: pl.Float64(),
    bool: pl.Boolean(),
    datetime: pl.Datetime("us", "UTC"),
    date: pl.Date(),
}
#: How many rows are computed one by one when a computation is tried.
TRIED = 16


@dataclass(frozen=True, eq=False)
class OnDemand:
    """Columns made of other columns of the same row.

    `inputs` maps the columns that are read to their types, `compute` is a function from a frame of these to a frame of
    the outputs, or maps outputs to Polars expressions; `outputs` maps the columns that are added to their types. With
    expressions `outputs` may be left out: their types follow from those of the inputs. A value of another type is taken
    where nothing is lost (3 as 3.0), and refused elsewhere, so that training and serving cannot differ. A row's outputs
    may depend on that row only; this is tried on some rows whenever a model is trained.

    >>> share = OnDemand("share", inputs={"amount": float, "spent": float},
    ...                  compute={"share": pl.col("amount") / pl.col("spent")})
    >>> share.apply(pl.DataFrame({"amount": [1, 3], "spent": [4, None]}))["share"].to_list()
    [0.25, None]

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    name: str
    inputs: Mapping[str, Type]
    compute: Function | Mapping[str, pl.Expr]
    outputs: Mapping[str, Type] | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        name: object = self.name
        if not isinstance(name, str) or not name:
            raise self._wrong("name", "expected a name")
        read, added = self.input_types, self.output_types
        if both := read.keys() & added.keys():
            raise self._wrong("outputs", f"of which {min(both)!r} is an input. Give it another name")

    @cached_property
    def input_types(self) -> dict[str, DataType]:
        """The columns that are read."""
        return self._types("inputs", self.inputs)

    @cached_property
    def output_types(self) -> dict[str, DataType]:
        """The columns that are added."""
        if self.outputs is not None:
            return self._types("outputs", self.outputs)
        if callable(self.compute):
            raise self._wrong(
                "outputs", "expected the columns that the function returns, as {'share': float}"
            )
        return self._inferred(self.compute)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The columns that are added, in order."""
        return tuple(self.output_types)

    def spec(self) -> dict[str, Any]:
        """Return what is declared, as plain values; a function's code belongs to that of the project."""
        made = (
            "" if callable(self.compute) else {name: str(made) for name, made in dict(self.compute).items()}
        )
        return {
            "on_demand": self.name,
            "inputs": {name: str(dtype) for name, dtype in self.input_types.items()},
            "outputs": {name: str(dtype) for name, dtype in self.output_types.items()},
            "compute": made,
        }

    def definition(self) -> str:
        """Return the digest of what is declared and of a function's code; how that is laid out and its comments do not count."""
        return digest_of({**self.spec(), "code": _code(self.compute) if callable(self.compute) else ""})

    def apply(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with the outputs added.

        Raises:
            InvalidInput: an input is missing or of another type, an output's name is taken, or what was computed is
                not what was declared.
        """
        for name in self.output_names:
            if name in rows.columns:
                raise self._misfit(f"would add {name!r}, and the rows have such a column", field=name)
        return rows.with_columns(self.computed(self.read(rows)).get_columns())

    def verify(self, rows: pl.DataFrame) -> None:
        """Try that rows one by one give what they give together, on some of the rows.

        Raises:
            InvalidInput: they do not, or see `apply`.
        """
        read = self.read(rows)
        together = self.computed(read)
        step = max(read.height // TRIED, 1)
        for row in range(0, read.height, step):
            alone = self.computed(read.slice(row, 1))
            try:
                assert_frame_equal(alone, together.slice(row, 1), rel_tol=1e-9, abs_tol=0.0)
            except AssertionError as error:
                msg = (
                    f"gives row {row} {alone.row(0)} when it is computed alone, and {together.row(row)} among {read.height} "
                    "rows. Expected what depends on the row only: a mean, a rank or a row before is a feature view's work"
                )
                raise self._misfit(msg, field=self.output_names[0]) from error

    def read(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the inputs in their types.

        Raises:
            InvalidInput: one is missing or of another type.
        """
        for name in self.input_types:
            if name not in rows.columns:
                raise self._misfit(f"needs a column {name!r}. {closest(name, rows.columns)}", field=name)
        return pl.DataFrame(
            [self._fitted(rows[name], dtype, role="input") for name, dtype in self.input_types.items()]
        )

    def computed(self, read: pl.DataFrame) -> pl.DataFrame:
        """Return the outputs of inputs, both in their types.

        Raises:
            InvalidInput: what was computed is not what was declared.
        """
        made: object = self.compute(read) if callable(self.compute) else _evaluated(self.compute, read)
        if not isinstance(made, pl.DataFrame):
            raise self._misfit(f"returned {type(made).__name__}; expected a pl.DataFrame", field="compute")
        wanted = self.output_types
        if set(made.columns) != set(wanted):
            listed = ", ".join(wanted)
            raise self._misfit(f"returned {', '.join(made.columns)}; declared are {listed}", field="outputs")
        if made.height != read.height:
            msg = f"returned {made.height} rows for {read.height}; expected one for each, in their order"
            raise self._misfit(msg, field="compute")
        return pl.DataFrame(
            [self._fitted(made[name], dtype, role="output") for name, dtype in wanted.items()]
        )

    def _fitted(self, values: pl.Series, dtype: DataType, *, role: str) -> pl.Series:
        """Return values in the type that is declared.

        Raises:
            InvalidInput: some would not be the same.
        """
        if values.dtype == dtype:
            return values
        fitted = _cast(values, dtype)
        if fitted is None:
            msg = f"{role} {values.name!r} is {values.dtype}; declared is {dtype}, which cannot hold all its values"
            raise self._misfit(msg, field=values.name)
        return fitted

    def _types(self, field: str, given: Mapping[str, Type]) -> dict[str, DataType]:
        types: object = given
        if not isinstance(types, Mapping) or not types or not all(isinstance(name, str) for name in types):
            raise self._wrong(field, "expected columns with their types, as {'amount': float}")
        return {name: self._type(field, name, kind) for name, kind in types.items()}

    def _type(self, field: str, name: str, kind: object) -> DataType:
        if isinstance(kind, DataType):
            return kind
        if isinstance(kind, DataTypeClass):
            made: DataType = kind()
            return made
        if kind in _PYTHON:
            return _PYTHON[kind]
        listed = ", ".join(known.__name__ for known in _PYTHON if isinstance(known, type))
        raise self._wrong(field, f"in which {name!r} is {kind!r}; expected one of {listed}, or a Polars type")

    def _inferred(self, expressions: Mapping[str, pl.Expr]) -> dict[str, DataType]:
        if not expressions or not all(isinstance(made, pl.Expr) for made in expressions.values()):
            raise self._wrong("compute", "expected a function, or names with Polars expressions")
        try:
            return dict(_evaluated(expressions, pl.DataFrame(schema=self.input_types)).schema)
        except pl.exceptions.PolarsError as error:
            first = str(error).splitlines()[0]
            raise self._wrong("compute", f"which cannot be computed from the inputs: {first}") from error

    def _wrong(self, field: str, expected: str) -> InvalidDeclaration:
        given = getattr(self, field)
        shown = list(given) if field == "compute" and isinstance(given, Mapping) else given
        msg = f"On-demand feature {self.name!r}: {field} is {shown!r}; {expected}."
        return InvalidDeclaration(msg, field=field)

    def _misfit(self, problem: str, *, field: str) -> InvalidInput:
        return InvalidInput(f"On-demand feature {self.name!r} {problem.rstrip('.')}.", field=field)


def on_demand(
    *, inputs: Mapping[str, Type], outputs: Mapping[str, Type], name: str = ""
) -> Callable[[Function], OnDemand]:
    """Declare on-demand features round a function from a frame of the inputs to a frame of the outputs.

    >>> @on_demand(inputs={"amount": float}, outputs={"large": bool})
    ... def size(rows):
    ...     return rows.select(large=pl.col("amount") > 100)
    >>> size.apply(pl.DataFrame({"amount": [7.0, 700.0]}))["large"].to_list()
    [False, True]

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    def declare(function: Function) -> OnDemand:
        return OnDemand(
            name or getattr(function, "__name__", "on demand"),
            inputs=inputs,
            compute=function,
            outputs=outputs,
        )

    return declare


def apply(features: Sequence[OnDemand], rows: pl.DataFrame, *, verified: bool = False) -> pl.DataFrame:
    """Return the rows with the outputs of each added, in order: one may read what another one before it added.

    Raises:
        InvalidInput: see `OnDemand.apply` and, if they are to be verified, `OnDemand.verify`.
    """
    for feature in features:
        if verified:
            feature.verify(rows)
        rows = feature.apply(rows)
    return rows


def _code(function: Function) -> str:
    plain = inspect.unwrap(function)
    try:
        return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(plain))))
    except SyntaxError:  # a piece of a larger expression, as a lambda among arguments
        return inspect.getsource(plain)
    except (OSError, TypeError):  # typed into an interpreter, or no function of Python's
        made = getattr(plain, "__code__", None)
        plainly = made and [one for one in made.co_consts if not inspect.iscode(one)]
        return repr((made.co_code, made.co_names, plainly)) if made else repr(type(plain))


def _evaluated(expressions: Mapping[str, pl.Expr], read: pl.DataFrame) -> pl.DataFrame:
    # Beside the inputs a single value, as of a literal, becomes one for each row.
    return read.with_columns(**expressions).select(list(expressions))


def _cast(values: pl.Series, dtype: DataType) -> pl.Series | None:
    """Return values as another type, or None where one of them would not be the same."""
    given = values.dtype
    if given == pl.Null:
        return values.cast(dtype)
    texts = (pl.String, pl.Categorical, pl.Enum)
    alike = (
        (given.is_numeric() and dtype.is_numeric())
        or (isinstance(given, texts) and isinstance(dtype, texts))
        or (isinstance(given, pl.Datetime) and isinstance(dtype, pl.Datetime))
    )
    if not alike:
        return None
    if isinstance(given, pl.Datetime) and given.time_zone is None:
        values = values.dt.replace_time_zone("UTC")
    fitted = values.cast(dtype, strict=False)
    same = fitted.cast(values.dtype, strict=False).eq_missing(values)
    return fitted if same.all() else None
