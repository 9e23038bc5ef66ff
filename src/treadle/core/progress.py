"""How long work tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Somebody who is told how work goes on."""

    def step(self, text: str) -> None:
        """Say that a new stretch of work begins."""
        ...

    def advance(self, done: int, total: int) -> None:
        """Say how much of the stretch is done."""
        ...


class Silent:
    """Nobody listens."""

    def step(self, text: str) -> None:
        """Pass over the text."""

    def advance(self, done: int, total: int) -> None:
        """Pass over the count."""
