"""Fires when rows meet another contract than those that the last run has learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treadle.loop.facts import Facts, Finding


@dataclass(frozen=True)
class ContractChange:
    """Fire when the dataset's contract was changed since the last run, and rows have landed under the new one."""

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"trigger": "contract_change"}

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        before, now = facts.contract_at_last_run, facts.contract
        if not before or not now:
            return Finding(fires=False, reason="no run has read rows under a contract yet")
        if before == now:
            return Finding(fires=False, reason="the contract is that of the last run")
        return Finding(
            fires=True, reason=f"the contract changed since the last run, from {before[:8]} to {now[:8]}"
        )
