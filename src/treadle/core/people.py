"""People who use a workspace together: their roles, each of which may do what the ones before it may, and what they show."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal, get_args

import msgspec

from treadle.core.records import Record

Role = Literal["viewer", "annotator", "operator", "admin"]
#: What a person may be in a project, from the least to the most: looks, judges rows, changes what answers, says who may.
ROLES: tuple[Role, ...] = get_args(Role)
#: Who acts on a machine of their own, where no users are.
SOMEBODY = "a person"


class Member(Record, frozen=True, kw_only=True):
    """Somebody who may use a workspace."""

    #: As audit entries call them, and as a login elsewhere does: often an address of e-mail.
    name: str
    role: Role
    since: datetime


class Pass(Record, frozen=True, kw_only=True):
    """A token of somebody, without what they show."""

    #: What people call it.
    name: str
    user: str
    #: What it allows: roles (it counts as no more than them) and operations, as `alerts.*`; none: all that its user may.
    scopes: tuple[str, ...] = ()
    created_at: datetime
    #: When it ends; None: never.
    expires_at: datetime | None = None


class Session(Record, frozen=True, kw_only=True):
    """A browser that is signed in."""

    user: str
    #: How: `token`, or `oidc`.
    by: str
    #: Digest of the token that was shown: the session ends with it; empty: none was.
    token: str = ""
    ends_at: datetime


class Event(Record, frozen=True, kw_only=True):
    """Something that was changed about people, or that somebody was refused."""

    id: str
    at: datetime
    #: Who was or wanted to be changed, as `user:ann`, or what was asked for, as `operation:promote`.
    subject: str
    what: str
    actor: str
    reason: str = ""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what they may do here."""

    #: What audit entries call them.
    name: str
    role: Role
    #: How they said who they are: `loopback`, `token`, `session` or `proxy`.
    by: str = "loopback"
    #: What their token allows; none: all that their role does.
    scopes: tuple[str, ...] = ()

    def may(self, role: Role, operation: str = "") -> bool:
        """Say whether they may do what needs a role, or a certain operation that needs it.

        >>> User(name="ann", role="operator").may("annotator")
        True
        >>> User(name="ann", role="admin", scopes=("viewer", "alerts.*")).may("operator", "alerts.silence")
        True
        """
        if ROLES.index(self.role) < ROLES.index(role):
            return False
        return not self.scopes or any(_allows(scope, role, operation) for scope in self.scopes)


def _allows(scope: str, role: Role, operation: str) -> bool:
    if scope in ROLES:
        return ROLES.index(scope) >= ROLES.index(role)
    return bool(operation) and fnmatchcase(operation, scope)
