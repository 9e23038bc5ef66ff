"""Spreads parts over this process, several processes of this machine, or the nodes of a Ray cluster."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.core.errors import RunFailed
from treadle.core.optional import require
from treadle.core.parent import end_with_parent
from treadle.core.servable import Servable
from treadle.serving.batch.logged import Logging
from treadle.serving.batch.parts import Done, score
from treadle.serving.batch.plan import Part, Plan

#: How often processes that died are started anew before the batch gives up.
_DEATHS = 3


@dataclass(frozen=True)
class Work:
    """What each process needs to know; it can be pickled."""

    load: Callable[[], Servable]
    plan: Plan
    folder: Path
    logging: Logging | None = None


def here(work: Work, parts: Sequence[Part]) -> Iterator[Done]:
    """Score parts in this process."""
    servable = work.load() if parts else None
    for part in parts:
        assert servable is not None
        yield score(part, work.plan, servable=servable, folder=work.folder, logging=work.logging)


def on_processes(work: Work, parts: Sequence[Part], *, count: int) -> Iterator[Done]:
    """Score parts in several processes; those that die are replaced, and their parts scored again.

    Raises:
        RunFailed: processes died again and again, as where memory is too small.
    """
    left = {part.number: part for part in parts}
    for death in range(_DEATHS + 1):
        try:
            for done in _in_pool(work, list(left.values()), count):
                del left[done.number]
                yield done
        except BrokenProcessPool as error:
            if death == _DEATHS:
                msg = (
                    f"Processes of the batch died {_DEATHS + 1} times, perhaps for want of memory: try fewer (--processes) or "
                    "smaller parts. What is scored stays; the same command goes on."
                )
                raise RunFailed(msg) from error
        else:
            return


def on_ray(work: Work, parts: Sequence[Part], *, address: str) -> Iterator[Done]:
    """Score parts as Ray tasks; the output and the inputs must be on a file system that all nodes share.

    Raises:
        RunFailed: workers died again and again, or the cluster is gone. What a part itself raises is raised as it is.
    """
    ray = require("ray", extra="ray")
    if not ray.is_initialized():
        # Without an address it is this machine, and not whatever cluster somebody else has begun here.
        ray.init(
            address=address or "local", log_to_driver=False, include_dashboard=False, configure_logging=False
        )
    task = ray.remote(max_retries=_DEATHS)(_task)
    shared, todo = ray.put(work), list(reversed(parts))
    running: list[Any] = []
    most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    while todo or running:
        while todo and len(running) < most:
            running.append(task.remote(shared, todo.pop()))
        ready, running = ray.wait(running, num_returns=1)
        try:
            done = ray.get(ready[0])
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None  # without it, the message is the stack of another process
        except ray.exceptions.RayError as error:
            msg = f"Workers of the batch died on the cluster: {str(error).splitlines()[0]} What is scored stays; the same command goes on."
            raise RunFailed(msg) from error
        yield done


def _in_pool(work: Work, parts: Sequence[Part], count: int) -> Iterator[Done]:
    # A forked child of a process with threads may hang; a fresh one does not.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(work,))
    try:
        running: set[Future[Done]] = set()
        todo = list(reversed(parts))
        while todo or running:
            while todo and len(running) < 2 * count:
                running.add(pool.submit(_one, todo.pop()))
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


#: What a process of a pool was given once, for a pool has no other place for it.
_held: dict[str, Any] = {}


def _begin(work: Work) -> None:
    """Prepare a process of the pool: Ctrl-C is for the one that started it, with which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL)
    _held["work"] = work
    try:
        _held["servable"] = work.load()
    except Exception as error:  # noqa: BLE001 - it is raised where somebody hears it
        _held["problem"] = error


def _one(part: Part) -> Done:
    if "problem" in _held:
        raise _held["problem"]
    return score(
        part,
        _held["work"].plan,
        servable=_held["servable"],
        folder=_held["work"].folder,
        logging=_held["work"].logging,
    )


def _task(work: Work, part: Part) -> Done:
    """Score one part on a node, which keeps the model for the next ones."""
    if _held.get("batch") != work.plan.id:
        _held.update(batch=work.plan.id, servable=work.load())
    return score(part, work.plan, servable=_held["servable"], folder=work.folder, logging=work.logging)
