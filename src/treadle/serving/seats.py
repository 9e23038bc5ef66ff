"""What the process that keeps the workers tells them, and they it: a little memory that all of them share."""

from __future__ import annotations

import os
import socket
from multiprocessing import get_context
from typing import Any

#: Values for each worker: the process that became ready, deaths in a row, deaths in all, 1 while it is not started again.
_READY, _IN_ROW, _DEATHS, _WAITS, _SIZE = 0, 1, 2, 3, 4
#: Deaths in a row that make a crash loop.
LOOP = 3


class Board:
    """The state of each worker."""

    def __init__(self, workers: int) -> None:
        """Make room for so many workers."""
        self.workers = workers
        self._cells: Any = get_context().RawArray("q", workers * _SIZE)

    def became_ready(self, index: int) -> None:
        """Note that this process is the worker of an index, and takes requests."""
        self._cells[index * _SIZE + _READY] = os.getpid()

    def is_ready(self, index: int, process: int | None) -> bool:
        """Say whether a process has begun to take requests."""
        return bool(self._cells[index * _SIZE + _READY] == process)

    @property
    def ever_ready(self) -> bool:
        """Whether any worker ever took requests."""
        return any(self._cells[index * _SIZE + _READY] for index in range(self.workers))

    def died(self, index: int, *, in_row: int, waits: bool) -> None:
        """Note that a worker ended by itself, and whether it is left alone for a while."""
        self._cells[index * _SIZE + _IN_ROW] = in_row
        self._cells[index * _SIZE + _DEATHS] += 1
        self._cells[index * _SIZE + _WAITS] = waits

    def started(self, index: int) -> None:
        """Note that a worker was started again."""
        self._cells[index * _SIZE + _WAITS] = 0

    def steadied(self, index: int) -> None:
        """Note that a worker lives on."""
        self._cells[index * _SIZE + _IN_ROW] = 0

    @property
    def deaths(self) -> int:
        """Workers that ended by themselves, since the start."""
        return sum(self._cells[index * _SIZE + _DEATHS] for index in range(self.workers))

    @property
    def waiting(self) -> int:
        """Workers that are dead and not started again yet."""
        return sum(self._cells[index * _SIZE + _WAITS] for index in range(self.workers))

    @property
    def problems(self) -> list[str]:
        """What is to be said of workers that die again and again."""
        found = [(index, self._cells[index * _SIZE + _IN_ROW]) for index in range(self.workers)]
        return [
            f"worker {index + 1} has crashed {times} times in a row"
            for index, times in found
            if times >= LOOP
        ]


class Seat:
    """A worker's place: which one it is, and the socket that it accepts from."""

    def __init__(self, board: Board, index: int, listener: socket.socket) -> None:
        """Take a place; `listener` is the shared socket."""
        self.board, self.index, self.listener = board, index, listener
