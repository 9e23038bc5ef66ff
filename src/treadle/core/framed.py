"""Records as a data frame: a row for each, a column for each field."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

_PLAIN = (str, int, float, bool, datetime, type(None))


def to_frame(records: Iterable[Any]) -> pl.DataFrame:
    """Return records as a data frame; what is no plain value, as a window or a mapping, is its JSON text.

    >>> from treadle.core.paging import Paged
    >>> to_frame([Paged(rows=(), after="x")]).columns
    ['rows', 'after']
    """
    rows = [
        {name: _plain(getattr(one, name)) for name in one.__struct_fields__ if name != "parents"}
        for one in records
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _plain(value: Any) -> Any:
    return value if isinstance(value, _PLAIN) else msgspec.json.encode(value).decode()
