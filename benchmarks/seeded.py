"""A project as large as they get: fills the stores, in their own formats, from one small model that was really trained.

`python benchmarks/seeded.py FOLDER` makes one with 100,000 runs, 10,000 versions and 10 M predictions; `--share 0.01` a hundredth
of it. Everything in it can be read as if it had happened: `treadle ui`, `treadle runs` and the rest work on it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import Connection, Table, delete, func, insert, select

import project
import seeded_tables
from seeded_tables import DAYS, id_at
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.alert import Acknowledgement, Alert
from treadle.core.records import (
    Alias,
    DatasetVersion,
    Decision,
    ModelVersion,
    Revision,
    Run,
    StepResult,
    Variant,
    Verdict,
    from_json,
    to_json,
)
from treadle.core.rollout import Change, RolloutState, Stage
from treadle.store.ledger import tables as t
from treadle.training import finding

MODELS = ("late", "model_000", "model_001", "model_002", "model_003")
#: How many there are in all.
RUNS, VERSIONS, DECISIONS, ALERTS, DATA_VERSIONS, ROLLOUTS = 100_000, 10_000, 100_000, 20_000, 2_000, 2_000
_MORE = """

import dataclasses
for _place in range(4):
    globals()[f"model_{_place:03}"] = dataclasses.replace(late, name=f"model_{_place:03}")
"""
#: Rows of a statement.
_ROWS = 5_000


def make(folder: Path, *, share: float = 1.0) -> Path:
    """Make the project and fill it; `share` is how much of the full size."""
    folder.mkdir(parents=True, exist_ok=True)
    project.write(folder, rows=20_000)
    file = folder / "project.py"
    file.write_text(file.read_text() + _MORE)
    with open_workspace(folder) as workspace:
        workspace.run("late")
        seed = Seed(workspace, share=share)
        seed.ledger()
        seeded_tables.quarantine(workspace, share=share)
        seeded_tables.predictions(workspace, share=share, versions=seed.versions)
    return folder


class Seed:
    """Fills a workspace in which one run has made one version."""

    def __init__(self, workspace: Workspace, *, share: float) -> None:
        self._ws, self._share = workspace, share
        self._random = np.random.default_rng(0)
        self._until = datetime.now(UTC).replace(microsecond=0)
        self._run = workspace.runs.list(limit=1)[0]
        self._version = workspace.models.get("late/1")
        self._verdicts = workspace.verdicts.list(run=self._run.id)

    @property
    def versions(self) -> int:
        """How many versions each model has."""
        return self._count(VERSIONS) // len(MODELS)

    def ledger(self) -> None:
        """Fill the relations."""
        with self._ws.ledger.write() as connection:
            self._data(connection)
            self._runs(connection)
            self._decisions(connection)
            self._alerts(connection)
            self._traffic(connection)

    def _data(self, connection: Connection) -> None:
        """Give the dataset versions, each of which reads what the first one does."""
        first = from_json(
            connection.execute(select(t.dataset_versions.c.body)).scalars().one(), DatasetVersion
        )
        rows = []
        for number, at in enumerate(self._moments(self._count(DATA_VERSIONS)), start=2):
            why = "a source was wrong" if number % 50 == 0 else ""
            made = msgspec.structs.replace(first, version=number, created_at=at, why=why)
            columns = {"dataset": "flights", "version": number, "created_at": t.micros(at), "why": why}
            rows.append({**columns, "body": to_json(made)})
        _insert(connection, t.dataset_versions, rows)

    def _runs(self, connection: Connection) -> None:
        """Give each model runs, some of which failed, and versions of those that succeeded, with verdicts and aliases."""
        for table in (
            t.runs,
            t.run_values,
            t.steps,
            t.model_versions,
            t.verdicts,
            t.aliases,
            t.alias_history,
        ):
            connection.execute(delete(table))
        count, versions = self._count(RUNS) // len(MODELS), self._count(VERSIONS) // len(MODELS)
        every, numbers = max(1, count // max(1, versions)), dict.fromkeys(MODELS, 0)
        made: dict[Table, list[dict[str, Any]]] = {}
        data = connection.execute(select(func.max(t.dataset_versions.c.version))).scalar_one()
        for place, at in enumerate(self._moments(count * len(MODELS))):
            model = MODELS[place % len(MODELS)]
            number = None
            if (place // len(MODELS)) % every == 0:
                numbers[model] += 1
                number = numbers[model]
            run = self._made(model, at, version=number, data=max(1, data * place // (count * len(MODELS))))
            rows = self._of_run(run, is_last=number == versions)
            for table, some in rows.items():
                made.setdefault(table, []).extend(some)
            if len(made[t.runs]) >= _ROWS:
                _insert_all(connection, made)
        _insert_all(connection, made)

    def _made(self, model: str, at: datetime, *, version: int | None, data: int) -> Run:
        draw = self._random
        failed = version is None and draw.random() < 0.2
        metrics = {
            f"test.candidate.{name}": float(draw.random()) for name in ("log_loss", "roc_auc", "brier")
        }
        return msgspec.structs.replace(
            self._run,
            id=f"run_{id_at(at, draw)}",
            model=model,
            status="failed" if failed else "rejected" if version is None else "succeeded",
            started_at=at,
            finished_at=at + timedelta(seconds=float(draw.gamma(2, 60))),
            reason="20,000 new rows" if draw.random() < 0.7 else "by hand",
            data={"flights": data},
            params={"depth": int(draw.integers(1, 20)), "kind": str(draw.choice(["tree", "linear"]))},
            metrics={} if failed else metrics,
            error="The training raised ValueError: no rows" if failed else "",
            traceback="Traceback (most recent call last):\n  …\nValueError: no rows\n" if failed else "",
            model_version=version,
            turn=f"sha256:{draw.bytes(32).hex()}",
            parents=(f"dataset_version:flights/{data}",),
        )

    def _of_run(self, run: Run, *, is_last: bool) -> dict[Table, list[dict[str, Any]]]:
        """Return the rows of a run and of what it made."""
        started, ended = t.micros(run.started_at), t.micros(run.finished_at or run.started_at)
        row = {"id": run.id, "model": run.model, "status": run.status, "started_at": started}
        rows: dict[Table, list[dict[str, Any]]] = {
            t.runs: [{**row, "finished_at": ended, "body": to_json(run)}],
            t.run_values: finding.values_of(run),
            t.steps: [self._step(run, name) for name in ("train", "turn") if run.status != "failed"],
        }
        if run.model_version is not None:
            rows |= self._of_version(run, run.model_version, is_last=is_last)
        return rows

    def _step(self, run: Run, step: str) -> dict[str, Any]:
        at, key = run.finished_at or run.started_at, f"sha256:{self._random.bytes(32).hex()}"
        key = run.turn if step == "turn" else key
        result = StepResult(
            key=key,
            step=step,
            run=run.id,
            started_at=run.started_at,
            finished_at=at,
            value={},
            parents=(run.ref,),
        )
        return {"key": key, "step": step, "run": run.id, "finished_at": t.micros(at), "body": to_json(result)}

    def _of_version(self, run: Run, number: int, *, is_last: bool) -> dict[Table, list[dict[str, Any]]]:
        at = run.finished_at or run.started_at
        version: ModelVersion = msgspec.structs.replace(
            self._version,
            model=run.model,
            version=number,
            created_at=at,
            run=run.id,
            dataset_version=run.data["flights"],
            metrics=run.metrics,
            parents=(run.ref, *run.parents),
        )
        alias = Alias(
            model=run.model,
            alias="champion",
            version=number,
            previous=number - 1 or None,
            at=at,
            actor=run.id,
            reason="every gate says yes",
            parents=(version.ref,),
        )
        named = {"model": run.model, "alias": "champion", "body": to_json(alias)}
        return {
            t.model_versions: [
                {
                    "model": run.model,
                    "version": number,
                    "digest": version.digest,
                    "run": run.id,
                    "created_at": t.micros(at),
                    "body": to_json(version),
                }
            ],
            t.verdicts: [self._verdict(run, one) for one in self._verdicts],
            t.alias_history: [{**named, "id": id_at(at, self._random), "at": t.micros(at)}],
            t.aliases: [{**named, "version": number}] if is_last else [],
        }

    def _verdict(self, run: Run, verdict: Verdict) -> dict[str, Any]:
        made = msgspec.structs.replace(
            verdict, id=f"verdict_{id_at(run.started_at, self._random)}", run=run.id
        )
        at = t.micros(run.finished_at or run.started_at)
        return {"id": made.id, "model": run.model, "run": run.id, "created_at": at, "body": to_json(made)}

    def _decisions(self, connection: Connection) -> None:
        rows = []
        for place, at in enumerate(self._moments(self._count(DECISIONS))):
            model, due = MODELS[place % len(MODELS)], place % 10 == 0
            reason = "20,431 new rows" if due else f"{place % 20_000:,} of 20,000 new rows"
            made = Decision(model=model, at=at, due=due, reason=reason, details=(reason,), action="promote")
            row = {"id": f"dec_{id_at(at, self._random)}", "model": model, "at": t.micros(at), "due": due}
            rows.append({**row, "body": to_json(made)})
        _insert(connection, t.decisions, rows)

    def _alerts(self, connection: Connection) -> None:
        rows, last = [], self._count(ALERTS)
        for place, at in enumerate(self._moments(last)):
            model, is_open = MODELS[place % len(MODELS)], place >= last - 10
            taken = Acknowledgement(at=at + timedelta(minutes=5), actor="ada", reason="looking")
            made = Alert(
                id=f"alert_{id_at(at, self._random)}",
                rule=("stale-data", "drift", "decay", "run-failed")[place % 4],
                subject=f"model:{model}",
                text=f"The newest row is {place % 9 + 1}d old.",
                at=at,
                resolved_at=None if is_open else at + timedelta(hours=1),
                acknowledged=taken if place % 3 == 0 else None,
            )
            row = {"id": made.id, "rule": made.rule, "subject": made.subject, "at": t.micros(at)}
            moment = t.micros(taken.at) if made.acknowledged else None
            rows.append({**row, "open": is_open, "acknowledged_at": moment, "body": to_json(made)})
        _insert(connection, t.alerts, rows)

    def _traffic(self, connection: Connection) -> None:
        """Give each endpoint a revision for each version, and rollouts that made some of them."""
        connection.execute(delete(t.revisions))
        count, rollouts = self._count(VERSIONS) // len(MODELS), self._count(ROLLOUTS) // len(MODELS)
        for model in MODELS:
            rows, ways = [], []
            for number, at in enumerate(self._moments(count), start=1):
                variant = Variant(name="champion", model=model, version=number)
                rows.append(_revision(model, number, variant, at, self._random))
            for number, at in enumerate(self._moments(rollouts), start=2):
                ways.append(_rollout(model, number, at, self._random))
            _insert(connection, t.revisions, rows)
            _insert(connection, t.rollouts, ways)

    def _count(self, whole: int) -> int:
        return max(10, int(whole * self._share))

    def _moments(self, count: int) -> Iterator[datetime]:
        """Yield so many moments of the last year, in order, before the present."""
        start = self._until - timedelta(days=DAYS)
        for place in range(count):
            yield start + timedelta(days=DAYS) * ((place + 0.5) / count)


def _revision(
    model: str, number: int, variant: Variant, at: datetime, random: np.random.Generator
) -> dict[str, Any]:
    made = Revision(
        endpoint=model,
        revision=number,
        variants=(variant,),
        created_at=at,
        actor=f"run_{id_at(at, random)}",
        reason="every gate says yes",
        parents=(f"model_version:{model}/{number}",),
    )
    return {"endpoint": model, "revision": number, "created_at": t.micros(at), "body": to_json(made)}


def _rollout(model: str, number: int, at: datetime, random: np.random.Generator) -> dict[str, Any]:
    ended = at + timedelta(hours=2)
    changes = [
        Change(at=at, what="started", actor="ada", reason="new features", stage=0, revision=number),
        Change(at=ended, what="promoted", actor="treadle", reason="every guard is fine", stage=1),
    ]
    made = RolloutState(
        id=f"rollout_{id_at(at, random)}",
        endpoint=model,
        primary=Variant(name="champion", model=model, version=number - 1),
        challenger=Variant(name="challenger", model=model, version=number),
        stages=(Stage(share=0.05, bake=600, requests=100), Stage(share=0.5, bake=600, requests=100)),
        guards=({"kind": "errors"},),
        status="promoted",
        stage=1,
        since=ended,
        revision=number,
        started_at=at,
        history=tuple(changes),
    )
    row = {"id": made.id, "endpoint": model, "status": made.status, "started_at": t.micros(at)}
    return {**row, "changed_at": t.micros(ended), "body": to_json(made)}


def _insert_all(connection: Connection, made: dict[Table, list[dict[str, Any]]]) -> None:
    for table, rows in made.items():
        _insert(connection, table, rows)
    made.clear()
    made[t.runs] = []


def _insert(connection: Connection, table: Table, rows: list[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), _ROWS):
        connection.execute(insert(table), rows[start : start + _ROWS])


def main() -> int:
    """Make the project that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="How much of the full size.")
    given = parser.parse_args()
    began = time.perf_counter()
    print(f"Filled {make(given.folder, share=given.share)} in {time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
