"""A contract for a dataset that has none: the types of the first rows that came, every column nullable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import polars as pl

from treadle.core.errors import InvalidInput
from treadle.data.contracts import ColumnSpec, ContractSpec
from treadle.data.raw import Raw
from treadle.data.types import Kind, convert, kind_of_dtype, without_nan

#: The order in which text is tried; what fits none is text.
_TRIED: tuple[Kind, ...] = ("int", "float", "bool", "datetime", "date", "vector")
#: What holds both of two kinds.
_WIDER: dict[frozenset[Kind], Kind] = {
    frozenset({"int", "float"}): "float",
    frozenset({"date", "datetime"}): "datetime",
}
#: An integer with leading zeros is a code, such as a postcode, and stays text.
_CODE = r"^[+-]?0\d"


def inferred(raws: Iterable[Raw], *, name: str) -> ContractSpec:
    """Return the contract that the rows of these files meet.

    The first file says which columns there are (JSON lines may add more). Types that differ between files become
    text, but integers beside other numbers become floats, and days beside moments become moments.

    Raises:
        InvalidInput: there is no row to learn from.
        ContractBroken: a column has a type that a dataset cannot hold.
    """
    kinds: dict[str, Kind | None] = {}
    for raw in map(_whole, raws):
        if raw.frame.height == 0:
            continue
        first = not kinds
        for column in raw.frame.columns:
            if column in kinds:
                kinds[column] = _common(kinds[column], _kind(raw, column))
            elif first or raw.may_omit:
                kinds[column] = _kind(raw, column)
    if not kinds:
        msg = f"Dataset {name!r} has no contract, and no row has come to learn its types from. Declare a contract."
        raise InvalidInput(msg)
    columns = tuple(ColumnSpec(name=n, kind=kind or "str", nullable=True) for n, kind in kinds.items())
    return ContractSpec(name=f"{name} (inferred)", columns=columns, inferred=True)


def _whole(raw: Raw) -> Raw:
    """Return the rows without those that could not be split into cells, whose cells mean nothing."""
    if not raw.broken:
        return raw
    numbers = pl.int_range(1, raw.frame.height + 1, eager=True)
    return replace(raw, frame=raw.frame.filter(~numbers.is_in(list(raw.broken))), broken={})


def _kind(raw: Raw, name: str) -> Kind | None:
    """Return the narrowest kind that all cells of a column have; None where there is no cell to judge by."""
    cells = without_nan(raw.frame[name])
    if cells.null_count() == len(cells):
        return None
    if raw.form == "json" and name not in raw.mixed and cells.dtype == pl.String:
        return _narrowest(cells, raw, tried=("datetime", "date"))
    if cells.dtype != pl.String or (raw.form == "typed"):
        return kind_of_dtype(name, cells.dtype)
    return _narrowest(cells, raw, tried=("int", "float", "vector") if raw.form == "json" else _TRIED)


def _narrowest(cells: pl.Series, raw: Raw, *, tried: Iterable[Kind]) -> Kind:
    form = "text" if raw.form == "json" else raw.form
    for kind in tried:
        if kind in {"int", "float"} and cells.str.contains(_CODE).any():
            continue
        if kind == "int" and cells.cast(pl.Int64, strict=False).null_count() > cells.null_count():
            continue
        if kind == "bool" and not cells.str.to_lowercase().is_in(["true", "false"]).all():
            continue
        if kind == "datetime" and cells.str.len_chars().max() == len("2013-01-31"):
            continue
        if convert(cells, kind, form=form).null_count() == cells.null_count():
            return kind
    return "str"


def _common(one: Kind | None, other: Kind | None) -> Kind | None:
    if one is None or other is None or one == other:
        return one or other
    return _WIDER.get(frozenset({one, other}), "str")
