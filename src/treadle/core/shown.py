"""Records as notebooks show them: a small table that fits light and dark, in which no value of the data can become a tag."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

#: Rows of a table inside a record, and characters of a value, that are shown.
_ROWS, _LONGEST = 20, 300
#: Columns of such a table, and characters from which on a cell is given room.
_COLUMNS, _SENTENCE = 10, 50
#: Fields that a record is called by, where others mention it.
_NAMES = ("ref", "id", "name", "reason", "text", "version")
#: Fields that nobody reads in a notebook.
_HIDDEN = {"parents", "traceback"}
# Colours come from the notebook: lines and small print are its text's colour, thinned.
_LINE = "border:0;border-bottom:1px solid color-mix(in srgb, currentColor 20%, transparent)"
_CELL = (
    f"{_LINE};text-align:left;vertical-align:top;padding:.2em .8em .2em 0;background:none;white-space:normal"
)
_TABLE = "border-collapse:collapse;border:0;margin:.3em 0"


def shown(record: Any) -> str:
    """Return a record as HTML, for `_repr_html_`; fields that say nothing are left out.

    >>> class Version(msgspec.Struct):
    ...     model: str
    ...     notes: tuple[str, ...] = ()
    >>> "delay" in shown(Version("delay")), "notes" in shown(Version("delay"))
    (True, False)
    """
    rows = [(name, value) for name, value in _fields(record).items() if _says(value)]
    text = getattr(type(record), "text", None)
    if isinstance(text, property):
        rows.insert(0, ("text", record.text))
    return _titled(_title(record), _table(None, [[_name(name), _value(value)] for name, value in rows]))


def _titled(title: str, inside: str) -> str:
    return f'<div style="overflow-x:auto"><strong>{title}</strong>{inside}</div>'


def _title(record: Any) -> str:
    named = getattr(record, "ref", "") or ""
    noun = type(record).__name__
    return html.escape(f"{noun} {named.partition(':')[2]}" if isinstance(named, str) and named else noun)


def _fields(record: Any) -> dict[str, Any]:
    names = getattr(record, "__struct_fields__", None) or getattr(record, "__dataclass_fields__", {})
    return {name: getattr(record, name) for name in names if name not in _HIDDEN}


def _says(value: Any) -> bool:
    return value is not None and value != "" and value != () and value != {} and value != []


def _name(name: str) -> str:
    return f'<span style="opacity:.7">{html.escape(name)}</span>'


def _value(value: Any) -> str:
    """Return a field's value as markup: records in a table of their own, mappings as pairs."""
    if _is_record(value):
        return _short(value)
    if isinstance(value, Mapping):
        pairs = [[_name(str(key)), _value(one)] for key, one in list(value.items())[:_ROWS]]
        return _table(None, pairs) + _more(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if value and all(_is_record(one) for one in value):
            return _records(value)
        return "<br>".join(_short(one) for one in value[:_ROWS]) + _more(value)
    return _short(value)


def _records(records: Sequence[Any]) -> str:
    fields = [_fields(one) for one in records[:_ROWS]]
    names = [name for name in fields[0] if any(_says(one.get(name)) for one in fields)]
    names = names[:_COLUMNS]
    rows = [[_wide(_short(one.get(name))) for name in names] for one in fields]
    return _table(names, rows) + _more(records)


def _wide(cell: str) -> str:
    """Return a cell that is not squeezed where it holds a sentence."""
    return cell if len(cell) < _SENTENCE else f'<div style="min-width:22em">{cell}</div>'


def _table(heads: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> str:
    head = ""
    if heads is not None:
        cells = "".join(f'<th style="{_CELL};font-weight:600">{html.escape(name)}</th>' for name in heads)
        head = f"<tr>{cells}</tr>"
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f'<table style="{_TABLE}">{head}{body}</table>'


def _more(values: Any) -> str:
    rest = len(values) - _ROWS
    return f'<div style="opacity:.7">and {rest:,} more</div>' if rest > 0 else ""


def _is_record(value: Any) -> bool:
    return isinstance(value, msgspec.Struct)


def _short(value: Any) -> str:
    """Return a value in one line."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, bool | str) or not isinstance(value, int | float | tuple | Mapping | msgspec.Struct):
        text = str(value)
    elif isinstance(value, int):
        text = f"{value:,}" if abs(value) >= 10_000 else str(value)
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, tuple):
        text = ", ".join(_named(one) for one in value)
    elif isinstance(value, Mapping):
        text = ", ".join(f"{key}: {_named(one)}" for key, one in value.items())
    else:
        text = _named(value)
    return html.escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _named(value: Any) -> str:
    if not _is_record(value):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    found = (getattr(value, name, "") for name in _NAMES)
    named = next((str(one) for one in found if one and not callable(one)), "")
    if named:
        return named
    return ", ".join(f"{name} {_named(one)}" for name, one in _fields(value).items() if _says(one))
