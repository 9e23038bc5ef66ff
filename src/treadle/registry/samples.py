"""Rows that the formats' examples are fitted on: late flights, told by a category and a number that may be missing."""

from __future__ import annotations

import numpy as np
import polars as pl

from treadle.core.signature import Field, Signature, field_of
from treadle.registry.format import Trial

CLASSIFIED = (Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))


def late_flights(rows: int = 400) -> tuple[pl.DataFrame, np.ndarray, Signature]:
    """Return rows, which of them are late (0 or 1, int64), and the signature of a model that tells."""
    rng = np.random.default_rng(0)
    wind = rng.normal(10, 5, rows).astype(np.float32)
    wind[::17] = np.nan
    frame = pl.DataFrame({"carrier": rng.choice(["AA", "B6", "UA"], rows), "wind": wind})
    late = (frame["carrier"] == "UA").to_numpy() ^ (np.nan_to_num(wind, nan=20.0) > 14)
    inputs = (field_of(frame["carrier"]), field_of(frame["wind"]))
    return frame, late.astype(np.int64), Signature(inputs=inputs, outputs=CLASSIFIED)


def answered(signature: Signature, frame: pl.DataFrame, shares: np.ndarray) -> Trial:
    """Return rows with the probabilities of shape (rows, 2) that a model gives them."""
    return Trial(signature.encode(frame), np.asarray(shares, dtype=np.float64)[:, 1])
