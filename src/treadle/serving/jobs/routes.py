"""Jobs over HTTP: submit, poll, list, cancel, and fetch the result.

`POST /v1/endpoints/{endpoint}/jobs` takes what `predict` takes, and besides `hook`, an address that is told when the job has ended;
instead of rows it may say `{"from": {"rows": {"dataset": "flights", "split": "test"}}}` or `{"from": {"files": "2013-02/*.parquet"}}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, get_args
from urllib.parse import quote

import msgspec

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, NotFound, closest
from treadle.serving.dataplane import Dataplane
from treadle.serving.jobs import asked, results
from treadle.serving.jobs.asked import Asked, Reference
from treadle.serving.jobs.jobs import Jobs
from treadle.serving.jobs.record import Job, State, place_of, shown
from treadle.serving.routing import About, Route
from treadle.serving.web import Request, Response, refuse_plainly, reply

_PARQUET = ("content-type", "application/vnd.apache.parquet")
_THREADS = 2
_MOST = 1_000
_SUBMIT = About("Submit a job", statuses=(200, 202), takes_rows=True)
_LIST = About(
    "Jobs, newest first", {"state": "Only those in it.", "limit": "How many.", "before": "Only older ones."}
)
_RESULT = About(
    "What came out of a job", {"format": "json or parquet."}, answers=("application/json", _PARQUET[1])
)


class JobRoutes:
    """The routes of jobs; what waits for a store does so in threads of its own, away from predictions."""

    def __init__(self, jobs: Callable[[], Jobs], *, check: Callable[[str, Reference], None]) -> None:
        """`jobs` opens them, when they are first asked for; `check` refuses rows of the project that may not be scored."""
        self._open, self._check = jobs, check
        self._jobs: Jobs | None = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="treadle-jobs")

    def routes(self, plane: Dataplane) -> list[Route]:
        """Return the routes for the endpoints of a dataplane."""
        own = partial(Route, refuse=refuse_plainly, scope="predict")
        where = "/v1/endpoints/{endpoint}/jobs"
        job = f"{where}/{{job}}"

        def route(
            method: str, path: str, handler: Callable[[Dataplane, Request], Response], about: About
        ) -> Route:
            return own(method, path, handler=partial(self._threaded, handler, plane), about=about)

        return [
            route("POST", where, self._submit, _SUBMIT),
            route("GET", where, self._list, _LIST),
            route("GET", job, self._show, About("A job")),
            route("POST", f"{job}/cancel", self._cancel, About("Cancel a job")),
            route("GET", f"{job}/result", self._result, _RESULT),
        ]

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _threaded(
        self, handler: Callable[[Dataplane, Request], Response], plane: Dataplane, request: Request
    ) -> Response:
        return await asyncio.get_running_loop().run_in_executor(self._pool, handler, plane, request)

    def _submit(self, plane: Dataplane, request: Request) -> Response:
        endpoint, found = request.names["endpoint"], asked.parse(request.body)
        self._look(plane, endpoint, found)
        job, is_new = self._all.submit(endpoint, found.body, hook=found.hook, name=found.name)
        place = ("location", quote(request.root) + place_of(job))
        answer = reply(_told(job, request), status=202 if is_new else 200)
        return msgspec.structs.replace(answer, headers=(*answer.headers, place))

    def _look(self, plane: Dataplane, endpoint: str, found: Asked) -> None:
        """Refuse at once what would fail later: rows that do not fit, an endpoint or rows that are not there."""
        if found.reference is None:
            plane.begin(endpoint, asked.call_of(found.body, name=found.name, received=monotonic()))
        else:
            plane.reader(endpoint)
            self._check(endpoint, found.reference)

    def _list(self, plane: Dataplane, request: Request) -> Response:
        endpoint, query = request.names["endpoint"], request.query
        plane.reader(endpoint)
        limit = min(results.whole(query, "limit", 100), _MOST)
        found = self._all.recent(
            endpoint=endpoint, state=_state(query.get("state")), limit=limit, before=query.get("before", "")
        )
        return reply({"jobs": [_told(job, request) for job in found]})

    def _show(self, plane: Dataplane, request: Request) -> Response:  # noqa: ARG002 - handlers have one shape
        return reply(_told(self._of(request), request))

    def _cancel(self, plane: Dataplane, request: Request) -> Response:  # noqa: ARG002 - handlers have one shape
        return reply(_told(self._all.cancel(self._of(request).id), request))

    def _result(self, plane: Dataplane, request: Request) -> Response:  # noqa: ARG002 - handlers have one shape
        found = results.unpack(self._all.result(self._of(request).id))
        form = request.query.get("format", "json")
        if form == "json":
            return Response(body=results.page(found, request.query))
        if form != "parquet":
            msg = f"The parameter 'format' is {form[:60]!r}. Expected json or parquet."
            raise InvalidInput(msg, field="format")
        if found.parts:
            return Response(body=self._all.part(results.part_of(found, request.query)), headers=(_PARQUET,))
        return Response(body=results.parquet(found), headers=(_PARQUET,))

    def _of(self, request: Request) -> Job:
        job = self._all.get(request.names["job"])
        if job.endpoint != request.names["endpoint"]:
            msg = f"Endpoint {request.names['endpoint']} has no job {job.id!r}."
            raise NotFound(msg)
        return job

    @property
    def _all(self) -> Jobs:
        if self._jobs is None:
            self._jobs = self._open()
        return self._jobs


def _told(job: Job, request: Request) -> dict[str, Any]:
    """Return what a caller is told about a job, with addresses as they are from outside."""
    return shown(job, root=quote(request.root))


def _state(text: str | None) -> Any:
    if text is None or text in get_args(State):
        return text
    msg = f"The parameter 'state' is {text[:60]!r}. {closest(text, get_args(State))}"
    raise InvalidInput(msg, field="state")
