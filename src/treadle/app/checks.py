"""What is configured, whether it answers, and how to mend what does not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from treadle.core.errors import MissingExtra, StoreUnavailable, TreadleError
from treadle.core.records import Record

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace
    from treadle.monitoring.channel import Channel

#: library → what it is needed for, and the extra that brings it
_OPTIONAL = {
    "granian": ("serving over HTTP", "serve"),
    "httptools": ("reading requests over HTTP", "serve"),
    "grpc": ("serving over gRPC", "grpc"),
    "onnxruntime": ("loading model packages", "serve"),
    "sklearn": ("training with scikit-learn", "sklearn"),
    "skl2onnx": ("converting scikit-learn models", "sklearn"),
    "blake3": ("trees of files", "trees"),
    "psycopg": ("a ledger on PostgreSQL", "postgres"),
    "lmdb": ("online features in a folder", "online"),
    "redis": ("online features and streams in Redis", "redis"),
    "pika": ("jobs and streams in RabbitMQ", "rabbitmq"),
    "nats": ("streams in NATS", "nats"),
    "apprise": ("alerts through Apprise", "apprise"),
}


class Check(Record, frozen=True, kw_only=True):
    """One thing that was looked at."""

    what: str
    ok: bool
    #: What was found, or what is wrong and how to mend it.
    said: str


def checks(workspace: Workspace) -> list[Check]:
    """Look at settings, stores, the project file and optional libraries."""
    return [
        _try("project file", lambda: _project(workspace)),
        _try("ledger", lambda: f"{workspace.ledger.url} answers, schema {workspace.ledger.revision()}"),
        _try("objects", lambda: _objects(workspace)),
        _try(
            "tables",
            lambda: f"{workspace.settings.tables.url} answers, {len(workspace.tables.names())} tables",
        ),
        _try("online", lambda: _online(workspace)),
        _try("queue", lambda: _queue(workspace)),
        *_mirrors(workspace),
        *_lineage(workspace),
        *_channels(workspace),
        _try("clock", lambda: f"{workspace.clock.now():%Y-%m-%d %H:%M:%S} UTC"),
        *(_library(name, purpose, extra) for name, (purpose, extra) in _OPTIONAL.items()),
    ]


def _project(workspace: Workspace) -> str:
    found = workspace.project
    return (
        f"{found.file.name} declares {len(found.datasets)} datasets, {len(found.views)} feature views "
        f"and {len(found.models)} models"
    )


def _objects(workspace: Workspace) -> str:
    digest = workspace.objects.put(b"treadle check\n")
    workspace.objects.get(digest)
    return f"{workspace.settings.objects.url} can be written and read"


def _online(workspace: Workspace) -> str:
    if not workspace.project.views:
        return "not used: no feature view is declared"
    try:
        found = workspace.online.freshness()
    except MissingExtra as error:
        return f"not used: {error}"
    problem = next((one.problem for one in found if one.problem), "")
    if problem:
        raise StoreUnavailable(problem)
    there = sum(one.version is not None for one in found)
    return f"{workspace.settings.online.url} answers, {there} of {len(found)} feature views are materialised"


def _queue(workspace: Workspace) -> str:
    found = workspace.queue.state()
    return f"{workspace.queue.shown} answers, {found.ready} jobs wait, {found.parked} are parked"


def _mirrors(workspace: Workspace) -> list[Check]:
    try:
        return [_try("mirror", mirror.check) for mirror in workspace.mirrors]
    except TreadleError as error:
        return [Check(what="mirror", ok=False, said=str(error))]


def _lineage(workspace: Workspace) -> list[Check]:
    try:
        server = workspace.lineage_server
    except TreadleError as error:
        return [Check(what="lineage", ok=False, said=str(error))]
    return [_try("lineage", server.check)] if server.place else []


def _channels(workspace: Workspace) -> list[Check]:
    """Look whether alerts reach anybody; nobody is told anything."""
    try:
        found = workspace.routes.channels
    except TreadleError as error:
        return [Check(what="alerts", ok=False, said=str(error))]
    if not found:
        said = "alerts are only kept, as no channel is set: [alerts.channels.<name>] in treadle.toml"
        return [Check(what="alerts", ok=True, said=said)]
    return [_try(f"channel {name}", partial(_channel, name, make)) for name, make in found.items()]


def _channel(name: str, make: Callable[[], Channel]) -> str:
    return f"{make().shown}; try it: treadle alerts test {name}"


def _try(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what=what, ok=True, said=look())
    except TreadleError as error:
        return Check(what=what, ok=False, said=str(error))


def _library(name: str, purpose: str, extra: str) -> Check:
    if importlib.util.find_spec(name) is not None:
        return Check(what=f"library {name}", ok=True, said=f"installed, for {purpose}")
    said = f"not installed; for {purpose}: pip install 'treadle[{extra}]'"
    return Check(what=f"library {name}", ok=True, said=said)
