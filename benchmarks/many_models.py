"""A project of many models, each with versions, runs, decisions, an endpoint and a promise: seeded from one that was really trained."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import insert, select

import project
from treadle.app.workspace import open_workspace
from treadle.core.ids import new_id
from treadle.store.ledger import tables as t

#: Appended to the project's file: the same declaration under other names, and a promise on each.
_MORE = """

import dataclasses
for _place in range({models}):
    _name = f"model_{{_place:03}}"
    globals()[_name] = dataclasses.replace(late, name=_name)
"""
_PROMISE = """    globals()[f"up_{_name}"] = td.slos.Availability(endpoint=_name, objective=0.999)
"""
#: What the model's declaration says of its policy, to be put in its place.
_POLICY = """    policy=td.Policy(window=td.Last("365d")),
"""
_HISTORY = 20


def make(folder: Path, *, models: int, policy: str = "", promises: bool = True) -> Path:
    """Make it: of each model one version, so many runs, decisions and counted hours, and nothing that waits.

    `policy` is the line of the declaration that says it, for all of them; without `promises` they have no SLO.
    """
    project.make(folder, rows=2_000)
    file = folder / "project.py"
    more = _MORE.format(models=models) + (_PROMISE if promises else "")
    file.write_text(file.read_text().replace(_POLICY, policy or _POLICY) + more)
    with open_workspace(folder) as workspace, workspace.ledger.write() as connection:
        for place in range(models):
            _copy(connection, f"model_{place:03}")
    return folder


def _copy(connection, name: str) -> None:
    for table, column in (
        (t.aliases, "model"),
        (t.alias_history, "model"),
        (t.model_versions, "model"),
        (t.revisions, "endpoint"),
        (t.verdicts, "model"),
        (t.decisions, "model"),
        (t.runs, "model"),
    ):
        rows = connection.execute(select(table).where(table.c[column] == "late")).mappings().all()
        times = _HISTORY if table in (t.decisions, t.runs) else 1
        made = [_renamed(dict(row), name) for row in rows for _ in range(times)]
        if made:
            connection.execute(insert(table), made)
    _count(connection, name)


def _renamed(row: dict, name: str) -> dict:
    body = json.loads(row["body"])
    for key in ("model", "endpoint"):
        if key in row:
            row[key] = name
        if key in body:
            body[key] = name
    for variant in body.get("variants", ()):
        variant["model"] = name
    if "id" in row:
        row["id"] = body["id"] = new_id(row["id"].partition("_")[0])
    if "run" in row:
        row["run"] = body["run"] = f"{row['run']}-{name}" if "digest" in row else row["run"]
    row["body"] = json.dumps(body)
    return row


def _count(connection, name: str) -> None:
    """Let servers have counted something in each of the last hours."""
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [
        {
            "endpoint": name,
            "at": t.micros(now - timedelta(hours=hour)),
            "span": 3600,
            "server": "",
            "written": t.micros(now),
            "body": json.dumps([100, 0, [100, *[0] * 14]]),
        }
        for hour in range(1, 48)
    ]
    connection.execute(insert(t.served_counts), rows)
