"""Answers messages of one broker with messages to another: at least once, each answer with the id of what it answers.

A message is a row as a JSON object, or the body of a request for predictions. It is acknowledged once its answer is
confirmed; what cannot be answered is put aside with the reason. While answers are not taken, nothing more is taken in.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, NotLoaded, StoreUnavailable, TreadleError
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Dataplane, Prepared
from treadle.serving.jobs.asked import call_of
from treadle.serving.log import PredictionLog
from treadle.serving.protocols import rows
from treadle.serving.stream import Incoming, Outgoing, Sink, Source

_log = logging.getLogger("treadle.serving")

_LOOK = 0.5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
#: Deliveries after which a message is put aside unseen: whoever tried it died of it.
MOST_DELIVERIES = 5
_LONGEST_ID = 200
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Pump:
    """Carries messages of one source through an endpoint to one sink."""

    def __init__(
        self,
        endpoint: str,
        plane: Dataplane,
        *,
        source: Callable[[], Source],
        sink: Callable[[], Sink],
        log: PredictionLog,
        batch: int = 256,
    ) -> None:
        """`source` and `sink` connect, again after a failure; `batch` messages are answered together at most."""
        self._endpoint, self._plane, self._log, self._batch = endpoint, plane, log, batch
        self._connect, self._reach = source, sink
        self._source: Source | None = None
        self._sink: Sink | None = None
        self._stop = threading.Event()
        #: Messages that were answered, and that were put aside.
        self.answered = self.parked = 0

    def stop(self) -> None:
        """End after the messages in hand; may be called from a signal handler or another thread."""
        self._stop.set()

    def run(self) -> None:
        """Carry messages until told to stop; a broker that is away is tried again and again.

        Raises:
            InvalidInput: an address is wrong.
        """
        pause = _FIRST_PAUSE
        try:
            while not self._stop.is_set():
                try:
                    self._round()
                    pause = _FIRST_PAUSE
                except StoreUnavailable as error:
                    _log.warning("%s", error)
                    self._let_go()
                    self._stop.wait(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            self._let_go()

    def _round(self) -> None:
        if self._source is None:
            self._source = self._connect()
        if self._sink is None:
            self._sink = self._reach()
        found = self._source.take(self._batch, wait=_LOOK)
        # One of several that came again may be deadly: one by one, the others get through.
        apart = any(message.delivery > 1 for message in found)
        for some in [[message] for message in found] if apart else [found] if found else []:
            self._carry(some, source=self._source)

    def _carry(self, messages: Sequence[Incoming], *, source: Source) -> None:
        kept: list[tuple[Incoming, Prepared]] = []
        for message in messages:
            try:
                _check_deliveries(message)
                kept.append((message, self._prepared(message)))
            except InvalidInput as error:
                self._park(message, error, source)
        answers = self._plane.run_all([prepared for _, prepared in kept])
        fine: list[tuple[Incoming, Answer]] = []
        for (message, _), answer in zip(kept, answers, strict=True):
            if isinstance(answer, TreadleError):
                self._park(message, answer, source)
            else:
                fine.append((message, answer))
        if fine:
            self._publish([Outgoing(message.id, _told(answer)) for message, answer in fine])
            for _, answer in fine:
                self._log.put(answer.entry())
            source.acknowledge([message for message, _ in fine])
            self.answered += len(fine)

    def _publish(self, messages: Sequence[Outgoing]) -> None:
        """Send answers, again and again until they are taken.

        What they answer stays in hand: giving it back would count as a delivery, and no message may be put aside because
        nobody took its answer.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                if self._sink is None:
                    self._sink = self._reach()
                self._sink.publish(messages)
            except StoreUnavailable as error:
                _log.warning("%s", error)
                if self._stop.wait(pause):
                    raise
                pause = min(pause * 2, _LONGEST_PAUSE)
                self._leave_sink()
            else:
                return

    def _prepared(self, message: Incoming) -> Prepared:
        call = call_of(_body(message.body), name=_request(message.id), received=monotonic())
        while True:
            try:
                return self._plane.prepare(self._endpoint, call)
            except (NotLoaded, StoreUnavailable) as error:
                if self._stop.wait(_LOOK):
                    raise StoreUnavailable(str(error)) from error

    def _park(self, message: Incoming, error: TreadleError, source: Source) -> None:
        field = getattr(error, "field", None)
        source.park(message, f"{field}: {error}" if field else str(error))
        self.parked += 1

    def _let_go(self) -> None:
        if self._source is not None:
            with suppress(StoreUnavailable):
                self._source.close()
        self._source = None
        self._leave_sink()

    def _leave_sink(self) -> None:
        if self._sink is not None:
            with suppress(StoreUnavailable):
                self._sink.close()
        self._sink = None


def _body(body: bytes) -> bytes:
    """Return the body of a request for what a message asks.

    Raises:
        InvalidInput: it is no JSON object.
    """
    try:
        fields = _FIELDS.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        msg = f"The message is no JSON object: {error}. Expected a row, or a body as predictions are asked for with."
        raise InvalidInput(msg) from error
    return body if fields.keys() & {"rows", "columns"} else b'{"rows": [' + body + b"]}"


def _check_deliveries(message: Incoming) -> None:
    if message.delivery > MOST_DELIVERIES:
        msg = f"It was delivered {message.delivery - 1} times and never acknowledged: whoever tried it may have died of it."
        raise InvalidInput(msg)


def _request(name: str) -> str:
    """Return the id of a request for a message, from which those of its predictions follow."""
    if 0 < len(name) <= _LONGEST_ID and name.isprintable():
        return name
    return hashlib.sha256(name.encode()).hexdigest()[:40]


def _told(answer: Answer) -> bytes:
    body: Any = rows.render(answer, None).body  # type: ignore[arg-type]
    return bytes(body)
