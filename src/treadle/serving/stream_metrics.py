"""What a stream does, for Prometheus: messages answered and put aside, and how many wait at the broker."""

from __future__ import annotations

from collections.abc import Callable

from treadle.core.errors import StoreUnavailable
from treadle.serving.pump import Pump
from treadle.serving.stream import Source
from treadle.serving.telemetry import Family


class Lag:
    """How many messages wait: asked over a connection of its own, so that those that carry messages are not disturbed."""

    def __init__(self, connect: Callable[[], Source]) -> None:
        """Prepare it; `connect` connects, again after a failure."""
        self._connect = connect
        self._source: Source | None = None
        #: Whether the broker answered the last time.
        self.is_up = False

    def ask(self) -> int | None:
        """Return how many wait; None: the broker does not answer, or does not know."""
        try:
            if self._source is None:
                self._source = self._connect()
            found = self._source.waiting()
        except StoreUnavailable:
            self.close()
            self.is_up = False
            return None
        self.is_up = True
        return found

    def close(self) -> None:
        """Close the connection."""
        source, self._source = self._source, None
        if source is not None:
            source.close()


def observed(endpoint: str, pump: Pump, lag: Lag) -> list[Family]:
    """Return the metrics of the stream of an endpoint; one that is not known is left out."""
    labels = (("endpoint", endpoint),)
    waiting = lag.ask()
    families = [
        Family(name, about, "counter", [(f"{name}_total", labels, float(value))])
        for name, about, value in (
            ("treadle_stream_answered", "Messages that were answered.", pump.answered),
            ("treadle_stream_parked", "Messages that were put aside.", pump.parked),
        )
    ]
    up = "1: the broker that messages come from answers."
    families.append(
        Family(
            "treadle_stream_source_reachable",
            up,
            "gauge",
            [("treadle_stream_source_reachable", labels, float(lag.is_up))],
        )
    )
    if waiting is not None:
        name = "treadle_stream_waiting_messages"
        families.append(
            Family(name, "Messages that nobody has taken yet.", "gauge", [(name, labels, float(waiting))])
        )
    return families
