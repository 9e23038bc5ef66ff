"""The table of operations: what can be asked of a workspace over HTTP, and who may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from treadle.app.workspace import Workspace
from treadle.core.errors import Forbidden, not_found
from treadle.core.people import Role, User


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A method of the workspace, or of one of its services."""

    #: `promote` of the workspace itself, or `alerts.acknowledge` of a service.
    name: str
    #: What somebody must be to ask for it.
    role: Role


_TABLE: dict[str, Role] = {
    "promote": "operator",
    "approve": "operator",
    "reject": "operator",
    "request": "operator",
    "cancel": "operator",
    "retry": "operator",
    "readmit": "operator",
}


def operation(name: str) -> Operation:
    """Return one operation.

    Raises:
        NotFound: there is none of that name.
    """
    if name not in _TABLE:
        raise not_found("operation", name, _TABLE)
    return Operation(name=name, role=_TABLE[name])


def perform(workspace: Workspace, name: str, given: Mapping[str, Any], user: User) -> Any:
    """Do what somebody asks for; the actor is whoever asks.

    Raises:
        NotFound: there is no such operation.
        Forbidden: their role does not allow it.
    """
    found = operation(name)
    if not user.may(found.role):
        msg = f"{user.name} is {user.role} here. Expected {found.role} for {name}."
        raise Forbidden(msg)
    return getattr(workspace, name)(**given, actor=user.name)
