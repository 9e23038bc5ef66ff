"""Calls the web hooks of jobs that have ended, again and again until each is taken: at least once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from treadle.core import hooks
from treadle.core.addresses import Allowed
from treadle.core.clock import Clock
from treadle.core.ids import canonical
from treadle.serving.jobs.record import Job, shown
from treadle.serving.jobs.upkeep import Upkeep

#: Hooks that are called at the same time, and seconds that each may take.
_AT_ONCE, _TIMEOUT = 16, 5.0
#: Seconds before the second try and at most between two tries; each is twice the one before.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 600.0


class Deliveries:
    """Delivers for one process; several may do so at the same time, and do not call the same hook twice at once."""

    def __init__(self, upkeep: Upkeep, *, secret: str, source: str, allowed: Allowed, clock: Clock) -> None:
        self._upkeep, self._secret, self._source = upkeep, secret, source
        self._allowed, self._clock = allowed, clock
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="treadle-hooks")
        #: Hooks that were taken, and tries that failed.
        self.taken = self.failed = 0

    def deliver(self) -> int:
        """Call the hooks that are due, once each; return how many were taken.

        Raises:
            StoreUnavailable: the ledger does not answer.
        """
        found = self._upkeep.due(4 * _AT_ONCE, claim=4 * _TIMEOUT + 10.0)
        results: Sequence[tuple[Job, str]] = list(self._pool.map(self._call, found))
        if results:
            self._upkeep.told([(job, error, self._again(job) if error else None) for job, error in results])
        taken = sum(not error for _, error in results)
        self.taken, self.failed = self.taken + taken, self.failed + len(results) - taken
        return taken

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _call(self, job: Job) -> tuple[Job, str]:
        assert job.hook is not None
        assert job.finished_at is not None
        delivery = f"{job.id}.{job.state}"
        body = hooks.event(
            f"treadle.job.{job.state}",
            delivery=delivery,
            source=self._source,
            subject=job.id,
            at=job.finished_at,
            data={key: value for key, value in shown(job).items() if key != "hook"},
        )
        try:
            failure = hooks.post(
                job.hook.url,
                canonical(body),
                delivery=delivery,
                secret=self._secret,
                at=self._clock.now(),
                timeout=_TIMEOUT,
                allowed=self._allowed,
            )
        except Exception as error:  # noqa: BLE001 - one address that nobody thought of does not hold up the others
            return job, f"it cannot be called ({type(error).__name__})"
        return job, failure.said if failure else ""

    def _again(self, job: Job) -> datetime:
        assert job.hook is not None
        pause = min(_FIRST_PAUSE * 2 ** min(job.hook.tries, 20), _LONGEST_PAUSE)
        return self._clock.now() + timedelta(seconds=pause)
