"""`treadle top`: what a running prediction server is doing."""

from __future__ import annotations

import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output
from treadle.core.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from treadle.serving.glance import Glance

_HOME, _REST, _LINE = "\x1b[H", "\x1b[J", "\x1b[K"
_SHORT = 1.0


@click.command("top")
@click.option("--url", help="Address of the server; without it the one of the project's settings.")
@click.option("--token", envvar="TREADLE_TOKEN", help="Token that allows metrics (or TREADLE_TOKEN); the setting serving.token otherwise.")  # fmt: skip
@click.option("--every", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds between looks.")  # fmt: skip
@click.option("--once", is_flag=True, help="Look for a second and end, as where nobody watches.")
@options.project
@options.as_json
def command(
    url: str | None, token: str | None, every: float, project: Path | None, *, once: bool, as_json: bool
) -> None:
    """Show requests a second, errors, latency, revisions and rollouts of a server, until Ctrl-C."""
    from treadle.app.top import Top

    known = _project(project) if url is None or project is not None else None
    if known is not None:
        url, token = url or known[0], token or known[1]
    top = Top(url or "", token=token or "")
    once = once or as_json or not sys.stdout.isatty()
    top.look()
    with suppress(KeyboardInterrupt):
        while True:
            threading.Event().wait(_SHORT if once else every)
            _show(top.look(), top.url, _rollouts(project) if known else {}, once=once, as_json=as_json)
            if once:
                return
    click.echo()


def _show(seen: Glance, url: str, rollouts: dict[str, str], *, once: bool, as_json: bool) -> None:
    from treadle.app.top import page

    if as_json:
        output.as_json({"url": url, "rollouts": rollouts, **_plain(seen)})
        return
    size = shutil.get_terminal_size((200 if once else 80, 24))
    lines = [output.plain(line) for line in page(seen, url=url, width=size.columns, rollouts=rollouts)]
    if once:
        click.echo("\n".join(lines))
        return
    shown = f"{_LINE}\n".join(lines[: size.lines - 1])
    click.echo(f"{_HOME}{shown}{_LINE}\n{_REST}", nl=False)


def _plain(seen: Glance) -> dict[str, object]:
    import msgspec

    return {field: getattr(seen, field) for field in msgspec.structs.asdict(seen)}


def _project(project: Path | None) -> tuple[str, str]:
    """Return the address of the project's server, and its token."""
    with options.workspace(project) as workspace:
        found = workspace.settings.serving
    host = found.host if found.host not in {"0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104 - not listened at
    return f"http://[{host}]:{found.port}" if ":" in host else f"http://{host}:{found.port}", found.token


def _rollouts(project: Path | None) -> dict[str, str]:
    """Return where the newest rollout of each endpoint stands; nothing while the ledger does not answer."""
    try:
        with options.workspace(project) as workspace:
            return {
                one.endpoint: f"{one.status}, step {one.stage + 1} of {len(one.stages)}"
                for one in workspace.rollouts.newest()
                if one.open
            }
    except (StoreUnavailable, NotFound):
        return {}
