"""`treadle export`: files for Prometheus and Grafana."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


@click.group("export")
def command() -> None:
    """Write files for other tools, made from the project as it is declared now."""


@command.command("prometheus")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("monitoring"),
    show_default=True,
    help="Folder to write into; it is made where it is not there.",
)
@click.option("--every", default="30s", show_default=True, help="How often rules are evaluated.")
@click.option(
    "--scale",
    type=click.FloatRange(min=1),
    default=1.0,
    show_default=True,
    help="Divide all windows by this, to try the alerts out in minutes.",
)
@options.project
@options.as_json
def prometheus(out: Path, every: str, scale: float, project: Path | None, *, as_json: bool) -> None:
    """Write treadle-rules.yml (what is recorded, and burn-rate alerts of the SLOs) and an example prometheus.yml."""
    from treadle.core.clock import parse_span
    from treadle.monitoring import prometheus, yaml

    parse_span(every)
    with options.workspace(project) as workspace:
        found, settings = list(workspace.project.slos.values()), workspace.settings
    server = f"{settings.serving.host}:{settings.serving.port}"
    watcher = f"{settings.watch.host}:{settings.watch.port or 9464}"
    files = {
        "treadle-rules.yml": yaml.text(prometheus.rules(found, every=every, scale=scale)),
        "prometheus.yml": yaml.text(
            prometheus.scrape(
                server=server, watcher=watcher, token="treadle-token" if settings.serving.token else ""
            )
        ),
    }
    _written(out, files, as_json=as_json)


@command.command("grafana")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("monitoring"),
    show_default=True,
    help="Folder to write into; it is made where it is not there.",
)
@options.project
@options.as_json
def grafana(out: Path, project: Path | None, *, as_json: bool) -> None:
    """Write dashboards for Grafana 11.6 and newer: treadle-endpoints.json and treadle-models.json."""
    with options.workspace(project) as workspace:
        files = _dashboards(workspace)
    _written(out, files, as_json=as_json)


def _dashboards(workspace: Workspace) -> dict[str, str]:
    from treadle.monitoring import grafana

    name, slos = workspace.settings.project.name, workspace.project.slos.values()
    about = grafana.models(
        slos=bool(slos),
        quality=any(slo.kind == "quality" for slo in slos),
        drift=any(table.startswith("drift/") for table in workspace.tables.names()),
    )
    return {
        "treadle-endpoints.json": grafana.dashboard(
            f"{name}: endpoints", "treadle-endpoints", grafana.endpoints(), by_endpoint=True
        ),
        "treadle-models.json": grafana.dashboard(
            f"{name}: models", "treadle-models", about, by_endpoint=False
        ),
    }


def _written(out: Path, files: dict[str, str], *, as_json: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        output.write(out / name, text)
    written = [str(out / name) for name in files]
    if as_json:
        output.as_json({"written": written})
        return
    for path in written:
        click.echo(f"Wrote {path}")
