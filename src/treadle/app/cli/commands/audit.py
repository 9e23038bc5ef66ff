"""`treadle audit`: every change, with who made it and why."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from treadle.app.cli import options, output
from treadle.core.clock import utc


@click.command("audit")
@click.option(
    "--kind",
    default="",
    help="Only changes of a kind: alert, alias, approval, data, request, revision, rollout, run, silence, tag.",
)
@click.option(
    "--subject", default="", help="Only changes of what has this in its name, as delay or endpoint:delay."
)
@click.option("--by", "actor", default="", help="Only changes by whom has this in the name.")
@click.option("--since", type=click.DateTime(), help="Only changes from this moment on (UTC).")
@click.option("--until", type=click.DateTime(), help="Only changes before this moment (UTC).")
@click.option("--limit", default=1000, show_default=True, help="The newest so many.")
@click.option(
    "--after", default="", help="Go on behind the changes of an earlier list, which ends with this key."
)
@options.project
@options.as_json
def command(
    kind: str,
    subject: str,
    actor: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    after: str,
    project: Path | None,
    *,
    as_json: bool,
) -> None:
    """Tell every change of aliases, endpoints, rollouts, approvals, data and alerts, the newest first."""
    with options.workspace(project) as workspace:
        part = workspace.audit_page(
            kind=kind,
            subject=subject,
            actor=actor,
            since=utc(since) if since else None,
            until=utc(until) if until else None,
            after=after,
            limit=limit,
        )
    found = part.rows
    if as_json:
        output.as_json(found)
        return
    rows = [
        (f"{one.at:%Y-%m-%d %H:%M:%S}", one.kind, one.subject, one.what, one.actor, output.plain(one.reason))
        for one in found
    ]
    output.table(["at (UTC)", "kind", "subject", "what", "by", "why"], rows)
    if part.after:
        output.note(f"There are more: --after {part.after}")
