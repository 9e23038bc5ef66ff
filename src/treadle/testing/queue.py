"""What every queue must do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from treadle.core.errors import InvalidInput, LeaseLost
from treadle.store.queue.backend import Parked
from treadle.store.queue.queue import LARGEST, LONGEST_ID, Queue

#: How often a taker dies before a message is parked, in the queues that the fixture opens.
CRASHES = 3
_WAIT = 20.0


class QueueContract:
    """Give the fixture `open_queue`: a function that opens one and the same empty queue, each time as another taker.

    Its leases last 0.5 seconds where time ends them, and after `CRASHES` takers that died a message is parked.
    """

    def test_messages_come_out_in_order_with_their_ids(self, open_queue: Callable[[], Queue]) -> None:
        """What is acknowledged is gone."""
        queue = open_queue()
        assert queue.take(10) == []

        queue.put([("a", b"1"), ("b", b"")])
        queue.put([("c", bytes(range(256)))])
        found = queue.take(10, wait=_WAIT)

        assert [(m.id, m.body, m.delivery) for m in found] == [
            ("a", b"1", 1),
            ("b", b"", 1),
            ("c", bytes(range(256)), 1),
        ]
        for message in found:
            queue.acknowledge(message)
        assert queue.take(1) == []
        assert (queue.state().ready, queue.state().parked) == (0, 0)

    def test_what_was_put_is_there_for_those_who_open_the_queue_later(
        self, open_queue: Callable[[], Queue]
    ) -> None:
        """Nothing is kept in the process that put it."""
        first = open_queue()
        first.put([("a", b"1")])
        first.close()

        (found,) = open_queue().take(1, wait=_WAIT)

        assert (found.id, found.body) == ("a", b"1")

    def test_a_message_is_given_to_one_taker_at_a_time(self, open_queue: Callable[[], Queue]) -> None:
        """Four takers share what there is."""
        queue = open_queue()
        queue.put([(str(n), b"") for n in range(40)])

        def work() -> list[str]:
            own, done = open_queue(), []
            while found := own.take(1):
                own.acknowledge(found[0])
                done.append(found[0].id)
            return done

        with ThreadPoolExecutor(4) as pool:
            done = [name for part in pool.map(lambda _: work(), range(4)) for name in part]

        assert sorted(done, key=int) == [str(n) for n in range(40)]

    def test_a_message_that_was_given_back_is_there_at_once(self, open_queue: Callable[[], Queue]) -> None:
        """Whoever gave it back no longer has it."""
        queue, other = open_queue(), open_queue()
        queue.put([("a", b"1")])
        (taken,) = queue.take(1, wait=_WAIT)
        assert other.take(1) == []

        queue.release(taken)

        assert [m.id for m in other.take(1, wait=_WAIT)] == ["a"]

    def test_a_taker_that_goes_loses_its_messages_and_cannot_acknowledge_them(
        self, open_queue: Callable[[], Queue]
    ) -> None:
        """The next one is told that it is not the first delivery."""
        queue, gone = open_queue(), open_queue()
        queue.put([("a", b"1")])
        (lost,) = gone.take(1, wait=_WAIT)

        gone.close()
        (found,) = queue.take(1, wait=_WAIT)

        assert (found.id, found.delivery) == ("a", 2)
        for verb in (gone.acknowledge, gone.release):
            with pytest.raises(LeaseLost):
                verb(lost)
        queue.extend([found])
        queue.acknowledge(found)

    def test_a_message_that_kills_its_takers_is_parked_with_a_reason(
        self, open_queue: Callable[[], Queue]
    ) -> None:
        """It does not come again until somebody asks for it; then it counts as new."""
        queue = open_queue()
        queue.put([("bad", b"1")])
        for delivery in range(1, CRASHES + 1):
            victim = open_queue()
            taken = victim.take(1, wait=_WAIT)
            assert [(m.id, m.delivery) for m in taken] == [("bad", delivery)]
            victim.close()

        queue.put([("good", b"2")])
        (good,) = queue.take(1, wait=_WAIT)
        queue.acknowledge(good)
        parked = _parked(queue)

        assert good.id == "good"
        assert [(one.id, one.body) for one in parked] == [("bad", b"1")]
        assert "its taker died" in parked[0].reason
        assert queue.take(1) == []
        assert queue.retry(["bad", "nothing"]) == 1
        assert [(m.id, m.delivery) for m in queue.take(1, wait=_WAIT)] == [("bad", 1)]
        assert queue.parked() == []

    def test_a_message_can_be_parked_and_dropped(self, open_queue: Callable[[], Queue]) -> None:
        """Others that are parked stay; looking at them changes nothing."""
        queue = open_queue()
        queue.put([("a", b"1"), ("b", b"2")])
        for message in queue.take(2, wait=_WAIT):
            queue.park(message, f"no sense in {message.id}")

        for _ in range(5):
            assert {(one.id, one.reason) for one in queue.parked()} == {
                ("a", "no sense in a"),
                ("b", "no sense in b"),
            }
        assert queue.drop(["a"]) == 1
        assert queue.drop(["a"]) == 0

        assert [one.id for one in queue.parked()] == ["b"]
        assert queue.state().parked == 1

    def test_what_is_no_message_is_refused(self, open_queue: Callable[[], Queue]) -> None:
        """The largest that is allowed comes back whole."""
        queue = open_queue()
        for bad in (("", b""), ("x" * (LONGEST_ID + 1), b""), ("a\n", b""), ("a", b"x" * (LARGEST + 1))):
            with pytest.raises(InvalidInput):
                queue.put([bad])

        queue.put([("ü" * (LONGEST_ID // 2), b"x" * LARGEST)])

        (found,) = queue.take(1, wait=_WAIT)
        assert (found.id, len(found.body)) == ("ü" * (LONGEST_ID // 2), LARGEST)


def _parked(queue: Queue) -> list[Parked]:
    """Return what is parked, once there is something: a broker parks in its own time."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_first, queue).result(_WAIT)


def _first(queue: Queue) -> list[Parked]:
    while not (found := queue.parked()):
        pass
    return list(found)
