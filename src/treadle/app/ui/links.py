"""Links to the pages of things, by their names."""

from __future__ import annotations

from treadle.app.ui.page import address
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element


def run(name: str, *, shown: str = "") -> Markup:
    """Return a link to a run."""
    return _link(shown or name, address("runs", name))


def model(name: str) -> Markup:
    """Return a link to a model."""
    return _link(name, address("models", name))


def version(model: str, number: int) -> Markup:
    """Return a link to a model version."""
    return _link(f"{model}/{number}", address("models", model, str(number)))


def dataset(name: str) -> Markup:
    """Return a link to a dataset."""
    return _link(name, address("data", name))


def dataset_version(name: str, number: int, *, shown: str = "") -> Markup:
    """Return a link to a dataset version."""
    return _link(shown or f"{name}/{number}", address("data", name, str(number)))


def view(name: str) -> Markup:
    """Return a link to a feature view."""
    return _link(name, address("features", name))


def endpoint(name: str) -> Markup:
    """Return a link to an endpoint."""
    return _link(name, address("endpoints", name))


def _link(text: str, where: str) -> Markup:
    return element("a", element("bdi", words.shown(text)), href=where)
