"""A sum of decision trees inside of a model: its arrays, and the matrix of numbers that they look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Step:
    """An inner node on the way to a leaf, and the side that leads there."""

    node: int
    yes: bool


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Trees whose leaves add to targets. Inner nodes and leaves are numbered apart, through all trees.

    A node sends a row to its yes-side where the row's number is at most `split` (or among `members`), and where it is NaN as
    `missing_yes` says. `yes` and `no` are the nodes, or where `yes_leaf` and `no_leaf` say so the leaves, below it.
    """

    #: Of shape (nodes,): the column of the matrix.
    feature: np.ndarray
    split: np.ndarray
    missing_yes: np.ndarray
    yes: np.ndarray
    no: np.ndarray
    yes_leaf: np.ndarray
    no_leaf: np.ndarray
    roots: tuple[int, ...]
    #: Of shape (leaves,): the target that a leaf adds its weight to.
    target: np.ndarray
    weight: np.ndarray
    targets: int
    #: Node → the numbers that go to its yes-side; one that is not in it compares with its split.
    members: dict[int, tuple[float, ...]]
    #: Rows of encoded inputs → float64 of shape (rows, columns).
    matrix: Callable[[pl.DataFrame], np.ndarray]

    def decisions(self, matrix: np.ndarray) -> np.ndarray:
        """Return, of shape (nodes, rows), whether a row goes to the yes-side of a node."""
        values = matrix[:, self.feature].T
        found: np.ndarray = np.where(
            np.isnan(values), self.missing_yes[:, None], values <= self.split[:, None]
        )
        for node, members in self.members.items():
            there = np.isnan(values[node]) & self.missing_yes[node]
            found[node] = there | np.isin(values[node], members)
        return found

    def leaves(self) -> Iterator[tuple[int, tuple[Step, ...]]]:
        """Yield each leaf with the way from its root."""
        waiting: list[tuple[int, tuple[Step, ...]]] = [(root, ()) for root in self.roots]
        while waiting:
            node, way = waiting.pop()
            for below, is_leaf, yes in (
                (int(self.yes[node]), self.yes_leaf[node], True),
                (int(self.no[node]), self.no_leaf[node], False),
            ):
                if yes or not self._is_stub(node):
                    further = way if self._is_stub(node) else (*way, Step(node, yes))
                    if is_leaf:
                        yield below, further
                    else:
                        waiting.append((below, further))

    def _is_stub(self, node: int) -> bool:
        """Return whether both sides of a node are the same leaf: how a tree that is only a leaf is written."""
        both = bool(self.yes_leaf[node]) and bool(self.no_leaf[node])
        return both and bool(self.yes[node] == self.no[node])
