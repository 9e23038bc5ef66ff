"""A snapshot: the rows of one dataset version on which contenders are compared, with what really happened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.evaluation.arrays import Floats, truths
from treadle.evaluation.measures import Measure, metric


@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot:
    """Rows to compare on. Predictions for other rows, or other versions, cannot be put beside it.

    >>> snapshot = Snapshot(dataset="flights", version=12, rows="sha256:…", y=np.array([1, 0]))
    >>> snapshot.checked({"candidate": [0.9, 0.2]})["candidate"].tolist()
    [0.9, 0.2]

    Raises:
        InvalidInput: an outcome is no finite number, or groups, times or a column are not one for each row.
    """

    dataset: str
    #: The dataset version, or the newest of those that were read.
    version: int
    #: Digest of the keys of the rows, in order: `digest_of_rows`.
    rows: str
    #: Outcomes of shape (rows,): 1 for the positive class and 0 for the other, or the place of the class among several;
    #: or of shape (rows, columns), where a truth is several numbers.
    y: npt.NDArray[Any]
    #: What ties rows together, of shape (rows,), where they are not independent; None: they are.
    groups: npt.NDArray[Any] | None = None
    #: What the numbers of a prediction are called; empty: it is one number.
    names: tuple[str, ...] = ()
    #: Which rows these are: `test` (hash split, inside the window) or `forward` (after it).
    on: str = "test"
    #: Column → its value in each row, for gates that look at parts of the rows.
    columns: Mapping[str, pl.Series] = field(default_factory=dict)
    #: The moment of each row, and how many moments ahead a forecast looks; None: rows are no forecasts.
    times: npt.NDArray[Any] | None = None
    horizon: int | None = None
    #: What errors of each row are measured in by metrics that have a scale, all above 0; None: they have no value.
    scales: npt.NDArray[Any] | None = None
    #: Metrics that the question itself declares, by name, beside the plug-ins.
    measures: Mapping[str, Measure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the arrays, and keep the outcomes as float64."""
        object.__setattr__(self, "y", truths(self.y, what=f"outcomes of {self.name}"))
        tied = {"groups": self.groups, "times": self.times, "scales": self.scales, **self.columns}
        for what, given in tied.items():
            if given is not None and len(given) != len(self):
                msg = f"{self.name} has {len(given):,} {what} for {len(self):,} rows. Expected one for each row."
                raise InvalidInput(msg, field=what)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    @property
    def name(self) -> str:
        """The dataset and its version, as `flights/12`."""
        return f"{self.dataset}/{self.version}"

    def measure(self, name: str) -> Measure:
        """Return a metric by name, as it takes predictions for these rows: one of the question's own, or a plug-in.

        Raises:
            NotFound: no metric has that name.
        """
        return (self.measures.get(name) or metric(name)).over(self.names)

    def of(self, names: tuple[str, ...]) -> Snapshot:
        """Return the same rows with some of a truth's several numbers only, as the steps of a forecast that all answer."""
        if names == self.names:
            return self
        return replace(self, y=self.y[:, [self.names.index(name) for name in names]], names=names)

    def slices(self, by: tuple[str, ...]) -> dict[str, npt.NDArray[np.int64]]:
        """Return the rows of each value of some columns, as `carrier=UA`, in the order in which they come.

        Raises:
            InvalidInput: there is no column of that name.
        """
        for column in by:
            if column not in self.columns:
                msg = (
                    f"There is no column {column!r} to slice {self.name} by. {closest(column, self.columns)}"
                )
                raise InvalidInput(msg, field="by")
        names = [
            pl.format(f"{column}={{}}", pl.lit(self.columns[column].cast(pl.String)).fill_null("none"))
            for column in by
        ]
        told = pl.select(pl.concat_str(names, separator=", ").alias("slice")).with_row_index("row")
        parts = told.group_by("slice", maintain_order=True).agg(pl.col("row").cast(pl.Int64))
        return {name: rows.to_numpy() for name, rows in zip(parts["slice"], parts["row"], strict=True)}

    def in_unit(self, measure: Measure, values: Floats) -> Floats:
        """Return outcomes or predictions of all rows as a metric takes them: of one with a scale, divided by it.

        Raises:
            InvalidInput: the metric has a scale, and the rows have none.
        """
        if not measure.is_scaled:
            return values
        if self.scales is None:
            msg = f"{measure.name} measures errors in the unit of each series, and {self.name} has none. It is for td.Forecast()."
            raise InvalidInput(msg, field="on")
        return np.asarray(values / self.scales.reshape(-1, *(1,) * (values.ndim - 1)))

    def checked(self, predictions: Mapping[str, npt.ArrayLike]) -> dict[str, Floats]:
        """Return the predictions of each contender as float64 of shape (rows,), or (rows, columns).

        Raises:
            InvalidInput: a contender has no finite number for each row; the message names it.
        """
        found = {
            name: truths(given, what=f"predictions of {name}", field=name)
            for name, given in predictions.items()
        }
        for name, given in found.items():
            if len(given) != len(self):
                msg = (
                    f"The predictions of {name} are for {len(given):,} rows; the {self.on} rows of {self.name} "
                    f"are {len(self):,}. Contenders are compared on the same rows only: predict each of them."
                )
                raise InvalidInput(msg, field=name)
        return found


def digest_of_rows(keys: pl.DataFrame) -> str:
    """Return the digest of rows, by their key columns and in order; the same on every platform and release.

    >>> digest_of_rows(pl.DataFrame({"flight_id": ["UA1", "UA2"]}))[:19]
    'sha256:96903e90f0a2'
    """
    digest = hashlib.sha256()
    for column in keys:
        values = column.to_physical() if column.dtype.is_temporal() else column.cast(pl.String)
        missing = values.is_null()
        texts = values.cast(pl.String).fill_null("")
        digest.update(f"{column.name}\x1f{len(column)}\x1f".encode())
        digest.update(np.packbits(missing.to_numpy()).tobytes())
        digest.update(texts.str.len_bytes().to_numpy().astype("<u4").tobytes())
        digest.update("".join(texts.to_list()).encode())
    return f"sha256:{digest.hexdigest()}"
