"""CPU that the server spends on a request of one row, 1 in flight, with routing, log and metrics on."""

from __future__ import annotations

import arena

BENCHMARK = arena.single_row(1, floors=3.5)
