"""The difference of two weighed means over different units, and what each unit adds to it.

A unit is what was assigned to a side, as a subject: its rows are alike, so units and not rows are counted. The weight of
a row is one over the chance with which it was seen: its side chosen, the row logged. The difference is Hájek's (each mean is
of weights that add up to 1), linearised: the variance of a sum over units is that of the difference (Särndal, Swensson and
Wretman 1992, "Model assisted survey sampling", section 5.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Contrast:
    """Two means and their difference, treatment minus control."""

    control: float
    treatment: float
    #: Units of each side.
    n_control: int
    n_treatment: int
    #: What each unit adds to the difference beyond its expectation; they add up to 0.
    parts: Floats

    @property
    def difference(self) -> float:
        """Treatment minus control."""
        return self.treatment - self.control

    @property
    def n(self) -> int:
        """Units; one that was on both sides is one."""
        return len(self.parts)

    @property
    def variance(self) -> float:
        """The variance of one unit's contribution to the difference, as a mean over `n` units has it."""
        return float(self.n * (self.parts @ self.parts))


def contrast(
    values: Floats, *, weights: Floats, treated: npt.NDArray[np.bool_], units: npt.NDArray[np.int64]
) -> Contrast | None:
    """Return the difference of the treated rows' mean and the others'; None: a side has fewer than two units.

    All arrays have the shape (rows,); `units` numbers the units from 0 on, without gaps.
    """
    import numpy as np

    counts = [int(np.count_nonzero(np.bincount(units[side]))) for side in (~treated, treated)]
    if min(counts) < 2:
        return None
    control, treatment = (
        float((values[side] @ weights[side]) / weights[side].sum()) for side in (~treated, treated)
    )
    scale = np.where(treated, 1 / weights[treated].sum(), -1 / weights[~treated].sum())
    added = weights * scale * (values - np.where(treated, treatment, control))
    parts = np.bincount(units, weights=added).astype(np.float64)
    return Contrast(
        control=control, treatment=treatment, n_control=counts[0], n_treatment=counts[1], parts=parts
    )
