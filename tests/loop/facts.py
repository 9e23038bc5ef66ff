"""What stands in a project's stores: everything that may be there once, and no more."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import sqlalchemy as sa
import tiny

from treadle.app.workspace import Workspace
from treadle.store.ledger import tables as t


def facts(workspace: Workspace) -> dict[str, Any]:
    """Return what is there, as plain values."""
    rows = {table.name: _rows(workspace, table) for table in t.metadata.sorted_tables}
    folder = workspace.root / ".treadle" / "runs"
    visits = workspace.datasets.read("visits") if rows["dataset_versions"] else None
    return {
        "runs": [
            {"id": row["id"], **_some(row, "status", "attempts", "model_version")} for row in rows["runs"]
        ],
        "versions": [_some(row, "model", "version", "run", "digest") for row in rows["model_versions"]],
        "aliases": {row["alias"]: row["version"] for row in rows["aliases"]},
        "alias_history": [_some(row, "alias", "version", "previous") for row in rows["alias_history"]],
        "revisions": [_some(row, "endpoint", "revision") for row in rows["revisions"]],
        "verdicts": sorted([row["run"], _some(row, "gate")["gate"]] for row in rows["verdicts"]),
        "steps": sorted([row["step"], row["run"]] for row in rows["steps"]),
        "datasets": [_some(row, "version", "rows", "landed") for row in rows["dataset_versions"]],
        "visits": None if visits is None else [visits.height, visits["visit_id"].n_unique()],
        "decisions": [_some(row, "due", "reason") for row in rows["decisions"]],
        "alerts": [{"id": row["id"], **_some(row, "rule", "open", "delivered")} for row in rows["alerts"]],
        "checkpoints": len(rows["checkpoints"]),
        "folders": sorted(path.name for path in folder.iterdir()) if folder.is_dir() else [],
        "trainings": Counter(what for _, what, _ in tiny.trainings(workspace.root)),
    }


def shape(facts: dict[str, Any]) -> dict[str, Any]:
    """Return what was found without what may differ from case to case: ids, and how often things were tried."""
    numbers = {run["id"]: f"run {number}" for number, run in enumerate(facts["runs"], 1)}
    numbers |= {alert["id"]: f"alert {number}" for number, alert in enumerate(facts["alerts"], 1)}
    text = msgspec.json.encode({key: value for key, value in facts.items() if key != "trainings"}).decode()
    for key, number in numbers.items():
        text = text.replace(key, number)
    found: dict[str, Any] = msgspec.json.decode(text)
    for run in found["runs"]:
        del run["attempts"]
    return found


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Return by name what was found and what was expected, where they differ."""
    one, two = shape(found), shape(expected)
    return {name: (one[name], two[name]) for name in one if one[name] != two[name]}


def _rows(workspace: Workspace, table: sa.Table) -> list[dict[str, Any]]:
    order = list(table.primary_key.columns)
    with workspace.ledger.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).order_by(*order)).mappings()]


def _some(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return some values of a row: its columns, and what its record says."""
    whole = {**json.loads(row["body"]), **row}
    return {name: whole.get(name) for name in names}
