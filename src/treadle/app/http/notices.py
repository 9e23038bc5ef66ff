"""What a form came to, told once on the page that the browser is led back to; kept here, for an address would tell others."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

#: Browsers whose last notice is kept.
_MOST = 1_000


class Notices:
    """The last notice of each browser."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, bool]] = OrderedDict()
        self._lock = Lock()

    def leave(self, browser: str, text: str, *, went_well: bool) -> None:
        """Keep a notice for a browser's next page."""
        with self._lock:
            self._kept[browser] = (text, went_well)
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)

    def take(self, browser: str) -> tuple[str, bool]:
        """Return a browser's notice, and whether it is a good one; it is told once."""
        with self._lock:
            return self._kept.pop(browser, ("", True))
