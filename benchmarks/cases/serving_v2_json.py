"""The Open Inference Protocol in JSON against the plain route: CPU of a request of one row, 16 in flight."""

from __future__ import annotations

import arena

BENCHMARK = arena.in_protocol(
    "JSON", arena.v2_body(1), headers={"content-type": "application/json"}, share=0.6
)
