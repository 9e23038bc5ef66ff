"""`treadle collect`: remove old predictions, and what no kept version needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.app.retention import Garbage
    from treadle.data.tree.collection import Collected as CollectedTree
    from treadle.data.upkeep import Collected
    from treadle.registry.collection import Fate, Loose
    from treadle.serving.expiry import Aged

_KINDS = ("datasets", "trees", "models", "predictions")


@click.command("collect")
@click.argument("kind", required=False, type=click.Choice(_KINDS))
@click.argument("names", nargs=-1)
@click.option("--keep-last", default=10, show_default=True, help="Versions of each to keep.")
@click.option("--younger-than", default="30d", show_default=True, help="Keep versions that are younger.")
@click.option("--remove", is_flag=True, help="Remove; without it, only say what would be removed.")
@options.project
@options.as_json
def command(
    kind: str | None,
    names: tuple[str, ...],
    keep_last: int,
    younger_than: str,
    project: Path | None,
    *,
    remove: bool,
    as_json: bool,
) -> None:
    """Say what no kept version of datasets, trees and models needs (of all, or of those NAMES), and with --remove remove it.

    Always kept: data that models were trained on and tagged versions; packages that an alias, an endpoint, a server or a waiting
    approval refers to. Of models only packages go: records, runs and histories stay.

    Of the log, NAMES are endpoints: predictions and outcomes go by the settings serving.keep_predictions and keep_outcomes, which
    are empty at first: for ever. What an open rollout or a bandit judges by stays.

    Example: treadle collect models delay --keep-last 5 --remove
    """
    with options.workspace(project) as workspace:
        found = workspace.collect(
            names or None,
            what=(kind,) if kind else _KINDS,
            keep_last=keep_last,
            younger_than=younger_than,
            dry_run=not remove,
        )
    if as_json:
        output.as_json(found)
        return
    _print(found, removed=remove)
    if not remove:
        output.note(f"Nothing was removed. To remove it: {_again(kind, names)} --remove")


def _again(kind: str | None, names: Sequence[str]) -> str:
    return " ".join(["treadle collect", *([kind] if kind else []), *names])


def _print(found: Garbage, *, removed: bool) -> None:
    parts: list[tuple[Sequence[object], Callable[[], None]]] = [
        (found.datasets, partial(_datasets, found.datasets)),
        (found.trees, partial(_trees, found.trees)),
        (found.models, partial(_models, found.models, removed=removed)),
        (found.loose, partial(_loose, found.loose, removed=removed)),
        (found.predictions, partial(_predictions, found.predictions, removed=removed)),
    ]
    there = [shown for things, shown in parts if things]
    for place, shown in enumerate(there):
        if place:
            click.echo()
        shown()
    if not there:
        click.echo("There is nothing that could be collected.")


def _datasets(found: Sequence[Collected]) -> None:
    output.table(
        ["dataset", "files", "replaced rows", "versions that cannot be read then"],
        [(c.dataset, len(c.files), c.forms, _ranges(c.versions)) for c in found],
    )


def _trees(found: Sequence[CollectedTree]) -> None:
    output.table(
        ["tree", "versions that cannot be read then", "contents that nothing needs", "bytes"],
        [(t.tree, ", ".join(map(str, t.versions)), t.contents, t.size) for t in found],
    )


def _models(found: Sequence[Fate], *, removed: bool) -> None:
    gone, word = [fate for fate in found if not fate.kept], _word(removed=removed)
    output.table(
        ["model", "version", "bytes", "package"],
        [(f.model, str(f.version), f.size, f"stays: {f.kept}" if f.kept else word) for f in found],
    )
    click.echo(f"{len(gone)} of {len(found)} packages {word}, {sum(fate.size for fate in gone):,} bytes")


def _loose(found: Sequence[Loose], *, removed: bool) -> None:
    output.table(
        ["model", "package that no version has", "bytes"], [(one.model, one.of, one.size) for one in found]
    )
    click.echo(f"{len(found)} of them {_word(removed=removed)}, {sum(one.size for one in found):,} bytes")


def _predictions(found: Sequence[Aged], *, removed: bool) -> None:
    output.table(
        ["log", "rows too old", "bytes, about", "from before", "kept longer"],
        [
            (one.log, one.rows, one.size, f"{one.before:%Y-%m-%d %H:%M}" if one.before else "", one.kept)
            for one in found
        ],
    )
    rows, size = sum(one.rows for one in found), sum(one.size for one in found)
    click.echo(f"{rows:,} rows {_word(removed=removed)}, about {size:,} bytes of files")


def _word(*, removed: bool) -> str:
    return "removed" if removed else "would be removed"


def _ranges(ranges: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)
