"""How a model version is named: `delay/3`, `delay@champion`, `delay`, and the same after `models:/`."""

from __future__ import annotations

import re

import msgspec

from treadle.core.errors import InvalidInput

_PREFIX = "models:/"
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REFERENCE = re.compile(rf"(?P<model>{_NAME})(?:/(?P<version>[1-9][0-9]{{0,8}})|@(?P<alias>{_NAME}))?")
DEFAULT_ALIAS = "champion"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A model with either a version or an alias."""

    model: str
    version: int | None = None
    alias: str | None = None


def parse(text: str) -> Reference:
    """Read a reference; a name alone means the champion.

    >>> parse("models:/delay@challenger")
    Reference(model='delay', version=None, alias='challenger')

    Raises:
        InvalidInput: the text is no reference.
    """
    found = _REFERENCE.fullmatch(text.removeprefix(_PREFIX))
    if not found:
        msg = f"{text!r} names no model version. Expected 'delay/3', 'delay@champion' or 'delay' (its champion)."
        raise InvalidInput(msg)
    if found["version"]:
        return Reference(model=found["model"], version=int(found["version"]))
    return Reference(model=found["model"], alias=found["alias"] or DEFAULT_ALIAS)


def check_name(name: str, *, noun: str) -> str:
    """Return a name that references can use.

    Raises:
        InvalidInput: they cannot.
    """
    if not re.fullmatch(_NAME, name) or len(name) > 100:
        msg = f"{name!r} is not a {noun}'s name. Expected letters, digits, '_', '-' and '.', at most 100."
        raise InvalidInput(msg, field=noun)
    return name
