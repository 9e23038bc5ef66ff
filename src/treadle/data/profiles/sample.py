"""Which rows are sampled: the same ones of a version every time, whatever order they are read in.

A row is drawn by a mark made from its number in the order in which rows landed. The marks are plain integer arithmetic, so
they do not change with the frame library, whose own hash functions do.
"""

from __future__ import annotations

import polars as pl

#: At most so many rows, fewer where there are many columns, but never less than the least.
MOST_ROWS = 1_000_000
LEAST_ROWS = 100_000
MOST_CELLS = 24_000_000
#: The column of a row's mark, in 32 bits: rows in order of their marks are in random order.
MARK = "_mark"

_WORD = 2**32
_NUMBER = "_seq"


def sample_size(columns: int) -> int:
    """Return how many rows are sampled of a table with so many columns.

    >>> sample_size(20), sample_size(100), sample_size(1000)
    (1000000, 240000, 100000)
    """
    return max(LEAST_ROWS, min(MOST_ROWS, MOST_CELLS // max(columns, 1)))


def marked(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows with their marks; rows without a number are marked by their place.

    The number is stirred by two rounds of multiply and shift, so that each bit of the mark depends on all of it.
    """
    numbered = _NUMBER in rows.collect_schema().names()
    number = pl.col(_NUMBER if numbered else MARK).cast(pl.Int64).fill_null(0).reinterpret(signed=False)
    rows = (rows if numbered else rows.with_row_index(MARK)).with_columns((number % _WORD).alias(MARK))
    mark = pl.col(MARK)
    # One step each: an expression that names the one before it twice is computed twice, and the next four times.
    for _ in range(2):
        rows = rows.with_columns(((mark ^ (mark // 2**16)) * 0x45D9F3B % _WORD).alias(MARK))
    return rows.with_columns((mark ^ (mark // 2**16)).alias(MARK))


def sampled(rows: pl.LazyFrame, *, total: int, size: int) -> pl.LazyFrame:
    """Return about `size` of `total` marked rows; all of them where that is enough."""
    if total <= size:
        return rows
    return rows.filter(pl.col(MARK) < int(size / total * _WORD))
