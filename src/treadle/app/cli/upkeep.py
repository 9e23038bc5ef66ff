"""Commands of `treadle datasets` that change what is kept: tags, going back, deleting, forgetting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.data.profiles.shifts import Distance, Distributions, Shift

#: Values of a column of which is printed how much more or less common they have become.
_MOST_BINS = 3


@click.command("tag")
@click.argument("name")
@click.argument("tag")
@click.option("--version", help="Version, another tag or a moment; the newest by default.")
@click.option("--remove", is_flag=True, help="Take the tag away.")
@options.reason
@options.project
@options.as_json
def tag(
    name: str,
    tag: str,
    version: str | None,
    reason: str,
    project: Path | None,
    *,
    remove: bool,
    as_json: bool,
) -> None:
    """Give a version of the dataset NAME the name TAG."""
    with options.workspace(project) as workspace:
        if remove:
            workspace.tags.take(name, tag)
        else:
            workspace.tags.give(tag, workspace.datasets.version(name, version), reason=reason)
        found = workspace.tags.list(name)
    if as_json:
        output.as_json(found)
        return
    output.table(["tag", "version", "at", "reason"], [(t.tag, t.version, t.at, t.reason) for t in found])


@click.command("difference")
@click.argument("name")
@click.argument("before")
@click.argument("after", required=False)
@click.option(
    "--counts", is_flag=True, help="Only count; the rows are not read, nor is what moved in them said."
)
@options.project
@options.as_json
def difference(
    name: str, before: str, after: str | None, project: Path | None, *, counts: bool, as_json: bool
) -> None:
    """Say what happened to the dataset NAME from version BEFORE to version AFTER (the newest by default)."""
    with options.workspace(project) as workspace:
        found = workspace.datasets.difference(name, before, after=after)
        moved = None
        if not counts and found.after > found.before:
            moved = workspace.datasets.distributions(name, found.before, after=found.after)
    if as_json:
        output.as_json({**msgspec.to_builtins(found), "distributions": moved})
        return
    click.echo(f"{name}, version {found.before} to {found.after}:")
    for count, words in (
        (found.landed, "rows landed"),
        (found.accepted, "of them accepted"),
        (found.corrected, "of them corrections"),
        (found.deleted, "of them deletions"),
        (found.quarantined, "went to quarantine"),
        (found.removed, "were removed by hand"),
        (found.outcomes, "outcomes became known"),
    ):
        click.echo(f"  {count:>12,} {words}")
    for words, texts in (("new column", found.columns), ("file", found.files), ("problem", found.problems)):
        for text in texts:
            click.echo(f"  {words}: {text}")
    if moved is not None:
        _print_moved(moved)


@click.command("roll-back")
@click.argument("name")
@click.argument("version")
@options.reason
@options.project
@options.as_json
def roll_back(name: str, version: str, reason: str, project: Path | None, *, as_json: bool) -> None:
    """Make a new version of the dataset NAME that holds what VERSION held."""
    with options.workspace(project) as workspace:
        made = workspace.datasets.roll_back(name, version, reason=reason)
    _made(made, as_json=as_json)


@click.command("delete")
@click.argument("name")
@click.option(
    "--where", multiple=True, required=True, metavar="COLUMN=VALUE", help="Which rows; all must hold."
)
@options.reason
@options.project
@options.as_json
def delete(name: str, where: tuple[str, ...], reason: str, project: Path | None, *, as_json: bool) -> None:
    """Make a new version of the dataset NAME without some rows; earlier versions keep them."""
    with options.workspace(project) as workspace:
        made = workspace.datasets.delete(name, where=_pairs(where), reason=reason)
    _made(made, as_json=as_json)


@click.command("forget")
@click.argument("name")
@click.option(
    "--where", multiple=True, required=True, metavar="COLUMN=VALUE", help="Which rows; all must hold."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.reason
@options.project
@options.as_json
def forget(
    name: str, where: tuple[str, ...], reason: str, project: Path | None, *, yes: bool, as_json: bool
) -> None:
    """Take some rows out of every version of the dataset NAME, for ever; say which models saw them."""
    wanted = _pairs(where)
    if not yes:
        click.confirm(f"Forget the rows of {name} with {', '.join(where)} for ever?", abort=True, err=True)
    with options.workspace(project) as workspace:
        done = workspace.forget(name, where=wanted, reason=reason)
    if as_json:
        output.as_json(done)
        return
    click.echo(
        f"{name}: forgotten; version {done.version} is without {done.removed:,} rows, and so are all before it."
    )
    if done.models:
        click.echo(
            f"Models that saw them: {', '.join(done.models)}. What they learnt is still in them: train anew."
        )


@click.command("explain")
@click.argument("name")
@click.option(
    "--by",
    type=click.Choice(["reason", "column", "file", "version"]),
    default="reason",
    show_default=True,
    help="What to group by.",
)
@options.project
@options.as_json
def explain(name: str, by: Any, project: Path | None, *, as_json: bool) -> None:
    """Say what the rows in quarantine of the dataset NAME break, commonest first."""
    from treadle.data import reasons

    with options.workspace(project) as workspace:
        found = reasons.explain(workspace.datasets.quarantine(name), by=by)
    if as_json:
        output.as_json(found)
        return
    output.table([by, "rows", "for example"], [(e.what, e.rows, e.examples[0]) for e in found])


@click.command("readmit")
@click.argument("name")
@click.option("--file", help="Only rows of this file.")
@click.option("--version", type=int, help="Only rows that were quarantined in this version.")
@click.option("--reason-has", help="Only rows whose reasons have this text.")
@click.option(
    "--set", "cells", multiple=True, metavar="COLUMN=VALUE", help="Put this value into the column first."
)
@options.reason
@options.project
@options.as_json
def readmit(
    name: str,
    file: str | None,
    version: int | None,
    reason_has: str | None,
    cells: tuple[str, ...],
    reason: str,
    project: Path | None,
    *,
    as_json: bool,
) -> None:
    """Check rows in quarantine of the dataset NAME again, under the contract as it is now, and let the good ones in."""
    values = {column: given[-1] for column, given in _pairs(cells, option="--set").items()}
    with options.workspace(project) as workspace:
        done = workspace.readmit(
            name,
            reason=reason,
            reason_has=reason_has or "",
            set_=values,
            file=file or "",
            version=version,
            actor=options.user(),
        )
    if as_json:
        output.as_json(done)
        return
    made = f"version {done.version} has {done.accepted:,} of them" if done.version else "none was let in"
    there = f", {done.repeated:,} were there already" if done.repeated else ""
    click.echo(f"{name}: {done.asked:,} rows checked again; {made}{there}, {done.bad:,} are still bad")
    for text in done.reasons:
        click.echo(f"  {text}")


COMMANDS = (explain, readmit, tag, difference, roll_back, delete, forget)


def _made(version: Any, *, as_json: bool) -> None:
    if as_json:
        output.as_json(version)
        return
    click.echo(f"{version.dataset} version {version.version}: {version.rows:,} rows; {version.why}")


def _pairs(where: tuple[str, ...], *, option: str = "--where") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in where:
        column, separator, value = text.partition("=")
        if not separator or not column:
            msg = f"{option} {text!r} is not COLUMN=VALUE."
            raise click.BadParameter(msg)
        found.setdefault(column, []).append(value)
    return found


def _print_moved(found: Distributions) -> None:
    """Print the columns that moved: how far, and where."""
    from treadle.data.profiles import words

    before, came, after = map(words.count, found.sampled)
    click.echo(f"  compared: {before} rows before, {came} that came since, {after} after")
    for shift in found.moved:
        click.echo(click.style(f"  moved: {words.shown(shift.column)}", bold=True))
        for what, one in (("what came", shift.came), ("as a whole", shift.whole)):
            if one is not None and one.is_moved:
                click.echo(f"    {what}: {'; '.join(_moves(shift, one))}")
    if not found.moved:
        click.echo("  no column moved by more than chance explains")


def _moves(shift: Shift, one: Distance) -> Iterator[str]:
    from treadle.data.profiles import words

    yield f"distance {one.distance:.2f} (chance: below {words.number(round(one.floor, 3))})"
    if one.effect is not None:
        means = f"{words.number(shift.mean_before)} to {words.number(one.mean)}"
        yield f"mean {means} ({one.effect:+.2f} standard deviations)"
    for cell in one.bins[:_MOST_BINS]:
        shares = f"{words.share(cell.share_before)} to {words.share(cell.share)}"
        yield f"{words.shown(cell.label)} {shares} ({cell.rows_before:,} to {cell.rows:,} rows)"
