"""Long lists on pages: one part of them, and the ways to the parts before and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from treadle.app.ui.page import Seen
from treadle.app.ui.parts import pager
from treadle.core.paging import Paged
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup

#: Rows of a part on a page, and of a list that is taken away.
ROWS, TAKEN = 50, 10_000
#: Parts that the way back remembers.
_BACK = 40
_FIRST = "-"


def ways(seen: Seen, part: Paged[Any], *, noun: str) -> Markup:
    """Return the way to newer and older rows; the address keeps the way that somebody has come, so that it leads back."""
    here = seen.query.get("after", "")
    back = [key for key in seen.query.get("back", "").split(",") if key]
    older = None
    if part.after:
        older = seen.link(after=part.after, back=",".join([*back, here or _FIRST][-_BACK:]))
    newer = None
    if here:
        last = back[-1] if back else _FIRST
        newer = seen.link(after=None if last == _FIRST else last, back=",".join(back[:-1]) or None)
    shown = words.plural(len(part.rows), noun)
    return pager(shown=shown if newer or older else f"all {shown}", newer=newer, older=older)


class Sheet:
    """A list that can be taken away as CSV; it is read when somebody asks for it."""

    def __init__(
        self, name: str, headings: Sequence[str], read: Callable[[], Sequence[Sequence[Any]]]
    ) -> None:
        self.name, self._headings, self._read = name, headings, read

    def rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return headings and rows as texts."""
        return self._headings, [["" if cell is None else str(cell) for cell in row] for row in self._read()]
