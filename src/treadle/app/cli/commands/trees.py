"""`treadle trees`: folders of files as data, and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.data.trees import Tree
    from treadle.loop.projects import Project

_SHOWN = 20


@click.group("trees", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the trees, or do something with one."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = [workspace.trees.version(name) for name in workspace.trees.names()]
        waiting = sorted(set(workspace.project.trees) - {version.tree for version in found})
    if as_json:
        output.as_json({"versions": found, "without": waiting})
        return
    rows = [(v.tree, v.version, v.created_at, v.files, v.size, len(v.problems)) for v in found]
    output.table(
        ["tree", "version", "at", "files", "bytes", "problems"],
        [*rows, *((name, None, None, None, None, None) for name in waiting)],
    )


@command.command("add")
@click.argument("name", required=False)
@click.option("--rehash", is_flag=True, help="Read and store every file again, which mends a damaged store.")
@click.option("--empty", is_flag=True, help="Allow that a folder that had files has none.")
@options.project
@options.as_json
def add(name: str | None, project: Path | None, *, rehash: bool, empty: bool, as_json: bool) -> None:
    """Commit what the folder of the tree NAME holds, or those of all. Where nothing changed, nothing is made."""
    with options.workspace(project) as workspace:
        found = {
            tree.name: workspace.trees.add(tree, rehash=rehash, empty=empty)
            for tree in _wanted(workspace.project, name)
        }
    if as_json:
        output.as_json(found)
        return
    for tree, version in found.items():
        if version is None:
            click.echo(f"{tree}: nothing new")
            continue
        said = f"{version.added:,} added, {version.changed:,} changed, {version.removed:,} removed"
        click.echo(f"{tree}: version {version.version}: {said}, {version.files:,} files in all")
        _warn(version.problems)


@command.command("status")
@click.argument("name", required=False)
@options.project
@options.as_json
def status(name: str | None, project: Path | None, *, as_json: bool) -> None:
    """Say what adding the tree NAME, or each of all, would do."""
    with options.workspace(project) as workspace:
        found = [workspace.trees.status(tree) for tree in _wanted(workspace.project, name)]
    if as_json:
        output.as_json(found)
        return
    for one in found:
        since = f"since version {one.version}" if one.version else "no version yet"
        click.echo(
            f"{one.tree}: {one.files:,} files, {'unchanged ' if one.is_unchanged else ''}{since}".rstrip()
        )
        _list((("added", one.added), ("changed", one.changed), ("removed", one.removed)))
        _warn(one.problems)


@command.command("show")
@click.argument("name")
@click.option("--version", type=int, help="List the files of this version instead.")
@options.project
@options.as_json
def show(name: str, version: int | None, project: Path | None, *, as_json: bool) -> None:
    """List the versions of the tree NAME, or the files of one."""
    with options.workspace(project) as workspace:
        if version is not None:
            files = workspace.trees.files(name, version=version)
            if as_json:
                output.as_json(files)
            else:
                output.table(
                    ["path", "bytes", "digest"], [(repr(f.path)[1:-1], f.size, f.digest) for f in files]
                )
            return
        versions = workspace.trees.versions(name)
    if as_json:
        output.as_json(versions)
        return
    output.table(
        ["version", "at", "files", "bytes", "added", "changed", "removed", "stored", "given up"],
        [
            (
                *(v.version, v.created_at, v.files, v.size, v.added, v.changed, v.removed),
                *(v.stored, v.collected_at),
            )
            for v in versions
        ],
    )
    _warn(versions[-1].problems)


@command.command("checkout")
@click.argument("name")
@click.argument("to", type=click.Path(path_type=Path, file_okay=False))
@click.option("--version", type=int, help="Version; the newest by default.")
@click.option(
    "--mode",
    type=click.Choice(["auto", "clone", "link", "copy"]),
    default="auto",
    show_default=True,
    help="How files and store are one: blocks shared until written to, the same read-only file, or copies.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there and differ.")
@options.project
@options.as_json
def checkout(
    name: str,
    to: Path,
    version: int | None,
    mode: Literal["auto", "clone", "link", "copy"],
    project: Path | None,
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Bring the folder TO to a version of the tree NAME. Only what differs is touched."""
    with options.workspace(project) as workspace:
        found = workspace.trees.checkout(
            name, to=to.absolute(), version=version, mode=mode, overwrite=overwrite
        )
    if as_json:
        output.as_json(found)
        return
    words = {
        "clone": "sharing blocks with the store until written to",
        "link": "read-only, shared with the store",
        "copy": "copied",
    }
    click.echo(
        f"{found.folder}: version {found.version} of {name}, {found.files:,} files ({words[found.mode]}): "
        f"{found.written:,} written, {found.removed:,} removed, {found.left:,} of yours left alone"
    )


@command.command("difference")
@click.argument("name")
@click.argument("before", type=int)
@click.argument("after", type=int, required=False)
@options.project
@options.as_json
def difference(name: str, before: int, after: int | None, project: Path | None, *, as_json: bool) -> None:
    """Say which files differ between the versions BEFORE and AFTER (the newest by default) of the tree NAME."""
    with options.workspace(project) as workspace:
        found = workspace.trees.difference(name, before, after=after)
    if as_json:
        output.as_json(found)
        return
    click.echo(f"{name}, version {found.before} to {found.after}:")
    _list((("added", found.added), ("changed", found.changed), ("removed", found.removed)))


@command.command("verify")
@click.argument("name")
@click.option("--version", type=int, help="Version; the newest by default.")
@options.project
@options.as_json
def verify(name: str, version: int | None, project: Path | None, *, as_json: bool) -> None:
    """Read every stored byte of a version of the tree NAME, and say what is damaged."""
    with options.workspace(project) as workspace:
        found = workspace.trees.verify(name, version=version)
    if as_json:
        output.as_json(found)
    else:
        _warn(found)
        click.echo(f"{name}: {f'{len(found):,} files are damaged' if found else 'every file is whole'}")
    if found:
        raise click.exceptions.Exit(1)


def _wanted(project: Project, name: str | None) -> list[Tree]:
    return [project.tree(name)] if name else list(project.trees.values())


def _list(parts: Sequence[tuple[str, Sequence[str]]]) -> None:
    for word, paths in parts:
        for path in paths[:_SHOWN]:
            click.echo(f"  {word:8} {repr(path)[1:-1]}")
        if len(paths) > _SHOWN:
            click.echo(f"  {word:8} and {len(paths) - _SHOWN:,} more")


def _warn(problems: Sequence[str]) -> None:
    for problem in problems[:_SHOWN]:
        click.secho(f"  {repr(problem)[1:-1]}", fg="yellow")
    if len(problems) > _SHOWN:
        click.secho(f"  and {len(problems) - _SHOWN:,} more problems", fg="yellow")
