"""A ledger of many runs that have ended, each with ten metrics and five parameters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from treadle.core.clock import SystemClock
from treadle.core.ids import new_id
from treadle.core.records import Run, from_json, to_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training import finding
from treadle.training.runs import Runs


@dataclass
class Input:
    """The runs' service, and the plain rows of all runs."""

    ledger: Ledger
    runs: Runs
    bodies: list[str]

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def all(self) -> Iterator[Run]:
        """Yield every run, decoded: what is left to do without an index."""
        return (from_json(body, Run) for body in self.bodies)


def prepare(folder: Path, quick: bool) -> Input:
    """Write 10,000 runs."""
    ledger = Ledger.open("sqlite:///ledger.db", root=folder)
    objects = Objects.open("objects", root=folder, options={})
    service = Runs(ledger=ledger, objects=objects, clock=SystemClock(), root=folder)
    bodies = [to_json(run) for run in _made(1_000 if quick else 10_000)]
    decoded = [from_json(body, Run) for body in bodies]
    with ledger.write() as connection:
        t.put_all(connection, t.runs, [_row(run, body) for run, body in zip(decoded, bodies, strict=True)])
        t.put_all(connection, t.run_values, [value for run in decoded for value in finding.values_of(run)])
    return Input(ledger, service, bodies)


def waited(work: Callable[[], Any], *, times: int = 5) -> float:
    """Return the milliseconds that a piece of work takes, on average of a few times."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times * 1000


def _made(count: int) -> Iterator[Run]:
    draw, now = np.random.default_rng(0), SystemClock().now()
    plain = Run(id="", model="delay", status="succeeded", started_at=now, finished_at=now, reason="new rows")
    for _ in range(count):
        metrics = {f"test.candidate.m{number}": float(draw.random()) for number in range(10)}
        params = {f"p{number}": int(draw.integers(1, 20)) for number in range(5)}
        yield msgspec.structs.replace(plain, id=new_id("run"), metrics=metrics, params=params)


def _row(run: Run, body: str) -> dict[str, Any]:
    at = t.micros(run.started_at)
    return {"id": run.id, "model": run.model, "status": run.status, "started_at": at, "body": body}
