"""The command line: finds its commands among the files of `commands/`, one file a command."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import click

from treadle.core import errors

_COMMANDS = "treadle.app.cli.commands"

#: Exit codes by error; anything else that Treadle raises on purpose is 1.
EXIT_CODES: dict[type[errors.TreadleError], int] = {
    errors.InvalidInput: 2,
    errors.SettingsError: 2,
    errors.NotFound: 3,
    errors.RunFailed: 4,
    errors.StoreUnavailable: 5,
    errors.Conflict: 6,
}
INTERRUPTED = 130


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is told with the nearest known one."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            ctx.fail(f"No command {args[0]!r}. {errors.closest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="treadle", message="%(prog)s %(version)s")
def treadle() -> None:
    """Keep machine-learning models fresh in production.

    Start in an empty folder with `treadle init`.
    """


def exit_code(error: errors.TreadleError) -> int:
    """Return the exit code of the nearest class in the table."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)


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
