"""The memory of a wide point-in-time join from files, against the better of bare Polars and pandas."""

from __future__ import annotations

from joins import wide

BENCHMARK = wide(
    "Peak of the memory while 1,000,000 rows get the latest values of five views of 5,000,000 rows",
    what="memory",
    unit="GB",
)
