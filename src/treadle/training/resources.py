"""What a training needs of the machine that it runs on, and which other place it takes when it loses the first too often."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from treadle.core.errors import InvalidDeclaration

_UNITS = {
    "": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Processors, graphics cards, memory and labels of the machine, for each worker.

    Labels are what an operator calls kinds of machines, as `{"spot": 1}`: Ray's custom resources. `price` is what an
    hour of such a worker costs, in any currency.

    >>> Resources(cpu=2, memory="1.5GB", labels={"spot": 1}).bytes
    1500000000
    """

    cpu: float = 1
    gpu: float = 0
    #: The most memory that it may use, as `4GB`; empty: as much as there is.
    memory: str = ""
    labels: Mapping[str, float] = field(default_factory=dict)
    price: float = 0.0
    #: How often it may lose its machine (preempted, or gone) before it moves on to the next place.
    losses: int = 2

    def __post_init__(self) -> None:
        """Check what was declared."""
        for name in ("cpu", "gpu", "price", "losses"):
            given = getattr(self, name)
            if not isinstance(given, int | float) or given < 0:
                msg = f"td.Resources({name}={given!r}): expected a number from 0 up."
                raise InvalidDeclaration(msg, field=name)
        if self.memory:
            _bytes(self.memory)

    @property
    def bytes(self) -> int | None:
        """The memory in bytes; None: no limit."""
        return _bytes(self.memory) if self.memory else None

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"cpu": self.cpu, "gpu": self.gpu, "memory": self.memory, "labels": dict(self.labels)}


def place_after(losses: int, places: tuple[Resources, ...]) -> Resources:
    """Return where to run after so many losses: each place is left when it was lost too often, the last one never.

    >>> spot, regular = Resources(labels={"spot": 1}, losses=2), Resources()
    >>> [place_after(losses, (spot, regular)) is spot for losses in range(4)]
    [True, True, True, False]
    """
    for place in places[:-1]:
        if losses <= place.losses:
            return place
        losses -= place.losses + 1
    return places[-1] if places else Resources()


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2].upper() not in _UNITS:
        msg = f"td.Resources(memory={text!r}) is no size. Expected a number with MB, GB or TB, as '4GB'."
        raise InvalidDeclaration(msg, field="memory")
    return int(float(found[1]) * _UNITS[found[2].upper()])
