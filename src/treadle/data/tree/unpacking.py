"""Unpacking: what an archive holds, as a survey of a folder would say it. It is looked through to its end before a byte is stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import accumulate
from typing import BinaryIO

from treadle.core.errors import SourceUnreadable
from treadle.core.progress import Progress
from treadle.data.tree import archive as archives
from treadle.data.tree.archive import ArchiveLimits
from treadle.data.tree.declaration import Tree
from treadle.data.tree.intake import Intake
from treadle.data.tree.patterns import Patterns
from treadle.data.tree.scan import Listing, Stamp, is_passed_over
from treadle.data.tree.stat_cache import Row, settled
from treadle.data.tree.survey import Found, Known, Survey
from treadle.store.objects.contents import Contents

#: Moments of a member: what they say is not looked at.
_NEVER = -1


class Unpacking(Survey):
    """One look at an archive."""

    def __init__(
        self, tree: Tree, listing: Listing, known: Known, contents: Contents, *, progress: Progress
    ) -> None:
        """Take the declaration besides what every survey takes."""
        super().__init__(listing, known, contents, progress=progress)
        self._limits, self._is_chosen = tree.limits or ArchiveLimits(), _choosing(tree)

    @property
    def count(self) -> int:
        """How many files there are, as far as that was known before."""
        return len(self.known.cache.rows) if self.known.cache else 0

    def quick(self) -> bool:
        """Return whether it is certain, without opening the archive, that nothing differs."""
        cache = self.known.cache
        return cache is not None and self.known.is_cached and cache.archive == self.listing.archive

    def look(self, *, rehash: bool = False, link: bool = False, store: bool = True) -> Found:  # noqa: ARG002
        """Read the archive, and return what it holds.

        Raises:
            SourceUnreadable: it is refused; nothing was stored.
        """
        self._held = set() if rehash else self._known_contents()
        place = self.listing.root
        self._progress.step(f"look through {place}")
        with archives.opened(place) as file:
            found = Found(rows=dict(self._rows(file, self._intake(None))))
            fresh = {path for path, row in found.rows.items() if row.digest not in self._held}
            if store and fresh:
                self._progress.step(f"store {len(fresh):,} files of {place}")
                intake = self._intake(self._contents)
                if any(row != found.rows[path] for path, row in self._rows(file, intake, only=fresh)):
                    msg = f"The archive {place} is refused: it changes while it is read."
                    raise SourceUnreadable(msg)
                found.stored = intake.stored
        return found

    @property
    def _archive(self) -> Stamp | None:
        archive = self.listing.archive
        return settled(archive, before=self._before) if archive else None

    def _intake(self, contents: Contents | None) -> Intake:
        return Intake(contents, held=self._held, before=self._before, link=False, workers=1)

    def _rows(
        self, file: BinaryIO, intake: Intake, *, only: Collection[str] | None = None
    ) -> Iterator[tuple[str, Row]]:
        for member, read in archives.files(file, self.listing.root, self._limits):
            path = member.path
            if self._is_chosen(path) and (only is None or path in only):
                stamp = (member.size, _NEVER, _NEVER, 0, member.executable)
                yield path, Row(stamp, *intake.stream(read, member.size))


def _choosing(tree: Tree) -> Callable[[str], bool]:
    """Return the test that a path in an archive is a file of the tree, as it would be in a folder."""
    include, exclude = Patterns(tree.include), Patterns(tree.exclude)

    def is_chosen(path: str) -> bool:
        parts = path.split("/")
        if is_passed_over(parts[-1]) or (include and not include.match(path)):
            return False
        return not exclude or not any(map(exclude.match, accumulate(parts, "{}/{}".format)))

    return is_chosen
