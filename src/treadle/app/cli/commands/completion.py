"""`treadle completion`: print the script that completes commands in your shell."""

from __future__ import annotations

import click

from treadle.core.errors import InvalidInput, closest


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a completion script. For bash, put this into ~/.bashrc: eval "$(treadle completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        msg = f"No completion for {shell!r}. {closest(shell, ['bash', 'zsh', 'fish'])}"
        raise InvalidInput(msg, field="shell")
    click.echo(kind(context.find_root().command, {}, "treadle", "_TREADLE_COMPLETE").source())
