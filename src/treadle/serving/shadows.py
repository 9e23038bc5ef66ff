"""Shadows: variants that are asked beside the answer, after it was given, and can neither slow nor break it.

Each shadow has one thread and a short queue; what does not fit is dropped and counted. A call that takes too long is
a failure, and its thread is left to itself. After failures a shadow rests, longer each time; one that hangs again and
again, or after which the process has grown beyond a bound, is given up.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

import msgspec
import xxhash

from treadle.core.clock import monotonic, working_time
from treadle.core.errors import InvalidInput, ModelFailed
from treadle.core.hashing import BUCKETS, seed_of
from treadle.core.records import Variant
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Call, Loaded
from treadle.serving.entries import Entry
from treadle.serving.given import Given
from treadle.serving.memory import GROWTH, grown, resident
from treadle.serving.runtime import run
from treadle.serving.tallies import Tally
from treadle.serving.wanted import whole

_log = logging.getLogger("treadle.serving")

#: Requests that wait for a shadow, and how many rows they may have together.
WAITING, ROWS = 64, 4_096
#: Seconds after which a call is a failure.
LIMIT = 2.0
#: Calls that may hang before a shadow is given up.
HANGS = 3
#: Failures in a row after which it rests, and for how many seconds, first and at most.
_FAILURES, _FIRST_REST, _LONGEST_REST = 20, 1.0, 60.0
_IDLE = 10.0
_LOOK_AT_MEMORY = 16
#: Seconds of work from which on a call is followed by a pause, and the share of one core that a shadow may take.
_MUCH, _DUTY = 0.001, 0.25

_Job = tuple[Answer, Call]


class Shadows:
    """The shadows of one process."""

    def __init__(
        self,
        keep: Callable[[Entry], object],
        *,
        limit: float = LIMIT,
        growth: int = GROWTH,
        memory: Callable[[], int] | None = None,
    ) -> None:
        """Prepare them; `keep` logs what they would have answered. `memory` tells the bytes that the process has."""
        self._keep, self._limit, self._growth = keep, limit, growth
        self._memory = memory or resident
        #: (endpoint, revision, variant) → the shadow.
        self._shadows: dict[tuple[str, int, str], Shadow] = {}

    def offer(self, loaded: Loaded, answer: Answer, call: Call) -> None:
        """Let the shadows of a revision be asked what was just answered; returns at once."""
        revision = loaded.revision
        if revision.revision != answer.revision:
            return
        for variant in revision.variants:
            if variant.shadow and _drawn(answer.id, revision.endpoint, variant):
                self._shadow(loaded, variant).offer(answer, call)

    def _shadow(self, loaded: Loaded, variant: Variant) -> Shadow:
        revision = loaded.revision
        key = (revision.endpoint, revision.revision, variant.name)
        found = self._shadows.get(key)
        if found is None:
            # Those of earlier revisions have nothing more to do, and end by themselves.
            self._shadows = {kept: one for kept, one in self._shadows.items() if kept[0] != key[0]}
            tally = loaded.router.tallies.get(variant.name, Tally())
            found = Shadow(
                loaded,
                variant,
                tally,
                keep=self._keep,
                limit=self._limit,
                growth=self._growth,
                memory=self._memory,
            )
            self._shadows[key] = found
        return found


class Shadow:
    """One variant that is asked beside the answer."""

    def __init__(
        self,
        loaded: Loaded,
        variant: Variant,
        tally: Tally,
        *,
        keep: Callable[[Entry], object],
        limit: float,
        growth: int,
        memory: Callable[[], int],
    ) -> None:
        self._ready = loaded.ready[variant.model, variant.version]
        self._variant, self.tally = variant, tally
        self._keep, self._limit, self._growth, self._memory = keep, limit, growth, memory
        self._jobs: deque[_Job] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        #: The thread that works now; one that was left finds another here.
        self._worker: object | None = None
        self._began = 0.0
        self._failures = self._hangs = self._calls = 0
        self._pauses = threading.Event()
        self._rests_until, self._rest = 0.0, _FIRST_REST
        self._at_first = memory()

    def offer(self, answer: Answer, call: Call) -> None:
        """Let a request wait, or drop it where the shadow is behind, rests or was given up."""
        rows = answer.batch.rows
        with self._changed:
            self._leave_if_it_hangs()
            full = len(self._jobs) >= WAITING or self._rows + rows > ROWS
            if full or self.tally.given_up or monotonic() < self._rests_until:
                self.tally.dropped += 1
                return
            self._jobs.append((answer, call))
            self._rows += rows
            if self._worker is None:
                self._worker = worker = object()
                threading.Thread(
                    target=self._work, args=(worker,), name="treadle-shadow", daemon=True
                ).start()
            else:
                self._changed.notify()

    def _leave_if_it_hangs(self) -> None:
        if not self._began or monotonic() - self._began < self._limit:
            return
        self._worker, self._began = None, 0.0
        self._hangs += 1
        self.tally.missed()
        self._pause()
        if self._hangs >= HANGS:
            self._give_up(f"{self._hangs} calls of {self._named()} took over {self._limit:g} s.")

    def _work(self, worker: object) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._worker is not worker, timeout=_IDLE)
                if self._worker is not worker:
                    return
                if not self._jobs:
                    self._worker = None
                    return
                answer, call = self._jobs.popleft()
                self._rows -= answer.batch.rows
                self._began = monotonic()
            worked = working_time()
            entry = self._ask(answer, call)
            worked = working_time() - worked
            with self._changed:
                if self._worker is not worker:
                    return
                took, self._began = monotonic() - self._began, 0.0
                self._settle(entry, took)
            if entry is not None:
                self._keep(entry)
            if worked > _MUCH:
                # It takes a quarter of one core at most: the rest, and Python's lock, are for answers.
                self._pauses.wait(min(worked * (1 / _DUTY - 1), _LONGEST_REST))

    def _ask(self, answer: Answer, call: Call) -> Entry | None:
        """Return what it would have answered; None: it failed."""
        begun = monotonic()
        try:
            batch = whole(call.read(self._ready.reader))
            outputs = run(self._ready, batch, self._variant)
            beside = msgspec.structs.replace(
                answer,
                variant=self._variant,
                assignment="shadow",
                propensity=1.0,
                latency=monotonic() - begun,
                batch=batch,
                outputs=Given.of(outputs),
                columns=self._ready.columns,
                independent=self._ready.independent,
                members=self._ready.members,
            )
            return msgspec.structs.replace(beside.entry(), shadow=True)
        except (InvalidInput, ModelFailed):
            return None
        except Exception:  # noqa: BLE001 - whatever it is, the answer was given, and the thread goes on
            _log.exception("shadow %s failed", self._named())
            return None

    def _settle(self, entry: Entry | None, took: float) -> None:
        self._calls += 1
        if entry is None:
            self.tally.missed()
            self._failures += 1
            if self._failures >= _FAILURES:
                self._pause()
        else:
            self.tally.answered(took)
            self._failures, self._rest = 0, _FIRST_REST
        if self._calls % _LOOK_AT_MEMORY == 0 and self._memory() - self._at_first > self._growth:
            self._give_up(grown(self._growth, since=self._named()))

    def _pause(self) -> None:
        self._failures = 0
        self._rests_until = monotonic() + self._rest
        self._rest = min(2 * self._rest, _LONGEST_REST)

    def _give_up(self, why: str) -> None:
        self.tally.given_up = why
        self._jobs.clear()
        self._rows = 0
        _log.warning("shadow given up: %s", why)

    def _named(self) -> str:
        return f"{self._variant.model}/{self._variant.version}"


def _drawn(request: str, endpoint: str, variant: Variant) -> bool:
    """Return whether a request is among the share that a shadow gets, by its id."""
    if variant.shadow >= 1:
        return True
    seed = seed_of(f"shadow/{endpoint}/{variant.name}")
    return bool(xxhash.xxh64_intdigest(request.encode(), seed=seed) % BUCKETS < variant.shadow * BUCKETS)
