"""Stores that fail are said in one sentence, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import services
import treadle as td
from hostile_shop import begun, land, visits
from hostile_typed import Type, goes_on


@pytest.fixture
def disk(shop: Path) -> Iterator[Path]:
    """The project's state on a small file system of its own, with 50 new rows that wait."""
    state = shop / ".treadle"
    state.rename(shop / "kept")
    with services.small_disk(state, size="8m") as folder:
        shutil.copytree(shop / "kept", folder, dirs_exist_ok=True)
        land(shop, "b.csv", *visits(400, 50))
        yield folder


def test_a_full_disk_is_said_and_the_next_run_goes_on(disk: Path, shop: Path, typed: Type) -> None:
    ballast = services.fill(disk)

    refused = [typed("ingest"), typed("run"), typed("watch", "--once")]
    ballast.unlink()

    assert [each.code for each in refused] == [5, 5, 5]
    assert all("no space is left. Free some space" in each.sentence for each in refused)
    goes_on(typed, shop)


@pytest.mark.slow
@pytest.mark.parametrize("free", [128, 256], ids="{}k".format)
def test_a_disk_that_fills_up_on_the_way_is_said(disk: Path, shop: Path, typed: Type, free: int) -> None:
    typed("status")  # the ledger's side files are there
    ballast = services.fill(disk)
    with ballast.open("r+b") as file:
        file.truncate(ballast.stat().st_size - free * 1024)

    with begun(
        shop, "run"
    ) as process:  # a process of its own, so that its end frees what it could not give back
        code = process.wait(timeout=60)
    ballast.unlink()

    assert code in {0, 5}
    assert code == 0 or "no space is left" in (shop / "said.txt").read_text()
    goes_on(typed, shop)


def test_a_read_only_folder_is_said_and_the_next_run_goes_on(disk: Path, shop: Path, typed: Type) -> None:
    services.make_read_only(disk)

    refused = [typed("ingest"), typed("run"), typed("serve", "--port", "0")]
    services.make_read_only(disk, yes=False)

    assert [each.code for each in refused] == [5, 5, 5]
    assert all("may not be written to" in each.sentence for each in refused)
    goes_on(typed, shop)


def test_a_locked_ledger_is_said_and_the_next_run_goes_on(shop: Path, typed: Type) -> None:
    land(shop, "b.csv", *visits(400, 50))
    with closing(sqlite3.connect(shop / ".treadle" / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        refused = [typed("ingest"), typed("run"), typed("watch", "--once")]
        shown = typed("status")

    assert [each.code for each in refused] == [5, 5, 5]
    assert all("was locked by another process for 1 s" in each.err for each in refused)
    assert shown.code == 0
    goes_on(typed, shop)


@pytest.mark.parametrize("left", [None, b"", b"no ledger at all"], ids=["gone", "empty", "damaged"])
def test_a_lost_ledger_is_not_begun_anew(shop: Path, typed: Type, left: bytes | None) -> None:
    land(shop, "b.csv", *visits(400, 50))
    ledger = shop / ".treadle" / "ledger.db"
    backup = ledger.read_bytes()
    ledger.unlink()
    if left is not None:
        ledger.write_bytes(left)

    refused = [typed("status"), typed("ingest"), typed("run"), typed("serve", "--port", "0")]
    for file in ledger.parent.glob("ledger.db*"):
        file.unlink()
    ledger.write_bytes(backup)

    assert [each.code for each in refused] == [5, 5, 5, 5]
    assert all("backup" in each.sentence for each in refused)
    goes_on(typed, shop)


def test_cut_table_files_are_said(shop: Path, typed: Type) -> None:
    for file in (shop / ".treadle" / "tables").rglob("*.parquet"):
        os.truncate(file, 100)

    refused = typed("datasets", "quarantine", "visits"), typed("run", "--force")

    assert [each.code for each in refused][1] in {4, 5}
    assert "put it back from a backup" in refused[1].err
    assert "Traceback" not in refused[1].err


def test_a_model_that_another_process_works_on_is_left_to_it(shop: Path, typed: Type) -> None:
    land(shop, "b.csv", *visits(400, 50))
    with td.open(shop) as other, other.ledger.lease("model/buys", holder="other", ttl=60, clock=other.clock):
        busy, watched = typed("run"), typed("watch", "--once")

    assert (busy.code, watched.code) == (6, 0)
    assert "is being worked on by 'other'" in busy.sentence
    goes_on(typed, shop)
