"""Feature views that are read online are kept as fresh as their rows, and hold nothing up where that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import tiny
from test_watcher import contents, files

import services
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.core.settings import as_environment
from treadle.monitoring.channel import Message
from treadle.monitoring.routes import Routes

_VIEW = """
crowds = td.FeatureView(
    "crowds", source=td.Files("crowds/*.csv"), entity="shop", time="counted_at", fields=["people"]
)
"""


def declared(root: Path) -> Path:
    """Give the tiny project a feature view: how many people are in a shop."""
    file = root / "project.py"
    text = file.read_text().replace("    data=visits,\n", "    data=visits,\n    features=[crowds],\n")
    file.write_text(text.replace("\n\ndef mood", f"\n{_VIEW}\n\ndef mood", 1))
    count(root, 0, north=1, south=2)
    return root


def count(root: Path, hour: int, **people: int) -> None:
    """Land what was counted in the shops at an hour."""
    at = [tiny.BEGIN + timedelta(hours=hour)] * len(people)
    rows = pl.DataFrame(
        {"shop": list(people), "counted_at": at, "people": [float(n) for n in people.values()]}
    )
    (root / "crowds").mkdir(exist_ok=True)
    rows.write_csv(root / "crowds" / f"{hour}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")


def online(workspace: Workspace) -> list[float | None]:
    """What a caller gets for the two shops."""
    return workspace.online.read(["crowds"], {"shop": ["north", "south"]}).columns["people"]


@pytest.fixture
def shop(root: Path, clock: ManualClock) -> Path:
    """A project with a feature view, a week after its first rows."""
    clock.set(tiny.BEGIN + timedelta(days=7))
    return declared(root)


@pytest.fixture
def watched(shop: Path, clock: ManualClock, online_url: str) -> Iterator[Workspace]:
    """The project's workspace, with the view materialised once, on each online store."""
    settings = {"compute.engine": "inline", "online.url": online_url, "online.timeout": 10.0}
    with open_workspace(shop, clock=clock, overrides=settings) as opened:
        opened.ingest("crowds")
        opened.online.materialise("crowds")
        yield opened


def test_what_landed_is_online_after_a_run_and_after_a_tick(watched: Workspace, shop: Path) -> None:
    count(shop, 1, north=10)
    watched.run("buys")
    after_run = online(watched)

    count(shop, 2, south=20)
    watched.tick()

    assert after_run == [10.0, 2.0]
    assert online(watched) == [10.0, 20.0]
    assert [(one.view, one.behind) for one in watched.status().online] == [("crowds", 0)]


def test_a_value_of_a_moment_to_come_is_online_from_then_on(
    watched: Workspace, shop: Path, clock: ManualClock
) -> None:
    count(shop, 24 * 8, north=80)
    watched.tick()
    before = online(watched)

    clock.advance("2d")
    watched.tick()

    assert (before, online(watched)) == ([1.0, 2.0], [80.0, 2.0])


def test_a_tick_that_changes_nothing_writes_nothing(
    watched: Workspace, shop: Path, clock: ManualClock
) -> None:
    watched.tick()
    clock.advance("1h")
    watched.tick()  # keeps why it is not due
    before, on_disk = contents(watched), files(shop)
    head = watched.online._store.state(watched.online._store.namespaces()[0])

    for _ in range(3):
        clock.advance("1h")
        watched.tick()

    assert contents(watched) == before
    assert files(shop) == on_disk
    assert watched.online._store.state(watched.online._store.namespaces()[0]) == head


def test_a_view_that_nobody_reads_online_stays_offline(shop: Path, clock: ManualClock) -> None:
    with open_workspace(shop, clock=clock, overrides={"compute.engine": "inline"}) as opened:
        opened.run("buys")
        opened.tick()

        assert opened.status().online == ()
    assert not (shop / ".treadle" / "online").exists()


def test_another_store_is_filled_by_the_next_look(shop: Path, clock: ManualClock, watched: Workspace) -> None:
    watched.close()
    moved = {"compute.engine": "inline", "online.url": "elsewhere"}

    with open_workspace(shop, clock=clock, overrides=moved) as opened:
        opened.tick()

        assert online(opened) == [1.0, 2.0]


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[services.PrivateRedis]:
    """A Redis of this test, which it may kill."""
    with services.PrivateRedis(tmp_path / "redis") as server:
        yield server


class Heard:
    """A channel that keeps what it was told: rule, subject, and whether it still holds."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bool]] = []

    def send(self, message: Message) -> None:
        self.told += [(message.rule, alert.subject, message.state == "raised") for alert in message.alerts]


def test_a_store_that_is_gone_fails_no_run_and_is_told_once(
    shop: Path, clock: ManualClock, mortal: services.PrivateRedis
) -> None:
    settings = {"compute.engine": "inline", "online.url": mortal.url}
    with open_workspace(shop, clock=clock, overrides=settings) as opened:
        heard = Heard()
        opened.__dict__["routes"] = Routes(channels={"heard": lambda: heard})  # type: ignore[dict-item, return-value]
        opened.ingest("crowds")
        opened.online.materialise("crowds")
        mortal.kill()
        count(shop, 1, north=10)

        turn = opened.run("buys")
        opened.tick()
        opened.tick()
        while_gone = opened.status()
        mortal.start()
        opened.tick()

        assert turn.run.status == "succeeded"
        assert [(one.view, one.behind) for one in while_gone.online] == [("crowds", 1)]
        assert "does not answer" in while_gone.online[0].problem
        (alert,) = while_gone.alerts
        assert "What is new in feature view 'crowds' is not in the online store: " in alert.text
        assert heard.told == [("stale-online", "view:crowds", True), ("stale-online", "view:crowds", False)]
        assert online(opened) == [10.0, 2.0]
        assert [(one.behind, one.problem) for one in opened.status().online] == [(0, "")]


def test_an_online_store_that_cannot_be_opened_fails_no_run(shop: Path, watched: Workspace) -> None:
    watched.close()
    unknown = {"compute.engine": "inline", "online.url": "memcached://host"}

    with open_workspace(shop, clock=watched.clock, overrides=unknown) as opened:
        assert opened.run("buys").run.status == "succeeded"

        (alert,) = opened.alerts.open()
        (view,) = opened.status().online
    assert alert.rule == "stale-online"
    assert "memcached" in alert.text
    assert "memcached" in view.problem


#: Looks once in a forked child for each moment of a materialisation, and dies there; prints how the children ended.
_DIES = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
import tiny
from treadle.app.workspace import open_workspace
from treadle.core.clock import ManualClock
from treadle.features.targets import Target

def deadly(whole):
    def wrapped(*arguments, **options):
        whole(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    return wrapped

for moment in ("note", "put_packed"):
    child = os.fork()
    if not child:
        setattr(Target, moment, deadly(getattr(Target, moment)))
        clock = ManualClock(tiny.BEGIN + timedelta(days=8))
        with open_workspace(Path(sys.argv[1]), clock=clock) as workspace:
            workspace.tick()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_look_that_was_killed_is_made_up_for_by_the_next(shop: Path, clock: ManualClock) -> None:
    settings = {"compute.engine": "inline"}
    with open_workspace(shop, clock=clock, overrides=settings) as opened:
        opened.ingest("crowds")
        opened.online.materialise("crowds")
    count(shop, 1, north=10)

    ended = subprocess.run(
        [sys.executable, "-c", _DIES, str(shop)],
        check=True,
        env={**os.environ, **as_environment(settings), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    with open_workspace(shop, clock=clock, overrides=settings) as opened:
        opened.tick()

        assert ended.stdout.split() == ["-9", "-9"]
        assert online(opened) == [10.0, 2.0]
        assert [one.behind for one in opened.status().online] == [0]
        assert opened.alerts.open() == []
