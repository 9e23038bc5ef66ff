"""The examples of the room's page run, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "rooms" / "evaluation.md"


def test_the_examples_of_the_page_run():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names = {}

    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)

    assert len(blocks) >= 8
    assert names["blend"].weights["ours"] > 0.5
    assert names["review"].then == "review"
