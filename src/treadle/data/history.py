"""The forms that rows had: a form is current from the version in which it came until the version that replaced it.

The table of a part holds the current forms, each with the `_version` in which it came. A form that is replaced, deleted or
rolled back moves to the part's history with `_until`, the first version that no longer has it. So version v of a dataset
is what is current now and came in v or before, and what left after v and came in v or before: every version stays
readable from the newest tables, and a correction costs what it corrects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

import polars as pl

from treadle.core.records import DatasetVersion
from treadle.store.tables.tables import Tables

PartName = Literal["rows", "outcomes"]
#: The first version that no longer has a form.
UNTIL = "_until"
#: Suffix of the table that holds the forms that left.
SUFFIX = "_history"


def forms(
    tables: Tables, part: PartName, *, version: DatasetVersion, newest: DatasetVersion
) -> pl.LazyFrame | None:
    """Return the rows of a part as they were in a version, with Treadle's own columns; None: there were none yet."""
    current, past = known(newest, part)
    if current is None or known(version, part)[0] is None:
        return None
    name = f"{version.dataset}/{part}"
    rows = tables.scan(name, version=current)
    if version.version == newest.version:
        return rows
    rows = rows.filter(pl.col("_version") <= version.version)
    if past is None:
        return rows
    left = tables.scan(f"{name}{SUFFIX}", version=past).filter(
        (pl.col("_version") <= version.version) & (pl.col(UNTIL) > version.version)
    )
    return pl.concat([rows, left.drop(UNTIL)], how="diagonal")


def known(version: DatasetVersion, part: PartName) -> tuple[int | None, int | None]:
    """Return the versions of a part's two tables, of current forms and of those that left."""
    if part == "rows":
        return version.table_version, version.history_table_version
    return version.outcome_table_version, version.outcome_history_table_version


def is_live(deleted: str, dtype: pl.DataType) -> pl.Expr:
    """Return the test that a form is not one that says that the row is gone."""
    mark = pl.col(deleted)
    return ~mark.fill_null(value=False) if dtype == pl.Boolean else mark.is_null()


def to_prune(
    spans: Iterable[tuple[int, int]], kept: Collection[int]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return which forms no kept version has, and the ranges of versions that lose rows without them.

    `spans` are the (`_version`, `_until`) of forms that left. Both results are sorted; ranges include both ends.

    >>> to_prune([(1, 3), (2, 6)], kept=[5])
    ([(1, 3)], [(1, 2)])
    """
    gone = sorted(span for span in set(spans) if not any(span[0] <= version < span[1] for version in kept))
    return gone, merged((first, until - 1) for first, until in gone)


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the fewest ranges that cover the same numbers, sorted.

    >>> merged([(4, 6), (1, 2), (3, 3)])
    [(1, 6)]
    """
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found
