"""How often an address may ask, and how often it may be wrong about who it is."""

from __future__ import annotations

from collections import OrderedDict, deque

from treadle.app.http.door.asgi import ADDRESS, App, Receive, Scope, Send, refuse
from treadle.core.clock import monotonic
from treadle.core.errors import TooManyAttempts

#: Wrong tokens that an address may show within a minute, seconds over which requests are counted, and addresses remembered.
TRIES, _WINDOW, _STRETCH, _ADDRESSES = 8, 60.0, 10.0, 10_000


class Attempts:
    """Wrong tokens by address."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        #: (address, digest) of tokens that were right, which an address that is slowed down may go on with.
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self, address: str, digest: str = "") -> None:
        """Make sure that an address has not been wrong too often, or was right with this before.

        Raises:
            TooManyAttempts: it has.
        """
        tries = self._wrong.get(address)
        while tries and monotonic() - tries[0] > _WINDOW:
            tries.popleft()
        if tries and len(tries) >= TRIES and (address, digest) not in self._right:
            msg = "Too many wrong tokens came from this address. Try again in a minute."
            raise TooManyAttempts(msg)

    def right(self, address: str, digest: str) -> None:
        """Note a right one."""
        self._right[address, digest] = None
        if len(self._right) > _ADDRESSES:
            self._right.popitem(last=False)

    def wrong(self, address: str) -> None:
        """Note a wrong one."""
        self._wrong.setdefault(address, deque(maxlen=TRIES)).append(monotonic())
        self._wrong.move_to_end(address)
        if len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)


class Pace:
    """Refuses what an address asks beyond a number of requests in a second, over ten seconds."""

    def __init__(self, app: App, *, rate: float) -> None:
        self._app, self._most = app, rate * _STRETCH
        #: Address → how much it has left, and when that was so.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._most > 0 and not self._takes(scope[ADDRESS]):
            msg = "Too many requests came from this address (setting ui.rate). Try again in a second."
            await refuse(TooManyAttempts(msg), send)
            return
        await self._app(scope, receive, send)

    def _takes(self, address: str) -> bool:
        now = monotonic()
        left, since = self._left.get(address, (self._most, now))
        left = min(self._most, left + (now - since) * self._most / _STRETCH)
        allowed = left >= 1
        self._left[address] = (left - 1 if allowed else left, now)
        self._left.move_to_end(address)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        return allowed
