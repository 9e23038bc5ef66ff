from __future__ import annotations

from treadle.core.clock import SystemClock
from treadle.serving.dataplane import Dataplane
from treadle.serving.form import page


def test_the_page_asks_for_a_token_as_soon_as_there_is_one():
    plane = Dataplane(dict, lambda _: None, clock=SystemClock())
    guarded = []
    docs = page.pages(secured=lambda: bool(guarded))["/docs"]

    before = docs(plane, None).body
    guarded.append("a token was made")
    after = docs(plane, None).body

    assert b"data-token" not in before
    assert b"data-token" in after
    assert b"No endpoint yet" not in after
