"""What each input adds to an answer, for callers who ask: few rows, one request at a time, beside everything else.

The front door hands in what opens a version for explaining; it is opened when it is first asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from treadle.core.errors import InvalidInput, Overloaded, TooLarge
from treadle.core.records import Variant
from treadle.serving.answer import Answer
from treadle.serving.given import Given

#: Encoded columns of some rows → of each row, what its inputs add: `scale`, `base` and `inputs`.
Explain = Callable[[Mapping[str, np.ndarray]], list[dict[str, Any]]]
#: Opens a version for explaining.
Explainer = Callable[[Variant], Explain]

#: The output that holds it.
EXPLANATION = "explanation"
#: Versions that are held open, and seconds that a request waits for its turn.
_HELD, _PATIENCE = 4, 5.0


class Explanations:
    """Explains answers, one request at a time."""

    def __init__(self, explainer: Explainer | None, *, max_rows: int) -> None:
        """Take what opens a version; None: nothing can be explained here."""
        self._explainer, self._max_rows = explainer, max_rows
        self._open: dict[tuple[str, int], Explain] = {}
        self._turn = threading.Lock()

    def check(self, rows: int) -> None:
        """Refuse what cannot be explained, before the model is asked.

        Raises:
            InvalidInput: nothing can be explained here.
            TooLarge: there are too many rows.
        """
        if self._explainer is None:
            msg = "Answers cannot be explained here. Ask the server without 'explain'."
            raise InvalidInput(msg, field="explain")
        if rows > self._max_rows:
            msg = f"The request has {rows} rows. At most {self._max_rows} are explained at once (setting serving.explain_rows)."
            raise TooLarge(msg, field="explain")

    def explained(self, answer: Answer) -> Answer:
        """Return an answer with what each input adds to it; what is logged is the answer without.

        Raises:
            InvalidInput: its variants answered together, or the model has no exact explanation.
            TooLarge: there are too many rows.
            Overloaded: others are explained meanwhile.
        """
        self.check(answer.batch.rows)
        if answer.members:
            msg = "Several versions answered together, and what an input adds is known of each alone. Ask for one by its number."
            raise InvalidInput(msg, field="explain")
        if not self._turn.acquire(timeout=_PATIENCE):
            msg = "Other answers are being explained, one after the other. Try again in a moment, or without 'explain'."
            raise Overloaded(msg)
        try:
            found = self._of(answer.variant)(answer.batch.columns)
        finally:
            self._turn.release()
        told = np.empty(len(found), dtype=object)
        told[:] = found
        return msgspec.structs.replace(answer, outputs=Given.of({**answer.outputs, EXPLANATION: told}))

    def _of(self, variant: Variant) -> Explain:
        key = (variant.model, variant.version)
        if key not in self._open:
            assert self._explainer is not None
            kept = list(self._open.items())[-(_HELD - 1) :]
            self._open = {**dict(kept), key: self._explainer(variant)}
        return self._open[key]
