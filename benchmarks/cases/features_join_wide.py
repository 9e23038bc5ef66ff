"""The CPU of a wide point-in-time join from files, against the better of bare Polars and pandas."""

from __future__ import annotations

from joins import wide

BENCHMARK = wide(
    "1,000,000 rows get the latest values of five views of 5,000,000 rows, read from files",
    what="cpu",
    unit="s of CPU",
)
