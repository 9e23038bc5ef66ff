"""`treadle request`: ask for a training; the watcher makes it."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("request")
@click.argument("model")
@options.decision
@options.project
@options.as_json
def command(model: str, reason: str, by: str | None, project: Path | None, *, as_json: bool) -> None:
    """Ask for a training of MODEL. The next look of a watcher makes it, whether or not anything is new.

    Neither cool-down nor triggers hold it back; a budget does, and `treadle explain MODEL` says so.
    """
    with options.workspace(project) as workspace:
        asked = workspace.request(model, reason=reason, actor=by or options.user())
    if as_json:
        output.as_json(asked)
        return
    output.note(f"{asked.id}: {model} is trained at the next look of `treadle watch`.")
