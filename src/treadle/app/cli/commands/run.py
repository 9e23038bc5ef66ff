"""`treadle run`: one turn of the loop, now."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


@click.command("run")
@click.argument("models", nargs=-1)
@click.option("--if-due", is_flag=True, help="Only where the policy says that the model is due.")
@click.option("--force", is_flag=True, help="Train also when nothing is new.")
@options.reason
@options.project
@options.as_json
def command(
    models: tuple[str, ...], reason: str, project: Path | None, *, if_due: bool, force: bool, as_json: bool
) -> None:
    """Ingest, train, judge and release the MODELS, or all of them. A killed run goes on where it stopped.

    On SIGTERM trainings that save checkpoints have 25 seconds to save their state.
    """
    # Who announces the end so wants work to be saved: an engine gives its trainings the time for that.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with options.workspace(project) as workspace:
        names = models or tuple(workspace.project.models)
        if not names:
            output.note("The project declares no model. Add one to the project file with @td.model(...).")
        done = [_turn(workspace, name, reason=reason, if_due=if_due, force=force) for name in names]
    if as_json:
        output.as_json(done)
        return
    for found in done:
        _print(found)


def _turn(workspace: Workspace, name: str, *, reason: str, if_due: bool, force: bool) -> dict[str, Any]:
    if if_due:
        look = workspace.run_if_due(name)
        turn, said = look.turn, look.decision.reason if look.decision else ""
    else:
        turn, said = workspace.run(name, reason=reason, force=force), reason
    if turn is None:
        return {"model": name, "due": False, "reason": said}
    return {
        "model": name,
        "due": True,
        "reason": said,
        "run": turn.run,
        "unchanged": turn.unchanged,
        "verdicts": turn.verdicts,
        "outcome": turn.outcome,
    }


def _print(found: dict[str, Any]) -> None:
    name = found["model"]
    if not found["due"]:
        click.echo(f"{name}: not due – {found['reason']}")
        return
    if found["unchanged"]:
        click.echo(f"{name}: nothing is new since {found['run'].id}; {found['outcome']}")
        return
    for verdict in found["verdicts"]:
        mark = click.style("pass", fg="green") if verdict.passed else click.style("FAIL", fg="red")
        click.echo(f"{name}: {mark} {verdict.gate}: {verdict.reason}")
    click.echo(f"{name}: {found['outcome']}")
