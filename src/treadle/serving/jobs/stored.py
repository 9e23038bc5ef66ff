"""Jobs as rows of the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from treadle.core.records import from_json, to_json
from treadle.serving.jobs.record import Job
from treadle.store.ledger import tables

jobs = tables.jobs


def add(connection: Connection, job: Job) -> None:
    """Insert a job."""
    connection.execute(insert(jobs).values(**_row(job, None)))


def find(connection: Connection, name: str) -> Job | None:
    """Return a job; None: there is none of that id."""
    body = connection.scalar(select(jobs.c.body).where(jobs.c.id == name))
    return None if body is None else from_json(body, Job)


def _row(job: Job, due: datetime | None) -> dict[str, str | int]:
    return {
        "id": job.id,
        "endpoint": job.endpoint,
        "state": job.state,
        "created_at": tables.micros(job.created_at),
        "due": 0 if due is None else tables.micros(due),
        "body": to_json(job),
    }


def store(
    connection: Connection, job: Job, *, due: datetime | Literal["as it is"] | None = "as it is"
) -> None:
    """Replace a job; `due` is when its web hook is to be called, None: it is not."""
    row = _row(job, None if due == "as it is" else due)
    if due == "as it is":
        del row["due"]
    connection.execute(update(jobs).where(jobs.c.id == job.id).values(**row))
