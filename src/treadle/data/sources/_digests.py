"""Digests of rows, by which a source knows what it has given already.

They are made of Polars' own hashes, which differ between its versions: rows then count as changed, and are read once more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import xxhash


def digest_of(frame: pl.DataFrame) -> str:
    """Return a digest of rows in their order, 16 hexadecimal digits."""
    digest = xxhash.xxh3_64(repr(frame.schema).encode())
    digest.update(hashes(frame).tobytes())
    return digest.hexdigest()


def sum_of(frame: pl.DataFrame) -> int:
    """Return the sum of the rows' hashes in 64 bits, which does not depend on their order."""
    return int(np.add.reduce(hashes(frame), dtype=np.uint64)) if frame.height else 0


def hashes(frame: pl.DataFrame) -> Any:
    """Return the hash of each row, of shape (rows,)."""
    if not frame.width:
        return np.zeros(frame.height, dtype=np.uint64)
    # The hash of a category is that of its number.
    coded = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Categorical | pl.Enum)]
    return frame.with_columns(pl.col(coded).cast(pl.String)).hash_rows(seed=0).to_numpy()
