"""A job: what was asked, how far it is, and what came out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from treadle.core.records import Record

State = Literal["waiting", "running", "done", "failed", "cancelled", "parked"]
#: States after which nothing more happens by itself.
ENDED = ("done", "failed", "cancelled", "parked")
OPEN = ("waiting", "running")


class Hook(Record, frozen=True, kw_only=True):
    """Who is told when a job has ended, and whether they have been."""

    url: str
    #: How often it was tried.
    tries: int = 0
    #: What went wrong the last time.
    error: str = ""
    delivered_at: datetime | None = None


class Job(Record, frozen=True, kw_only=True):
    """Rows that one endpoint is to answer for."""

    id: str
    endpoint: str
    state: State
    created_at: datetime
    #: Digest of the request's body, among the objects of jobs.
    input: str
    #: When the queue had it; None: it may have never got it.
    queued_at: datetime | None = None
    #: When a worker began last, and how many have begun.
    started_at: datetime | None = None
    tries: int = 0
    #: When the worker that does it last said so; None: it has not been at it for long.
    alive_at: datetime | None = None
    finished_at: datetime | None = None
    #: Digest of the result, among the objects of jobs.
    result: str = ""
    rows: int | None = None
    #: Digests of files that were stored for the result, also by tries that came to nothing.
    parts: tuple[str, ...] = ()
    #: Why there is no result.
    error: str = ""
    hook: Hook | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in ENDED


def shown(job: Job, *, root: str = "") -> dict[str, Any]:
    """Return what a caller is told about a job; `root` stands before the paths of a server that is mounted in another one."""
    told: dict[str, Any] = {
        "id": job.id,
        "endpoint": job.endpoint,
        "state": job.state,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "rows": job.rows,
        "error": job.error,
    }
    if job.hook is not None:
        told["hook"] = {
            "delivered_at": job.hook.delivered_at,
            "tries": job.hook.tries,
            "error": job.hook.error,
        }
    if job.state == "done":
        told["result"] = f"{root}{place_of(job)}/result"
    return told


def place_of(job: Job) -> str:
    """Return the path at which a job is asked for."""
    return f"/v1/endpoints/{quote(job.endpoint, safe='')}/jobs/{quote(job.id, safe='')}"
