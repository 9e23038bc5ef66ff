"""What a split of 90 to 10 costs whose subjects keep their variant, against one variant: CPU of a row, 64 in flight."""

from __future__ import annotations

import json

import arena
import project
import treadle as td
from harness import Benchmark, Reading
from treadle.core.records import Variant

BODY = json.dumps({"rows": [project.ROW], "subject": "customer-7"}).encode()


def _asked(given: arena.Arena, name: str) -> Reading:
    server = given.ours(name, before=_split if name == "split" else None)
    return arena.reading(server.drive(arena.PATH, BODY, requests=given.requests(64), concurrency=64))


def _split(root: object) -> None:
    """Let a second variant with the same version have a tenth of the subjects."""
    with td.open(root) as workspace:
        shares = [("champion", 0.9), ("challenger", 0.1)]
        variants = [Variant(name=name, model="late", version=1, weight=weight) for name, weight in shares]
        workspace.endpoints.revise(
            "late", variants, actor="benchmark", reason="to be measured", expected=None
        )


BENCHMARK = Benchmark(
    title="server CPU of one row, 64 in flight, with a sticky split against one variant",
    unit="ms of CPU",
    prepare=arena.prepare,
    ours=lambda given: _asked(given, "split"),
    floor=lambda given: _asked(given, "whole"),
    floors=1.03,
    rounds=5,
)
