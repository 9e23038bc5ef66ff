"""What commands print: tables and sentences for people, one JSON document for programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from treadle.core.clock import span_text
from treadle.core.errors import InvalidInput, RunFailed, TreadleError

#: Warnings that are printed before the rest is only counted.
MOST_WARNINGS = 20
#: Control characters but for tab and line feed.
_COMMANDING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def as_json(value: Any) -> None:
    """Print a value as one indented JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under headings; numbers are set to the right."""
    cells = [[_text(value) for value in row] for row in rows]
    numeric = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(headings))]
    widths = [
        max(len(heading), *(len(row[i]) for row in cells)) if cells else len(heading)
        for i, heading in enumerate(headings)
    ]
    for index, row in enumerate([list(headings), *cells]):
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        line = "  ".join(padded).rstrip()
        click.echo(click.style(line, bold=True) if index == 0 else line)


def failure(error: TreadleError, *, as_json: bool) -> None:
    """Tell an error: a line on stderr, or a JSON object on stdout for programs."""
    if as_json:
        found = {"type": type(error).__name__, "message": str(error)}
        if isinstance(error, InvalidInput) and error.field:
            found["field"] = error.field
        if isinstance(error, RunFailed) and error.run:
            found["run"] = error.run
        click.echo(msgspec.json.encode({"error": found}).decode())
        return
    click.echo(f"{click.style('error:', fg='red', bold=True)} {plain(str(error))}", err=True)
    if isinstance(error, RunFailed) and error.run:
        note(f"Traceback and log: treadle runs show {error.run}, treadle runs log {error.run}")


def plain(text: str) -> str:
    """Return a text in which nothing commands the terminal: what came with data or from user code may."""
    return _COMMANDING.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def note(text: str) -> None:
    """Print a line beside the result, on stderr, so that `--json` stays one document."""
    click.echo(plain(text), err=True)


def warnings(texts: Sequence[str], *, of: str = "") -> None:
    """Print what a person should know, a line each; of very many only the first ones and how many there are."""
    for text in texts[:MOST_WARNINGS]:
        click.secho(plain(f"{of}{text}"), fg="yellow")
    if len(texts) > MOST_WARNINGS:
        click.secho(f"{of}… {len(texts) - MOST_WARNINGS:,} more: --json lists all", fg="yellow")


def span(seconds: float | None) -> str | None:
    """Return a number of seconds as people say it, or None."""
    return None if seconds is None else span_text(seconds)


def write(target: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        InvalidInput: it cannot be written there.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        msg = f"The page cannot be written to {str(target)!r}: {error.strerror}. Name another file."
        raise InvalidInput(msg, field="output") from error


def on_terminal() -> bool:
    """Say whether a person watches stderr."""
    return sys.stderr.isatty()


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}"
    return plain(str(value)).replace("\n", " ")


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "", 1).lstrip("-").isdigit()
