"""Packages that runs, trials and imports have made and that became no version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, select

from treadle.core.records import StepResult, from_json
from treadle.loop.fitting import Fitted
from treadle.registry.collection import Loose
from treadle.store.ledger import tables as t
from treadle.training.trials import Trial

#: An import may be under way for so long after its note was written.
IMPORTING = timedelta(hours=1)


def beside(connection: Connection, *, now: datetime) -> list[Loose]:
    """Return the packages that stand in trials and in results of steps; those of runs under way are needed."""
    models = {row.id: row.model for row in connection.execute(select(t.runs.c.id, t.runs.c.model))}
    running = set(connection.execute(select(t.runs.c.id).where(t.runs.c.status == "running")).scalars())
    return [*_of_trials(connection, models, running), *_of_steps(connection, models, running, now)]


def _of_trials(connection: Connection, models: dict[str, str], running: set[str]) -> Iterator[Loose]:
    # Few trials have one: those that were the best so far when they ended.
    chosen = select(t.trials.c.body).where(t.trials.c.body.like('%"fitted":{%'))
    for body in connection.execute(chosen).scalars():
        trial = from_json(body, Trial)
        fitted = msgspec.convert(trial.fitted, Fitted)
        package = fitted.package
        yield Loose(
            model=models.get(trial.run, ""),
            of=f"trial {trial.number} of {trial.run}",
            digest=package.digest,
            size=package.size,
            reference=fitted.reference,
            needed=trial.run in running,
        )


def _of_steps(
    connection: Connection, models: dict[str, str], running: set[str], now: datetime
) -> Iterator[Loose]:
    chosen = select(t.steps.c.body).where(t.steps.c.step.in_(["train", "import"]))
    for body in connection.execute(chosen).scalars():
        step = from_json(body, StepResult)
        if not step.artefacts:
            continue
        is_import = step.step == "import"
        yield Loose(
            model=str(step.value["model"]) if is_import else models.get(step.run, ""),
            of="an import that did not end" if is_import else f"the training of {step.run}",
            digest=step.artefacts[0],
            size=int(step.value["size"] if is_import else step.value["package"]["size"]),
            reference="" if is_import else str(step.value.get("reference", "")),
            needed=step.finished_at > now - IMPORTING if is_import else step.run in running,
        )
