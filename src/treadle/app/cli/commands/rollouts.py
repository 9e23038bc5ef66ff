"""`treadle rollouts`: how versions get their traffic, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.core.rollout import RolloutState
    from treadle.loop.rolling import Standing
    from treadle.serving.plan import Rollout


@click.group("rollouts", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the rollouts, the newest first, or do something with one."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = workspace.rollouts.list()
    if as_json:
        output.as_json(found)
        return
    rows = [
        (r.endpoint, f"{r.challenger.model}/{r.challenger.version}", r.told(), r.started_at, r.id)
        for r in found
    ]
    output.table(["endpoint", "version", "state", "started", "rollout"], rows)


@command.command("show")
@click.argument("name")
@options.project
@options.as_json
def show(name: str, project: Path | None, *, as_json: bool) -> None:
    """Show a rollout: NAME is its id, or an endpoint whose newest one is meant."""
    with options.workspace(project) as workspace:
        state = workspace.rollouts.get(name)
        standing = workspace.rolling.standing(state) if state.open else None
    if as_json:
        output.as_json({"rollout": state, "now": standing})
        return
    _shown(state, standing)


@command.command("start")
@click.argument("version")
@click.option("--endpoint", help="The endpoint; by default the model's own.")
@click.option("--steps", help="Growing shares of the subjects, as 0.05,0.25,0.5; by default as declared.")
@click.option("--bake", help="How long a step lasts at least, as 10m.")
@click.option("--requests", type=int, help="Requests that the challenger must have had in each step.")
@click.option("--shadow", type=float, help="Share of the requests that it is first asked beside the answer.")
@click.option("--unguarded", is_flag=True, help="Without any guard: nothing will roll it back.")
@click.option("--expected", type=int, help="The endpoint's revision that you have looked at.")
@options.decision
@options.project
@options.as_json
def start(
    version: str,
    endpoint: str | None,
    reason: str,
    by: str | None,
    expected: int | None,
    project: Path | None,
    *,
    as_json: bool,
    **said: Any,
) -> None:
    """Begin to roll out VERSION (as delay/7 or delay@challenger), by the plan that its model declares."""
    with options.workspace(project) as workspace:
        state = workspace.rolling.start(
            version,
            _plan(workspace.rolling.plan(version), **said),
            endpoint=endpoint,
            reason=reason,
            actor=by or options.user(),
            expected=expected,
        )
    _told(state, as_json=as_json)


def _change(verb: str, words: str) -> None:
    method = verb.replace("-", "_")

    @command.command("rollback" if verb == "roll-back" else verb, help=words)
    @click.argument("name")
    @options.decision
    @options.project
    @options.as_json
    def change(name: str, reason: str, by: str | None, project: Path | None, *, as_json: bool) -> None:
        with options.workspace(project) as workspace:
            act = getattr(workspace.rolling, method)
            _told(act(name, reason=reason, actor=by or options.user()), as_json=as_json)


_change("pause", "Let a rollout (NAME: its id, or its endpoint) stay at its step; guards still roll it back.")
_change("resume", "Let a paused rollout (NAME: its id, or its endpoint) go on; its step begins anew.")
_change("promote", "Let the challenger of a rollout (NAME: its id, or its endpoint) answer everybody now.")
_change("roll-back", "Let everybody be answered as before a rollout (NAME: its id, or its endpoint).")


def _plan(
    declared: Rollout,
    *,
    steps: str | None,
    bake: str | None,
    requests: int | None,
    shadow: float | None,
    unguarded: bool,
) -> Rollout:
    from dataclasses import replace

    from treadle.core.errors import InvalidInput

    try:
        shares = None if steps is None else [float(share) for share in steps.split(",") if share.strip()]
    except ValueError as error:
        msg = f"--steps {steps!r} is no list of shares. Expected for example 0.05,0.25,0.5."
        raise InvalidInput(msg, field="steps") from error
    given = {"steps": shares, "bake": bake, "requests": requests, "shadow": shadow}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if unguarded:
        changes["guards"] = ()
    return replace(declared, **changes)


def _told(state: RolloutState, *, as_json: bool) -> None:
    if as_json:
        output.as_json(state)
        return
    version = f"{state.challenger.model}/{state.challenger.version}"
    click.echo(f"rollout {state.id} of {version} at endpoint {state.endpoint}: {state.told()}")
    if state.open and not state.guards:
        output.note("UNGUARDED: no guard watches this rollout; nothing will roll it back but you.")


def _shown(state: RolloutState, standing: Standing | None) -> None:
    _told(state, as_json=False)
    if standing is not None:
        click.echo(f"next: {standing.due or 'nothing, as it ' + standing.reason}")
        click.echo()
        rows = [
            (name, t.requests, t.failed, t.dropped)
            for name, t in (
                (state.primary.name, standing.primary),
                (state.challenger.name, standing.challenger),
            )
        ]
        output.table(["in this step", "requests", "failed", "dropped"], rows)
        click.echo()
        output.table(["guard", "says", "why"], [(v.guard, v.status, v.reason) for v in standing.verdicts])
    click.echo()
    output.table(
        ["at", "what", "step", "revision", "by", "why"],
        [(c.at, c.what, c.stage + 1, c.revision, c.actor, c.reason) for c in state.history],
    )
