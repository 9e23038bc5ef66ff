"""Tree: a folder of files of any kind, declared as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from treadle.core.errors import InvalidDeclaration
from treadle.data.tree.archive import ArchiveLimits, is_archive
from treadle.data.tree.patterns import Patterns


@dataclass(frozen=True)
class Tree:
    """A folder (images, audio, text, anything) whose states become numbered versions.

    `source` is relative to the project. `include` and `exclude` are patterns: one without a slash is about names
    (`"*.jpg"`), one with slashes about paths below the folder (`"raw/**/*.jpg"`); what is excluded is not looked into.
    With `link` the store shares the folder's files instead of copying them where it cannot clone them: quicker and
    without a second copy, but the files become read-only, and a program that runs as root and writes into one in place
    destroys the stored content too (it is noticed, and cannot be undone).

    A source whose name ends in `.zip`, `.tar`, `.tar.gz` or `.tgz` is an archive, and its files are the tree's; `limits` says
    how much it may hold.

    >>> Tree("photos", source="landing/photos", include=["*.jpg"]).name
    'photos'
    """

    name: str
    source: str
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    link: bool = False
    limits: ArchiveLimits | None = None

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
        self._check_packing(where)
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

    @property
    def is_packed(self) -> bool:
        """Whether the source is an archive."""
        return is_archive(self.source)

    def _check_packing(self, where: str) -> None:
        if self.link and self.is_packed:
            msg = f"{where}: link=True has no meaning for an archive, whose files are nowhere on a disk. Leave it out."
            raise InvalidDeclaration(msg, field="link")
        if self.limits is not None and not self.is_packed:
            msg = f"{where}: limits are those of an archive, and source is {self.source!r}. Leave them out."
            raise InvalidDeclaration(msg, field="limits")
