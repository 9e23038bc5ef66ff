"""What was read of the ledger, for as long as nothing is written to it: for who asks the same again and again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from treadle.store.ledger.ledger import Ledger

_T = TypeVar("_T")


class Remembered:
    """Answers from memory where the ledger is still as it was when it was read; else the ledger is read.

    >>> Remembered(ledger).of("open", lambda: 3)  # doctest: +SKIP
    3
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        #: By what was read: the ledger's state before that, and what was found.
        self._found: dict[Hashable, tuple[str, Any]] = {}

    def of(self, key: Hashable, read: Callable[[], _T]) -> _T:
        """Return what is remembered, or read it."""
        now = self._ledger.still()
        kept = self._found.get(key)
        if kept is not None and now and kept[0] == now:
            return cast("_T", kept[1])
        found = read()
        self._found[key] = (now, found)
        return found
