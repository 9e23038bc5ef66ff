"""What every broker of messages must do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from treadle.core.errors import InvalidInput
from treadle.serving import stream
from treadle.serving.stream import Incoming, Outgoing, Sink, Source

_WAIT = 1.0


class Ends(NamedTuple):
    """One place of a broker, empty at first: what goes into the sink comes out of the source."""

    source: str
    sink: str
    #: Id, body and reason of what was put aside.
    parked: Callable[[], list[tuple[str, bytes, str]]]


class StreamContract:
    """Give the fixture `ends`."""

    def test_what_was_published_comes_with_its_id(self, ends: Ends) -> None:
        """Bytes come back the same, in order; what is acknowledged does not come again."""
        given = [Outgoing(f"m{n}", bytes([n]) * n) for n in range(1, 30)]
        source, sink = _open(ends)

        sink.publish(given[:1])
        sink.publish(given[1:])
        found = _take(source, len(given))
        source.acknowledge(found)
        source.close()

        assert [(m.id, m.body, m.delivery) for m in found] == [(m.id, m.body, 1) for m in given]
        again = stream.source(ends.source)
        assert again.take(10, wait=0.5) == []
        again.close()
        sink.close()

    def test_what_was_not_acknowledged_comes_again(self, ends: Ends) -> None:
        """To another consumer, with the same id, and it is said that it is not the first time."""
        source, sink = _open(ends)
        sink.publish([Outgoing("a", b"1"), Outgoing("b", b"2")])
        first = _take(source, 2)
        source.acknowledge(first[:1])
        source.close()

        other = stream.source(ends.source)
        found = _take(other, 1)

        assert [(m.id, m.body) for m in found] == [("b", b"2")]
        assert found[0].delivery > 1
        other.acknowledge(found)
        other.close()
        sink.close()

    def test_what_waits_is_counted(self, ends: Ends) -> None:
        """What was taken does not wait, whether it was acknowledged or not."""
        source, sink = _open(ends)
        sink.publish([Outgoing(f"m{n}", b"1") for n in range(5)])
        counted = [_settled(source, 5)]
        source.acknowledge(_take(source, 1))
        _take(source, 1)
        counted.append(_settled(source, 3))
        source.close()
        sink.close()

        assert counted == [5, 3]

    def test_what_is_put_aside_is_kept_with_the_reason(self, ends: Ends) -> None:
        """It does not come again."""
        source, sink = _open(ends)
        sink.publish([Outgoing("bad", b"\xff"), Outgoing("good", b"{}")])
        bad, good = _take(source, 2)

        source.park(bad, "line one\nrows[0].x: no sense, in ümlauts")
        source.acknowledge([good])
        source.close()

        ((name, body, reason),) = ends.parked()
        assert (name, body) == ("bad", b"\xff")
        assert "rows[0].x: no sense" in reason
        sink.close()

    @pytest.mark.parametrize("query", ["odd=1", "durable=&stream="])
    def test_an_address_with_a_mistake_is_refused(self, ends: Ends, query: str) -> None:
        """The password is not repeated."""
        bare = ends.source.partition("?")[0].replace("://", "://user:secret@")

        with pytest.raises(InvalidInput) as caught:
            stream.source(f"{bare}?{query}")

        assert "secret" not in str(caught.value)


def _open(ends: Ends) -> tuple[Source, Sink]:
    return stream.source(ends.source), stream.sink(ends.sink)


def _settled(source: Source, expected: int) -> int | None:
    """Return how many wait, once the broker has counted."""
    for _ in range(100):
        found = source.waiting()
        if found == expected:
            break
        threading.Event().wait(0.1)
    return found


def _take(source: Source, count: int) -> Sequence[Incoming]:
    found: list[Incoming] = []
    for _ in range(20):
        found += source.take(count - len(found), wait=_WAIT)
        if len(found) == count:
            break
    return found
