"""Patterns that choose files of a tree by name or by path."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from functools import cached_property

from treadle.core.errors import InvalidDeclaration

_DEEP = "**"


class Patterns:
    """Some patterns: `*.jpg` is about names, `raw/**/*.jpg` about paths; `*` stops at slashes and `**` does not.

    >>> Patterns(["raw/**/*.jpg"]).match("raw/2024/05/a.jpg"), Patterns(["*.jpg"]).match("raw/a.png")
    (True, False)

    Raises:
        InvalidDeclaration: a pattern is empty or leaves the folder.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [pattern.removesuffix("/") for pattern in patterns]
        for given, pattern in zip(patterns, self._patterns, strict=True):
            if not pattern or pattern.startswith("/") or {"..", ".", ""} & set(pattern.split("/")):
                msg = f"{given!r} is no pattern. Expected a name or a path below the folder, as '*.jpg' or 'raw/**'."
                raise InvalidDeclaration(msg)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def match(self, path: str) -> bool:
        """Return whether any pattern matches a path; its parts are separated by slashes."""
        if self._names.match(path.rpartition("/")[2]):
            return True
        parts = path.split("/")
        return any(_matches(pattern, parts) for pattern in self._paths)

    @cached_property
    def _names(self) -> re.Pattern[str]:
        names = [fnmatch.translate(pattern) for pattern in self._patterns if "/" not in pattern]
        return re.compile("|".join(names) or r"(?!)")

    @cached_property
    def _paths(self) -> list[list[re.Pattern[str] | None]]:
        return [
            [None if part == _DEEP else re.compile(fnmatch.translate(part)) for part in pattern.split("/")]
            for pattern in self._patterns
            if "/" in pattern
        ]


def _matches(pattern: Sequence[re.Pattern[str] | None], parts: Sequence[str]) -> bool:
    """Match part by part; None stands for any number of parts. Only the last such is tried again, which is enough."""
    at = here = 0
    again: tuple[int, int] | None = None
    while here < len(parts):
        wanted = pattern[at] if at < len(pattern) else None
        if at < len(pattern) and wanted is None:
            again = (at + 1, here)
            at += 1
        elif wanted is not None and wanted.match(parts[here]):
            at, here = at + 1, here + 1
        elif again is not None:
            again = (again[0], again[1] + 1)
            at, here = again
        else:
            return False
    return all(part is None for part in pattern[at:])
