"""What a model gave for the rows of one request, be they cut out of one call for several requests or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np

Outputs = Mapping[str, np.ndarray]
_USUAL = {"prediction", "probability"}


class Given(msgspec.Struct, frozen=True, gc=False):
    """Outputs of a request by name, as a mapping; arrays and plain values are cut out when they are asked for.

    A struct made by place, as there is one for each request: a class of the `Mapping`s takes several times as long.
    """

    #: Outputs of the call: arrays of shape (rows,) or (rows, columns); those of one number or text for each row as lists too.
    whole: Outputs
    lists: Mapping[str, list[Any]]
    names: tuple[str, ...]
    #: Whether a prediction that is a number, and its probability, are all there is.
    usual: bool
    #: Which rows of the call are meant.
    start: int
    end: int

    @classmethod
    def of(cls, outputs: Outputs) -> Given:
        """Return the outputs of a call for one request."""
        rows = len(next(iter(outputs.values())))
        return cls(outputs, lists_of(outputs), tuple(outputs), is_usual(outputs), 0, rows)

    def plain(self, name: str) -> list[Any] | None:
        """Return an output as plain values; None: it has several numbers for each row."""
        values = self.lists.get(name)
        return None if values is None else values[self.start : self.end]

    def __getitem__(self, name: str) -> np.ndarray:
        """Return an output."""
        return self.whole[name][self.start : self.end]

    def get(self, name: str) -> np.ndarray | None:
        """Return an output; None: there is none of that name."""
        return self[name] if name in self.whole else None

    def keys(self) -> tuple[str, ...]:
        """Return the names."""
        return self.names

    def items(self) -> list[tuple[str, np.ndarray]]:
        """Return names and outputs."""
        return [(name, self[name]) for name in self.names]

    def __contains__(self, name: object) -> bool:
        """Return whether there is such an output."""
        return name in self.whole

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self.names)

    def __len__(self) -> int:
        """Return how many outputs there are."""
        return len(self.names)


def parted(outputs: Outputs, rows: Sequence[int]) -> list[Given]:
    """Return the outputs of a call for several requests, which have so many rows each."""
    lists, names, usual = lists_of(outputs), tuple(outputs), is_usual(outputs)
    ends = list(accumulate(rows))
    starts = [0, *ends]
    return [Given(outputs, lists, names, usual, *ends_) for ends_ in zip(starts, ends, strict=False)]


def lists_of(outputs: Outputs) -> dict[str, list[Any]]:
    """Return outputs of one number or text for each row as plain values."""
    return {name: values.tolist() for name, values in outputs.items() if values.ndim == 1}


def is_usual(outputs: Outputs) -> bool:
    """Return whether a prediction that is a number, and its probability, are all there is."""
    said = outputs["prediction"]
    return said.ndim == 1 and said.dtype.kind != "O" and outputs.keys() <= _USUAL
