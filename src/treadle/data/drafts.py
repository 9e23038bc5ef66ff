"""Drafts: a contract written down as Python, from a look at the rows that are to meet it.

Names and values that come from the data stand in the text as literals only, however hostile they are.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import Any

import polars as pl

from treadle.core.errors import ContractBroken, InvalidInput
from treadle.data.checks import check
from treadle.data.columns import ColumnSpec
from treadle.data.contracts import ContractSpec
from treadle.data.inference import inferred
from treadle.data.raw import Raw
from treadle.data.types import TYPES

#: Names that a column's attribute cannot have: the types, and what a contract itself can do.
TAKEN = frozenset({"str", "int", "float", "bool", "date", "datetime", "UUID", "list", "td", "spec", "rules"})
#: Text with at most this many values, each seen this often, may be meant to have no others.
_FEW_VALUES, _OFTEN = 20, 10
_LONGEST_VALUE = 40
#: Words in the name of a number that says how much there is of something, so that it is never below zero.
_AMOUNTS = frozenset({"age", "count", "distance", "duration", "height", "length", "seats", "size", "weight"})
_PLAIN = re.compile(r"[\w .,:;/*()+=-]*")


def draft(raws: Iterable[Raw], *, name: str, origin: str, source: str = "") -> str:
    """Return the text of a module with a contract that these rows meet.

    `origin` says where the rows are from; `source` is the Python that declares the source, told in a comment.

    Types are the narrowest that all cells have, and a column is nullable where a value is missing. Only limits that later
    rows will hardly break are set; others are suggested in comments, with what was seen.

    Raises:
        InvalidInput: there is no row, a column has no name, or one that is Treadle's own.
        ContractBroken: the files have different columns, or types that a dataset cannot hold.
    """
    raws = list(raws)
    spec = inferred(raws, name=name)
    _check_names(spec)
    rows = pl.concat([_good(raw, spec) for raw in raws])
    return _written(spec, rows, name=name, origin=origin, source=source)


def _written(spec: ContractSpec, rows: pl.DataFrame, *, name: str, origin: str, source: str) -> str:
    imports = [
        f"from datetime import {', '.join(found)}" for found in [_used(spec, {"date", "datetime"})] if found
    ]
    imports += ["from uuid import UUID"] if _used(spec, {"uuid"}) else []
    fields = []
    taken: set[str] = set()
    for column in spec.columns:
        fields += _field(column, rows[column.name], taken=taken, names=spec.names)
    return "\n".join(
        [
            docstring(
                f"What {name} must be, drafted from {rows.height:,} rows of {origin}: change what is not meant."
            ),
            "",
            "from __future__ import annotations",
            "",
            *([*imports, ""] if imports else []),
            "import treadle as td",
            *(["", f"# Its source: {source}"] if source else []),
            "",
            "",
            f"class {class_name(name)}(td.Contract):",
            '    """What every row must be; the comments say what was seen."""',
            "",
            *fields,
            "",
        ]
    )


def class_name(name: str) -> str:
    """Return the name of the class for a dataset or file.

    >>> class_name("late flights 2013")
    'LateFlights2013'
    """
    words = re.findall(r"[A-Za-z0-9]+", unicodedata.normalize("NFKD", name))
    found = "".join(word[:1].upper() + word[1:] for word in words) or "Row"
    return found if found.isidentifier() and not keyword.iskeyword(found) else f"C{found}"


def attribute(name: str, taken: Collection[str]) -> str:
    """Return a Python name for a column: its own where that can be one, else one like it that is not taken.

    >>> attribute("Plan Type", set())
    'plan_type'
    """
    if _is_free(name, taken) and unicodedata.normalize("NFKC", name) == name:
        return name
    safe = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name)).strip("_").lower()
    if not safe.isidentifier():
        safe = re.sub(r"[^a-z0-9]+", "_", safe).strip("_")
        safe = f"c_{safe}" if safe else "column"
    number, found = 2, safe
    while not _is_free(found, taken):
        found, number = f"{safe}_{number}", number + 1
    return found


def literal(value: Any) -> str:
    """Return a value as Python writes it, text in double quotes where it is plain."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.isprintable():
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def docstring(text: str) -> str:
    """Return a text as a docstring of one line."""
    return f'"""{text}"""' if _PLAIN.fullmatch(text) and text.isprintable() else repr(text)


def _is_free(name: str, taken: Collection[str]) -> bool:
    plain = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
    return plain and name not in TAKEN and name not in taken


def _check_names(spec: ContractSpec) -> None:
    for place, name in enumerate(spec.names, start=1):
        if not name.strip():
            msg = f"Column {place} has no name, as when pandas writes its index. Name it, or write with index=False."
            raise InvalidInput(msg)
        if name.startswith("_"):
            msg = f"The column {name!r} starts with '_', as only Treadle's own do. Rename it."
            raise InvalidInput(msg, field=name)


def _good(raw: Raw, spec: ContractSpec) -> pl.DataFrame:
    try:
        return check(raw, spec, rules={}).good.select(spec.names)
    except ContractBroken as error:
        msg = f"{raw.file}: {error}"
        raise ContractBroken(msg) from error


def _used(spec: ContractSpec, kinds: set[str]) -> list[str]:
    return sorted({column.kind for column in spec.columns if column.kind in kinds})


def _field(column: ColumnSpec, values: pl.Series, *, taken: set[str], names: Collection[str]) -> list[str]:
    """Return the lines that declare a column: a comment, and the annotation."""
    own = column.name
    # A name that is another column's own is left to it.
    name = attribute(own, taken | (set(names) - {own}))
    taken.add(name)
    hint = f"{TYPES[column.kind]} | None" if values.null_count() else TYPES[column.kind]
    limits = {"name": own} if name != own else {}
    limits |= _limits(column, values.drop_nulls())
    told = ", ".join(f"{key}={literal(value)}" for key, value in limits.items())
    declared = f" = td.Column({told})" if told else ""
    comments = [_seen(column, values), *_suggested(column, values.drop_nulls())]
    return [*(f"    # {comment}" for comment in comments), f"    {name}: {hint}{declared}"]


def _limits(column: ColumnSpec, known: pl.Series) -> dict[str, Any]:
    """Return the limits that later rows will hardly break."""
    if known.is_empty():
        return {}
    if column.kind == "vector":
        lengths = known.list.len().unique()
        return {"length": lengths[0]} if len(lengths) == 1 and lengths[0] else {}
    words = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.name).lower()))
    if column.kind in {"int", "float"} and words & _AMOUNTS and not (known < 0).any():
        return {"ge": 0}
    return {}


def _seen(column: ColumnSpec, values: pl.Series) -> str:
    """Return what was seen in a column."""
    known, missing = values.drop_nulls(), values.null_count()
    share = f"{missing:,} missing ({missing / len(values):.2%})" if missing else ""
    if known.is_empty():
        return "no values"
    return "; ".join(filter(None, [_spread(column, known), share]))


def _spread(column: ColumnSpec, known: pl.Series) -> str:
    if column.kind == "bool":
        return f"{known.cast(pl.Float64).sum() / len(known):.1%} true"
    low, high = _ends(known)
    if column.kind in {"int", "float"}:
        return f"{low:,} to {high:,}" if column.kind == "int" else f"{low:,.6g} to {high:,.6g}"
    if column.kind in {"datetime", "date"}:
        return f"{low} to {high}"
    if column.kind == "vector":
        shortest, longest = _ends(known.list.len())
        return f"of length {shortest:,}" + (f" to {longest:,}" if longest > shortest else "")
    shortest, longest = _ends(known.str.len_chars())
    length = f"{shortest:,}" + (f" to {longest:,}" if longest > shortest else "")
    return f"{known.n_unique():,} different, of length {length}"


def _ends(values: pl.Series) -> tuple[Any, Any]:
    return (None, None) if values.dtype.is_nested() else (values.min(), values.max())


def _suggested(column: ColumnSpec, known: pl.Series) -> list[str]:
    """Return what might be demanded: that there are no other values than these."""
    if column.kind != "str" or known.is_empty():
        return []
    values = known.unique().sort().to_list()
    if len(values) > _FEW_VALUES or len(known) < _OFTEN * len(values):
        return []
    if max(map(len, values)) > _LONGEST_VALUE:
        return []
    return [f"If there can be no others: td.Column(allowed={literal(values)})"]
