"""Errors on the wire: the class, what it says, and what else it holds; the other side raises the same one."""

from __future__ import annotations

from typing import Any

from treadle.core import errors
from treadle.core.errors import InvalidInput, MirrorRefused, RunFailed, TreadleError

#: Characters of a message and of a traceback that are sent.
_LONGEST, _LONGEST_TRACE = 8_000, 100_000


def told(error: TreadleError) -> dict[str, Any]:
    """Return what is said of an error."""
    said: dict[str, Any] = {"type": type(error).__name__, "message": str(error)[:_LONGEST]}
    if isinstance(error, InvalidInput) and error.field:
        said["field"] = error.field[:_LONGEST]
    if isinstance(error, RunFailed):
        said |= {"run": error.run, "traceback": error.traceback[-_LONGEST_TRACE:]}
    if isinstance(error, MirrorRefused):
        said["code"] = error.code
    return said


def made(said: Any) -> TreadleError:
    """Return the error that was told; of a class that is not known here, the one that all of them are."""
    kind: Any = getattr(errors, str(said.get("type")), TreadleError)
    if not (isinstance(kind, type) and issubclass(kind, TreadleError)):
        kind = TreadleError
    more: dict[str, Any] = {}
    if issubclass(kind, InvalidInput):
        more["field"] = said.get("field")
    elif issubclass(kind, RunFailed):
        more["traceback"] = str(said.get("traceback", ""))
    elif issubclass(kind, MirrorRefused):
        more["code"] = str(said.get("code", ""))
    found: TreadleError = kind(str(said.get("message", "")), **more)
    if isinstance(found, RunFailed):
        found.run = str(said.get("run", ""))
    return found
