"""The types that a contract's columns can have, and how a landed cell becomes one of them without losing anything.

A cell that cannot is null afterwards; nothing is cut or guessed, and nothing rounded but the numbers of a vector:

- `str`: text. A number is not text, and text is not a number, except in CSV, where every cell is text.
- `int`: 64 bits. `3.0` is the integer 3, `3.5` is not one.
- `float`: 64 bits, finite. NaN in a typed file means that there is no value; infinity is refused.
- `bool`: in text `true`, `false`, `1`, `0`, in any case.
- `datetime`: microseconds in UTC; ISO 8601 in text. Without a zone it is taken to be UTC, without a time it is midnight.
  A number is refused: nobody can tell seconds from milliseconds.
- `date`: `2013-01-31` in text.
- `UUID`: in text with or without hyphens, in any case; kept as text with hyphens in small letters. In Parquet also 16 bytes.
- `list[float]`: a vector, such as an embedding, of finite 32-bit floats: the precision in which embeddings are made, and in
  which training and serving are fed. In text a JSON array; in typed files a list or an array of numbers.
"""

from __future__ import annotations

import typing
from datetime import UTC, date, datetime
from typing import Literal
from uuid import UUID

import polars as pl

from treadle.core.errors import ContractBroken
from treadle.data.raw import Form

Kind = Literal["str", "int", "float", "bool", "datetime", "date", "uuid", "vector"]

#: How each type is stored.
DTYPES: dict[Kind, pl.DataType] = {
    "str": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us", "UTC"),
    "date": pl.Date(),
    "uuid": pl.String(),
    "vector": pl.List(pl.Float32()),
}
#: What each type looks like, for messages.
EXPECTED: dict[Kind, str] = {
    "str": "text",
    "int": "an integer",
    "float": "a finite number",
    "bool": "true or false",
    "datetime": "a moment in ISO 8601, as 2013-01-31T05:00:00Z",
    "date": "a date, as 2013-01-31",
    "uuid": "a UUID, as 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "vector": "a list of finite 32-bit numbers, as [0.25, -1.5]",
}
#: The annotation that declares each type.
TYPES: dict[Kind, str] = {
    "str": "str",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "datetime": "datetime",
    "date": "date",
    "uuid": "UUID",
    "vector": "list[float]",
}
#: The types whose values can tell rows apart for ever.
KEYS: frozenset[Kind] = frozenset({"str", "int", "bool", "datetime", "date", "uuid"})
_PYTHON: dict[type, Kind] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    datetime: "datetime",
    date: "date",
    UUID: "uuid",
}
_MOMENTS = (
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S",
    "%+",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
)
_EXACT_FLOAT = 2**53
#: The shortest text of a moment that is finer than microseconds, and what such a text looks like.
_FINE_LENGTH = len("2013-01-31T05:00:00.0000001")
_FINE = r"[.,][0-9]{6}[0-9]*[1-9]"
_UUID = "^([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$"
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def kind_of(python: object) -> Kind | None:
    """Return the kind of a Python type, or None where a column cannot have that type."""
    if typing.get_origin(python) is list:
        return "vector" if typing.get_args(python) == (float,) else None
    return _PYTHON.get(python) if isinstance(python, type) else None


def convert(cells: pl.Series, kind: Kind, *, form: Form) -> pl.Series:
    """Return the cells as the stored type of `kind`, null where a cell cannot be that without loss."""
    if cells.dtype == pl.Null:
        return pl.Series(cells.name, [None] * len(cells), dtype=DTYPES[kind])
    typed = _CONVERTERS[kind](cells, form)
    return typed.rename(cells.name)


def without_nan(cells: pl.Series) -> pl.Series:
    """Return the cells with NaN, which in typed files stands for a missing number, as null."""
    return cells.fill_nan(None) if cells.dtype.is_float() and cells.is_nan().any() else cells


def kind_of_dtype(name: str, dtype: pl.DataType) -> Kind:
    """Return the kind that holds a typed file's column.

    Raises:
        ContractBroken: no kind does.
    """
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int"
    if dtype.is_numeric():
        return "float"
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    if dtype == pl.Date:
        return "date"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
        return "str"
    if isinstance(dtype, pl.List | pl.Array) and dtype.inner.is_numeric():
        return "vector"
    msg = (
        f"Column {name!r} has the type {dtype}, which a dataset cannot hold. Expected text, integers, numbers, booleans, "
        "dates, datetimes or lists of numbers: change the file."
    )
    raise ContractBroken(msg)


def _nothing(cells: pl.Series, kind: Kind) -> pl.Series:
    return pl.Series(cells.name, dtype=DTYPES[kind], values=[]).extend_constant(None, len(cells))


def _to_str(cells: pl.Series, form: Form) -> pl.Series:  # noqa: ARG001 - all converters are called alike
    if isinstance(cells.dtype, pl.String | pl.Categorical | pl.Enum):
        return cells.cast(pl.String)
    return _nothing(cells, "str")


def _to_int(cells: pl.Series, form: Form) -> pl.Series:
    if cells.dtype.is_integer():
        return cells.cast(pl.Int64, strict=False)
    if cells.dtype.is_float():
        return _whole(cells)
    if cells.dtype != pl.String or form != "text":
        return _nothing(cells, "int")
    text = cells.str.strip_chars(" \t")
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == cells.null_count():
        return whole
    return whole.fill_null(_whole(text.cast(pl.Float64, strict=False)))


def _whole(numbers: pl.Series) -> pl.Series:
    """Return the numbers that are integers, within what a float holds exactly."""
    wide = numbers.cast(pl.Float64)
    exact = wide.is_finite() & (wide == wide.round(0)) & (wide.abs() <= _EXACT_FLOAT)
    return pl.select(pl.when(exact).then(wide)).to_series().cast(pl.Int64)


def _to_float(cells: pl.Series, form: Form) -> pl.Series:
    if cells.dtype.is_numeric():
        numbers = cells.cast(pl.Float64)
    elif cells.dtype == pl.String and form == "text":
        numbers = cells.str.strip_chars(" \t").cast(pl.Float64, strict=False)
    else:
        return _nothing(cells, "float")
    finite = numbers.is_finite()
    return numbers if finite.all() else pl.select(pl.when(finite).then(numbers)).to_series()


def _to_bool(cells: pl.Series, form: Form) -> pl.Series:
    if cells.dtype == pl.Boolean:
        return cells
    if cells.dtype != pl.String or form != "text":
        return _nothing(cells, "bool")
    words = cells.str.strip_chars(" \t").str.to_lowercase()
    meaning = {"true": True, "1": True, "false": False, "0": False}
    return words.replace_strict(meaning, default=None, return_dtype=pl.Boolean)


def _to_datetime(cells: pl.Series, form: Form) -> pl.Series:  # noqa: ARG001 - all converters are called alike
    dtype = cells.dtype
    if dtype == DTYPES["datetime"]:
        return _in_calendar(cells)
    if isinstance(dtype, pl.Datetime):
        moments = cells if dtype.time_zone is None else cells.dt.convert_time_zone("UTC")
        fine = moments.dt.cast_time_unit("us")
        if dtype.time_unit == "ns":
            exact = fine.dt.cast_time_unit("ns") == moments
            fine = pl.select(pl.when(exact).then(fine)).to_series()
        return _in_calendar(fine.dt.replace_time_zone("UTC"))
    if dtype == pl.Date:
        return _in_calendar(cells.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    if dtype == pl.String:
        return _in_calendar(_moments(cells.str.strip_chars(" \t")))
    return _nothing(cells, "datetime")


def _moments(text: pl.Series) -> pl.Series:
    """Read text in the ways of writing ISO 8601, trying each only while something is left to read."""
    text = _no_finer(text)
    found = _nothing(text, "datetime")
    for form in _MOMENTS:
        if found.null_count() == text.null_count():
            return found
        parsed = text.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
        found = parsed if found.null_count() == len(found) else found.fill_null(parsed)
    days = text.str.to_date("%Y-%m-%d", strict=False)
    return found.fill_null(days.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


def _no_finer(text: pl.Series) -> pl.Series:
    """Return the texts without those that are finer than microseconds, whose last digits would be cut."""
    longest = text.str.len_bytes().max()
    if not isinstance(longest, int) or longest < _FINE_LENGTH:
        return text
    return pl.select(pl.when(~text.str.contains(_FINE)).then(text)).to_series()


def _in_calendar(moments: pl.Series) -> pl.Series:
    inside = moments.is_between(_FIRST, _LAST)
    return moments if inside.all() else pl.select(pl.when(inside).then(moments)).to_series()


def _to_date(cells: pl.Series, form: Form) -> pl.Series:  # noqa: ARG001 - all converters are called alike
    if cells.dtype == pl.Date:
        days = cells
    elif cells.dtype == pl.String:
        days = cells.str.strip_chars(" \t").str.to_date("%Y-%m-%d", strict=False)
    else:
        return _nothing(cells, "date")
    inside = days.is_between(_FIRST.date(), _LAST.date())
    return days if inside.all() else pl.select(pl.when(inside).then(days)).to_series()


def _to_uuid(cells: pl.Series, form: Form) -> pl.Series:  # noqa: ARG001 - all converters are called alike
    if cells.dtype == pl.Binary:
        text = cells.bin.encode("hex")
    elif isinstance(cells.dtype, pl.String | pl.Categorical | pl.Enum):
        text = cells.cast(pl.String).str.strip_chars(" \t").str.to_lowercase()
    else:
        return _nothing(cells, "uuid")
    hyphened = text.str.replace(_UUID, "$1-$2-$3-$4-$5")
    fits = text.str.contains(_UUID)
    return hyphened if fits.all() else pl.select(pl.when(fits).then(hyphened)).to_series()


def _to_vector(cells: pl.Series, form: Form) -> pl.Series:
    dtype = cells.dtype
    if isinstance(dtype, pl.Array):
        cells, dtype = cells.arr.to_list(), pl.List(dtype.inner)
    if dtype == pl.String and form == "text":
        vectors = _vectors(cells)
    elif isinstance(dtype, pl.List) and (dtype.inner.is_numeric() or dtype.inner == pl.Null):
        vectors = cells.cast(pl.List(pl.Float32))
    else:
        return _nothing(cells, "vector")
    numbers = vectors.explode(empty_as_null=False, keep_nulls=False)
    if not numbers.null_count() and numbers.is_finite().all():
        return vectors
    is_number = pl.element().is_finite().fill_null(value=False)
    finite = vectors.list.eval(is_number.all()).list.first().fill_null(value=True)
    return pl.select(pl.when(finite).then(vectors)).to_series()


def _vectors(text: pl.Series) -> pl.Series:
    """Read JSON arrays of numbers; a number that is none is null in its place, a text that is no array is null."""
    inner = text.str.strip_chars(" \t").str.extract(r"^\[([^\[\]]*)\]$", 1)
    number = pl.element().str.strip_chars(" \t").cast(pl.Float64, strict=False)
    vectors = inner.str.split(",").list.eval(number).cast(pl.List(pl.Float32))
    is_empty = inner.str.strip_chars(" \t") == ""
    if not is_empty.any():
        return vectors
    empty = pl.lit([], dtype=pl.List(pl.Float32))
    return pl.select(pl.when(is_empty).then(empty).otherwise(vectors)).to_series()


_CONVERTERS = {
    "str": _to_str,
    "int": _to_int,
    "float": _to_float,
    "bool": _to_bool,
    "datetime": _to_datetime,
    "date": _to_date,
    "uuid": _to_uuid,
    "vector": _to_vector,
}
