"""Which requests a worker takes on, and which it gives up: no more at once than it can answer, none that nobody waits for.

A request that comes while too many others, or too many bytes of theirs, are under way is refused at once, before its body
is read. One whose deadline has passed, whose caller has gone or whose body does not come is cancelled: what has not
reached the model by then never does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from treadle.core.clock import monotonic
from treadle.core.errors import (
    BodyTooSlow,
    CallerGone,
    DeadlinePassed,
    InvalidInput,
    Overloaded,
    TreadleError,
)

#: The header by which a caller says how many seconds it waits for the answer.
DEADLINE = "treadle-timeout"
#: Seconds between looks at the requests under way.
LOOK = 0.1
#: Seconds after which a request's caller is watched, and how many ever are: each that is costs about 2 KB that Granian
#: (2.8) does not give back. The deadline goes on holding for all.
WATCH = 1.0
_MOST_WATCHED = 20_000
#: Bytes a second that a body must bring on average, from the time allowed for its beginning on.
_SLOWEST = 16 * 1024
#: Requests that stall which are given up at each look.
_AT_ONCE = 20


class Ticket(msgspec.Struct, eq=False):
    """A request under way, and what its body takes; made by place."""

    admission: Admission
    #: What answers it; None: that has not had to wait yet, or is known to what its body is read from.
    task: asyncio.Task[Any] | None
    #: What its body is read from.
    protocol: Any
    since: float
    deadline: float
    #: When the last bytes of its body have come, and how many have.
    moved: float
    got: int = 0
    #: Whether its body is still coming.
    reading: bool = True
    #: Bytes that it holds of those that all requests may hold.
    held: int = 0
    #: Why it was cancelled.
    reason: str = ""
    #: Ends when the caller goes.
    watcher: asyncio.Future[Any] | None = None
    #: Goes off at a deadline that the caller gave.
    timer: asyncio.TimerHandle | None = None

    def reserve(self, count: int) -> None:
        """Hold so many bytes more.

        Raises:
            Overloaded: all requests together hold too many.
        """
        self.admission.reserve(self, count)

    def arrived(self, count: int) -> None:
        """Note that so many bytes of the body have come."""
        self.got += count
        self.moved = monotonic()


class Admission:
    """The requests under way in one worker."""

    def __init__(self, *, most: int, most_bytes: int, timeout: float, body_timeout: float) -> None:
        """Prepare it; limits as in the settings `serving.max_in_flight`, `max_bytes_in_flight`, `timeout`, `body_timeout`."""
        self._most, self._most_bytes = most, most_bytes
        self._timeout, self._body_timeout = timeout, body_timeout
        self._tickets: dict[Ticket, None] = {}
        #: Bytes of large bodies that are in memory.
        self.held = 0
        self._watched = 0
        #: Requests that were not answered with a prediction, by reason.
        self.rejected: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self._tickets)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look at the requests under way."""
        loop.call_later(LOOK, self._look, loop)

    def enter(self, protocol: Any, headers: Mapping[str, str], since: float) -> Ticket:
        """Take a request on; `leave` must follow.

        Raises:
            Overloaded: too many are under way.
            InvalidInput: its deadline is no number of seconds.
        """
        if len(self._tickets) >= self._most:
            self.rejected["busy"] += 1
            msg = f"The server has {self._most} requests under way. Send this one again in a moment."
            raise Overloaded(msg)
        given = headers.get(DEADLINE)
        patience = self._timeout if given is None else min(_seconds(given), self._timeout)
        # What has come whole is begun without a task.
        is_whole = getattr(protocol, "whole", None) is not None
        task = None if is_whole else asyncio.current_task()
        ticket = Ticket(self, task, protocol, since, since + patience, since)
        if given is not None:
            loop = asyncio.get_running_loop()
            ticket.timer = loop.call_at(ticket.deadline, partial(self._expire, ticket))
        self._tickets[ticket] = None
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Let a request go."""
        del self._tickets[ticket]
        self.held -= ticket.held
        if ticket.watcher is not None:
            ticket.watcher.cancel()
        if ticket.timer is not None:
            ticket.timer.cancel()  # or it would be kept until then, with all that the request holds

    def reserve(self, ticket: Ticket, count: int) -> None:
        """Let a request hold so many bytes more.

        Raises:
            Overloaded: all requests together hold too many.
        """
        # One that is alone is never refused, however the limits are set.
        if self.held + count > self._most_bytes and self.held > ticket.held:
            self.rejected["bytes"] += 1
            msg = (
                f"The server has {self.held:,} bytes of requests under way. Send this one again in a moment."
            )
            raise Overloaded(msg)
        self.held += count
        ticket.held += count

    def why(self, ticket: Ticket) -> TreadleError | None:
        """Return why a request was cancelled; None: not by us."""
        if ticket.reason:
            self.rejected[ticket.reason] += 1
        if ticket.reason == "deadline":
            waited = ticket.deadline - ticket.since
            return DeadlinePassed(
                f"The answer was not there within {waited:g} s (header {DEADLINE}, setting serving.timeout)."
            )
        if ticket.reason == "gone":
            return CallerGone("The caller has gone.")
        if ticket.reason == "slow":
            return BodyTooSlow(
                f"The body did not come within {self._body_timeout:g} s, or at less than {_SLOWEST} bytes a second."
            )
        return None

    def check(self, deadline: float) -> None:
        """Make sure that it is worth while to go on with a request.

        Raises:
            DeadlinePassed: its deadline has passed.
        """
        if monotonic() > deadline:
            self.rejected["deadline"] += 1
            msg = f"The deadline had passed before the model was asked (header {DEADLINE}, setting serving.timeout)."
            raise DeadlinePassed(msg)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now, given_up = monotonic(), 0
        for ticket in list(self._tickets):
            if ticket.reason or now - ticket.since < LOOK:
                continue
            if now > ticket.deadline:
                self._cancel(ticket, "deadline")
            elif ticket.reading:
                # Many that stall together are not all answered in the same turn of the loop: others wait meanwhile.
                if given_up < _AT_ONCE and self._stalls(ticket, now):
                    given_up += 1
                    self._cancel(ticket, "slow")
            elif self._may_watch(ticket, now):
                self._watched += 1
                ticket.watcher = asyncio.ensure_future(ticket.protocol.client_disconnect())
                ticket.watcher.add_done_callback(partial(self._gone, ticket))
        loop.call_later(LOOK, self._look, loop)

    def _may_watch(self, ticket: Ticket, now: float) -> bool:
        is_slow = ticket.watcher is None and now - ticket.since >= WATCH and self._watched < _MOST_WATCHED
        return is_slow and hasattr(ticket.protocol, "client_disconnect")

    def _stalls(self, ticket: Ticket, now: float) -> bool:
        allowed = self._body_timeout + ticket.got / _SLOWEST
        return now - ticket.moved > self._body_timeout or now - ticket.since > allowed

    def _gone(self, ticket: Ticket, watcher: asyncio.Future[Any]) -> None:
        if not watcher.cancelled() and watcher.exception() is None and ticket in self._tickets:
            self._cancel(ticket, "gone")

    def _expire(self, ticket: Ticket) -> None:
        if ticket in self._tickets:
            self._cancel(ticket, "deadline")

    def _cancel(self, ticket: Ticket, reason: str) -> None:
        task = ticket.task or ticket.protocol.task
        if not ticket.reason and task is not None:
            ticket.reason = reason
            task.cancel()


def _seconds(text: str) -> float:
    try:
        found = float(text[:20])
    except ValueError:
        found = 0.0
    if not found > 0:
        msg = f"The header {DEADLINE} is {text[:20]!r}. Expected a number of seconds above 0, as 0.25."
        raise InvalidInput(msg, field=DEADLINE)
    return found
