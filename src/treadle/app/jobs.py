"""Wires jobs: their stores, the process that does them, and the one that keeps such processes."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from treadle.app import features
from treadle.app.features import ServedFeatures
from treadle.core import settings
from treadle.core.addresses import Allowed
from treadle.core.errors import Busy, InvalidInput, NotFound, StoreUnavailable, TreadleError
from treadle.core.parent import end_with_parent
from treadle.core.progress import Silent
from treadle.serving import assembly
from treadle.serving.jobs import metrics
from treadle.serving.jobs.asked import Reference
from treadle.serving.jobs.delivery import Deliveries
from treadle.serving.jobs.jobs import Jobs
from treadle.serving.jobs.results import Result
from treadle.serving.jobs.scratch import Scratch
from treadle.serving.jobs.supervisor import Supervisor
from treadle.serving.jobs.upkeep import Upkeep
from treadle.serving.jobs.worker import Worker
from treadle.serving.textfile import Textfile
from treadle.store.objects.objects import Objects

if TYPE_CHECKING:
    from treadle.app.stores import Stores
    from treadle.app.wiring import Wiring
    from treadle.app.workspace import Workspace

_FOLDER = Path(".treadle/jobs")


def open_jobs(workspace: Stores) -> Jobs:
    """Return the jobs of a project."""
    return Jobs(
        workspace.ledger,
        _objects(workspace),
        workspace.queue,
        clock=workspace.clock,
        allowed=Allowed(workspace.settings.jobs.allow),
    )


def check_reference(workspace: Wiring, endpoint: str, reference: Reference) -> None:  # noqa: ARG001 - the routes say both
    """Refuse rows of the project that are not there, or that jobs may not name.

    Raises:
        NotFound: there is no such dataset or version.
        InvalidInput: the files are not below the folder that jobs may read.
    """
    if reference.rows is not None:
        _check_dataset(workspace, reference.rows.dataset)
        workspace.project.dataset(reference.rows.dataset)
        workspace.datasets.version(reference.rows.dataset, reference.rows.version)
    if reference.files is not None:
        _files(workspace, reference.files)


def supervise(
    workspace: Workspace,
    *,
    least: int | None,
    most: int | None,
    until_empty: bool,
    say: Callable[[str], None],
) -> None:
    """Do jobs in worker processes until SIGTERM or Ctrl-C; each ends the job that it has in hand.

    Raises:
        InvalidInput: the bounds are no bounds.
        RunFailed: workers end as soon as they are started.
    """
    found = workspace.settings.jobs
    least, most = found.least if least is None else least, found.most if most is None else most
    if not 0 <= least <= most or most == 0:
        msg = f"At least {least} and at most {most} workers were asked for. Expected 0 <= least <= most, and one at most or more."
        raise InvalidInput(msg, field="jobs.most")
    quiet_libraries()
    upkeep = _upkeep(workspace)
    # What is wrong with the queue is said here, once, and not by each worker.
    waiting = workspace.queue.state().ready
    say(
        f"{waiting} jobs wait in {workspace.queue.shown}; {least} to {most} workers. Ctrl-C lets them end their jobs."
    )
    deliveries = Deliveries(
        upkeep,
        secret=found.secret,
        source=f"treadle/{workspace.settings.project.name}",
        allowed=Allowed(found.allow),
        clock=workspace.clock,
    )
    supervisor = Supervisor(
        workspace.queue,
        upkeep,
        deliveries,
        start=partial(_start, workspace),
        least=least,
        most=most,
        say=say,
    )
    for how in (signal.SIGTERM, signal.SIGINT):
        signal.signal(how, lambda *_: supervisor.stop())
    with ExitStack() as stack:
        if found.metrics_file:
            observe = partial(metrics.observed, workspace.queue, upkeep, deliveries, supervisor)
            stack.enter_context(Textfile(workspace.root / found.metrics_file, observe))
        supervisor.run(until_empty=until_empty)


def work(root: str) -> int:
    """Do jobs in this process until SIGTERM; return the process's exit code."""
    from treadle.app.workspace import open_workspace

    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that supervises
    logging.basicConfig(format="%(message)s")
    quiet_libraries()
    try:
        with open_workspace(Path(root)) as workspace, parts_of(workspace) as parts:
            found = workspace.settings
            worker = Worker(
                workspace.jobs,
                parts.plane,
                log=parts.log,
                follower=parts.follower,
                score=partial(_score, workspace),
                lease=found.queue.lease,
                memory=found.jobs.memory,
            )
            signal.signal(signal.SIGTERM, lambda *_: worker.stop())
            worker.run()
    except TreadleError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def quiet_libraries() -> None:
    """Keep a broker's library from writing pages about what is told in one line."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)


def _start(workspace: Workspace) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this program itself
        [sys.executable, "-m", "treadle.app.jobs", str(workspace.root)],
        env=settings.child_environment(settings.as_environment(workspace.overrides)),
    )


def parts_of(workspace: Workspace) -> assembly.WorkerParts:
    """Return what answers in a process that is no server, with the server's checks and log."""
    return assembly.job_worker(
        workspace.root,
        workspace.endpoints,
        loader=workspace.load,
        tables=lambda: workspace.tables,
        settings=workspace.settings.serving,
        clock=workspace.clock,
        online=ServedFeatures(lambda: workspace),
        on_demand=features.on_demand(lambda: workspace, workspace.settings.serving),
    )


def _score(workspace: Workspace, endpoint: str, reference: Reference, name: str) -> Result:
    """Score rows of the project; what was scored when a worker died is not scored again on this machine."""
    scratch = Scratch(workspace.root / _FOLDER)
    try:
        found = _scored(workspace, endpoint, reference, name, folder=scratch.of(name))
    except (StoreUnavailable, Busy):
        # It goes on later, or another worker is still at it.
        raise
    except Exception:
        scratch.clear(name)
        raise
    scratch.clear(name)
    return found


def _scored(workspace: Workspace, endpoint: str, reference: Reference, name: str, *, folder: Path) -> Result:
    from treadle.app import scoring
    from treadle.serving.batch.plan import Options

    rows: Any
    if reference.rows is not None:
        _check_dataset(workspace, reference.rows.dataset)
        rows = scoring.Rows(
            dataset=reference.rows.dataset, version=reference.rows.version, split=reference.rows.split
        )
    else:
        rows = tuple(str(path) for path in _files(workspace, reference.files or ""))
    keep = None if reference.keep is None else tuple(reference.keep)
    asked = scoring.Request(target=endpoint, rows=rows, output=str(folder), options=Options(keep=keep))
    try:
        done = scoring.run(workspace, asked, progress=Silent())
    except InvalidInput as error:
        if error.field != "output":
            raise
        # A worker that died began it with another revision, or with rows that were others then.
        shutil.rmtree(folder, ignore_errors=True)
        done = scoring.run(workspace, asked, progress=Silent())
    try:
        parts = [
            workspace.jobs.keep_part(name, (folder / part.name).read_bytes()) for part in done.plan.parts
        ]
    except FileNotFoundError as error:
        # It is looked at again whether the job is still to be done.
        msg = f"What was scored for the job {name} was taken away by another worker, which has just done it."
        raise StoreUnavailable(msg) from error
    told = {
        "id": name,
        "endpoint": endpoint,
        "revision": done.plan.revision,
        "model": done.plan.model,
        "version": done.plan.version,
        "rejected": done.rejected,
        "digest": done.digest,
    }
    return Result(rows=done.rows, answer=msgspec.json.encode(told), parts=parts)


def _check_dataset(workspace: Wiring, name: str) -> None:
    allowed = {part.strip() for part in workspace.settings.jobs.datasets.split(",")}
    if not allowed & {name, "*"}:
        msg = f"Jobs may not name the dataset {name!r} here. Send the rows, or let the operator allow it (setting jobs.datasets)."
        raise InvalidInput(msg, field="from")


#: Characters of a pattern of files; a name in it may have the 255 bytes that file systems allow.
_LONGEST = 1_000


def _files(workspace: Wiring, pattern: str) -> list[Path]:
    """Return the files that a pattern names below the folder of jobs, wherever links lead."""
    allowed = workspace.settings.jobs.files
    if not allowed:
        msg = "Jobs may not name files here. Send the rows, or let the operator name a folder (setting jobs.files)."
        raise InvalidInput(msg, field="from")
    base = (workspace.root / allowed).resolve()
    parts = Path(pattern).parts
    is_name = (
        pattern.isprintable() and len(pattern) <= _LONGEST and all(len(p.encode()) <= 255 for p in parts)
    )
    if not is_name or Path(pattern).is_absolute() or ".." in parts or not parts:
        msg = f"{pattern[:200]!r} does not name files below the folder of jobs. Expected as '2013-02/*.parquet'."
        raise InvalidInput(msg, field="from")
    try:
        found = sorted(path for path in base.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError) as error:
        msg = f"{pattern[:200]!r} is no pattern of files ({error}). Expected as '2013-02/*.parquet'."
        raise InvalidInput(msg, field="from") from error
    if not found or not all(path.resolve().is_relative_to(base) for path in found):
        msg = f"No file that jobs may read is at {pattern[:200]!r}."
        raise NotFound(msg)
    return found


def _upkeep(workspace: Workspace) -> Upkeep:
    return Upkeep(
        workspace.jobs,
        workspace.ledger,
        _objects(workspace),
        clock=workspace.clock,
        retention=workspace.settings.jobs.retention,
        lease=workspace.settings.queue.lease,
        scratch=Scratch(workspace.root / _FOLDER),
    )


def _objects(workspace: Stores) -> Objects:
    """Return the place of inputs and results: apart from packages, for they are removed one by one."""
    url = f"{workspace.settings.objects.url.rstrip('/')}/jobs"
    return Objects.open(url, root=workspace.root, options=settings.aws_options())


if __name__ == "__main__":
    sys.exit(work(*sys.argv[1:]))
