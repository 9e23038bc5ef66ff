"""Versioned tables when writers are killed, disks fill up, buckets lie and histories grow."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import select

import services
from treadle.core.clock import ManualClock, monotonic
from treadle.core.errors import StoreFull, StoreReadOnly, StoreUnavailable
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import dataset_versions
from treadle.store.tables import commits
from treadle.store.tables.backends import folder
from treadle.store.tables.tables import CHECKPOINT_EVERY, Tables

_BATCH = 500
#: Writers that are killed: few here; the environment may ask for more.
_KILLED = int(os.environ.get("TREADLE_TEST_KILLED_WRITERS", "20"))
_ROWS = pl.DataFrame({"id": range(_BATCH), "value": [float(n) for n in range(_BATCH)]})
_WRITER = """
import sys
from pathlib import Path
import polars as pl
from sqlalchemy import func, insert, select
from treadle.core.settings import aws_options
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import dataset_versions as known
from treadle.store.tables.tables import Tables

tables = Tables.open(sys.argv[1], root=Path("."), options=aws_options())
rows = pl.DataFrame({"id": range(500), "value": [float(n) for n in range(500)]})
with Ledger.open(sys.argv[2], root=Path(".")) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        with ledger.read() as connection:
            base = connection.execute(select(func.max(known.c.version))).scalar()
            commits = connection.execute(select(func.max(known.c.created_at))).scalar() or 0
        version = tables.append("t", rows, base=base)
        if commits % 4 == 3:
            version = tables.compact("t", base=version)
        with ledger.write() as connection:
            connection.execute(
                insert(known).values(dataset="t", version=version, created_at=commits + 1, body="")
            )
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_r13_a_killed_writer_leaves_no_partial_version(
    tables: Tables, tables_url: str, tmp_path: Path
) -> None:
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    moments = random.Random(13)
    with Ledger.open(ledger_url, root=tmp_path) as ledger:
        coming, kills = _writer(tables_url, ledger_url), 0
        # On a busy machine most writers die before their first commit.
        while kills < _KILLED or (len(_known(ledger)) < 10 and kills < 5 * _KILLED):
            writer, coming, kills = coming, _writer(tables_url, ledger_url), kills + 1
            _run_for(writer, moments.uniform(0.02, 0.25) * (1 + kills / _KILLED))

            _assert_whole(tables, _known(ledger))
        coming.kill()
        coming.communicate()

        known = _known(ledger)
        kept = dict(random.Random(1).sample(sorted(known.items()), min(5, len(known))))
        newest = max(known)
        kept[newest] = known[newest]

        tables.vacuum("t", keep=kept, dry_run=False)
        again = tables.append("t", _ROWS, base=newest)
        kept[again] = known[newest] + 1

        assert len(known) >= 10
        _assert_whole(tables, kept)
        assert tables.vacuum("t", keep=kept) == []


@pytest.mark.slow
def test_four_hundred_commits_stay_fast(tmp_path: Path) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    version, taken = None, []

    for number in range(400):
        start = monotonic()
        version = tables.append("t", _ROWS, base=version)
        taken.append(monotonic() - start)
        if number % 32 == 31:
            version = tables.compact("t", base=version)

    assert tables.scan("t").select(pl.len()).collect().item() == 400 * _BATCH
    assert sorted(taken[-50:])[25] < 3 * sorted(taken[:50])[25] + 0.01


def test_checkpoints_are_made_and_old_versions_kept(tmp_path: Path) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    version = None
    for _ in range(2 * CHECKPOINT_EVERY + 1):
        version = tables.append("t", _ROWS, base=version)

    log = tmp_path / "tables" / "t" / "_delta_log"

    assert len(list(log.glob("*.checkpoint.parquet"))) == 2
    assert (log / f"{0:020d}.json").exists()
    assert tables.scan("t", version=0).collect().height == _BATCH


def _senders(log: Path) -> set[str]:
    """The senders that the newest checkpoint names."""
    newest = max(log.glob("*.checkpoint.parquet"))
    return set(pl.read_parquet(newest)["txn"].struct.field("appId").drop_nulls())


def test_checkpoints_do_not_name_senders_that_are_long_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    log = tmp_path / "tables" / "log" / "_delta_log"
    with monkeypatch.context() as then:
        then.setattr(commits, "SENDERS", {})
        then.setattr(commits, "CONFIGURATION", {"delta.checkpointInterval": "10"})  # of an earlier release
        then.setattr(commits, "SystemClock", lambda: ManualClock(datetime.now(UTC) - timedelta(days=40)))
        for number in range(CHECKPOINT_EVERY + 1):
            tables.deliver("log", _ROWS.head(1), sender=f"gone-{number}", number=1)
    before = _senders(log)

    tables.tidy("log")
    for number in range(1, CHECKPOINT_EVERY + 1):
        tables.deliver("log", _ROWS.head(1), sender="lives", number=number)

    assert len(before) == CHECKPOINT_EVERY + 1
    assert _senders(log) == {"lives"}
    assert not tables.deliver("log", _ROWS.head(1), sender="lives", number=CHECKPOINT_EVERY)
    assert tables.scan("log").collect().height == 2 * CHECKPOINT_EVERY + 1


def test_the_log_of_a_shared_table_does_not_grow_for_ever(tmp_path: Path) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    log = tmp_path / "tables" / "log" / "_delta_log"
    for number in range(1, 3 * CHECKPOINT_EVERY):
        tables.deliver("log", _ROWS.head(1), sender="s", number=number)
    tables.tidy("log")
    young = sorted(path.name for path in log.glob("*.json"))
    ago = (datetime.now(UTC) - timedelta(hours=2)).timestamp()
    for path in log.iterdir():
        os.utime(path, (ago, ago))

    tables.tidy("log")
    tables.deliver("log", _ROWS.head(1), sender="s", number=3 * CHECKPOINT_EVERY)

    assert young[0] == f"{0:020d}.json"  # somebody may have been reading
    assert min(path.name for path in log.glob("*.json")) >= f"{2 * CHECKPOINT_EVERY:020d}.json"
    assert (
        Tables.open("tables", root=tmp_path, options={}).scan("log").collect().height == 3 * CHECKPOINT_EVERY
    )


def test_a_full_disk_loses_nothing_and_passes(tmp_path: Path) -> None:
    with services.small_disk(tmp_path / "disk", size="4m") as disk:
        tables = Tables.open("tables", root=disk, options={})
        version = tables.append("t", _ROWS, base=None)
        ballast = services.fill(disk)

        with pytest.raises(StoreFull, match="no space is left"):
            tables.append("t", _ROWS, base=version)
        assert tables.scan("t").collect().height == _BATCH
        ballast.unlink()
        version = tables.append("t", _ROWS, base=version)

        assert tables.scan("t", version=version).collect().height == 2 * _BATCH


def test_a_read_only_folder_says_so_and_can_be_read(tmp_path: Path) -> None:
    with services.small_disk(tmp_path / "disk", size="4m") as disk:
        tables = Tables.open("tables", root=disk, options={})
        version = tables.append("t", _ROWS, base=None)
        services.make_read_only(disk)

        with pytest.raises(StoreReadOnly, match=r"tables\.url"):
            tables.append("t", _ROWS, base=version)

        assert tables.scan("t").collect().height == _BATCH


@pytest.mark.parametrize("commits", [1, 4, 10], ids=["first", "plain", "with a checkpoint"])
@pytest.mark.parametrize("torn", ["entry", "end of entry", "data", "checkpoint"])
def test_a_commit_torn_by_a_power_cut_is_undone(commits: int, torn: str, tmp_path: Path) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    version = known = None
    for _ in range(commits):
        known, version = version, tables.append("t", _ROWS, base=version)
    log = tmp_path / "tables" / "t" / "_delta_log"
    entry = log / f"{version:020d}.json"
    victims = {
        "entry": [entry],
        "end of entry": [entry],
        "data": [
            max((tmp_path / "tables" / "t").glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
        ],
        "checkpoint": [*log.glob("*.checkpoint.parquet")],
    }
    for victim in victims[torn]:
        victim.write_bytes(victim.read_bytes()[:100] if torn == "end of entry" else b"")

    again = tables.append("t", _ROWS, base=known)

    assert tables.scan("t", version=again).collect().height == commits * _BATCH


@pytest.mark.parametrize("commits", [1, 10], ids=["first", "with a checkpoint"])
@pytest.mark.parametrize("torn", ["*.json", "*.checkpoint.parquet", "../*.parquet", "nothing"])
def test_a_delivery_whose_writer_died_does_not_count_and_is_made_again(
    commits: int, torn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    for number in range(1, commits):
        tables.deliver("t", _ROWS, sender="s", number=number)
    log = tmp_path / "tables" / "t" / "_delta_log"
    before = set(log.glob(torn))
    with monkeypatch.context() as patch:
        patch.setattr(folder.Backend, "settle", _die)
        with pytest.raises(KeyboardInterrupt):
            tables.deliver("t", _ROWS, sender="s", number=commits)
    for path in set(log.glob(torn)) - before:
        path.write_bytes(b"")

    assert tables.delivered("t", sender="s") == commits - 1
    assert tables.exists("t") == (commits > 1)
    assert tables.deliver("t", _ROWS, sender="s", number=commits)
    assert not tables.deliver("t", _ROWS, sender="s", number=commits)
    assert tables.scan("t").collect().height == commits * _BATCH


def test_what_a_failed_flush_may_have_lost_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    base = tables.append("t", _ROWS, base=None)
    entry = tmp_path / "tables" / "t" / "_delta_log" / f"{base + 1:020d}.json"
    with monkeypatch.context() as patch:
        patch.setattr(folder, "flush_file", _fail)
        with pytest.raises(StoreUnavailable, match="Input/output"):
            tables.append("t", _ROWS, base=base)
    before, content = entry.stat().st_ino, entry.read_bytes()

    version = tables.append("t", _ROWS, base=base)

    assert (entry.stat().st_ino != before, entry.read_bytes()) == (True, content)
    assert tables.scan("t", version=version).collect().height == 2 * _BATCH


def test_a_shared_table_from_before_its_deliveries_were_noted_stays_whole(tmp_path: Path) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    tables.deliver("t", _ROWS, sender="s", number=1)
    (tmp_path / "tables" / "t" / "_settled").unlink()

    assert tables.delivered("t", sender="s") == 1
    tables.deliver("t", _ROWS, sender="s", number=2)
    assert tables.scan("t").collect().height == 2 * _BATCH


def test_a_shared_table_gets_columns_that_stay_and_loses_no_delivery(tmp_path: Path) -> None:
    tables, other = (Tables.open("tables", root=tmp_path, options={}) for _ in range(2))
    tables.deliver("t", _ROWS, sender="s", number=1)
    other.deliver("t", _ROWS, sender="other", number=1)

    for each in (tables, other):
        each.extend("t", {"value": pl.Float64(), "late": pl.Boolean()})
    version = tables.version("t")
    tables.deliver("t", _ROWS.with_columns(late=True), sender="s", number=2)

    assert version == 2
    assert tables.scan("t").collect()["late"].sum() == _BATCH
    assert tables.scan("t").collect().height == 3 * _BATCH


def test_a_missing_data_file_is_said_in_words(tables: Tables) -> None:
    version = tables.append("t", _ROWS, base=None)
    version = tables.append("t", _ROWS, base=version)
    version = tables.compact("t", base=version)
    frame = tables.scan("t", version=1)
    tables.vacuum("t", keep=[version], dry_run=False)

    with pytest.raises(StoreUnavailable, match="'t'"), tables.reading("t"):
        frame.collect()


@pytest.mark.slow
def test_s3_that_goes_away_is_given_up_in_time(tmp_path: Path) -> None:
    with services.Seaweed(tmp_path / "seaweed") as server:
        url, options = f"s3://{server.bucket()}/tables", server.options
        tables = Tables.open(url, root=tmp_path, options=options)
        version = tables.append("t", _ROWS, base=None)
        frame = tables.scan("t")
    start = monotonic()

    with pytest.raises(StoreUnavailable, match="connection refused"):
        tables.append("t", _ROWS, base=version)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        Tables.open(url, root=tmp_path, options=options)
    with pytest.raises(StoreUnavailable, match="does not answer"), tables.reading("t"):
        frame.collect()

    assert monotonic() - start < 30


def _fail(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _writer(tables_url: str, ledger_url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, tables_url, ledger_url],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _run_for(writer: subprocess.Popen[str], seconds: float) -> None:
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == "ready\n"
    writer.stdin.write("go\n")
    writer.stdin.flush()
    threading.Event().wait(seconds)
    assert writer.poll() is None
    writer.kill()
    writer.communicate()


def _known(ledger: Ledger) -> dict[int, int]:
    """Return the table versions that reached the ledger, each with its number of batches."""
    with ledger.read() as connection:
        rows = connection.execute(select(dataset_versions.c.version, dataset_versions.c.created_at)).all()
    return dict(rows)


def _assert_whole(tables: Tables, known: dict[int, int]) -> None:
    for version, batches in known.items():
        held = tables.scan("t", version=version).group_by("id").len().collect()
        assert held.height == _BATCH
        assert held["len"].unique().to_list() == [batches]
    newest = tables.version("t")
    if newest is not None and newest not in known:
        assert tables.scan("t").select(pl.len()).collect().item() % _BATCH == 0
