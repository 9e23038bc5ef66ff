"""A connection to RabbitMQ that is kept up by a thread of its own, so that heartbeats are answered and nobody waits for ever."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from treadle.core.clock import monotonic
from treadle.core.errors import StoreUnavailable
from treadle.core.optional import require

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Seconds at least until a broker that has too little memory or disk is asked again.
_BLOCKED = 1.0
_IDLE = 1.0
_HEARTBEAT = 30


class Link:
    """One connection and one channel; what is to be done on them is handed to their thread, in order."""

    def __init__(self, url: str, *, shown: str, timeout: float, prepare: Callable[[Any], None]) -> None:
        """Prepare it; `prepare` is called with each new channel. The connection is made when it is first needed."""
        self._pika = require("pika", extra="rabbitmq")
        parameters = self._pika.URLParameters(url)
        parameters.heartbeat = _HEARTBEAT
        parameters.socket_timeout = parameters.stack_timeout = 5.0
        # An alarm of the broker must not hold the thread: whoever waits is told, and tries again later.
        parameters.blocked_connection_timeout = timeout
        self._parameters, self._shown, self._timeout, self._prepare = parameters, shown, timeout, prepare
        self._waiting: deque[tuple[Future[Any], Callable[[Any], Any], float]] = deque()
        self._changed = threading.Condition()
        self._connection: Any = None
        self._problem = "it was not reached in time"
        self._closing = False
        self._thread: threading.Thread | None = None
        #: When it is tried again to connect, while nothing is tried.
        self._resumes = 0.0
        #: Counts connections: what was taken over an earlier one belongs to somebody else.
        self.generation = 0

    def call(self, work: Callable[[Any], T], *, timeout: float | None = None) -> T:
        """Do something with the channel and return what it returns.

        Raises:
            StoreUnavailable: it could not be done in time, or the connection broke; it may have been done.
        """
        future: Future[T] = Future()
        patience = self._timeout if timeout is None else timeout
        with self._changed:
            if self._closing:
                raise self.unavailable("it was closed here")
            if monotonic() + patience < self._resumes:
                raise self.unavailable(self._problem)  # it would wait in vain
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="treadle-rabbitmq", daemon=True)
                self._thread.start()
            self._waiting.append((future, work, patience))
            self._changed.notify()
            self._wake()
        try:
            return future.result(patience)
        except TookTooLong as error:
            future.cancel()
            raise self.unavailable(self._problem) from error
        except CancelledError as error:
            raise self.unavailable("the connection was closed") from error

    def unavailable(self, why: str) -> StoreUnavailable:
        """Return the error that says that the broker does not do what it should."""
        return StoreUnavailable(
            f"{self._shown} does not answer ({why}). Nothing that was confirmed is lost; try again in a moment."
        )

    def close(self) -> None:
        """Close the connection and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            self._wake()
        if self._thread:
            self._thread.join(10.0)

    def _wake(self) -> None:
        if self._connection is not None:
            with suppress(self._pika.exceptions.AMQPError):
                self._connection.add_callback_threadsafe(lambda: None)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._closing:
            try:
                self._speak()
                pause = _FIRST_PAUSE
            except (
                self._pika.exceptions.ProbableAuthenticationError,
                self._pika.exceptions.ProbableAccessDeniedError,
                StoreUnavailable,
            ) as error:
                # It will be the same in a moment, so nobody needs to wait for that.
                self._problem = _short(error)
                self._refuse()
            except self._pika.exceptions.ConnectionBlockedTimeout as error:
                self._problem = _short(error)
                pause = max(pause, _BLOCKED)
                self._refuse()
            except (self._pika.exceptions.AMQPError, OSError) as error:
                self._problem = _short(error)
            self._pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        while self._waiting:
            self._waiting.popleft()[0].cancel()

    def _pause(self, seconds: float) -> None:
        """Let a moment pass without a connection; whoever would not wait so long is told at once."""
        self._connection = None
        with self._changed:
            self._resumes = monotonic() + seconds
            self._changed.wait_for(lambda: self._closing, timeout=seconds)
            self._resumes = 0.0

    def _end_when_blocked(self, connection: Any) -> None:
        """Break a connection as soon as the broker says that it reads nothing of it: a confirmation is not waited for."""
        inner = connection._impl

        def blocked(_: Any, frame: Any) -> None:
            why = f"it takes no messages now: {frame.method.reason}"
            error = self._pika.exceptions.ConnectionBlockedTimeout(why)
            inner._adapter_call_later(0, lambda: inner._terminate_stream(error))

        inner.add_on_connection_blocked_callback(blocked)

    def _speak(self) -> None:
        """Connect, and do what is asked for until the connection breaks or is closed."""
        connection = self._pika.BlockingConnection(self._parameters)
        self._end_when_blocked(connection)
        try:
            channel = connection.channel()
            self._prepare(channel)
            self.generation += 1
            self._connection = connection
            while not self._closing:
                self._work(connection, channel)
                connection.process_data_events(time_limit=_IDLE)
        finally:
            self.generation += 1
            with suppress(self._pika.exceptions.AMQPError, OSError):
                connection.close()

    def _refuse(self) -> None:
        while self._waiting:
            future, *_ = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                future.set_exception(self.unavailable(self._problem))

    def _work(self, connection: Any, channel: Any) -> None:
        while self._waiting:
            future, work, patience = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                with self._limited(connection, patience):
                    found = work(channel)
                future.set_result(found)
            except (self._pika.exceptions.AMQPError, OSError) as error:
                future.set_exception(self.unavailable(_short(error)))
                raise
            except Exception as error:  # noqa: BLE001 - it is raised where the work was asked for
                future.set_exception(error)

    @contextmanager
    def _limited(self, connection: Any, patience: float) -> Iterator[None]:
        """Break the connection if the block takes longer.

        The library waits for a confirmation for ever, and a broker that has just been started may forget to send one. Its
        own limit on blocked connections breaks them in the same way.
        """
        inner = connection._impl
        late = self._pika.exceptions.AMQPHeartbeatTimeout(f"nothing came for {patience:g} s")
        timer = inner._adapter_call_later(patience, lambda: inner._terminate_stream(late))
        try:
            yield
        finally:
            inner._adapter_remove_timeout(timer)


def wait_until(end: float, pause: float) -> bool:
    """Wait for a moment, not beyond an end; return whether the end has not come."""
    left = end - monotonic()
    if left > 0:
        threading.Event().wait(min(pause, left))
    return left > 0


def _short(error: Any) -> str:
    inner = getattr(error, "args", ()) and error.args[0]
    while isinstance(inner, BaseException):
        error, inner = inner, getattr(inner, "args", ()) and inner.args[0]
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
