"""People who use a workspace together: their roles, each of which may do what the ones before it may."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Role = Literal["viewer", "annotator", "operator", "admin"]
#: What a person may be in a project, from the least to the most: looks, judges rows, changes what answers, says who may.
ROLES: tuple[Role, ...] = get_args(Role)
#: Who acts on a machine of their own, where no users are.
SOMEBODY = "a person"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what they may do here."""

    #: What audit entries call them.
    name: str
    role: Role
    #: How they said who they are: `loopback`, `session`, `token` or `proxy`.
    by: str = "loopback"

    def may(self, role: Role) -> bool:
        """Say whether they may do what needs a role.

        >>> User(name="ann", role="operator").may("annotator")
        True
        """
        return ROLES.index(self.role) >= ROLES.index(role)
