"""Overview: every model at a glance."""

from __future__ import annotations

from treadle.app.ui.page import Page, Seen
from treadle.data.profiles.page.markup import Markup, element


def make(seen: Seen) -> Markup:
    """Return the names of the models."""
    names = sorted(seen.workspace.project.models)
    if not names:
        return element("p", "No model is declared yet. Declare one in project.py, or type: treadle init")
    return element("ul", *(element("li", name) for name in names))


PAGE = Page(path="/", title="Overview", nav="Overview", order=0, make=make)
