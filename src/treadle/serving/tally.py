"""Counts of answered requests that cost next to nothing to keep; Prometheus gets them when it asks."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

#: Name of a sample, its labels, its value.
Sample = tuple[str, tuple[tuple[str, str], ...], float]


class Tally:
    """Numbers that are added up by labels; safe to use from several threads."""

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self._name, self._labels = name, tuple(labels)
        self._lock = threading.Lock()
        self._counts: dict[tuple[object, ...], list[float]] = {}

    def add(self, key: tuple[object, ...], amount: float) -> None:
        """Add an amount under the values of the labels."""
        with self._lock:
            self.cell(key)[0] += amount

    def cell(self, key: tuple[object, ...]) -> list[float]:
        """Return what is added up under the values of the labels: one number, which the caller may go on with."""
        return self._counts.setdefault(key, [0.0])

    def samples(self) -> list[Sample]:
        """Return what was added up."""
        with self._lock:
            counts = list(self._counts.items())
        return [(f"{self._name}_total", _labelled(self._labels, key), count) for key, [count] in counts]


class Spread:
    """How often values lay within bounds, by labels; safe to use from several threads."""

    def __init__(self, name: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name, self._labels, self.bounds = name, tuple(labels), tuple(bounds)
        self._lock = threading.Lock()
        #: By labels: how many lay up to each bound and beyond the one before, and their sum behind all these.
        self._counts: dict[tuple[object, ...], list[float]] = {}

    def add(self, key: tuple[object, ...], value: float) -> None:
        """Count a value under the values of the labels."""
        with self._lock:
            counts = self.cell(key)
            counts[bisect_left(self.bounds, value)] += 1
            counts[-1] += value

    def counts(self) -> list[tuple[tuple[object, ...], list[float]]]:
        """Return by labels how many values lay up to each bound and beyond the one before."""
        with self._lock:
            return [(key, counts[:-1]) for key, counts in self._counts.items()]

    def cell(self, key: tuple[object, ...]) -> list[float]:
        """Return the counts under the values of the labels, which the caller may go on with: see `Counted`."""
        return self._counts.setdefault(key, [0.0] * (len(self.bounds) + 2))

    def samples(self) -> list[Sample]:
        """Return what was counted, as Prometheus wants a histogram: each bucket with all below it."""
        with self._lock:
            kept = [(key, list(counts)) for key, counts in self._counts.items()]
        bounds = [*(repr(float(bound)) for bound in self.bounds), "+Inf"]
        found: list[Sample] = []
        for key, counts in kept:
            labels = _labelled(self._labels, key)
            up_to = list(accumulate(counts[:-1]))
            found += [
                (f"{self._name}_bucket", tuple(sorted((*labels, ("le", bound)))), count)
                for bound, count in zip(bounds, up_to, strict=True)
            ]
            found += [(f"{self._name}_count", labels, up_to[-1]), (f"{self._name}_sum", labels, counts[-1])]
        return found


class Counted:
    """What is counted of answers with the same labels: their rows, and how long they took."""

    __slots__ = ("_bounds", "_lock", "_rows", "_seconds")

    def __init__(self, rows: Tally, seconds: Spread, key: tuple[object, ...]) -> None:
        """Count into a tally and a spread, whose numbers are looked up once."""
        self._rows, self._seconds = rows.cell(key), seconds.cell(key)
        self._bounds, self._lock = seconds.bounds, threading.Lock()

    def add(self, rows: int, seconds: float) -> None:
        """Count an answer."""
        counts = self._seconds
        with self._lock:
            self._rows[0] += rows
            counts[bisect_left(self._bounds, seconds)] += 1
            counts[-1] += seconds


def _labelled(names: Sequence[str], values: Sequence[object]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in zip(names, values, strict=True)))
