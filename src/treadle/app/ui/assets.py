"""Files that pages load: style sheet, scripts, and the drawing in the browser's tab; each with its digest in its address."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import treadle.app.card
import treadle.data.profiles.page
from treadle.app.ui import unstyled
from treadle.core.errors import not_found

_HERE = Path(__file__).parent / "static"
#: Sheets of the pages that stand alone come first: profiles, cards, searches and the dashboard have one look.
_SHEETS = tuple(
    Path(str(package.__file__)).with_name("page.css")
    for package in (treadle.data.profiles.page, treadle.app.card)
)
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
#: Files by the name that pages ask for.
_FILES = {
    "dashboard.css": (*_SHEETS, *sorted(_HERE.glob("*.css"))),
    "dashboard.js": (_HERE / "dashboard.js",),
    "idiomorph.min.js": (_HERE / "vendor" / "idiomorph.min.js",),
    "treadle.svg": (_HERE / "treadle.svg",),
}


@dataclass(frozen=True)
class Asset:
    """A file as it is sent."""

    content: bytes
    media_type: str
    digest: str


@cache
def asset(name: str) -> Asset:
    """Return a file.

    Raises:
        NotFound: there is none of that name.
    """
    if name not in _FILES:
        raise not_found("file", name, _FILES)
    content = b"\n".join(path.read_bytes() for path in _FILES[name])
    if name == "dashboard.css":
        content += b"\n" + unstyled.rules().encode()
    media_type = f"{_TYPES[Path(name).suffix]}; charset=utf-8"
    return Asset(content, media_type, hashlib.sha256(content).hexdigest()[:12])


def url(name: str) -> str:
    """Return the address of a file; it changes with the file, so that browsers may keep it for ever."""
    return f"/static/{name}?v={asset(name).digest}"
