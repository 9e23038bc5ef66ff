"""Backups of a project that is in use, put back elsewhere: whole, checked, with all that was acknowledged before they began."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import polars as pl
import pytest

import services
import treadle as td
from hostile_shop import land, visits
from pace import FULL, within
from treadle.app.workspace import Workspace
from treadle.core.errors import Busy, Conflict, DigestMismatch, InvalidInput, NotFound, StoreUnavailable
from treadle.store.backups import Backups

_INLINE = {"compute.engine": "inline"}


def opened(root: Path, **settings: str) -> Workspace:
    return td.open(root, overrides=_INLINE | settings)


def empty(shop: Path, name: str) -> Path:
    """A folder with the project's own files, and no state."""
    root = shop.parent / name
    shutil.copytree(shop, root, ignore=shutil.ignore_patterns(".treadle"))
    return root


def told(workspace: Workspace) -> dict[str, object]:
    """All that must be the same after a restore."""
    with workspace:
        versions = workspace.models.versions("buys")
        return {
            "datasets": [(v.version, v.rows, v.table_version) for v in workspace.datasets.versions("visits")],
            "rows": workspace.datasets.read("visits").sort("visit").to_dicts(),
            "versions": [(v.ref, v.digest) for v in versions],
            "aliases": workspace.models.aliases("buys"),
            "revisions": [r.ref for r in workspace.endpoints.revisions("buys")],
            "runs": [run.id for run in workspace.runs.list()],
            "golden": [workspace.models.load(v) is not None for v in versions],
        }


@pytest.fixture(params=["folder", "services"])
def elsewhere(request: pytest.FixtureRequest, shop: Path) -> Iterator[Callable[[], Workspace]]:
    """Opens an empty project of the same files, in a folder, or in PostgreSQL and a bucket."""
    root = empty(shop, "elsewhere")
    if request.param == "folder":
        yield lambda: opened(root)
        return
    bucket = request.getfixturevalue("s3")
    with services.fresh_database(request.getfixturevalue("postgresql_server")) as ledger:
        stores = {"objects.url": f"{bucket}/objects", "tables.url": f"{bucket}/tables", "ledger.url": ledger}
        yield lambda: opened(root, **stores)


def test_what_is_restored_is_what_was(shop: Path, elsewhere: Callable[[], Workspace]) -> None:
    with opened(shop) as workspace:
        workspace.backup("../backups")
    with elsewhere() as workspace:
        workspace.restore("../backups")

    assert told(opened(shop)) == told(elsewhere())


def test_the_loop_goes_on_from_a_restored_state(shop: Path, elsewhere: Callable[[], Workspace]) -> None:
    with opened(shop) as workspace:
        before = workspace.backup("../backups")
    with elsewhere() as workspace:
        workspace.restore("../backups", backup=before.id)
        land(workspace.root, "b.csv", *visits(400, 200))
        workspace.run("buys")

        assert [version.version for version in workspace.models.versions("buys")] == [1, 2]
        assert workspace.datasets.version("visits").rows == 600


def test_a_backup_in_a_bucket(shop: Path, s3: str) -> None:
    with opened(shop) as workspace:
        workspace.backup(f"{s3}/backups")
    with opened(empty(shop, "again")) as workspace:
        workspace.restore(f"{s3}/backups")

    assert told(opened(shop)) == told(opened(shop.parent / "again"))


def test_a_second_backup_stores_only_what_is_new(shop: Path) -> None:
    with opened(shop) as workspace:
        first = workspace.backup("../backups")
        land(shop, "b.csv", *visits(400, 50))
        workspace.ingest()
        second = workspace.backup("../backups")

        assert [one.id for one in workspace.backups("../backups")] == [first.id, second.id]
    assert first.added == first.size
    # The ledger and the end of the logs are new each time; rows and packages are not.
    assert 0 < second.added < second.size
    assert second.size > first.size


def test_only_so_many_are_kept_and_each_can_be_restored(shop: Path) -> None:
    with opened(shop) as workspace:
        made = [workspace.backup("../backups", keep=2) for _ in range(4)]
        kept = workspace.backups("../backups")
        place = Backups.open("../backups", root=shop, options={})
        needed = {held.digest for one in kept for held in place.files(one)} | {one.listed for one in kept}

        assert [one.id for one in kept] == [one.id for one in made[2:]]
        assert set(place.held()) == needed
    for one in kept:
        with opened(empty(shop, one.id)) as workspace:
            workspace.restore(str(shop.parent / "backups"), backup=one.id)
        assert told(opened(shop.parent / one.id)) == told(opened(shop))


def test_nothing_is_restored_over_something(shop: Path) -> None:
    with opened(shop) as workspace:
        workspace.backup("../backups")
        with pytest.raises(Conflict, match="is not empty.*Nothing was changed"):
            workspace.restore("../backups")


def test_a_damaged_backup_is_refused_and_nothing_counts(shop: Path) -> None:
    with opened(shop) as workspace:
        made = workspace.backup("../backups")
    place = Backups.open("../backups", root=shop, options={})
    victim = max(place.files(made), key=lambda held: (held.path.startswith("objects/"), held.size))
    file = next((shop.parent / "backups").rglob(victim.digest.removeprefix("sha256:")))
    file.write_bytes(b"x" + file.read_bytes()[1:])
    root = empty(shop, "again")

    with opened(root) as workspace, pytest.raises(DigestMismatch):
        workspace.restore("../backups")

    with opened(root) as workspace:
        assert workspace.models.names() == []


@pytest.mark.parametrize(
    "path", ["../evil", "objects/../../evil", "/etc/evil", "log//x", "elsewhere/x", "tables"]
)
def test_a_backup_with_a_file_outside_the_stores_is_refused(shop: Path, path: str) -> None:
    with opened(shop) as workspace:
        made = workspace.backup("../backups")
    place = Backups.open("../backups", root=shop, options={})
    listed = place.list_files([*place.files(made), place.keep(b"evil", at=path)])
    place.write(msgspec.structs.replace(made, listed=listed))

    with opened(empty(shop, "again")) as workspace, pytest.raises(InvalidInput, match="outside the stores"):
        workspace.restore("../backups")


def test_a_place_of_another_project_is_refused(shop: Path) -> None:
    with opened(shop) as workspace:
        workspace.backup("../backups")
    with (
        opened(shop, **{"project.name": "other"}) as workspace,
        pytest.raises(InvalidInput, match="'shop'.*'other'"),
    ):
        workspace.backup("../backups")


def test_a_place_without_backups_says_how_to_make_one(shop: Path) -> None:
    with opened(empty(shop, "again")) as workspace, pytest.raises(NotFound, match="treadle backup"):
        workspace.restore("../nothing")


def test_a_place_that_cannot_be_made_is_said(shop: Path) -> None:
    with (
        opened(shop) as workspace,
        pytest.raises(StoreUnavailable, match="No folder can be made at /proc/nowhere"),
    ):
        workspace.backup("/proc/nowhere")


def test_two_at_once_take_turns(shop: Path) -> None:
    with opened(shop) as one, opened(shop) as other:
        held = one.ledger.lease("backup", holder="treadle backup", ttl=60, clock=one.clock)
        with held, pytest.raises(Busy):
            other.backup("../backups")
        assert other.backup("../backups").files


def test_a_project_without_anything_has_a_backup_too(shop: Path) -> None:
    root = empty(shop, "bare")
    with opened(root) as workspace:
        made = workspace.backup("../bare-backups")
    with opened(empty(shop, "bare-again")) as workspace:
        assert workspace.restore("../bare-backups").id == made.id


@pytest.mark.slow
def test_a_restore_that_is_killed_is_repeated(shop: Path) -> None:
    with opened(shop) as workspace:
        workspace.backup("../backups")
    root = empty(shop, "again")
    command = [sys.executable, "-m", "treadle.app.cli.main", "restore", "../backups", "-C", str(root)]

    for delay in (1.0, 1.5, 2.0, 2.5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=shop)
        with suppress(subprocess.TimeoutExpired):
            process.wait(within(delay))
        process.send_signal(signal.SIGKILL)
        process.wait()
    with opened(root) as workspace, suppress(Conflict):  # the last one may have come to its end
        workspace.restore("../backups")

    assert told(opened(root)) == told(opened(shop))


@contextmanager
def serving(root: Path) -> Iterator[int]:
    """A real server of the project, which answers only what is on the disk."""
    port = services.free_ports(1)[0]
    environment = os.environ | {"TREADLE_SERVING__DURABILITY": "sync"}
    command = [sys.executable, "-m", "treadle.app.cli.main", "serve", "--port", str(port), "-C", str(root)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                break
            threading.Event().wait(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def asked(port: int, number: int) -> str:
    body = json.dumps({"rows": [{"pages": number % 30}]}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/endpoints/buys/predict", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["predictions"][0]["prediction_id"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_r17_backups_under_load_are_whole_and_lose_nothing_that_was_acknowledged(shop: Path) -> None:
    """Requests, ingests, trainings and collections go on while backups are made; each is restored elsewhere."""
    rounds, stop = (20 if FULL else 3), threading.Event()
    acked: list[str] = []
    rows = [400]

    def turn() -> None:
        with opened(shop) as workspace:
            while not stop.is_set():
                land(shop, f"more{rows[0]}.csv", *visits(rows[0], 20))
                workspace.ingest()
                rows[0] += 20
                if rows[0] % 100 == 0:
                    workspace.run("buys", force=True)
                    workspace.collect(keep_last=1, younger_than="0s", dry_run=False)

    def ask(port: int) -> None:
        while not stop.is_set():
            acked.append(asked(port, len(acked)))

    before: list[tuple[str, set[str], int]] = []
    with serving(shop) as port:
        workers = [
            threading.Thread(target=turn),
            *(threading.Thread(target=ask, args=(port,)) for _ in range(3)),
        ]
        for worker in workers:
            worker.start()
        try:
            for _ in range(rounds):
                sure, landed = set(acked), rows[0]
                with opened(shop) as workspace:
                    before.append((workspace.backup("../backups").id, sure, landed))
                stop.wait(1)
        finally:
            stop.set()
            for worker in workers:
                worker.join()

    for name, sure, landed in before:
        root = empty(shop, f"of-{uuid.uuid4().hex}")
        with opened(root) as workspace:
            workspace.restore(str(shop.parent / "backups"), backup=name)
            logged = workspace.predictions.scan("buys").collect()["prediction_id"]
            assert sure <= set(logged)
            assert logged.n_unique() == logged.len() <= len(acked)
            assert (
                landed
                <= workspace.datasets.version("visits").rows
                == workspace.datasets.read("visits").height
            )
            held = [v for v in workspace.models.versions("buys") if v.collected_at is None]
            assert all(workspace.models.load(version) for version in held)
            assert workspace.ledger.integrity() == "ok"
            with serving(root) as port:
                asked(port, 1)
            assert isinstance(workspace.predictions.scan("buys").collect(), pl.DataFrame)
    assert max(len(sure) for _, sure, _ in before) > 20
