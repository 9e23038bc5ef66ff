"""What an answer holds besides a model's own numbers, as it was settled where the model was trained.

An interval or a set that holds the truth as often as it says, and what is done with a row: it is answered, kept back,
handed to a person, or the caller is asked for more. The numbers stand in the signature of the package, so whoever loads
it gives the same answers.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: What is done with a row.
Doing = Literal["answer", "abstain", "review", "ask"]
ANSWER: Doing = "answer"


class Reach(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far an interval or a set goes, so that it holds the truth as often as `coverage` says (split conformal)."""

    #: The share of rows whose truth is inside, 0 to 1.
    coverage: float
    #: Of an interval, how far it goes beyond the estimate; of a set, how improbable a class in it may be.
    reach: float
    #: The input whose values are groups with reaches of their own; empty: there are none.
    by: str = ""
    #: Group → its reach. A group that is not here has that of all rows.
    reaches: dict[str, float] = {}
    #: The validation rows that it was settled on.
    rows: int


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a row is not just answered: below a confidence, or where an interval or a set is too wide."""

    on: Literal["confidence", "width"]
    #: Confidences below it, or widths (a set's is its number of classes) above it.
    limit: float
    then: Literal["abstain", "review", "ask"]


class Answering(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an answer holds besides a model's own numbers."""

    #: Of numbers: the interval round each estimate.
    interval: Reach | None = None
    #: Of classes: the set of those that may be the truth.
    classes: Reach | None = None
    steps: tuple[Step, ...] = ()
    #: Inputs without which the caller is asked for them.
    ask_for: tuple[str, ...] = ()

    @property
    def decides(self) -> bool:
        """Whether an answer says what is to be done with the row."""
        return bool(self.steps or self.ask_for)
