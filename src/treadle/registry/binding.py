"""One row's way through ONNX Runtime with nothing left to set up: arrays for it are bound once and used again.

What a call sets up and takes down (names looked up, tensors made, memory for the answer) costs as much as a small model's
arithmetic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from struct import Struct
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
#: How an output of the session is looked at: a view of it.
Seen = Mapping[str, Callable[[np.ndarray], np.ndarray]]


class OneRow:
    """Runs a session for one row at a time, in as many threads as call it."""

    def __init__(self, session: Any, feed: Arrays, given: Arrays, *, seen: Seen) -> None:
        """Take what the session was fed for one row, there as often as it needs, and what it gave.

        `seen` makes what is wanted of each output, of which the first row counts.

        Raises:
            ValueError: an input or output is text, or has to be converted, so that it cannot be bound.
        """
        if any(values.dtype.kind not in "biuf" for values in (*feed.values(), *given.values())):
            msg = "text cannot be bound"
            raise ValueError(msg)
        if not all(np.shares_memory(values, seen[name](values)) for name, values in given.items()):
            msg = "an output has to be converted"
            raise ValueError(msg)
        self._make = partial(_Bound, session, feed, given, seen)
        #: Whether rows can be given as plain numbers: it is fed one matrix of floats, and gives one number in each output.
        self.takes_numbers = [values.dtype.char for values in feed.values()] in (["d"], ["f"]) and all(
            seen[name](values).ndim == 1 for name, values in given.items()
        )
        #: Arrays that nobody uses now; to take some and to give them back are single steps, which need no lock.
        self._free: deque[_Bound] = deque()

    def __call__(self, feed: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs by name; what is fed has one row."""
        try:
            bound = self._free.pop()
        except IndexError:
            bound = self._make()
        found = bound.run(feed)
        self._free.append(bound)  # not after an error, whatever it left behind
        return found

    def numbers(self, row: tuple[float, ...]) -> list[Any]:
        """Return the outputs of one row that is given as plain numbers, as plain values."""
        try:
            bound = self._free.pop()
        except IndexError:
            bound = self._make()
        found = bound.numbers(row)
        self._free.append(bound)
        return found


class _Bound:
    """Arrays for one call at a time."""

    def __init__(self, session: Any, feed: Arrays, given: Arrays, seen: Seen) -> None:
        self._run, self._binding = session.run_with_iobinding, session.io_binding()
        self._inputs = [(name, np.empty_like(values, order="C")) for name, values in feed.items()]
        outputs = [(name, np.empty_like(values, order="C")) for name, values in given.items()]
        for name, array in self._inputs:
            self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in outputs:
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        # Views keep the arrays alive to which the session writes.
        self._outputs = [(name, seen[name](array)[:1]) for name, array in outputs]
        first = self._inputs[0][1]
        self._bytes, self._times = first.data.cast("B"), len(first)
        self._write = Struct(f"{first.size}{first.dtype.char}").pack_into
        self._first = [view.data for _, view in self._outputs]

    def run(self, feed: Arrays) -> dict[str, np.ndarray]:
        for name, array in self._inputs:
            array[:] = feed[name]  # one row, as often as the session needs it
        self._run(self._binding)
        return {name: view.copy() for name, view in self._outputs}

    def numbers(self, row: tuple[float, ...]) -> list[Any]:
        self._write(self._bytes, 0, *row * self._times)
        self._run(self._binding)
        return [view[0] for view in self._first]
