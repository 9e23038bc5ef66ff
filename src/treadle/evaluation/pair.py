"""A pair: two predictors' answers to the same rows, by one metric, as the methods of comparison take it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats
from treadle.evaluation.influence import Scored
from treadle.evaluation.measures import Measure


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """What is compared: axis 0 of every array is the rows.

    What is estimated is the metric of `first` less `scale` times that of `second`; without a `second`, the metric of
    `first` alone.

    Raises:
        InvalidInput: groups, times or counts are not one for each row.
    """

    measure: Measure
    #: Of shape (rows,), or (rows, columns) where a truth is several numbers.
    y: Floats
    first: Floats
    second: Floats | None = None
    #: What ties rows together; rows without a group form one together.
    groups: npt.NDArray[np.generic] | None = None
    #: The moment of each row, and how many moments ahead a forecast looks; None: rows are no forecasts.
    times: npt.NDArray[np.generic] | None = None
    horizon: int | None = None
    #: How many rows each stands for; None: one. With groups, how many groups: the same for all rows of one.
    counts: Floats | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Check the lengths."""
        for name, given in (("groups", self.groups), ("times", self.times), ("counts", self.counts)):
            if given is not None and len(given) != len(self.y):
                msg = f"There are {len(given)} {name} for {len(self.y)} rows. Expected one for each row."
                raise InvalidInput(msg, field=name)

    @cached_property
    def scored(self) -> tuple[Scored, Scored | None]:
        """Each predictor's answers, scored."""
        first = Scored(self.measure, self.y, self.first, self.counts)
        return first, None if self.second is None else Scored(self.measure, self.y, self.second, self.counts)

    @property
    def values(self) -> tuple[float, float]:
        """The metric of the first and of the second; 0 where there is no second."""
        first, second = self.scored
        return first.value, 0.0 if second is None else second.value

    @property
    def difference(self) -> float:
        """What is estimated."""
        first, second = self.values
        return first - self.scale * second

    @property
    def is_same(self) -> bool:
        """Whether it is one predictor's answers beside themselves, so that the difference is nothing at all."""
        return self.second is not None and self.scale == 1 and np.array_equal(self.first, self.second)

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.y) if self.counts is None else round(float(self.counts.sum()))

    @property
    def units(self) -> int:
        """The number of independent units: groups, or else rows."""
        if self.codes is None:
            return self.n
        return int(self.codes.max()) + 1 if self.of_groups is None else round(float(self.of_groups.sum()))

    @cached_property
    def of_groups(self) -> Floats | None:
        """How many groups each stands for, in the order of their codes; None: one."""
        if self.counts is None or self.codes is None:
            return None
        return np.asarray(self.counts[np.unique(self.codes, return_index=True)[1]])

    @cached_property
    def codes(self) -> npt.NDArray[np.int64] | None:
        """The groups, numbered 0, 1, 2, … in the order in which they come."""
        return None if self.groups is None else codes_of(self.groups)

    @cached_property
    def influence(self) -> Floats | None:
        """How far each row moves what is estimated, of shape (rows,); None: the metric cannot say."""
        first, second = self.scored
        if first.influence is None or second is None:
            return first.influence
        return (
            None if second.influence is None else np.asarray(first.influence - self.scale * second.influence)
        )

    def drawn(self, counts: Floats, *, groups: npt.NDArray[np.generic] | None = None) -> Self:
        """Return the pair whose rows stand for so many each; what they add to the metric is computed once."""
        other = replace(self, counts=counts, groups=groups)
        for mine, theirs in zip(self.scored, other.scored, strict=True):
            if mine is not None:
                vars(theirs).update(rows=mine.rows, terms=mine.terms)
        return other

    def scaled(self, scale: float) -> Self:
        """Return the pair with another weight of the second."""
        other = replace(self, scale=scale)
        # What was computed of each side holds for any weight.
        vars(other).update({name: vars(self)[name] for name in ("scored", "codes") if name in vars(self)})
        return other


def codes_of(groups: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Number the groups 0, 1, 2, … in the order in which they come; rows without one form a group together.

    >>> codes_of(np.array(["b", "a", "b"])).tolist()
    [0, 1, 0]
    """
    values = pl.Series("group", groups, strict=False)
    first = values.to_frame().with_row_index("row").select(pl.col("row").first().over("group"))
    return np.unique(first["row"].to_numpy(), return_inverse=True)[1]
