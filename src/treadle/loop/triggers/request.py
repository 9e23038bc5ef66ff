"""Fires when somebody has asked for a training: at the command line, from Python, or over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treadle.loop.facts import Facts, Finding


@dataclass(frozen=True)
class Request:
    """Fire when somebody asks, as by `treadle request delay --reason "new price list"`. Every policy has it without being told."""

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"trigger": "request"}

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        if not facts.requests:
            return Finding(fires=False, reason="nobody asked")
        first = facts.requests[0]
        more = f" (and {len(facts.requests) - 1} more)" if len(facts.requests) > 1 else ""
        return Finding(fires=True, reason=f"asked for by {first.actor}: {first.reason}{more}")
