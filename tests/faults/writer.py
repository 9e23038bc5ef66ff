"""What a program that uses a store must bring, so that its power can be cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

from treadle.core.errors import StoreUnavailable

T = TypeVar("T")
#: Steps of those that do the same again and again.
ROUNDS = 12
#: Seconds until work is tried again: stores that have failed answer nobody for a moment.
_READING = 0.03


def insist(work: Callable[..., T], *given: Any, **options: Any) -> T:
    """Do some work again for as long as the disk refuses it, as a person would who reads the error."""
    for _ in range(50):
        with suppress(StoreUnavailable, OSError):
            return work(*given, **options)
        sleep(_READING)
    return work(*given, **options)


class Writer(ABC):
    """A program in steps. A look at its store is a set of things; a step adds or removes some."""

    @abstractmethod
    def steps(self, root: Path) -> Iterator[Any]:
        """Work in a folder; yield what the caller is told whenever a step has returned."""

    @abstractmethod
    def states(self) -> list[set[Any]]:
        """Return what has to be there before the first step, and after each."""

    @abstractmethod
    def look(self, root: Path, told: list[Any]) -> set[Any]:
        """Return what is there, checked, in the eyes of a caller who was told this much."""

    @abstractmethod
    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        """Do the next step, or the last one again, and return what is there then."""
