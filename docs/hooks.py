"""Generates the reference pages when the site is built, so that they cannot lag behind the code."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import msgspec

import treadle
from treadle.app.cli.main import treadle as command_line
from treadle.core import plugins, records, settings

_SERVICES = {
    "Workspace": "treadle.app.workspace.Workspace",
    "Datasets": "treadle.data.datasets.Datasets",
    "Trees": "treadle.data.trees.Trees",
    "OnlineFeatures": "treadle.features.online.OnlineFeatures",
    "Runs": "treadle.training.runs.Runs",
    "Verdicts": "treadle.evaluation.verdicts.Verdicts",
    "Models": "treadle.registry.models.Models",
    "Endpoints": "treadle.serving.endpoints.Endpoints",
    "Rollouts": "treadle.serving.rollouts.Rollouts",
    "Rolling": "treadle.loop.rolling.Rolling",
    "Predictions": "treadle.serving.predictions.Predictions",
    "Alerts": "treadle.monitoring.alerts.Alerts",
}

#: kind of plug-in → what it is.
_KINDS = {
    "ledger": "Keeps the relational state.",
    "objects": "Keeps immutable files by digest.",
    "tables": "Keeps versioned columnar tables.",
    "online": "Keeps the newest values of feature views, to be read while somebody waits.",
    "queue": "Keeps jobs until a worker says that they are done.",
    "source": "Brings raw rows.",
    "rule": "What the new rows of a dataset must be as a whole.",
    "task": "Knows what is predicted: how truth is checked and answers are read.",
    "compute": "Runs training functions.",
    "metric": "Scores predictions against the truth.",
    "method": "Makes the interval of a paired difference.",
    "baseline": "The simple thing that a model must beat.",
    "gate": "Judges a candidate on an interval.",
    "plot": "What a card shows of answers beside what happened, for a task.",
    "format": "Saves and loads a model.",
    "mirror": "Shows in a tracker elsewhere what the ledger holds.",
    "stream": "Brings messages of a broker, and takes predictions to it.",
    "protocol": "Speaks with callers of the prediction server.",
    "guard": "Rolls a challenger back.",
    "channel": "Carries an alert to a person.",
    "slo": "What is promised: of requests, or of the time.",
    "detector": "Sees that a column has changed against the reference of a model version.",
    "trigger": "A reason to train.",
    "action": "What becomes of a version that passed its gates.",
}


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the site (called by MkDocs)."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def pages() -> dict[str, str]:
    """Return the text of each reference page by its name."""
    return {
        "cli": cli_page(),
        "settings": settings_page(),
        "plugins": plugins_page(),
        "python": python_page(),
        "services": services_page(),
        "records": records_page(),
        "aggregates": "# Aggregates\n\n::: treadle.features.aggregates\n",
        "errors": "# Errors\n\nEverything that Treadle raises on purpose.\n\n::: treadle.core.errors\n",
    }


def cli_page() -> str:
    """Return the reference of the command line, from the commands themselves."""
    from treadle.app.cli.exits import EXIT_CODES, INTERRUPTED

    codes = "\n".join(f"| {code} | `{kind.__name__}` |" for kind, code in EXIT_CODES.items())
    parts = [
        "# Command line\n",
        "Every command has `--help`. With `--json` a command prints one JSON document on standard output, and an error "
        'is `{"error": {"type", "message", "field"}}`. Notes and progress go to standard error.\n',
        "| exit code | error |\n| --- | --- |\n| 0 | none |\n"
        f"| 1 | any other |\n{codes}\n| {INTERRUPTED} | interrupted; the same command goes on |\n",
    ]
    for path, command in commands():
        context = click.Context(command, info_name=path)
        usage = " ".join(command.collect_usage_pieces(context))
        parts.append(f"## {path}\n\n{_paragraphs(command.help)}\n\n```console\n$ {path} {usage}\n```\n")
        parts.append(_options(command, context))
    return "\n".join(parts)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield each command and sub-command with the words that call it."""

    def walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield path, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=path)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                if found is not None:
                    yield from walk(f"{path} {name}", found)

    for path, command in walk("treadle", command_line):
        if command is not command_line:
            yield path, command


def settings_page() -> str:
    """Return the reference of the settings, from the comments in the code."""
    intro = """\
    # Settings

    `treadle.toml` marks a project's root; relative paths in it start there. A variable `TREADLE_SECTION__KEY` goes before
    the file, and an argument (as of `treadle serve --port`) before both. `TREADLE_SECTION__KEY_FILE` names a file that
    holds the value, for secrets. An unknown section or key is an error that names the nearest known one. `AWS_*`
    variables mean what they mean everywhere.
    """
    parts = [textwrap.dedent(intro)]
    for section, kind in settings.SECTIONS.items():
        parts.append(
            f"## [{section}]\n\n{kind.__doc__}\n\n| key | type | default | |\n| --- | --- | --- | --- |"
        )
        words = field_docs(kind)
        for field in msgspec.structs.fields(kind):
            shown = _type(field.type).replace("|", "\\|")
            parts.append(
                f"| `{section}.{field.name}` | {shown} | `{field.default!r}` | {words.get(field.name, '')} |"
            )
        parts.append("")
    return "\n".join(parts)


def field_docs(kind: type) -> dict[str, str]:
    """Return the `#:` comment above each field of a section or record."""
    found, comment = {}, ""
    for line in inspect.getsource(kind).splitlines():
        text = line.strip()
        if text.startswith("#:"):
            comment = f"{comment} {text.removeprefix('#:').strip()}".strip()
        elif match := re.match(r"(\w+):", text):
            found[match[1]], comment = comment, ""
    return found


def plugins_page() -> str:
    """Return the list of plug-ins, from the first lines of their files; none is imported."""
    parts = [
        "# Plug-ins\n",
        "A plug-in is one file in its kind's folder; its name is the plug-in's name. Another package brings one by an entry "
        "point in the group `treadle.<kind>`, which names a module with the same contents. Listing plug-ins imports none. "
        "Contract suites in `treadle.testing` try a plug-in as the built-in ones are tried.\n",
    ]
    for kind, package in plugins.KINDS.items():
        parts.append(f"## {kind}\n\n{_KINDS[kind]} Folder `{package}`.\n")
        parts += [f"- `{name}` – {_first_line(package, name)}" for name in plugins.available(kind)]
        parts.append("")
    return "\n".join(parts)


def python_page() -> str:
    """Return the reference of `treadle`'s public names."""
    parts = [
        "# Python\n",
        "`import treadle as td` loads almost nothing; a name is loaded when it is first used.\n",
    ]
    for name in treadle.__all__:
        place, attribute = treadle._PLACES[name]
        if attribute:
            parts.append(_directive(f"{place}.{attribute}", f"td.{name}"))
        else:
            parts.append(f"## td.{name}\n\n{_module_note(name, place)}\n")
    return "\n".join(parts)


def services_page() -> str:
    """Return the reference of the rooms' services."""
    parts = [
        "# Services\n",
        "`td.open()` returns the workspace; its attributes are the rooms' services. A service method is the single definition "
        "of an operation: the command line only calls it.\n",
    ]
    parts += [_directive(place, name) for name, place in _SERVICES.items()]
    return "\n".join(parts)


def records_page() -> str:
    """Return the fields of each record, from the comments in the code."""
    intro = inspect.getdoc(records)
    parts = [f"# Records\n\n{intro}\n"]
    for kind in vars(records).values():
        if isinstance(kind, type) and issubclass(kind, records.Record) and kind is not records.Record:
            parts.append(
                f"## {kind.__name__}\n\n{inspect.getdoc(kind)}\n\n| field | type | |\n| --- | --- | --- |"
            )
            words = field_docs(kind)
            for field in msgspec.structs.fields(kind):
                shown = _type(field.type).replace("|", "\\|").replace("treadle.core.records.", "")
                parts.append(f"| `{field.name}` | {shown} | {words.get(field.name, '')} |")
            parts.append("")
    return "\n".join(parts)


def _directive(place: str, heading: str) -> str:
    options = (
        f"    options:\n      heading: {heading}\n      toc_label: {heading}\n      show_root_heading: true\n"
    )
    return f"::: {place}\n{options}      show_root_toc_entry: true\n      heading_level: 2\n"


def _module_note(name: str, place: str) -> str:
    kind = next((kind for kind, package in plugins.KINDS.items() if package == place), "")
    if kind:
        names = ", ".join(f"`{found}`" for found in plugins.available(kind))
        return f"The {name} by class name, each from the plug-in of the same name: {names}. See [plug-ins](plugins.md#{kind})."
    return f"The module `{place}`; see [{name}]({name}.md)."


def _first_line(package: str, name: str) -> str:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, f"{name}.py")
        if path.is_file():
            found = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            return found.partition("\n\n")[0].replace("\n", " ")
    return "from another package"


def _options(command: click.Command, context: click.Context) -> str:
    rows = []
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record and record[1] and "--help" not in option.opts:
            name, words = record
            rows.append(f"| `{name}` | {words.replace('|', chr(92) + '|')} |")
    return "| option | |\n| --- | --- |\n" + "\n".join(rows) + "\n" if rows else ""


def _paragraphs(text: str | None) -> str:
    return textwrap.dedent(text or "").replace("\b\n", "").strip()


def _type(kind: Any) -> str:
    return f"`{kind.__name__}`" if isinstance(kind, type) else f"`{str(kind).removeprefix('typing.')}`"
