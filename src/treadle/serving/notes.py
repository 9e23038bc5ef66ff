"""What is noted of one request while somebody wants to know: the access log, or a trace."""

from __future__ import annotations

import re
from typing import Any, Protocol

from treadle.serving.answer import Answer
from treadle.serving.web import Response

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Notes:
    """A request, from its arrival to its answer; moments are monotonic seconds, 0 where it did not get so far."""

    __slots__ = ("answer", "answered", "decoded", "endpoint", "logged", "received", "route", "scope", "trace")

    def __init__(self, scope: Any, received: float) -> None:
        self.scope, self.received = scope, received
        #: The path's pattern, and the endpoint that was named where there is one.
        self.route = self.endpoint = ""
        self.decoded = self.answered = self.logged = 0.0
        self.answer: Answer | None = None
        found = _TRACEPARENT.fullmatch(scope.headers.get("traceparent", ""))
        #: The id of the caller's trace, or of the one that was begun here.
        self.trace = found[1] if found else ""


class Watcher(Protocol):
    """Is told of each request that was answered or refused."""

    def saw(self, notes: Notes, response: Response, ended: float) -> None:
        """Take note of a request; nothing may go wrong that the request would feel."""
        ...
