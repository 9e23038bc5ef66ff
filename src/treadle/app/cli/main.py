"""The command line: finds its commands among the files of `commands/`, one file a command."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from pathlib import Path

import click

from treadle.app.cli.exits import INTERRUPTED, exit_code
from treadle.core import errors

_COMMANDS = "treadle.app.cli.commands"


class Commands(click.Group):
    """A group whose commands are modules; only the one that is asked for does any work."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Return the names of the commands, in order of the alphabet."""
        places = [str(Path(__file__).parent / "commands")]
        return sorted(found.name for found in pkgutil.iter_modules(places))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, or None when there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{_COMMANDS}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with the first line of each one's file, which costs no import."""
        rows = [(name, _about(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is told with the nearest known one."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            ctx.fail(f"No command {args[0]!r}. {errors.closest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def _about(name: str) -> str:
    """Return what a command's file says of it: the first line, behind the command's name."""
    text = (Path(__file__).parent / "commands" / f"{name}.py").read_text(encoding="utf-8")
    first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    about = first.removeprefix(f"`treadle {name}`: ")
    return about[:1].upper() + about[1:]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="treadle", message="%(prog)s %(version)s")
def treadle() -> None:
    """Keep machine-learning models fresh in production.

    Start in an empty folder with `treadle init`.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors raised on purpose are one line on stderr, never a traceback."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = treadle.main(args=given, prog_name="treadle", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo(
            "\nInterrupted. Nothing is lost: the same command goes on where this one stopped.", err=True
        )
        sys.exit(INTERRUPTED)
    except errors.TreadleError as error:
        from treadle.app.cli import output

        output.failure(error, as_json="--json" in given)
        sys.exit(exit_code(error))
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
