"""Does what somebody asks for: one place for who may, who it was, and what is kept of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from treadle.app.wire.arguments import arguments, hints_of
from treadle.app.wire.table import HERE, OPERATIONS, UNTOLD, Operation
from treadle.app.workspace import Workspace
from treadle.core.errors import Forbidden, InvalidInput, NotOffered, UnsafeFormat, not_found
from treadle.core.people import User

#: What names a model in a registry elsewhere; any other text would be a path on this machine.
_ELSEWHERE = "models:/"


def operation(name: str) -> Operation:
    """Return one operation.

    Raises:
        NotFound: there is none of that name.
        NotOffered: it works only where the workspace is.
    """
    if name in HERE:
        msg = f"{name} works only where the workspace is. Use td.open() there, or the command line."
        raise NotOffered(msg)
    if name not in OPERATIONS:
        raise not_found("operation", name[:100], OPERATIONS)
    return OPERATIONS[name]


def allowed(workspace: Workspace, found: Operation, user: User) -> None:
    """Make sure that somebody may ask for an operation; who may not is noted.

    Raises:
        Forbidden: their role or their token does not allow it.
    """
    if user.may(found.role, found.name):
        return
    limits = f" with a token for {', '.join(user.scopes)}" if user.scopes else ""
    msg = f"{user.name} is {user.role} here{limits}. Expected {found.role} for {found.name}."
    workspace.team.refused(
        f"operation:{found.name}", "refused", actor=user.name, reason=f"needs {found.role}"
    )
    raise Forbidden(msg)


def perform(workspace: Workspace, name: str, given: Mapping[str, Any], user: User) -> Any:
    """Do what somebody asks for; the actor is whoever asks.

    Raises:
        NotFound: there is no such operation, or not what it is about.
        Forbidden: their role does not allow it.
        InvalidInput: an argument is not what the method asks for.
    """
    found = operation(name)
    allowed(workspace, found, user)
    hints = hints_of(found)
    asked = {key: value for key, value in given.items() if key != "actor" or not found.is_change}
    with ExitStack() as stack:
        if name == "import_model":
            asked["source"] = stack.enter_context(_Brought(asked))
        ready = arguments(found, asked, workspace)
        if "actor" in hints and found.is_change:
            ready["actor"] = user.name
        service = getattr(workspace, found.service) if found.service else workspace
        done = getattr(service, found.method)(**ready)
    if name in UNTOLD and asked.get("dry_run") is not True:
        about = next((str(value) for value in asked.values() if isinstance(value, str)), "")
        reason = str(asked.get("reason", ""))
        workspace.team.did(
            f"operation:{name}", f"done: {about}" if about else "done", actor=user.name, reason=reason
        )
    return done


class _Brought:
    """A model's file as it was sent, for as long as it is read."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._asked, self._stack = asked, ExitStack()

    def __enter__(self) -> Any:
        source = self._asked.get("source")
        if self._asked.get("allow_pickle"):
            msg = "What runs code when it is read is not taken from elsewhere. Import it where the workspace is."
            raise UnsafeFormat(msg)
        if isinstance(source, str) and source.startswith(_ELSEWHERE):
            return source
        if not isinstance(source, dict) or not isinstance(source.get("data"), bytes):
            msg = "The source is no file that was sent. Expected {'name': 'model.onnx', 'data': its bytes}, or 'models:/name/1'."
            raise InvalidInput(msg, field="source")
        suffix = Path(str(source.get("name", ""))).suffix[:20]
        if not suffix[1:].isalnum():
            msg = f"The file is called {str(source.get('name'))[:100]!r}. Expected a name that says its format, as 'model.onnx'."
            raise InvalidInput(msg, field="source")
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="treadle-sent-"))
        path = Path(folder) / f"model{suffix}"
        path.write_bytes(source["data"])
        return path

    def __exit__(self, *_: object) -> None:
        self._stack.close()
