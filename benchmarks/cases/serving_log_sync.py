"""What a log that is on the disk before the answer costs, against one that is flushed twice a second."""

from __future__ import annotations

import arena

BENCHMARK = arena.against(
    "wall time of one row, 64 in flight, log sync against async",
    ours={"durability": "sync"},
    floor={},
    floors=1 / 0.7,
)
