from __future__ import annotations

from treadle.core.clock import SystemClock
from treadle.serving.dataplane import Dataplane
from treadle.serving.form import page
from treadle.serving.web import Request


def test_the_page_asks_for_a_token_as_soon_as_there_is_one():
    plane = Dataplane(dict, lambda _: None, clock=SystemClock())
    guarded = []
    docs = page.pages(secured=lambda: bool(guarded))["/docs"]

    asked = Request(method="GET", path="/docs", headers={}, received=0.0)
    before = docs(plane, asked).body
    guarded.append("a token was made")
    after = docs(plane, asked).body

    assert b"data-token" not in before
    assert b"data-token" in after
    assert b"No endpoint yet" not in after
