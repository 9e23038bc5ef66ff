"""`treadle models explain`: what each input adds to a version's answers."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output, rowfiles

_HOW = {
    "additive": "exact: the answers are a sum of functions of one input each",
    "trees": "exact: leaf by leaf of its trees",
    "library": "exact: its library's own TreeSHAP, which goes by the shares of training rows and not by background rows",
    "permutations": "estimated, by inputs exchanged in orders drawn by chance",
}


@click.command("explain")
@click.argument("version")
@click.option(
    "--rows",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Rows to explain (.csv, .parquet, .jsonl); by default those that its run was judged on, at most 1,000.",
)
@click.option("--by", multiple=True, help="Also by slice: a column of the rows; may be given again.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the contributions of each row here (.csv).",
)
@options.project
@options.as_json
def command(
    version: str,
    file: Path | None,
    by: tuple[str, ...],
    out: Path | None,
    project: Path | None,
    *,
    as_json: bool,
) -> None:
    """Say what each input of VERSION (as delay@champion) adds to its answers: Shapley values, over all rows and by slice.

    Example: treadle models explain delay@champion --by carrier
    """
    rows = None if file is None else rowfiles.read(file)
    with options.workspace(project) as workspace:
        found = workspace.explain(version, rows, by=list(by) or None)
    if out is not None:
        output.write(out, found.frame().write_csv())
    summary = found.summary()
    if as_json:
        base = dict(zip(found.outputs or ("answer",), found.base.tolist(), strict=True))
        output.as_json(
            {"scale": found.scale, "method": found.method, "base": base, "inputs": summary.to_dicts()}
        )
        return
    estimated = found.error is not None
    heads = [
        "input",
        *(["slice"] if by else []),
        f"mean |{found.scale}|",
        "low",
        "high",
        *(["error"] if estimated else []),
        "rows",
    ]
    wanted = [
        "column",
        *(["slice"] if by else []),
        "contribution",
        "low",
        "high",
        *(["error"] if estimated else []),
        "rows",
    ]
    output.table(heads, summary.select(wanted).iter_rows())
    output.note(f"How: {_HOW[found.method]}.")
