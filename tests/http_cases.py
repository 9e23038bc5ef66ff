"""What tests of the team server share."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient

Open = Callable[..., TestClient]
BASE = "http://localhost:8500"


def csrf_of(text: str) -> str:
    """Return what a page's forms send."""
    return text.partition('name="csrf" value="')[2].partition('"')[0]
