"""`treadle alerts`: what a person should know, and who has taken it on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output
from treadle.core.clock import parse_span, utc
from treadle.core.errors import InvalidInput

if TYPE_CHECKING:
    from treadle.core.alert import Alert, Silence
    from treadle.monitoring.outbox import Waiting


@click.group("alerts", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the open alerts with what silences them and what waits to be sent, or do something about them."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        alerts = workspace.alerts.open()
        silences, waiting = workspace.alerts.silences(), workspace.alerts.waiting()
    if as_json:
        output.as_json({"alerts": alerts, "silences": silences, "waiting": waiting})
        return
    _print(alerts, silences, waiting)


@command.command("list")
@click.option("--rule", help="Only of this rule.")
@click.option("--subject", help="Only about this subject, as model:delay.")
@click.option("--limit", default=100, show_default=True, help="How many at most.")
@options.project
@options.as_json
def history(
    rule: str | None, subject: str | None, limit: int, project: Path | None, *, as_json: bool
) -> None:
    """List open and resolved alerts, newest first."""
    with options.workspace(project) as workspace:
        found = workspace.alerts.history(rule=rule, subject=subject, limit=limit)
    if as_json:
        output.as_json(found)
        return
    output.table(
        ["alert", "severity", "rule", "subject", "since", "until", "told", "taken on by"],
        [
            (
                alert.id,
                alert.severity,
                alert.rule,
                alert.subject,
                alert.at,
                alert.resolved_at,
                alert.told_at,
                alert.acknowledged.actor if alert.acknowledged else None,
            )
            for alert in found
        ],
    )


@command.command("ack")
@click.argument("alert")
@options.decision
@options.project
@options.as_json
def acknowledge(alert: str, reason: str, by: str | None, project: Path | None, *, as_json: bool) -> None:
    """Take the open ALERT (its id) on, so that it is not told again; its end still is.

    Example: treadle alerts ack alert_01k… --reason "the upstream job is being repaired"
    """
    with options.workspace(project) as workspace:
        done = workspace.alerts.acknowledge(alert, actor=by or options.user(), reason=reason)
    if as_json:
        output.as_json(done)
    else:
        assert done.acknowledged is not None
        click.echo(output.plain(f"{done.rule} on {done.subject} is taken on by {done.acknowledged.actor}"))


@command.command("silence")
@click.option("--rule", default="*", show_default=True, help="Pattern of rules, as stale-*.")
@click.option("--subject", default="*", show_default=True, help="Pattern of subjects, as model:delay.")
@click.option("--until", required=True, help="How long, as 2h, or until when, as 2026-11-30T08:00.")
@options.decision
@options.project
@options.as_json
def silence(
    rule: str,
    subject: str,
    until: str,
    reason: str,
    by: str | None,
    project: Path | None,
    *,
    as_json: bool,
) -> None:
    """Let nobody be told of some alerts for a time; they are kept, and told afterwards if they still hold.

    Example: treadle alerts silence --subject "model:delay" --until 2h --reason "the airport moves"
    """
    end = _end(until)
    with options.workspace(project) as workspace:
        done = workspace.alerts.silence(
            rule=rule, subject=subject, until=end, actor=by or options.user(), reason=reason
        )
    if as_json:
        output.as_json(done)
    else:
        click.echo(
            f"{done.id}: nobody is told of {done.rule} on {done.subject} until {done.until:%Y-%m-%d %H:%M} UTC"
        )


@command.command("unsilence")
@click.argument("silence")
@options.project
@options.as_json
def unsilence(silence: str, project: Path | None, *, as_json: bool) -> None:
    """End the SILENCE (its id) before its time; what still holds is told."""
    with options.workspace(project) as workspace:
        done = workspace.alerts.unsilence(silence)
    if as_json:
        output.as_json(done)
    else:
        click.echo(f"{done.id} is over")


@command.command("test")
@click.argument("channel")
@options.project
@options.as_json
def test(channel: str, project: Path | None, *, as_json: bool) -> None:
    """Send a message through CHANNEL (its name in treadle.toml) now, and say whether it was taken."""
    with options.workspace(project) as workspace:
        done = workspace.alerts.test(channel)
    if as_json:
        output.as_json(done)
    else:
        click.echo(f"channel {channel} took {done.id}")


#: A thousand years: so long after now there are moments.
_LONGEST = timedelta(days=365_000)


def _end(text: str) -> datetime | timedelta:
    """Return a span, or a moment.

    Raises:
        InvalidInput: it is neither.
    """
    with suppress(InvalidInput):
        span = parse_span(text)
        if span < _LONGEST:
            return span
    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        msg = f"--until {text!r} is neither a span, as 2h or 1d12h, nor a moment, as 2026-11-30T08:00."
        raise InvalidInput(msg, field="until") from error


def _print(alerts: Sequence[Alert], silences: Sequence[Silence], waiting: Sequence[Waiting]) -> None:
    for alert in alerts:
        click.secho(output.plain(f"{alert.severity} {alert.rule} on {alert.subject}: {alert.text}"), fg="red")
        told = f"told {alert.told_at:%Y-%m-%d %H:%M}" if alert.told_at else "not told"
        click.echo(f"  {alert.id}, since {alert.at:%Y-%m-%d %H:%M}, {told}")
        if alert.acknowledged:
            taken = alert.acknowledged
            click.echo(output.plain(f"  taken on by {taken.actor}: {taken.reason}"))
    if not alerts:
        click.echo("no open alerts")
    for one in silences:
        text = f"silenced until {one.until:%Y-%m-%d %H:%M}: {one.rule} on {one.subject}, by {one.actor}: {one.reason} ({one.id})"
        click.echo(output.plain(text))
    for row in waiting:
        why = row.problem or ("it was not tried yet" if not row.tries else "it is being sent")
        text = f"waits for {row.channel} since {row.at:%Y-%m-%d %H:%M}: {row.rule} on {row.subject}; {why}"
        click.secho(output.plain(text), fg="yellow")
