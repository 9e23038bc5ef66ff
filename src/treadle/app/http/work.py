"""Long work: it tells how it goes on, goes on when nobody listens, and can be looked up again for an hour."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from treadle.app.http.door.failures import masked
from treadle.core.clock import monotonic
from treadle.core.errors import Conflict, InvalidInput, NotFound, Overloaded

#: Work that is under way or remembered at most, what may run at once, seconds it is remembered, and seconds between two counts.
_MOST, _AT_ONCE, _KEPT, _PAUSE = 500, 16, 3600.0, 0.2
#: Work of one user that may run at once: others find room, too.
_EACH = 12
_LONGEST = 64
#: How work ends that failed as nobody thought of.
WRONG = {
    "error": {"type": "TreadleError", "message": "Something went wrong here; the server's log says what."}
}
_log = logging.getLogger("treadle.ui")


class Work:
    """One piece of work: lines of what it told, the last of them its end."""

    def __init__(self, name: str, user: str, operation: str) -> None:
        self.name, self.user, self.operation = name, user, operation
        self.lines: list[dict[str, Any]] = []
        self.ended: float | None = None
        self._counted = 0.0

    def step(self, text: str) -> None:
        """Say that a new stretch of work begins."""
        self.lines.append({"step": text[:2_000]})

    def advance(self, done: int, total: int) -> None:
        """Say how much of the stretch is done, now and then."""
        if done >= total or monotonic() - self._counted > _PAUSE:
            self._counted = monotonic()
            self.lines.append({"done": done, "total": total})

    def end(self, line: dict[str, Any]) -> None:
        """Say what it came to."""
        self.ended = monotonic()
        self.lines.append(line)


class Works:
    """The work of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Work] = OrderedDict()

    def start(self, name: str, *, user: str, operation: str, do: Callable[[Work], dict[str, Any]]) -> Work:
        """Begin a piece of work in a thread; where it was begun before, as by a request whose answer was lost, return that.

        Raises:
            InvalidInput: the name is none.
            Conflict: the name is that of other work.
            Overloaded: as much is under way as may be.
        """
        if not name.replace("-", "").isalnum() or not 8 <= len(name) <= _LONGEST:
            msg = f"{name[:100]!r} cannot name work. Expected 8 to {_LONGEST} letters and digits."
            raise InvalidInput(msg, field="treadle-work")
        with self._lock:
            self._forget()
            found = self._known.get(name)
            if found is not None:
                if (found.user, found.operation) != (user, operation):
                    msg = f"Work named {name} is something else. Take another name."
                    raise Conflict(msg)
                return found
            self._check_room(user)
            made = self._known[name] = Work(name, user, operation)
        threading.Thread(target=_done, args=(made, do), name=f"treadle-work-{name}", daemon=True).start()
        return made

    def _check_room(self, user: str) -> None:
        under_way = [one.user for one in self._known.values() if one.ended is None]
        if len(under_way) >= _AT_ONCE or under_way.count(user) >= _EACH:
            msg = f"{len(under_way)} pieces of work are under way already. Try again when one has ended."
            raise Overloaded(msg)

    def get(self, name: str, user: str) -> Work:
        """Return a piece of somebody's work.

        Raises:
            NotFound: they have none of that name, or it ended more than an hour ago.
        """
        with self._lock:
            self._forget()
            found = self._known.get(name)
        if found is None or found.user != user:
            msg = f"No work named {name[:100]!r}. It is remembered for an hour, while the server runs; runs stand in `treadle runs`."
            raise NotFound(msg)
        return found

    def _forget(self) -> None:
        old = [
            n for n, one in self._known.items() if one.ended is not None and monotonic() - one.ended > _KEPT
        ]
        for name in old:
            del self._known[name]
        while len(self._known) >= _MOST:  # what ended first has been read by whoever asked for it
            del self._known[next(name for name, one in self._known.items() if one.ended is not None)]


def _done(work: Work, do: Callable[[Work], dict[str, Any]]) -> None:
    """Do work and note its end, whatever it comes to: code of the project may exit, and a library may panic."""
    end: dict[str, Any] = WRONG
    try:
        end = do(work)
    except BaseException:  # noqa: BLE001 - who listens has to be told
        _log.error("%s failed:\n%s", work.operation, masked(traceback.format_exc()))
    finally:
        work.end(end)
