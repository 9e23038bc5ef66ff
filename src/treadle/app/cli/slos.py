"""How promises are shown: a line each, and below it what a person should know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from treadle.app.cli import output

if TYPE_CHECKING:
    from treadle.loop.promises import Standing

_COLOURS = {"kept": "green", "burning": "red", "spent": "red", "unknown": "yellow"}


def shown(standings: Sequence[Standing], *, windows: bool = False) -> None:
    """Print how promises stand; with `windows`, also how fast their budgets burn."""
    for one in standings:
        state = click.style(one.state, fg=_COLOURS[one.state])
        good = "nothing measured yet" if one.good is None else f"{one.good:.3%} of {_amount(one)}"
        left = "" if one.budget_left is None else f", {one.budget_left:.1%} of its budget left"
        click.echo(
            f"slo {one.slo}: {state}; {good}{left} ({one.objective:.3%} over {one.period}: {one.said})"
        )
        if windows and one.burns:
            click.echo(
                "  burns " + ", ".join(f"{rate:.2f}× in {window}" for window, rate in one.burns.items())
            )
        if windows and one.value is not None:
            low, high = (("?" if end is None else f"{end:.4g}") for end in (one.low, one.high))
            click.echo(f"  {one.value:.4g} ({low} to {high}) over {one.rows:,} outcomes")
        output.warnings(one.notes, of="  ")


def _amount(one: Standing) -> str:
    if one.kind in {"availability", "latency"}:
        return f"{one.measured:,.0f} requests"
    return f"{output.span(one.measured)}"
