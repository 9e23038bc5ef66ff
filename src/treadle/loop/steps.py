"""Steps whose results are kept under the hash of their code, inputs and parameters.

A step that finished is never run again for the same key. A hit whose artefact is gone is a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, select

from treadle.core.clock import Clock
from treadle.core.ids import digest_of
from treadle.core.records import StepResult, from_json, to_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects

#: What a step's work returns: small values, and the digests of the objects it left.
Left = tuple[dict[str, Any], tuple[str, ...]]


def key_of(step: str, inputs: Mapping[str, Any]) -> str:
    """Return the key of a step with these inputs (anything that has a canonical JSON)."""
    return digest_of({"step": step, "inputs": dict(inputs)})


class Steps:
    """Runs steps once and remembers what they left."""

    def __init__(self, ledger: Ledger, objects: Objects, clock: Clock) -> None:
        self._ledger, self._objects, self._clock = ledger, objects, clock

    def find(self, key: str) -> StepResult | None:
        """Return what the step with this key left, or None when it has to run (again)."""
        with self._ledger.read() as connection:
            body = connection.execute(select(t.steps.c.body).where(t.steps.c.key == key)).scalar()
        if body is None:
            return None
        found = from_json(body, StepResult)
        return found if all(self._objects.exists(digest) for digest in found.artefacts) else None

    def once(self, step: str, *, key: str, run: str, work: Callable[[], Left]) -> StepResult:
        """Return the kept result, or do the work and keep what it leaves."""
        found = self.find(key)
        if found is not None:
            return found
        started = self._clock.now()
        value, artefacts = work()
        result = StepResult(
            key=key,
            step=step,
            run=run,
            started_at=started,
            finished_at=self._clock.now(),
            value=value,
            artefacts=artefacts,
            parents=(f"run:{run}",),
        )
        with self._ledger.write() as connection:
            self.save(result, connection)
        return result

    def save(self, result: StepResult, connection: Connection) -> None:
        """Keep a result inside the caller's transaction; what stood under the key is replaced."""
        t.put(
            connection,
            t.steps,
            key=result.key,
            step=result.step,
            run=result.run,
            finished_at=t.micros(result.finished_at),
            body=to_json(result),
        )

    def of_run(self, run: str) -> list[StepResult]:
        """Return the results that a run left, oldest first."""
        wanted = select(t.steps.c.body).where(t.steps.c.run == run).order_by(t.steps.c.finished_at)
        with self._ledger.read() as connection:
            return [from_json(body, StepResult) for body in connection.execute(wanted).scalars()]
