"""What becomes of jobs, for Prometheus: how many are in each state, how long the oldest has waited, and what hooks and workers do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from treadle.serving.jobs.delivery import Deliveries
from treadle.serving.jobs.record import State
from treadle.serving.jobs.supervisor import Supervisor
from treadle.serving.jobs.upkeep import Upkeep
from treadle.serving.telemetry import Family
from treadle.store.queue.queue import Queue


def observed(queue: Queue, upkeep: Upkeep, deliveries: Deliveries, supervisor: Supervisor) -> list[Family]:
    """Return the metrics of jobs as seen by the process that supervises their workers.

    Raises:
        StoreUnavailable: the ledger or the queue does not answer.
    """
    counted, messages = upkeep.counted(), queue.state()
    states = [(state, float(counted.states.get(state, 0))) for state in get_args(State)]
    lengths = [("ready", messages.ready), ("leased", messages.leased), ("parked", messages.parked)]
    known = [(name, float(length)) for name, length in lengths if length is not None]
    ages = [(state, counted.oldest.get(state, 0.0)) for state in ("waiting", "running")]
    return [
        _family("treadle_jobs", "Jobs in the ledger, by state.", "gauge", "state", states),
        _family(
            "treadle_jobs_oldest_age_seconds", "Age of the oldest job in a state.", "gauge", "state", ages
        ),
        _family("treadle_jobs_queue_messages", "Messages of the queue.", "gauge", "state", known),
        _one("treadle_jobs_hooks_due", "Web hooks that were not taken yet.", "gauge", counted.due),
        _one("treadle_jobs_hooks_taken", "Web hooks that were taken.", "counter", deliveries.taken),
        _one("treadle_jobs_hooks_failed", "Tries of web hooks that failed.", "counter", deliveries.failed),
        _one(
            "treadle_jobs_requeued",
            "Jobs put again into a queue that lacked them.",
            "counter",
            upkeep.requeued,
        ),
        _one("treadle_jobs_workers", "Worker processes.", "gauge", supervisor.workers),
        _one("treadle_jobs_worker_deaths", "Workers that ended by themselves.", "counter", supervisor.deaths),
    ]


def _one(name: str, about: str, kind: str, value: float) -> Family:
    sample = f"{name}_total" if kind == "counter" else name
    return Family(name, about, kind, [(sample, (), float(value))])


def _family(name: str, about: str, kind: str, label: str, values: Iterable[tuple[str, float]]) -> Family:
    return Family(name, about, kind, [(name, ((label, key),), value) for key, value in values])
