"""Wires what tells trackers elsewhere, and keeps their troubles from anybody else's work."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.app import lineage
from treadle.core.clock import SystemClock
from treadle.core.errors import (
    AlreadyExists,
    InvalidInput,
    PackageRefused,
    SettingsError,
    TreadleError,
    UnsafeFormat,
)
from treadle.core.optional import require

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace
    from treadle.core.progress import Progress
    from treadle.core.records import ModelVersion
    from treadle.loop.mirroring import Mirroring
    from treadle.registry.mirror import Fetched

_log = logging.getLogger("treadle.mirror")


def mirroring(workspace: Workspace) -> Mirroring:
    """Return what sends the workspace's runs and versions to its mirrors.

    Raises:
        SettingsError: a variable of a mirror is not valid.
    """
    from treadle.loop.mirroring import Mirroring

    return Mirroring(
        mirrors=workspace.mirrors,
        project=workspace.settings.project.name,
        ledger=workspace.ledger,
        objects=workspace.objects,
        # Servers and kills keep to the machine's time, also where a project lives by another one.
        clock=SystemClock(),
        runs=workspace.runs,
        trials=workspace.trials,
        verdicts=workspace.verdicts,
        models=workspace.models,
        pages=lambda version: _pages(workspace, version),
    )


@contextmanager
def mirrored(workspace: Workspace, progress: Progress) -> Iterator[None]:
    """Send what is missing after a block, also after one that failed."""
    with lineage.told(workspace, progress):
        try:
            yield
        except Exception:
            send(workspace, progress)
            raise
        send(workspace, progress)


def send(workspace: Workspace, progress: Progress) -> None:
    """Send what is missing, for a bounded time; what goes wrong with that is told, and nothing else."""
    try:
        for found in mirroring(workspace).send() if workspace.mirrors else ():
            if found.is_news:
                progress.step(f"{found.error} Still to be sent: {found.waiting}.")
    except TreadleError as error:
        progress.step(f"mirror: {error}")
    except Exception as error:  # noqa: BLE001 - it is logged and told: a mirror never breaks what it shows
        _log.exception("mirroring failed")
        progress.step(f"mirror: {type(error).__name__}: {error}")


def fetch(workspace: Workspace, reference: str, *, to: Path | None, allow_code: bool) -> Fetched:
    """Return a model that the first mirror holds, and write its files into a new folder where one is named.

    Raises:
        SettingsError: there is no mirror.
        NotFound: it has no such model, version or alias.
        UnsafeFormat: reading the model would run code that is stored in it.
        AlreadyExists: the folder is there.
    """
    if not workspace.mirrors:
        msg = f"{reference} cannot be fetched: no mirror is configured. Set MLFLOW_TRACKING_URI to an MLflow server."
        raise SettingsError(msg)
    if to is not None and to.exists():
        msg = f"{str(to)!r} is there already. Name a folder that does not exist yet."
        raise AlreadyExists(msg)
    found = workspace.mirrors[0].fetch(reference)
    if found.runs_code and not allow_code:
        msg = (
            f"{reference} is stored as {found.flavour}, which runs code that came with it wherever it is read. Expected "
            "the flavour onnx. Allow it (--allow-code) only if you trust whoever wrote it."
        )
        raise UnsafeFormat(msg)
    if to is not None:
        _write(found.files, to)
    return found


@contextmanager
def at_hand(workspace: Workspace, source: Any) -> Iterator[Any]:
    """Yield what is to be imported: of a reference as `models:/delay@champion` the file that was fetched, else `source` itself.

    Raises:
        UnsafeFormat: reading the model would run code that is stored in it.
    """
    if not isinstance(source, str) or not source.startswith("models:/"):
        yield source
        return
    found = fetch(workspace, source, to=None, allow_code=False)
    name = source.removeprefix("models:/").partition("@")[0].partition("/")[0]
    with tempfile.TemporaryDirectory() as folder:
        _write(found.files, Path(folder, "fetched"))
        yield _whole(Path(folder, "fetched", found.data), Path(folder, f"mlflow-{name}-{found.version}.onnx"))


def _whole(path: Path, to: Path) -> Path:
    """Write a graph into one file: MLflow keeps large tensors in files beside it."""
    onnx = require("onnx", extra="sklearn")
    try:
        model = onnx.load_model(str(path))
    # protobuf's own class, which has another name in each of its implementations, and the checker's.
    except Exception as error:
        msg = f"What MLflow holds as {path.name} is no ONNX model that can be read: {str(error)[:300]}"
        raise PackageRefused(msg) from error
    to.write_bytes(model.SerializeToString(deterministic=True))
    return to


def _write(files: Mapping[str, bytes], to: Path) -> None:
    """Write files into a new folder, all of them or none."""
    part = to.with_name(f".{to.name}.part")
    try:
        for name, data in files.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        part.rename(to)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        msg = f"The model cannot be written to {str(to)!r}: {error.strerror}. Name another folder."
        raise InvalidInput(msg, field="out") from error


def _pages(workspace: Workspace, version: ModelVersion) -> dict[str, bytes]:
    from treadle.app.card.page import page

    made = page(workspace.card(f"{version.model}/{version.version}"))
    return {"card.html": made.encode()}
