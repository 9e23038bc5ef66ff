"""Tree: a folder of files of any kind, declared as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from treadle.core.errors import InvalidDeclaration
from treadle.data.tree.patterns import Patterns


@dataclass(frozen=True)
class Tree:
    """A folder (images, audio, text, anything) whose states become numbered versions.

    `source` is relative to the project. `include` and `exclude` are patterns: one without a slash is about names
    (`"*.jpg"`), one with slashes about paths below the folder (`"raw/**/*.jpg"`); what is excluded is not looked into.
    With `link` the store shares the folder's files instead of copying them where it cannot clone them: quicker and
    without a second copy, but the files become read-only, and a program that runs as root and writes into one in place
    destroys the stored content too (it is noticed, and cannot be undone).

    >>> Tree("photos", source="landing/photos", include=["*.jpg"]).name
    'photos'
    """

    name: str
    source: str
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    link: bool = False

    def __post_init__(self) -> None:
        """Check what was declared."""
        where = f"Tree {self.name!r}"
        plain = self.name.replace("_", "").replace("-", "")
        if not plain.isalnum() or not plain.isascii():
            msg = f"{where}: a name holds ASCII letters, digits, '-' and '_' only."
            raise InvalidDeclaration(msg, field="name")
        if not self.source or "\0" in self.source:
            msg = f"{where}: source is {self.source!r}; expected a folder, as 'landing/photos'."
            raise InvalidDeclaration(msg, field="source")
        for field in ("include", "exclude"):
            given = getattr(self, field)
            if isinstance(given, str):
                msg = f"{where}: {field} is one text. Expected a list, as [{given!r}]."
                raise InvalidDeclaration(msg, field=field)
            try:
                Patterns(given)
            except InvalidDeclaration as error:
                msg = f"{where}: {field}: {error}"
                raise InvalidDeclaration(msg, field=field) from error
