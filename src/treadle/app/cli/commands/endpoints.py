"""`treadle endpoints`: who answers, and how that changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treadle.app.cli import options, output
from treadle.core.errors import InvalidInput

if TYPE_CHECKING:
    from treadle.core.records import Revision


@click.group("endpoints", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the endpoints, or do something with one."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = [workspace.endpoints.get(name) for name in workspace.endpoints.names()]
    if as_json:
        output.as_json(found)
        return
    rows = [(r.endpoint, r.revision, _answers(r)) for r in found]
    output.table(["endpoint", "revision", "answers with"], rows)


@command.command("show")
@click.argument("name")
@options.project
@options.as_json
def show(name: str, project: Path | None, *, as_json: bool) -> None:
    """List the revisions of the endpoint NAME, and what its servers have loaded."""
    with options.workspace(project) as workspace:
        revisions = workspace.endpoints.revisions(name)
        servers = workspace.endpoints.states(name)
        rollout = next(iter(workspace.rollouts.list(name, open_only=True)), None)
    if as_json:
        output.as_json({"revisions": revisions, "servers": servers, "rollout": rollout})
        return
    rows = [
        (
            r.revision,
            r.created_at,
            _answers(r),
            r.actor,
            r.reason,
        )
        for r in revisions
    ]
    output.table(["revision", "at", "answers with", "by", "why"], rows)
    click.echo()
    output.table(
        ["server", "revision", "refused", "why", "at"],
        [(s.server, s.revision, s.refused, s.error, s.at) for s in servers],
    )
    if rollout is not None:
        click.echo(f"\nrollout of {rollout.challenger.model}/{rollout.challenger.version}: {rollout.told()}")


@command.command("set")
@click.argument("name")
@click.argument("versions", nargs=-1)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A plan as TOML, or JSON (.json): variants, traffic, holdout.",
)
@click.option("--traffic", default="split", show_default=True, help="split, bandit, ensemble or cascade.")
@click.option(
    "--option", "given", multiple=True, help="A field of the traffic, as floor=0.05; may be repeated."
)
@click.option(
    "--holdout",
    type=float,
    help="Share of the subjects that stay with the first variant; as before without it.",
)
@click.option("--expected", type=int, help="Refuse if the endpoint is at another revision.")
@options.reason
@options.project
@options.as_json
def set_(
    name: str,
    versions: tuple[str, ...],
    file: Path | None,
    reason: str,
    project: Path | None,
    expected: int | None,
    *,
    as_json: bool,
    **said: Any,
) -> None:
    """Let the endpoint NAME answer with one of VERSIONS (as delay/3 or delay@champion), or with several; a new endpoint is made.

    Several are named, each maybe with its weight or as a shadow: champion=delay/3 challenger=delay/4:0.1 next=delay/5:shadow=0.5
    """
    from treadle.app.sharing import plan_of, plan_of_words

    if file is not None and said != _NOTHING_SAID:
        msg = "A plan by --file says traffic and holdout itself. Leave out --traffic, --option and --holdout."
        raise InvalidInput(msg, field="file")
    if (file is None) == (not versions):
        msg = "Expected versions, as champion=delay/3 challenger=delay/4:0.1, or a plan by --file, and not both."
        raise InvalidInput(msg, field="versions")
    is_one = len(versions) == 1 and "=" not in versions[0] and said == _NOTHING_SAID and expected is None
    with options.workspace(project) as workspace:
        if is_one:
            revision = workspace.point(name, versions[0], reason=reason)
        else:
            plan = (
                plan_of(file)
                if file
                else plan_of_words(
                    versions, traffic=said["traffic"], options=said["given"], holdout=said["holdout"]
                )
            )
            revision = workspace.revise(name, plan, reason=reason, actor=options.user(), expected=expected)
    if as_json:
        output.as_json(revision)
    else:
        click.echo(f"endpoint {name} is at revision {revision.revision}: {_answers(revision)}")


_NOTHING_SAID = {"traffic": "split", "given": (), "holdout": None}


def _answers(revision: Revision) -> str:
    shares = [
        f"{v.model}/{v.version} {f'shadow {v.shadow:.0%}' if v.shadow else f'{v.weight:.0%}'}"
        for v in revision.variants
    ]
    traffic = type(revision.traffic).__name__.lower()
    kind = "" if traffic == "split" else f"{traffic} of "
    return kind + ", ".join(shares) + (f" (holdout {revision.holdout:.0%})" if revision.holdout else "")
