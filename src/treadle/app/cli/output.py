"""What commands print: tables and sentences for people, one JSON document for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

from treadle.core.errors import InvalidInput, TreadleError


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
        click.echo(msgspec.json.encode({"error": found}).decode())
        return
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)


def note(text: str) -> None:
    """Print a line beside the result, on stderr, so that `--json` stays one document."""
    click.echo(text, err=True)


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
    return str(value)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "", 1).lstrip("-").isdigit()
