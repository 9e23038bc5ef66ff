"""`td.open("https://…")`: the methods, services and records of a workspace, done where it is."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from treadle.app.remote.line import Line
from treadle.app.wire.arguments import class_of, signature_of
from treadle.app.wire.table import HERE, LONG, OPERATIONS, SERVICES
from treadle.app.wire.values import reference_of
from treadle.app.workspace import Workspace
from treadle.core.clock import Clock, SystemClock
from treadle.core.errors import NotOffered, not_found
from treadle.core.progress import Progress, Silent
from treadle.core.settings import referenced
from treadle.serving.listening import is_loopback

#: What a workspace has, and one elsewhere has not: its stores and settings, whose secrets stay where they are.
_INSIDE = (
    "ledger",
    "objects",
    "tables",
    "queue",
    "settings",
    "engine",
    "rooms",
    "root",
    "mirrors",
    "lineage_server",
)


def connect(url: str, *, token: str | None = "", progress: Progress | None = None) -> Workspace:
    """Open a workspace elsewhere; `token` is what an admin there made, or `env:NAME`, the variable that holds it.

    Raises:
        ServerUnavailable: nobody answers there.
        AuthRequired: the token is missing, wrong or has ended.
    """
    parts = urlsplit(url)
    if token and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        warnings.warn(f"The token goes to {parts.hostname} unencrypted. Use https://.", stacklevel=3)
    line = Line(url, token=referenced(token or ""), progress=progress or Silent())
    line.about()
    return cast("Workspace", RemoteWorkspace(line))


class _Methods:
    """Something whose methods are operations elsewhere."""

    def __init__(self, line: Line, service: str = "") -> None:
        self._line, self._service = line, service

    def __getattr__(self, name: str) -> Any:
        """Return a method, with the name, the signature and the words of the one that it stands for."""
        full = f"{self._service}.{name}" if self._service else name
        if full in OPERATIONS:
            method = _method(self._line, full)
            self.__dict__[name] = method
            return method
        if full in HERE or (not self._service and name in _INSIDE):
            msg = f"{full} works only where the workspace is. Use td.open() there, or the command line."
            raise NotOffered(msg)
        msg = f"A workspace has no {full!r}."
        raise AttributeError(msg)

    def __dir__(self) -> list[str]:
        start = f"{self._service}." if self._service else ""
        names = [name.removeprefix(start) for name in OPERATIONS if name.startswith(start)]
        return sorted({*super().__dir__(), *(name for name in names if "." not in name)})


class RemoteWorkspace(_Methods):
    """A workspace elsewhere."""

    def __enter__(self) -> RemoteWorkspace:
        """Return the workspace itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""

    def __getattr__(self, name: str) -> Any:
        """Return a service, or a method."""
        if name in SERVICES and name not in OPERATIONS:
            service = self.__dict__[name] = _Methods(self._line, name)
            return service
        return super().__getattr__(name)

    def __repr__(self) -> str:
        return f"RemoteWorkspace({self._line.url!r})"

    def close(self) -> None:
        """Close it: connections end with their calls, so nothing is open."""

    @cached_property
    def clock(self) -> Clock:
        """The clock of this machine."""
        return SystemClock()

    @property
    def project(self) -> DeclaredProject:
        """The names of what the project declares there."""
        return DeclaredProject(self._line.ask("declared", {}))


class Declared(NamedTuple):
    """Something that a project elsewhere declares, by its name."""

    name: str


class DeclaredProject:
    """What a project elsewhere declares: names, which methods take where they take the declaration itself."""

    def __init__(self, found: dict[str, list[str]]) -> None:
        self.datasets, self.trees, self.views, self.models, self.experiments, self.slos = (
            {name: Declared(name) for name in found[kind]}
            for kind in ("datasets", "trees", "views", "models", "experiments", "slos")
        )

    def model(self, name: str) -> Declared:
        """Return one model."""
        return _one("model", name, self.models)

    def dataset(self, name: str) -> Declared:
        """Return one dataset."""
        return _one("dataset", name, self.datasets)

    def view(self, name: str) -> Declared:
        """Return one feature view."""
        return _one("feature view", name, self.views)

    def tree(self, name: str) -> Declared:
        """Return one tree."""
        return _one("tree", name, self.trees)


def _one(noun: str, name: str, known: dict[str, Declared]) -> Declared:
    if name not in known:
        raise not_found(noun, name, known)
    return known[name]


def _method(line: Line, name: str) -> Callable[..., Any]:
    operation = OPERATIONS[name]
    whole = signature_of(operation)
    signature = whole.replace(parameters=list(whole.parameters.values())[1:])
    ask = line.work if name in LONG else line.ask

    def method(*positional: Any, **named: Any) -> Any:
        bound = signature.bind(*positional, **named).arguments
        keywords = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
        for key in keywords:
            bound |= bound.pop(key, {})
        given = {
            key: _sendable(value) for key, value in bound.items() if key != "actor" or not operation.is_change
        }
        if name == "import_model":
            given["source"] = _file(given["source"])
        return ask(name, given)

    method.__name__ = operation.method
    method.__doc__ = inspect.getdoc(getattr(class_of(operation.service), operation.method))
    method.__signature__ = signature  # type: ignore[attr-defined]  # what inspect reads
    return method


def _sendable(value: Any) -> Any:
    """Return an argument as it is sent: things of a workspace by what they are found by."""
    found = reference_of(value)
    if found is not None:
        return found
    if hasattr(value, "__arrow_c_stream__") and not hasattr(value, "write_ipc_stream"):
        import polars as pl

        return pl.DataFrame(value)
    return value


def _file(source: Any) -> Any:
    """Return a model's file as it is sent; an object would have to be pickled, and is not."""
    if isinstance(source, str) and source.startswith("models:/"):
        return source
    if not isinstance(source, str | Path):
        msg = f"A {type(source).__name__} cannot go over the wire. Save it as a file (as .onnx), or import it where the workspace is."
        raise NotOffered(msg)
    path = Path(source)
    return {"name": path.name, "data": path.read_bytes()}
