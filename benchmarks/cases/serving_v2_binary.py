"""The Open Inference Protocol with binary tensors against the plain route: CPU of a request of one row, 16 in flight."""

from __future__ import annotations

import arena

BODY, HEADERS = arena.v2_binary(1)

BENCHMARK = arena.in_protocol("binary", BODY, headers=HEADERS, share=0.8)
