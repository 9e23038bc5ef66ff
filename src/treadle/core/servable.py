"""A loaded model that answers: the one thing that training libraries, packages and servers agree on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from treadle.core.signature import Signature

if TYPE_CHECKING:
    import numpy as np


class Servable(Protocol):
    """A model version in memory, ready to answer.

    Where it came from a package, its attribute `samples` holds the columns of the golden rows: a server warms it with them.
    """

    @property
    def signature(self) -> Signature:
        """The inputs it takes and the outputs it gives."""
        ...

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer for arrays encoded by `core.signature`, each of shape (rows,).

        Returns an array for each output of the signature: of shape (rows,), or (rows, columns) where the output names
        columns. The last one, which is scored, is float64.
        """
        ...
